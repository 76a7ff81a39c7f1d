//! Who changed what.

use rusqlite::{Row, params};

use super::row::{self, Problem};
use super::{Audit, Error, History, limit};

/// How many are kept.
const KEPT: i64 = 10_000;

impl History {
    /// Somebody has changed something, or was refused. Its number; the one that it has is not looked at.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn audit(&self, audit: &Audit) -> Result<i64, Error> {
        self.change("write down who changed what", |connection| {
            let sql = "INSERT INTO audits (at, who, action, container, before, after, outcome) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            connection.prepare_cached(sql)?.execute(params![
                audit.at,
                audit.who,
                audit.action,
                audit.container,
                audit.before.as_ref().map(row::to_json).transpose()?,
                audit.after.as_ref().map(row::to_json).transpose()?,
                audit.outcome,
            ])?;
            let id = connection.last_insert_rowid();
            connection.prepare_cached("DELETE FROM audits WHERE id <= ?1")?.execute([id - KEPT])?;
            Ok(id)
        })
    }

    /// What was changed after one of them (0 for the oldest that is kept), oldest first.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn audits(&self, after: i64, count: usize) -> Result<Vec<Audit>, Error> {
        let sql = "SELECT id, at, who, action, container, before, after, outcome FROM audits WHERE id > ?1 ORDER BY id LIMIT ?2";
        self.read("read who changed what", |connection| {
            row::rows(connection, self.unreadable(), "audits", sql, params![after, limit(count)], read)
        })
    }
}

fn read(row: &Row<'_>) -> Result<Audit, Problem> {
    Ok(Audit {
        id: row.get(0)?,
        at: row.get(1)?,
        who: row.get(2)?,
        action: row.get(3)?,
        container: row.get(4)?,
        before: row::json_or_none(row, 5)?,
        after: row::json_or_none(row, 6)?,
        outcome: row.get(7)?,
    })
}
