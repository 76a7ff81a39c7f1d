//! Why a version could not be brought on disk.

use std::io;
use std::path::PathBuf;

use super::program;
use crate::blobs;
use crate::blobs::space::Full;
use crate::digest::Digest;
use crate::disk;
use crate::lock;
use crate::manifest;
use crate::registry;
use crate::remedy::Remedy;
use crate::tree;
use crate::volume;

/// Why a version could not be brought on disk.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process changes the store.
    #[error(transparent)]
    Lock(#[from] lock::Error),
    /// The registry didn't give what it was asked for.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// Manifest or config can't be used.
    #[error(transparent)]
    Manifest(manifest::Error),
    /// A blob can't be stored or read.
    #[error(transparent)]
    Blob(blobs::Error),
    /// Bytes that came from a registry or mirror are not those of their digest.
    #[error("registry {hosts}: {source}")]
    Received {
        /// `host[:port]` of whoever sent some of them.
        hosts: String,
        /// What is wrong.
        source: blobs::Error,
    },
    /// A layer can't be extracted.
    #[error("layer {digest}: {source}")]
    Tree {
        /// The layer's blob.
        digest: Digest,
        /// Why not.
        source: tree::Error,
    },
    /// The image can't be started.
    #[error(transparent)]
    Program(#[from] program::Error),
    /// It was refused at an earlier look, for a reason that is still there.
    #[error(
        "version {digest} was refused before: {reason}; push another image, or pull by hand to try it again"
    )]
    Refused {
        /// The version.
        digest: Digest,
        /// Why.
        reason: String,
    },
    /// The tree can't be made as it is wanted.
    #[error(transparent)]
    Volume(volume::Error),
    /// A version that is an overlay can't be changed.
    #[error(transparent)]
    Overlay(volume::overlay::Error),
    /// No room.
    #[error(transparent)]
    Full(#[from] Full),
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
            Self::Lock(error) => error.remedy(),
            Self::Registry(error) => error.remedy(),
            Self::Manifest(error) => error.remedy(),
            Self::Blob(error) | Self::Received { source: error, .. } => error.remedy(),
            Self::Tree { source, .. } => source.remedy(),
            Self::Program(error) => error.remedy(),
            Self::Refused { .. } => Remedy::Refuse,
            Self::Volume(error) => error.remedy(),
            Self::Overlay(error) => error.remedy(),
            Self::Full(error) => error.remedy(),
            Self::Io { source, .. } => Remedy::of_io(source),
        }
    }

    /// Whether the disk, or a quota on it, is full.
    pub const fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    /// A failure of the file system; a full disk is told apart.
    pub fn of_io(action: &'static str, path: PathBuf, source: io::Error) -> Self {
        Self::io(action, path)(source)
    }

    /// For `map_err`: what was tried, and on what. A full disk is told apart.
    pub(super) fn io(action: &'static str, path: PathBuf) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            if disk::is_full(&source) {
                Self::Full(Full::while_writing(path, 1))
            } else {
                Self::Io { action, path, source }
            }
        }
    }
}

impl From<volume::overlay::Error> for Error {
    fn from(error: volume::overlay::Error) -> Self {
        match error {
            volume::overlay::Error::Io { action, path, source } => Self::io(action, path)(source),
            other => Self::Overlay(other),
        }
    }
}

impl From<volume::Error> for Error {
    fn from(error: volume::Error) -> Self {
        match error {
            volume::Error::Io { action, path, source } if disk::is_full(&source) => {
                Self::io(action, path)(source)
            }
            other => Self::Volume(other),
        }
    }
}

impl From<blobs::Error> for Error {
    fn from(error: blobs::Error) -> Self {
        match error {
            blobs::Error::Full(full) => Self::Full(full),
            other => Self::Blob(other),
        }
    }
}
