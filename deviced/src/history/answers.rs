//! Answers to requests that carry a key, so that who asks again gets the same one and nothing is done twice
//! (draft-ietf-httpapi-idempotency-key-header).

use rusqlite::{OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::row;
use super::{Error, History, seconds};

/// How long an answer is kept, in seconds: a day.
const KEPT_FOR: i64 = 24 * 60 * 60;
/// How many are kept.
const KEPT: i64 = 10_000;

/// An answer as it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers that belong to it: `Location`, `ETag`, `Content-Type`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// What is known about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Nothing; it has to be answered now.
    New,
    /// The same was asked before, and this was the answer.
    Same(Answer),
    /// Something else was asked with it.
    Different,
    /// The same is being answered.
    Running,
}

impl History {
    /// Somebody asks with a key. `fingerprint` stands for all that the request says.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn idempotency(&self, key: &str, fingerprint: &str) -> Result<Asked, Error> {
        let now = seconds();
        self.change("look a key up", |connection| {
            // A clock that was set back makes them no older, and one that was set forward forgets them: neither lasts for ever.
            let sql = "DELETE FROM answers WHERE at < ?1 OR at > ?2";
            connection.prepare_cached(sql)?.execute(params![now - KEPT_FOR, now + KEPT_FOR])?;
            let sql = "SELECT fingerprint, answer FROM answers WHERE key = ?1";
            let found = connection
                .prepare_cached(sql)?
                .query_row([key], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?)))
                .optional()?;
            if let Some((before, answer)) = found {
                if before != fingerprint {
                    return Ok(Asked::Different);
                }
                let Some(answer) = answer else { return Ok(Asked::Running) };
                if let Ok(answer) = serde_json::from_str(&answer) {
                    return Ok(Asked::Same(answer));
                }
            }
            let sql = "INSERT OR REPLACE INTO answers (key, fingerprint, at) VALUES (?1, ?2, ?3)";
            connection.prepare_cached(sql)?.execute(params![key, fingerprint, now])?;
            let id = connection.last_insert_rowid();
            connection.prepare_cached("DELETE FROM answers WHERE id <= ?1")?.execute([id - KEPT])?;
            Ok(Asked::New)
        })
    }

    /// What a key was answered with; `None` when the request may be tried again.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn answer(&self, key: &str, answer: Option<&Answer>) -> Result<(), Error> {
        self.change("keep an answer", |connection| {
            match answer {
                Some(answer) => {
                    let sql = "UPDATE answers SET answer = ?2 WHERE key = ?1";
                    connection.prepare_cached(sql)?.execute(params![key, row::to_json(answer)?])?;
                }
                None => {
                    let sql = "DELETE FROM answers WHERE key = ?1 AND answer IS NULL";
                    connection.prepare_cached(sql)?.execute([key])?;
                }
            }
            Ok(())
        })
    }
}
