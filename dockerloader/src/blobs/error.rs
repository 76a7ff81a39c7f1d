//! Why a blob can't be stored or read.

use std::io;
use std::path::PathBuf;

use super::follow::Abandoned;
use super::space::Full;
use crate::digest::Digest;
use crate::disk;
use crate::remedy::Remedy;

/// Why a blob can't be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such blob.
    #[error("blob {digest} is not in the store; pull the image again")]
    Absent {
        /// The blob.
        digest: Digest,
    },
    /// The bytes are not those that the digest and the size promise.
    #[error("blob {digest} is corrupt: {problem}")]
    Corrupt {
        /// The blob.
        digest: Digest,
        /// What was found.
        problem: String,
    },
    /// The blob was read while it came in, and its download came to no good end.
    #[error(transparent)]
    Abandoned(Abandoned),
    /// No room.
    #[error(transparent)]
    Full(Full),
    /// The file system failed.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// What to do about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Absent { .. } | Self::Corrupt { .. } => Remedy::Corrupt,
            Self::Abandoned(_) => Remedy::Retry,
            Self::Full(full) => full.remedy(),
            Self::Io { source, .. } => Remedy::of_io(source),
        }
    }

    pub(super) fn size(digest: &Digest, expected: u64, found: u64) -> Self {
        let problem = format!("it should have {expected} bytes and has {found}");
        Self::Corrupt { digest: *digest, problem }
    }

    /// A failed write: no room for `needed` more bytes, or another reason.
    pub(super) fn of_write(action: &'static str, path: PathBuf, needed: u64, source: io::Error) -> Self {
        if disk::is_full(&source) {
            Self::Full(Full::while_writing(path, needed))
        } else {
            Self::Io { action, path, source }
        }
    }
}
