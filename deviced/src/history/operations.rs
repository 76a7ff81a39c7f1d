//! What takes time and can be asked about.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use rusqlite::{Row, params};
use tokio::sync::watch;

use super::row::{self, Problem};
use super::{Error, History, Operation, OperationState, limit, seconds};
use crate::engine::Progress;

/// How many that have ended are kept.
const KEPT: i64 = 1000;

const COLUMNS: &str = "number, id, container, kind, who, state, stage, text, began, ended";

/// What is known of a running operation beyond its row: it changes often, and is worth nothing after a restart.
#[derive(Debug, Clone)]
pub(super) struct Live {
    stage: String,
    text: String,
    progress: Option<Progress>,
}

impl History {
    /// An operation begins. One of the same id that has ended goes on: what was interrupted is found again by the id in its container's label.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn begin(&self, operation: &Operation) -> Result<(), Error> {
        self.change("begin an operation", |connection| {
            let sql = "INSERT INTO operations (id, container, kind, who, state, stage, text, began, ended) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (id) DO UPDATE SET \
                       state = excluded.state, stage = excluded.stage, text = excluded.text, ended = excluded.ended";
            connection.prepare_cached(sql)?.execute(params![
                operation.id,
                operation.container,
                operation.kind,
                operation.who,
                word(operation.state),
                operation.stage,
                operation.text,
                operation.began,
                operation.ended,
            ])?;
            let sql = "DELETE FROM operations WHERE state <> 'running' AND number <= \
                       (SELECT max(number) FROM operations) - ?1";
            connection.prepare_cached(sql)?.execute([KEPT])?;
            Ok(())
        })?;
        self.tell();
        Ok(())
    }

    /// How far a running operation is. The stage is written to the disk when it is another one; the rest is for those who watch.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn progress(
        &self,
        id: &str,
        stage: &str,
        text: &str,
        progress: Option<Progress>,
    ) -> Result<(), Error> {
        let now = Live { stage: stage.to_owned(), text: text.to_owned(), progress };
        let before = self.live().insert(id.to_owned(), now);
        if before.is_none_or(|before| before.stage != stage) {
            let changed = self.change("write the stage of an operation", |connection| {
                let sql = "UPDATE operations SET stage = ?2, text = ?3 WHERE id = ?1 AND state = 'running'";
                connection.prepare_cached(sql)?.execute(params![id, stage, text])
            })?;
            if changed == 0 {
                self.live().remove(id);
            }
        }
        self.tell();
        Ok(())
    }

    /// An operation has ended.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn end(&self, id: &str, state: OperationState, text: &str) -> Result<(), Error> {
        self.change("end an operation", |connection| {
            let sql = "UPDATE operations SET state = ?2, text = ?3, ended = ?4 WHERE id = ?1";
            connection.prepare_cached(sql)?.execute(params![id, word(state), text, seconds()])?;
            Ok(())
        })?;
        self.live().remove(id);
        self.tell();
        Ok(())
    }

    /// One of them.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn operation(&self, id: &str) -> Result<Option<Operation>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM operations WHERE id = ?1");
        let found = self.read("read an operation", |connection| {
            row::rows(connection, self.unreadable(), "operations", &sql, [id], read)
        })?;
        Ok(self.alive(found).into_iter().next())
    }

    /// The last ones, the newest first: of a container, or all.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn operations(&self, count: usize, container: Option<&str>) -> Result<Vec<Operation>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM operations WHERE ?1 IS NULL OR container = ?1 ORDER BY number DESC LIMIT ?2"
        );
        let found = self.read("read the operations", |connection| {
            row::rows(
                connection,
                self.unreadable(),
                "operations",
                &sql,
                params![container, limit(count)],
                read,
            )
        })?;
        Ok(self.alive(found))
    }

    /// To be told when any operation has changed. Who is slow is told once.
    pub fn watch_operations(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// At a start: what was running and is no replacement, which goes on, has ended with the process.
    pub(super) fn interrupt(&self) -> Result<(), Error> {
        self.change("end what was interrupted", |connection| {
            let sql = "UPDATE operations SET state = 'failed', text = 'interrupted: deviced ended before it did', ended = ?1 \
                       WHERE state = 'running' AND id NOT IN (SELECT operation FROM swaps)";
            connection.execute(sql, [seconds()])?;
            // Whoever asked has not been answered, and will ask again.
            connection.execute("DELETE FROM answers WHERE answer IS NULL", [])?;
            Ok(())
        })
    }

    fn alive(&self, mut operations: Vec<Operation>) -> Vec<Operation> {
        let live = self.live();
        for operation in &mut operations {
            if let (OperationState::Running, Some(now)) = (operation.state, live.get(&operation.id)) {
                operation.stage.clone_from(&now.stage);
                operation.text.clone_from(&now.text);
                operation.progress = now.progress;
            }
        }
        operations
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<String, Live>> {
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.0.changed.send_modify(|count| *count = count.wrapping_add(1));
    }
}

const fn word(state: OperationState) -> &'static str {
    match state {
        OperationState::Running => "running",
        OperationState::Done => "done",
        OperationState::Failed => "failed",
    }
}

fn read(row: &Row<'_>) -> Result<Operation, Problem> {
    let state = |text: &str| {
        [OperationState::Running, OperationState::Done, OperationState::Failed]
            .into_iter()
            .find(|state| word(*state) == text)
            .ok_or_else(|| format!("no state of an operation: {text:?}"))
    };
    Ok(Operation {
        id: row.get(1)?,
        container: row.get(2)?,
        kind: row.get(3)?,
        who: row.get(4)?,
        state: row::parsed(row, 5, state)?,
        stage: row.get(6)?,
        text: row.get(7)?,
        progress: None,
        began: row.get(8)?,
        ended: row.get(9)?,
    })
}
