//! A command that did not do what was asked: what to say, and the code to end with.

use std::io;
use std::path::Path;

use super::arguments::PrefixError;
use super::exit::Exit;
use crate::app;
use crate::config::SettingError;
use crate::launch::LaunchError;
use crate::slots::ApplyError;

/// A sentence and an exit code.
#[derive(Debug)]
pub(super) struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    /// A file or directory that can't be used.
    pub(super) fn file(path: &Path, error: &io::Error) -> Self {
        Self::new(Exit::Local, format!("{}: {error}", path.display()))
    }

    /// Tells it on stderr, and returns the code.
    #[expect(clippy::print_stderr, reason = "the end of a command")]
    pub(super) fn report(&self) -> i32 {
        eprintln!("dockerloader: {}", self.message);
        self.exit.code()
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<SettingError> for Failure {
    fn from(error: SettingError) -> Self {
        Self::new(Exit::Configuration, error.to_string())
    }
}

impl From<app::Error> for Failure {
    fn from(error: app::Error) -> Self {
        let exit = match &error {
            app::Error::Refused { .. } => Exit::Failed,
            other => other.remedy().into(),
        };
        Self::new(exit, error.to_string())
    }
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        let exit = match &error {
            ApplyError::Read { .. } | ApplyError::Step { .. } => Exit::Local,
            ApplyError::Objection(_) => Exit::Internal,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<LaunchError> for Failure {
    fn from(error: LaunchError) -> Self {
        let exit = match &error {
            LaunchError::Read { .. } => Exit::Local,
            LaunchError::Damaged { .. } => Exit::Data,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<PrefixError> for Failure {
    fn from(error: PrefixError) -> Self {
        Self::new(Exit::Failed, error.to_string())
    }
}
