//! Why a blob can't be put together.

use crate::limits::OverLimit;
use crate::remedy::Remedy;
use crate::{blobs, registry};

/// Why a blob can't be put together. As a whole it can be downloaded all the same.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not where the annotations or the footer say, or not what the format asks for.
    #[error("the table of contents is malformed: {0}; the layer is downloaded as a whole")]
    Malformed(String),
    /// It goes over a limit.
    #[error("the table of contents is too large: {0}; the layer is downloaded as a whole")]
    Limit(#[from] OverLimit),
    /// It could not be read or kept.
    #[error("cannot {action} the table of contents: {source}; the layer is downloaded as a whole")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The registry sends no parts.
    #[error("the registry ignores ranges; the layer is downloaded as a whole")]
    Ranges,
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The store failed.
    #[error(transparent)]
    Blob(#[from] blobs::Error),
}

impl Error {
    /// What to do about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Malformed(_) | Self::Limit(_) | Self::Ranges => Remedy::Refuse,
            Self::Registry(error) => error.remedy(),
            Self::Blob(error) => error.remedy(),
            Self::Io { source, .. } => Remedy::of_io(source),
        }
    }

    pub(super) fn malformed(problem: impl std::fmt::Display) -> Self {
        Self::Malformed(problem.to_string())
    }

    pub(super) const fn io(action: &'static str) -> impl Fn(std::io::Error) -> Self {
        move |source| Self::Io { action, source }
    }
}
