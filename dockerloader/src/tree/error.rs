//! What can go wrong while a layer becomes files.

use std::io;

use crate::digest::Digest;
use crate::limits::OverLimit;
use crate::remedy::Remedy;

use super::refusal::Refusal;

/// A layer could not be extracted. The tree is then incomplete and has to be removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An entry of the layer breaks a rule.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The layer as a whole is over a cap.
    #[error("the layer is refused: {0}")]
    Limit(#[from] OverLimit),
    /// A compression that image layers do not have.
    #[error("the layer is compressed with {0}; layers are plain, gzip or zstd")]
    Compression(&'static str),
    /// The compressed stream is damaged, or something else follows it.
    #[error("the layer's {format} stream is damaged: {detail}; the blob has to be fetched again")]
    Damaged {
        /// `gzip` or `zstd`.
        format: &'static str,
        /// What the decoder says.
        detail: String,
    },
    /// The stream ends in the middle of something.
    #[error("the layer ends in the middle of {0}; the blob has to be fetched again")]
    Truncated(&'static str),
    /// The uncompressed layer is not what the image's config says.
    #[error(
        "the uncompressed layer is {found}, but the image's config says {expected}; fetch the blob again"
    )]
    DiffId {
        /// The `diff_id` of the config.
        expected: Digest,
        /// The SHA-256 of the bytes that were extracted.
        found: Digest,
    },
    /// The caller's reader failed.
    #[error("the layer could not be read: {0}")]
    Read(#[source] io::Error),
    /// The file system refused an operation.
    #[error("cannot {operation} \"{path}\" in the extracted tree: {source}")]
    Disk {
        /// What was tried, as a verb.
        operation: &'static str,
        /// The path inside the image, escaped and shortened.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// Neither the base of an update, nor the layers that were read, nor the version that runs has a file's contents.
    #[error("nobody has the contents of \"{path}\"; all layers of the image are needed")]
    ContentsMissing {
        /// The path inside the image, escaped and shortened.
        path: String,
    },
    /// The directory to extract into is not an empty directory.
    #[error("the directory to extract into is not empty")]
    NotEmpty,
}

impl Error {
    /// What helps.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Refused(_) | Self::Limit(_) | Self::Compression(_) => Remedy::Refuse,
            Self::Damaged { .. }
            | Self::Truncated(_)
            | Self::DiffId { .. }
            | Self::ContentsMissing { .. } => Remedy::Corrupt,
            Self::Read(_) => Remedy::Retry,
            Self::Disk { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Remedy::Local,
                _ => Remedy::Later,
            },
            Self::NotEmpty => Remedy::Local,
        }
    }

    /// Takes an error of this type back out of an [`io::Error`] that carried it through `std::io` traits.
    pub(super) fn from_stream(error: io::Error) -> Self {
        error.downcast::<Self>().unwrap_or_else(Self::Read)
    }

    /// For the way through `std::io` traits.
    pub(super) fn into_stream(self) -> io::Error {
        io::Error::other(self)
    }
}
