//! Verdicts on versions with specs that failed.

use dockerloader::digest::Digest;
use rusqlite::{OptionalExtension as _, Row, params};

use super::row::{self, Problem};
use super::{Error, History, Verdict, swaps};
use crate::spec::SpecHash;
use crate::swap::Reason;

/// How many are kept of a container.
const KEPT: i64 = 200;

const COLUMNS: &str = "id, container, digest, version, spec, failure, at, attempts, log";

impl History {
    /// All verdicts, the oldest first.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn verdicts(&self) -> Result<Vec<Verdict>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM verdicts ORDER BY id");
        self.read("read the verdicts", |connection| {
            row::rows(connection, self.unreadable(), "verdicts", &sql, [], read)
        })
    }

    /// Those on a container's versions, the oldest first.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn verdicts_of(&self, container: &str) -> Result<Vec<Verdict>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM verdicts WHERE container = ?1 ORDER BY id");
        self.read("read the verdicts", |connection| {
            row::rows(connection, self.unreadable(), "verdicts", &sql, [container], read)
        })
    }

    /// Writes a verdict down, instead of the one before on the same version with the same spec. Its attempts are counted here.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn judge(&self, verdict: &Verdict) -> Result<(), Error> {
        self.change("write a verdict down", |connection| {
            let (container, digest, spec) = (&verdict.container, verdict.digest.to_string(), &verdict.spec.0);
            let sql = "SELECT attempts FROM verdicts WHERE container = ?1 AND digest = ?2 AND spec = ?3";
            let before = connection
                .prepare_cached(sql)?
                .query_row(params![container, digest, spec], |row| row.get::<_, i64>(0))
                .optional()?;
            let attempts = before.unwrap_or(0).clamp(0, i64::from(u32::MAX - 1)) + 1;
            let sql = "INSERT OR REPLACE INTO verdicts (container, digest, version, spec, failure, final, at, attempts, log) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
            connection.prepare_cached(sql)?.execute(params![
                container,
                digest,
                verdict.version,
                spec,
                row::to_json(&verdict.failure)?,
                matches!(verdict.failure.reason, Reason::App | Reason::Operator),
                verdict.at,
                attempts,
                row::to_json(&swaps::last(&verdict.log))?,
            ])?;
            // Final ones go last: what they are on must not be started again (I4).
            let sql = "DELETE FROM verdicts WHERE container = ?1 AND id NOT IN \
                       (SELECT id FROM verdicts WHERE container = ?1 ORDER BY final DESC, id DESC LIMIT ?2)";
            connection.prepare_cached(sql)?.execute(params![container, KEPT])?;
            Ok(())
        })
    }

    /// Lifts the verdicts on a digest, with whatever spec, or all of a container. How many there were.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn forget(&self, container: &str, digest: Option<&Digest>) -> Result<usize, Error> {
        self.change("lift verdicts", |connection| {
            let sql = "DELETE FROM verdicts WHERE container = ?1 AND (?2 IS NULL OR digest = ?2)";
            connection.prepare_cached(sql)?.execute(params![container, digest.map(ToString::to_string)])
        })
    }
}

fn read(row: &Row<'_>) -> Result<Verdict, Problem> {
    Ok(Verdict {
        container: row.get(1)?,
        digest: row::parsed(row, 2, str::parse)?,
        version: row.get(3)?,
        spec: SpecHash(row.get(4)?),
        failure: row::json(row, 5)?,
        at: row.get(6)?,
        attempts: row.get(7)?,
        log: row::json(row, 8)?,
    })
}
