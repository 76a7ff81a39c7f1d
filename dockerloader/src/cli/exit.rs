//! The exit codes of the commands: one table, from which `--help` and the documentation are made.

use crate::remedy::Remedy;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Success,
    /// The answer is no: something is damaged, or the request was refused.
    Failed,
    /// The command line can't be understood.
    Usage,
    /// `check`: a newer version is staged.
    Staged,
    /// The image or the stored data are refused.
    Data,
    /// The registry can't be reached, or lacks the image.
    Unavailable,
    /// A defect of dockerloader.
    Internal,
    /// Busy; the same command may succeed in a moment.
    Temporary,
    /// A person has to change something on this machine.
    Local,
    /// A variable has a wrong value.
    Configuration,
    /// `cli`: the application can't be executed.
    NotExecutable,
    /// `cli`: the application is not there.
    NotFound,
}

impl Exit {
    /// All of them, by code.
    pub const ALL: [Self; 12] = [
        Self::Success,
        Self::Failed,
        Self::Usage,
        Self::Staged,
        Self::Data,
        Self::Unavailable,
        Self::Internal,
        Self::Temporary,
        Self::Local,
        Self::Configuration,
        Self::NotExecutable,
        Self::NotFound,
    ];

    /// The number; from 64 on as in `sysexits.h` where that has a word for it, and as a shell's from 126 on.
    pub const fn code(self) -> i32 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Staged => crate::control::RESTART_EXIT_CODE,
            Self::Data => 65,
            Self::Unavailable => 69,
            Self::Internal => crate::defect::EXIT_CODE,
            Self::Temporary => 75,
            Self::Local => 77,
            Self::Configuration => 78,
            Self::NotExecutable => 126,
            Self::NotFound => 127,
        }
    }

    /// What it means, for the table.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "done",
            Self::Failed => "the answer is no: damaged, refused, or nothing to go back to",
            Self::Usage => "the command line can't be understood",
            Self::Staged => "`check`: a newer version is staged; exit with 42 to have it tried",
            Self::Data => "the image or the stored data are refused or corrupt",
            Self::Unavailable => "the registry can't be reached or does not have the image; try later",
            Self::Internal => "a defect of dockerloader",
            Self::Temporary => "busy or interrupted; the same command may succeed in a moment",
            Self::Local => "something on this machine has to be changed: permissions, credentials, disk",
            Self::Configuration => "a variable has a wrong value",
            Self::NotExecutable => "`cli`: the application can't be executed",
            Self::NotFound => "`cli`: the application is not there",
        }
    }
}

impl From<Remedy> for Exit {
    fn from(remedy: Remedy) -> Self {
        match remedy {
            Remedy::Retry => Self::Temporary,
            Remedy::Later => Self::Unavailable,
            Remedy::Refuse | Remedy::Corrupt => Self::Data,
            Remedy::Local => Self::Local,
        }
    }
}

/// The table as the documentation has it.
pub fn table() -> String {
    let rows = Exit::ALL.iter().map(|exit| format!("| {} | {} |\n", exit.code(), exit.meaning()));
    format!("| code | meaning |\n|---|---|\n{}", rows.collect::<String>())
}

/// The table as `--help` has it.
pub(super) fn help() -> String {
    let rows =
        Exit::ALL.iter().map(|exit| format!("  {:>3}  {}\n", exit.code(), exit.meaning().replace('`', "")));
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_fit_a_process() {
        let mut codes: Vec<_> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert!(codes.is_sorted() && codes.iter().all(|code| (0..=255).contains(code)));
        codes.dedup();
        assert_eq!(codes.len(), Exit::ALL.len());
    }
}
