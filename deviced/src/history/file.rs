//! The database's file: opened and looked over, moved aside if it is damaged (I6).

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use dockerloader::disk::{Disk as _, Kind, RealDisk};
use rusqlite::{Connection, ErrorCode, ffi};

use super::schema::{self, Migrated};

/// The database.
pub(super) const NAME: &str = "history.sqlite";
/// What SQLite keeps beside it (<https://sqlite.org/walformat.html>).
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];
/// Bytes of a page, at least.
const SMALLEST: u64 = 512;
/// How many databases that were moved aside are kept.
const KEPT_ASIDE: usize = 3;

/// Why there is no database in the file.
#[derive(Debug)]
pub(super) enum Unopened {
    /// What is there can't be used by this deviced, now or later.
    Damaged(String),
    /// It may well be whole, but the disk is full, read-only, or failing.
    Trouble(String),
}

/// Opens the database in a directory. A damaged one is moved aside and a new one begun: the text says so.
///
/// # Errors
/// When the disk is in trouble: what is there is left alone.
pub(super) fn open(directory: &Path) -> Result<(Connection, Option<String>), String> {
    let path = directory.join(NAME);
    let damage = match attempt(&path) {
        Ok(connection) => return Ok((connection, None)),
        Err(Unopened::Trouble(problem)) => return Err(problem),
        Err(Unopened::Damaged(damage)) => damage,
    };
    let aside = move_aside(directory).map_err(|error| format!("{damage}; moving it aside: {error}"))?;
    match attempt(&path) {
        Ok(connection) => {
            let said = format!(
                "{}: {damage}; it is kept as {}, and a new history begins",
                path.display(),
                aside.display()
            );
            Ok((connection, Some(said)))
        }
        Err(Unopened::Trouble(problem) | Unopened::Damaged(problem)) => Err(problem),
    }
}

fn attempt(path: &Path) -> Result<Connection, Unopened> {
    let trouble = |error: io::Error| Unopened::Trouble(error.to_string());
    match RealDisk.kind(path).map_err(trouble)? {
        None | Some(Kind::File) => {}
        Some(_) => return Err(Unopened::Damaged("it is no regular file".to_owned())),
    }
    // Documents may hold secrets. What SQLite makes beside it gets the same mode.
    let made = OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(trouble)?;
    // SQLite takes what is shorter than a page for nothing, and overwrites it.
    if (1..SMALLEST).contains(&made.metadata().map_err(trouble)?.len()) {
        return Err(Unopened::Damaged("it was cut off".to_owned()));
    }
    let mut connection = Connection::open(path).map_err(|error| classify(&error))?;
    configure(&connection).map_err(|error| classify(&error))?;
    match schema::migrate(&mut connection).map_err(|error| classify(&error))? {
        Migrated::Current => {}
        Migrated::Newer(version) => {
            return Err(Unopened::Damaged(format!("a newer deviced wrote it (schema {version})")));
        }
        Migrated::Foreign => return Err(Unopened::Damaged("it is no history of deviced".to_owned())),
    }
    match look_over(&connection).map_err(|error| classify(&error))?.as_str() {
        "ok" => Ok(connection),
        damage => Err(Unopened::Damaged(damage.to_owned())),
    }
}

/// `ok`, or what is wrong.
fn look_over(connection: &Connection) -> rusqlite::Result<String> {
    for table in schema::TABLES {
        connection.execute_batch(&format!("SELECT * FROM {table} LIMIT 1"))?;
    }
    connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
}

/// How SQLite works with it.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    // Nobody else has it (I7): no shared memory is needed, which a full disk would have no room for.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A stage is on the disk before anything of it is done.
    connection.pragma_update(None, "synchronous", "FULL")?;
    common(connection)?;
    connection.pragma_update(None, "journal_size_limit", 1 << 20)
}

/// What holds for a database in memory as well.
pub(super) fn common(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // KiB. What is asked for often is small.
    connection.pragma_update(None, "cache_size", -512)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn classify(error: &rusqlite::Error) -> Unopened {
    let text = error.to_string();
    let rusqlite::Error::SqliteFailure(failure, _) = error else {
        return Unopened::Damaged(text);
    };
    // What could not be read is lost; what could not be written may be written later.
    let unread = [
        ffi::SQLITE_IOERR_READ,
        ffi::SQLITE_IOERR_SHORT_READ,
        ffi::SQLITE_IOERR_DATA,
        ffi::SQLITE_IOERR_CORRUPTFS,
    ];
    match failure.code {
        ErrorCode::SystemIoFailure if unread.contains(&failure.extended_code) => Unopened::Damaged(text),
        ErrorCode::SystemIoFailure
        | ErrorCode::DiskFull
        | ErrorCode::ReadOnly
        | ErrorCode::PermissionDenied
        | ErrorCode::CannotOpen
        | ErrorCode::OutOfMemory
        | ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked => Unopened::Trouble(text),
        _ => Unopened::Damaged(text),
    }
}

/// Gives the database and its companions other names. The last few stay.
fn move_aside(directory: &Path) -> io::Result<PathBuf> {
    let prefix = format!("{NAME}.broken-");
    let mut numbers: Vec<u64> = RealDisk
        .list(directory)?
        .iter()
        .filter_map(|name| name.to_str()?.strip_prefix(&prefix)?.parse().ok())
        .collect();
    numbers.sort_unstable();
    let aside = |number: u64| directory.join(format!("{prefix}{number}"));
    let next = numbers.last().map_or(1, |last| last.saturating_add(1));
    let surplus = numbers.len().saturating_sub(KEPT_ASIDE - 1);
    for number in numbers.iter().take(surplus) {
        let old = aside(*number);
        COMPANIONS
            .iter()
            .map(|suffix| with(&old, suffix))
            .chain([old.clone()])
            .try_for_each(|path| remove(&path))?;
    }
    let (from, to) = (directory.join(NAME), aside(next));
    for (from, to) in COMPANIONS
        .iter()
        .map(|suffix| (with(&from, suffix), with(&to, suffix)))
        .chain([(from.clone(), to.clone())])
    {
        if RealDisk.kind(&from)?.is_some() {
            RealDisk.rename(&from, &to)?;
        }
    }
    RealDisk.sync_directory(directory)?;
    Ok(to)
}

fn remove(path: &Path) -> io::Result<()> {
    match RealDisk.kind(path)? {
        Some(Kind::Directory) => RealDisk.remove_tree(path),
        _ => RealDisk.remove_file(path),
    }
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Copies what the database in a directory has into one in memory, without writing to the disk: it may be full or read-only.
pub(super) fn copy(directory: &Path, memory: &Connection) -> rusqlite::Result<()> {
    let path = directory.join(NAME);
    // Without a name it holds for what is attached later: its log can be read without shared memory then.
    memory.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    // Escaped as in URIs (<https://sqlite.org/uri.html>). A lock could not be taken on a read-only disk, and nobody else is there.
    let escaped: String = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    memory.execute("ATTACH ?1 AS old", [format!("file:{escaped}?mode=ro&vfs=unix-none")])?;
    let copied = (|| {
        let version = |schema| {
            memory.query_row(&format!("PRAGMA {schema}.user_version"), [], |row| row.get::<_, i64>(0))
        };
        if version("old")? != version("main")? {
            return Err(rusqlite::Error::InvalidQuery);
        }
        let transaction = memory.unchecked_transaction()?;
        for table in schema::TABLES {
            transaction.execute(&format!("INSERT INTO main.{table} SELECT * FROM old.{table}"), [])?;
        }
        transaction.commit()
    })();
    memory.execute("DETACH old", []).map(drop).and(copied)
}
