//! Versions that ran.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::row::{self, Problem};
use super::{Error, History, Override, Version};
use crate::swap::Failure;

/// How many are kept of a container, besides those that are never forgotten.
const KEPT: i64 = 50;
/// How many that did not fail are never forgotten, besides the one that runs.
const GOOD: i64 = 2;

const COLUMNS: &str =
    "id, container, target, revision, operation, cause, who, began, ended, failure, took, probation, crashes";

impl History {
    /// All versions by container, the newest first.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn versions(&self) -> Result<BTreeMap<String, Vec<Version>>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM versions ORDER BY container, id DESC");
        let rows = self.read("read the versions that ran", |connection| {
            row::rows(connection, self.unreadable(), "versions", &sql, [], read)
        })?;
        let mut all: BTreeMap<String, Vec<Version>> = BTreeMap::new();
        for version in rows {
            all.entry(version.container.clone()).or_default().push(version);
        }
        Ok(all)
    }

    /// A container's versions, the newest first.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn versions_of(&self, container: &str) -> Result<Vec<Version>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM versions WHERE container = ?1 ORDER BY id DESC");
        self.read("read the versions that ran", |connection| {
            row::rows(connection, self.unreadable(), "versions", &sql, [container], read)
        })
    }

    /// A version has proven itself: it is the one that runs, and the one before has ended. Its number; the one that it has is not looked at.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn commit_version(&self, version: &Version) -> Result<i64, Error> {
        self.change("write a version down", |connection| {
            let sql = "UPDATE versions SET ended = ?2 WHERE container = ?1 AND ended IS NULL";
            connection.prepare_cached(sql)?.execute(params![version.container, version.began])?;
            let sql = "INSERT INTO versions (container, target, revision, operation, cause, who, began, ended, failure, took, probation, \
                       crashes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
            connection.prepare_cached(sql)?.execute(params![
                version.container,
                row::to_json(&version.target)?,
                row::number(version.revision),
                version.operation,
                row::to_json(&version.cause)?,
                version.who,
                version.began,
                version.ended,
                version.failure.as_ref().map(row::to_json).transpose()?,
                row::millis(version.took),
                row::millis(version.probation),
                version.crashes,
            ])?;
            let id = connection.last_insert_rowid();
            prune(connection, &version.container)?;
            Ok(id)
        })
    }

    /// What is left of a version's probation, and how often it has ended unasked in it.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn set_probation(&self, id: i64, left: Duration, crashes: u32) -> Result<(), Error> {
        self.change("write a probation down", |connection| {
            let sql = "UPDATE versions SET probation = ?2, crashes = ?3 WHERE id = ?1";
            connection.prepare_cached(sql)?.execute(params![id, row::millis(left), crashes])?;
            Ok(())
        })
    }

    /// A version that had proven itself was judged later.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn fail_version(&self, id: i64, failure: &Failure) -> Result<(), Error> {
        self.change("write a version's failure down", |connection| {
            let sql = "UPDATE versions SET failure = ?2 WHERE id = ?1";
            connection.prepare_cached(sql)?.execute(params![id, row::to_json(failure)?])?;
            Ok(())
        })
    }
}

/// Forgets a container's oldest versions; never the one that runs, one that somebody went back to, or the last good ones (I3).
fn prune(connection: &Connection, container: &str) -> rusqlite::Result<()> {
    let sql = "SELECT value FROM overrides WHERE container = ?1";
    let said: Option<String> =
        connection.prepare_cached(sql)?.query_map([container], |row| row.get(0))?.next().transpose()?;
    let pinned =
        said.and_then(|said| serde_json::from_str::<Override>(&said).ok()).and_then(|said| said.pinned);
    let sql = "DELETE FROM versions WHERE container = ?1 AND ended IS NOT NULL AND id IS NOT ?2 AND id NOT IN \
               (SELECT id FROM versions WHERE container = ?1 ORDER BY id DESC LIMIT ?3) AND id NOT IN \
               (SELECT id FROM versions WHERE container = ?1 AND failure IS NULL AND ended IS NOT NULL ORDER BY id DESC LIMIT ?4)";
    connection.prepare_cached(sql)?.execute(params![container, pinned, KEPT, GOOD])?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<Version, Problem> {
    Ok(Version {
        id: row.get(0)?,
        container: row.get(1)?,
        target: row::json(row, 2)?,
        revision: row::count(row, 3)?,
        operation: row.get(4)?,
        cause: row::json(row, 5)?,
        who: row.get(6)?,
        began: row.get(7)?,
        ended: row.get(8)?,
        failure: row::json_or_none(row, 9)?,
        took: row::span(row, 10)?,
        probation: row::span(row, 11)?,
        crashes: row.get(12)?,
    })
}
