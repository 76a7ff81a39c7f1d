//! What to do about an error, so that no decision is ever taken by matching on its text.

use serde::{Deserialize, Serialize};

/// What helps against an error. Every error type of the crate has a `remedy()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// The same request may succeed at once or after a short pause (a reset connection, a 503).
    Retry,
    /// Nothing helps within this run; the next poll may find it mended (no such host, disk full, not found).
    Later,
    /// Never: the input itself is refused (a hostile layer, an unknown media type, a malformed reference).
    Refuse,
    /// Bytes differ from their digest: throw them away and fetch them again, from another source if there is one.
    Corrupt,
    /// Something on this machine must be changed by a person (permissions, a wrong setting, credentials).
    Local,
}

impl Remedy {
    /// What helps against an error of the file system: a person, where rights or the mount are wrong; else time.
    pub fn of_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        if matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem) { Self::Local } else { Self::Later }
    }
}
