//! What outlives a restart: document revisions, overrides, swaps, versions, verdicts, operations, what happened and who did it. SQLite.
//!
//! Every call is short and synchronous, and what it says is on the disk when it returns. Opening never fails for what is on the disk (I6).

mod error;
mod lock;
mod record;
mod row;

mod file;
mod schema;

mod revisions;

mod overrides;

mod swaps;
mod verdicts;
mod versions;

mod offers;

mod operations;

mod answers;
mod audits;
mod happenings;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dockerloader::clock;
use dockerloader::disk::{Disk as _, RealDisk};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{broadcast, watch};

pub use answers::{Answer, Asked};
pub use error::Error;
pub use record::{Audit, Happening, Operation, OperationState, Override, Revision, Verdict, Version};

use operations::Live;
use row::Unreadable;

/// How many happenings a subscriber may be behind before it has to read them from the table.
const BEHIND: usize = 256;

/// What is remembered. Clone it.
#[derive(Clone)]
pub struct History(Arc<Inner>);

struct Inner {
    connection: Mutex<Connection>,
    unreadable: Unreadable,
    /// What is known of running operations beyond their rows.
    live: Mutex<BTreeMap<String, Live>>,
    changed: watch::Sender<u64>,
    happened: broadcast::Sender<Happening>,
    /// Whether it is on the disk.
    kept: bool,
    /// Given back after the database was closed: fields are dropped in their order.
    _lock: Option<lock::Lock>,
}

impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("History").field("kept", &self.0.kept).finish_non_exhaustive()
    }
}

impl History {
    /// Opens the history in a directory, which is made. A database that is damaged, or a newer deviced's, is moved aside; on a disk that can't be
    /// written to, what is known is read, and what comes is remembered in memory alone. The text says so, for whoever looks after the device.
    ///
    /// # Errors
    /// [`Error::Held`] when another deviced has the directory; [`Error::Sqlite`] when there isn't even memory.
    pub fn open(directory: &Path) -> Result<(Self, Option<String>), Error> {
        let made = RealDisk.create_directories(directory).map_err(|error| error.to_string());
        let lock = match made.map(|()| lock::take(directory)) {
            Ok(Ok(lock)) => Ok(lock),
            Ok(Err(lock::Taken::By(holder))) => {
                return Err(Error::Held { directory: directory.to_owned(), holder });
            }
            Ok(Err(lock::Taken::Unusable(error))) => Err(error.to_string()),
            Err(problem) => Err(problem),
        };
        let (lock, opened) = match lock {
            Ok(lock) => (Some(lock), file::open(directory)),
            Err(problem) => (None, Err(problem)),
        };
        match opened {
            Ok((connection, said)) => {
                let history = Self::with(connection, true, lock);
                // What is full now has room later; a start is not kept from for that.
                let said = [said, history.interrupt().err().map(|error| error.to_string())];
                let said: Vec<String> = said.into_iter().flatten().collect();
                Ok((history, (!said.is_empty()).then(|| said.join("; "))))
            }
            Err(problem) => Self::in_memory_of(directory, lock, &problem),
        }
    }

    /// One that is forgotten with the process.
    ///
    /// # Errors
    /// [`Error::Sqlite`] when there isn't enough memory.
    pub fn in_memory() -> Result<Self, Error> {
        Ok(Self::with(empty()?, false, None))
    }

    /// One in memory with all that can be read in a directory that can't be written to.
    fn in_memory_of(
        directory: &Path,
        lock: Option<lock::Lock>,
        problem: &str,
    ) -> Result<(Self, Option<String>), Error> {
        let history = Self::with(empty()?, false, lock);
        let known = match file::copy(directory, &history.lock()) {
            Ok(()) => "what it knew was read".to_owned(),
            Err(error) => format!("what it knew could not be read ({error})"),
        };
        history.interrupt()?;
        let said = format!(
            "the history in {} can't be written: {problem}; {known}, and what happens from now on is forgotten at the next start: make \
             room, or repair the disk",
            directory.display()
        );
        Ok((history, Some(said)))
    }

    fn with(connection: Connection, kept: bool, lock: Option<lock::Lock>) -> Self {
        Self(Arc::new(Inner {
            connection: Mutex::new(connection),
            unreadable: Unreadable::default(),
            live: Mutex::default(),
            changed: watch::Sender::new(0),
            happened: broadcast::Sender::new(BEHIND),
            kept,
            _lock: lock,
        }))
    }

    /// Whether what it is told outlives the process.
    pub fn is_kept(&self) -> bool {
        self.0.kept
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unreadable(&self) -> &Unreadable {
        &self.0.unreadable
    }

    fn read<T>(
        &self,
        doing: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        read(&self.lock()).map_err(|source| Error::Sqlite { doing, source })
    }

    /// All of it or nothing.
    fn change<T>(
        &self,
        doing: &'static str,
        change: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let mut connection = self.lock();
        let changed =
            Transaction::new(&mut connection, TransactionBehavior::Immediate).and_then(|transaction| {
                let value = change(&transaction)?;
                transaction.commit()?;
                Ok(value)
            });
        changed.map_err(|source| Error::Sqlite { doing, source })
    }
}

/// A database in memory.
fn empty() -> Result<Connection, Error> {
    let make = || {
        let mut connection = Connection::open_in_memory()?;
        file::common(&connection)?;
        schema::migrate(&mut connection)?;
        Ok(connection)
    };
    make().map_err(|source| Error::Sqlite { doing: "begin in memory", source })
}

/// Seconds since 1970, as they are written down.
fn seconds() -> i64 {
    row::number(clock::unix_seconds())
}

/// A limit as SQLite takes it.
fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
