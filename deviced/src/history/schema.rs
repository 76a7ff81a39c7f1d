//! The database's tables, and how those of an older deviced become them.

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// What stands in the file's header: `devd`.
const APPLICATION: i32 = 0x6465_7664;

/// What each version of the schema adds to the one before; its number is its place, from 1.
const STEPS: &[&str] = &[FIRST];

/// Numbers are seconds since 1970 where nothing else is said; spans are milliseconds. Values whose members are only ever read
/// together are JSON.
const FIRST: &str = "
CREATE TABLE revisions (
    revision INTEGER PRIMARY KEY AUTOINCREMENT,
    text TEXT NOT NULL, who TEXT NOT NULL, at INTEGER NOT NULL
) STRICT;
CREATE TABLE overrides (container TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE swaps (container TEXT PRIMARY KEY, operation TEXT NOT NULL, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE versions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    container TEXT NOT NULL, target TEXT NOT NULL, revision INTEGER NOT NULL, operation TEXT NOT NULL,
    cause TEXT NOT NULL, who TEXT NOT NULL, began INTEGER NOT NULL, ended INTEGER, failure TEXT,
    took INTEGER NOT NULL, probation INTEGER NOT NULL, crashes INTEGER NOT NULL
) STRICT;
CREATE INDEX versions_of ON versions (container, id);
CREATE TABLE verdicts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    container TEXT NOT NULL, digest TEXT NOT NULL, spec TEXT NOT NULL, version TEXT NOT NULL,
    failure TEXT NOT NULL, final INTEGER NOT NULL, at INTEGER NOT NULL, attempts INTEGER NOT NULL, log TEXT NOT NULL,
    UNIQUE (container, digest, spec)
) STRICT;
CREATE TABLE logs (id INTEGER PRIMARY KEY AUTOINCREMENT, operation TEXT NOT NULL UNIQUE, lines TEXT NOT NULL) STRICT;
CREATE TABLE known (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    repository TEXT NOT NULL, digest TEXT NOT NULL, span INTEGER NOT NULL,
    UNIQUE (repository, digest)
) STRICT;
CREATE TABLE offers (container TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE registries (url TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE operations (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE, container TEXT, kind TEXT NOT NULL, who TEXT NOT NULL, state TEXT NOT NULL,
    stage TEXT NOT NULL, text TEXT NOT NULL, began INTEGER NOT NULL, ended INTEGER
) STRICT;
CREATE INDEX operations_of ON operations (container, number);
CREATE TABLE happenings (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL, kind TEXT NOT NULL, container TEXT, text TEXT NOT NULL
) STRICT;
CREATE TABLE audits (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL, container TEXT, before TEXT, after TEXT,
    outcome TEXT NOT NULL
) STRICT;
CREATE TABLE answers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE, fingerprint TEXT NOT NULL, answer TEXT, at INTEGER NOT NULL
) STRICT;
";

/// What became of a database that was to be brought up to date.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Migrated {
    /// It has the tables of this deviced.
    Current,
    /// A newer deviced made it, with a schema of this version.
    Newer(i64),
    /// Something else made it.
    Foreign,
}

/// Brings a database up to date in one transaction; an empty one is made.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<Migrated> {
    let transaction = Transaction::new(connection, TransactionBehavior::Immediate)?;
    let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let application: i32 = transaction.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let is_empty = version == 0 && application == 0 && tables == 0;
    if !is_empty && application != APPLICATION {
        return Ok(Migrated::Foreign);
    }
    let Some(missing) = usize::try_from(version).ok().and_then(|version| STEPS.get(version..)) else {
        return Ok(Migrated::Newer(version));
    };
    if missing.is_empty() {
        return Ok(Migrated::Current);
    }
    for step in missing {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", i64::try_from(STEPS.len()).unwrap_or(i64::MAX))?;
    transaction.commit()?;
    Ok(Migrated::Current)
}

/// All tables, in the order of the schema.
pub(super) const TABLES: &[&str] = &[
    "revisions",
    "overrides",
    "swaps",
    "versions",
    "verdicts",
    "logs",
    "known",
    "offers",
    "registries",
    "operations",
    "happenings",
    "audits",
    "answers",
];
