//! Rows, read tolerantly: one that can't be read is left out and said once. Never does it take the others with it.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Params, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Rows that were said to be unreadable, by table and key.
#[derive(Debug, Default)]
pub(super) struct Unreadable(Mutex<BTreeSet<String>>);

/// How many are remembered, so that a damaged table can't fill the memory.
const REMEMBERED: usize = 1000;

/// Why a row can't be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    /// A column isn't of its type.
    #[error("{0}")]
    Column(#[from] rusqlite::Error),
    /// A column isn't the text or JSON that it should be.
    #[error("{0}")]
    Text(String),
}

impl Unreadable {
    fn say(&self, table: &str, key: &str, problem: &Problem) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() < REMEMBERED && said.insert(format!("{table} {key}")) {
            tracing::warn!(
                event = "history",
                table,
                key,
                "a row of {table} can't be read and is left out: {key}: {problem}"
            );
        }
    }
}

/// All rows of a query that can be read. Their first column is the key.
pub(super) fn rows<T>(
    connection: &Connection,
    unreadable: &Unreadable,
    table: &str,
    sql: &str,
    parameters: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, Problem>,
) -> rusqlite::Result<Vec<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        match read(row) {
            Ok(value) => all.push(value),
            Err(problem) => unreadable.say(table, &key(row), &problem),
        }
    }
    Ok(all)
}

fn key(row: &Row<'_>) -> String {
    match row.get_ref(0) {
        Ok(ValueRef::Integer(number)) => number.to_string(),
        Ok(ValueRef::Text(text)) => String::from_utf8_lossy(text).into_owned(),
        _ => "?".to_owned(),
    }
}

/// A value that is kept as JSON.
pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T, Problem> {
    parsed(row, column, |text| serde_json::from_str(text))
}

/// A value that is kept as JSON, or not there.
pub(super) fn json_or_none<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<Option<T>, Problem> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        _ => json(row, column).map(Some),
    }
}

/// A value that is kept as text of its own.
pub(super) fn parsed<T, E: std::fmt::Display>(
    row: &Row<'_>,
    column: usize,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, Problem> {
    let text = row.get_ref(column)?.as_str().map_err(|error| Problem::Text(error.to_string()))?;
    parse(text).map_err(|error| Problem::Text(error.to_string()))
}

/// A span that is kept as milliseconds.
pub(super) fn span(row: &Row<'_>, column: usize) -> Result<Duration, Problem> {
    Ok(Duration::from_millis(count(row, column)?))
}

/// A number that is never negative.
pub(super) fn count(row: &Row<'_>, column: usize) -> Result<u64, Problem> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|error| Problem::Text(error.to_string()))
}

/// How a span is kept.
pub(super) fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// How a number is kept.
pub(super) fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// How a value is kept as JSON.
pub(super) fn to_json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
