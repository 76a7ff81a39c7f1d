//! Replacements under way, and the last lines of what failed in them.

use std::collections::BTreeMap;

use rusqlite::params;

use super::row;
use super::{Error, History};
use crate::swap::Swap;

/// Of how many operations the output is kept.
const LOGS: i64 = 200;
/// Lines that are kept of one.
const LINES: usize = 500;
/// Bytes that are kept of a line.
const LINE_BYTES: usize = 4096;

impl History {
    /// Replacements under way, by container.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn swaps(&self) -> Result<BTreeMap<String, Swap>, Error> {
        let sql = "SELECT container, value FROM swaps";
        let rows = self.read("read the replacements under way", |connection| {
            row::rows(connection, self.unreadable(), "swaps", sql, [], |row| {
                Ok((row.get(0)?, row::json(row, 1)?))
            })
        })?;
        Ok(rows.into_iter().collect())
    }

    /// Writes a replacement down as it is now, instead of what was written before.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn record_swap(&self, swap: &Swap) -> Result<(), Error> {
        self.change("write a replacement down", |connection| {
            let sql = "INSERT OR REPLACE INTO swaps (container, operation, value) VALUES (?1, ?2, ?3)";
            let value = row::to_json(swap)?;
            connection.prepare_cached(sql)?.execute(params![swap.container, swap.operation, value])?;
            Ok(())
        })
    }

    /// A container's replacement is over.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn finish_swap(&self, container: &str) -> Result<(), Error> {
        self.change("end a replacement", |connection| {
            connection.prepare_cached("DELETE FROM swaps WHERE container = ?1")?.execute([container])?;
            Ok(())
        })
    }

    /// Keeps the last lines that an operation's container wrote. The oldest operations' lines go.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn keep_log(&self, operation: &str, lines: &[String]) -> Result<(), Error> {
        let lines = last(lines);
        self.change("keep the output of a container", |connection| {
            let sql = "INSERT OR REPLACE INTO logs (operation, lines) VALUES (?1, ?2)";
            connection.prepare_cached(sql)?.execute(params![operation, row::to_json(&lines)?])?;
            let sql = "DELETE FROM logs WHERE id <= ?1";
            connection.prepare_cached(sql)?.execute([connection.last_insert_rowid() - LOGS])?;
            Ok(())
        })
    }

    /// The last lines that an operation's container wrote; `None` when none were kept.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn log(&self, operation: &str) -> Result<Option<Vec<String>>, Error> {
        let sql = "SELECT operation, lines FROM logs WHERE operation = ?1";
        self.read("read the output that was kept", |connection| {
            let found =
                row::rows(connection, self.unreadable(), "logs", sql, [operation], |row| row::json(row, 1))?;
            Ok(found.into_iter().next())
        })
    }
}

/// The last lines, none of them endless.
pub(super) fn last(lines: &[String]) -> Vec<&str> {
    let lines = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
    lines.iter().map(|line| line.get(..line.floor_char_boundary(LINE_BYTES)).unwrap_or(line)).collect()
}
