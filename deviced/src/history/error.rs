//! Why something could not be remembered.

use std::path::PathBuf;

/// Why the history did not do what it was asked for. Nothing of it has been done then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another deviced has this directory.
    #[error(
        "{holder} keeps its history in {}: two must never manage one device; stop the other one, or name another directory",
        .directory.display()
    )]
    Held {
        /// The directory.
        directory: PathBuf,
        /// What the holder wrote about itself.
        holder: String,
    },
    /// SQLite, or the disk below it.
    #[error("the history can't {doing}: {source}")]
    Sqlite {
        /// What was to be done: `begin an operation`.
        doing: &'static str,
        /// What SQLite says.
        source: rusqlite::Error,
    },
}
