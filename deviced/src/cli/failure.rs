//! A command that did not do what was asked: what to say, and the code to end with.

use std::fmt;
use std::io;
use std::path::Path;

use super::exit::Exit;

/// A sentence and an exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    /// The kind of the API's problem; empty without one.
    pub(super) kind: String,
    /// What is wrong with a document, a line for each finding: it stands before the sentence, as `check` has it.
    pub(super) findings: Vec<String>,
    pub(super) message: String,
}

pub(super) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, kind: String::new(), findings: Vec::new(), message: message.into() }
    }

    /// A file that can't be read or written.
    pub(super) fn file(path: &Path, error: &io::Error) -> Self {
        Self::new(Exit::File, format!("{}: {error}", path.display()))
    }

    /// An end that nothing has to be said about.
    pub(super) fn silent(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    /// With findings about a document.
    #[must_use]
    pub(super) fn with(self, findings: Vec<String>) -> Self {
        Self { findings, ..self }
    }

    /// Tells it on standard error, and returns the code.
    pub(super) fn report(&self) -> Exit {
        for finding in &self.findings {
            eprintln!("{finding}");
        }
        if !self.message.is_empty() {
            eprintln!("deviced: {}", self.message);
        }
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
