//! Documents as they were accepted.

use rusqlite::{OptionalExtension as _, Row, params};

use super::row::{self, Problem};
use super::{Error, History, Revision, limit, seconds};

/// How many are kept.
const KEPT: i64 = 50;

impl History {
    /// The document in force; `None` before the first.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn latest_revision(&self) -> Result<Option<Revision>, Error> {
        Ok(self.revisions(1)?.into_iter().next())
    }

    /// The last documents, the newest first.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn revisions(&self, count: usize) -> Result<Vec<Revision>, Error> {
        let sql = "SELECT revision, text, who, at FROM revisions ORDER BY revision DESC LIMIT ?1";
        self.read("read the document's revisions", |connection| {
            row::rows(connection, self.unreadable(), "revisions", sql, [limit(count)], read)
        })
    }

    /// One of them, if it is kept still.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn revision(&self, revision: u64) -> Result<Option<Revision>, Error> {
        let sql = "SELECT revision, text, who, at FROM revisions WHERE revision = ?1";
        self.read("read a revision of the document", |connection| {
            let found =
                row::rows(connection, self.unreadable(), "revisions", sql, [row::number(revision)], read)?;
            Ok(found.into_iter().next())
        })
    }

    /// The number of the document in force; 0 before the first.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn revision_in_force(&self) -> Result<u64, Error> {
        self.read("read the document's revision", |connection| {
            let sql = "SELECT revision FROM revisions ORDER BY revision DESC LIMIT 1";
            let newest = connection.query_row(sql, [], |row| row.get::<_, i64>(0)).optional()?;
            Ok(newest.map_or(0, |newest| u64::try_from(newest).unwrap_or(0)))
        })
    }

    /// Puts a document on top of the others. Its revision.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn add_revision(&self, text: &str, who: &str) -> Result<u64, Error> {
        self.change("write a revision of the document", |connection| {
            let sql = "INSERT INTO revisions (text, who, at) VALUES (?1, ?2, ?3)";
            connection.prepare_cached(sql)?.execute(params![text, who, seconds()])?;
            let revision = connection.last_insert_rowid();
            connection
                .prepare_cached("DELETE FROM revisions WHERE revision <= ?1")?
                .execute([revision - KEPT])?;
            Ok(u64::try_from(revision).unwrap_or(0))
        })
    }
}

fn read(row: &Row<'_>) -> Result<Revision, Problem> {
    Ok(Revision { revision: row::count(row, 0)?, text: row.get(1)?, who: row.get(2)?, at: row.get(3)? })
}
