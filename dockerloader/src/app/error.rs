//! What can go wrong between an application and its supervisor.

use std::path::PathBuf;

use crate::config::SettingError;
use crate::control::Reply;
use crate::remedy::Remedy;

/// Why a call of an application failed. Texts never quote a value of `.env`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no supervisor: `DOCKERLOADER_CONTROL` is not set.
    #[error("no supervisor: DOCKERLOADER_CONTROL is not set; start the program by dockerloader")]
    NotSupervised,
    /// `.env` is there and can't be read.
    #[error("cannot read {}: {source}", .path.display())]
    DotenvRead {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// `.env` has a line that can't be understood; nothing of it was set.
    #[error("{}, line {line}: {problem}", .path.display())]
    DotenvSyntax {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1; of several lines in one pair of quotes, the first.
        line: usize,
        /// What is wrong and what is expected.
        problem: &'static str,
    },
    /// A variable that the library reads has a wrong value.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The supervisor can't be reached.
    #[error("cannot reach the supervisor at {address}: {source}")]
    Connect {
        /// `@name` or a path.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The conversation broke off.
    #[error("the supervisor at {address} did not answer {request}: {source}")]
    Conversation {
        /// `@name` or a path.
        address: String,
        /// What was asked.
        request: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// An answer that is no answer to the question; the library and the supervisor are of different versions.
    #[error(
        "the supervisor answered {found}, which does not fit the question; are both of the same version?"
    )]
    Unexpected {
        /// The answer, cut.
        found: String,
    },
    /// The supervisor said no, and changed nothing.
    #[error("the supervisor refused: {reason}")]
    Refused {
        /// Why, and what to do.
        reason: String,
    },
}

impl Error {
    /// What helps.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Connect { .. } | Self::Conversation { .. } => Remedy::Retry,
            Self::Refused { .. } => Remedy::Refuse,
            Self::NotSupervised
            | Self::DotenvRead { .. }
            | Self::DotenvSyntax { .. }
            | Self::Setting(_)
            | Self::Unexpected { .. } => Remedy::Local,
        }
    }

    /// The error that this answer is, to a question that it does not fit.
    pub fn unexpected(reply: &Reply) -> Self {
        match reply {
            Reply::Refused { reason } => Self::Refused { reason: reason.clone() },
            other => Self::Unexpected { found: format!("{other:?}").chars().take(200).collect() },
        }
    }
}
