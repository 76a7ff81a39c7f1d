//! What happened, for those who follow.

use rusqlite::{Row, params};
use tokio::sync::broadcast;

use super::row::{self, Problem};
use super::{Error, Happening, History, limit, seconds};

/// How many are kept.
const KEPT: i64 = 10_000;

impl History {
    /// Something has happened.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn happen(&self, kind: &str, container: Option<&str>, text: &str) -> Result<Happening, Error> {
        let at = seconds();
        let id = self.change("write down what happened", |connection| {
            let sql = "INSERT INTO happenings (at, kind, container, text) VALUES (?1, ?2, ?3, ?4)";
            connection.prepare_cached(sql)?.execute(params![at, kind, container, text])?;
            let id = connection.last_insert_rowid();
            connection.prepare_cached("DELETE FROM happenings WHERE id <= ?1")?.execute([id - KEPT])?;
            Ok(id)
        })?;
        let happening = Happening {
            id,
            at,
            kind: kind.to_owned(),
            container: container.map(str::to_owned),
            text: text.to_owned(),
        };
        // Nobody may be following.
        let _ = self.0.happened.send(happening.clone());
        Ok(happening)
    }

    /// What happened after one of them (0 for the oldest that is kept), oldest first.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn happenings(&self, after: i64, count: usize) -> Result<Vec<Happening>, Error> {
        let sql = "SELECT id, at, kind, container, text FROM happenings WHERE id > ?1 ORDER BY id LIMIT ?2";
        self.read("read what happened", |connection| {
            row::rows(connection, self.unreadable(), "happenings", sql, params![after, limit(count)], read)
        })
    }

    /// The numbers of the oldest and the newest that are kept; `None` when nothing has happened.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn happenings_kept(&self) -> Result<Option<(i64, i64)>, Error> {
        self.read("read what happened", |connection| {
            connection.query_row("SELECT min(id), max(id) FROM happenings", [], |row| {
                Ok(row.get::<_, Option<i64>>(0)?.zip(row.get(1)?))
            })
        })
    }

    /// What happens from now on. Who is too far behind is told so, and reads on in the table.
    pub fn subscribe(&self) -> broadcast::Receiver<Happening> {
        self.0.happened.subscribe()
    }
}

fn read(row: &Row<'_>) -> Result<Happening, Problem> {
    Ok(Happening {
        id: row.get(0)?,
        at: row.get(1)?,
        kind: row.get(2)?,
        container: row.get(3)?,
        text: row.get(4)?,
    })
}
