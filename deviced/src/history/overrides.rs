//! What somebody said over the document.

use std::collections::BTreeMap;

use rusqlite::params;

use super::row;
use super::{Error, History, Override};

impl History {
    /// All of it, by container.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn overrides(&self) -> Result<BTreeMap<String, Override>, Error> {
        let sql = "SELECT container, value FROM overrides";
        let rows = self.read("read what was said over the document", |connection| {
            row::rows(connection, self.unreadable(), "overrides", sql, [], |row| {
                Ok((row.get(0)?, row::json(row, 1)?))
            })
        })?;
        Ok(rows.into_iter().collect())
    }

    /// Says something over the document about a container; an empty one takes all back.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn set_override(&self, container: &str, value: &Override) -> Result<(), Error> {
        self.change("write what was said over the document", |connection| {
            if *value == Override::default() {
                connection
                    .prepare_cached("DELETE FROM overrides WHERE container = ?1")?
                    .execute([container])?;
            } else {
                let sql = "INSERT OR REPLACE INTO overrides (container, value) VALUES (?1, ?2)";
                connection.prepare_cached(sql)?.execute(params![container, row::to_json(value)?])?;
            }
            Ok(())
        })
    }
}
