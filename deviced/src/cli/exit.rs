//! The exit codes of the commands: one table, from which `--help` and the documentation are made.

use std::process::ExitCode;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// The answer is no.
    No,
    /// The command line can't be understood.
    Usage,
    /// `plan --exit-code`: something would be changed.
    Changes,
    /// A file can't be read or written.
    File,
    /// deviced, or the engine, can't be reached.
    Unreachable,
    /// Busy, or not there yet.
    Later,
    /// Who asks is not allowed to.
    Forbidden,
    /// A variable has a wrong value.
    Setting,
}

impl Exit {
    /// All of them, by code.
    pub const ALL: [Self; 9] = [
        Self::Done,
        Self::No,
        Self::Usage,
        Self::Changes,
        Self::File,
        Self::Unreachable,
        Self::Later,
        Self::Forbidden,
        Self::Setting,
    ];

    /// The number; from 64 on as in `sysexits.h`.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::No => 1,
            Self::Usage => 2,
            Self::Changes => 10,
            Self::File => 66,
            Self::Unreachable => 69,
            Self::Later => 75,
            Self::Forbidden => 77,
            Self::Setting => 78,
        }
    }

    /// What it means, for the tables.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::No => "the answer is no: refused, failed, or rolled back",
            Self::Usage => "the command line can't be understood",
            Self::Changes => "`plan --exit-code`: something would be changed",
            Self::File => "a file can't be read or written",
            Self::Unreachable => "deviced, or the engine that it drives, can't be reached",
            Self::Later => "busy, or not done within the time given; try again",
            Self::Forbidden => "not permitted",
            Self::Setting => "`run`: a variable has a wrong value",
        }
    }

    /// The one of two that a person has to know of.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        if self == Self::Done { other } else { self }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The table as the documentation has it.
pub fn table() -> String {
    let rows = Exit::ALL.iter().map(|exit| format!("| {} | {} |\n", exit.code(), exit.meaning()));
    format!("| code | meaning |\n|---|---|\n{}", rows.collect::<String>())
}

/// The table as `--help` has it.
pub(super) fn help() -> String {
    let row = |exit: &Exit| format!("  {:>2}  {}\n", exit.code(), exit.meaning().replace('`', ""));
    format!("Exit codes:\n{}", Exit::ALL.iter().map(row).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct() {
        let mut codes: Vec<_> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert!(codes.is_sorted(), "{codes:?}");
        codes.dedup();
        assert_eq!(codes.len(), Exit::ALL.len());
    }

    #[test]
    fn the_first_that_is_not_well_counts() {
        assert_eq!(Exit::Done.worse(Exit::No), Exit::No);
        assert_eq!(Exit::Later.worse(Exit::No), Exit::Later);
        assert_eq!(Exit::Later.worse(Exit::Done), Exit::Later);
    }

    #[test]
    fn the_documentation_has_this_table() {
        let page = include_str!("../../../docs/deviced-operating.md");
        assert!(page.contains(&table()), "docs/deviced-operating.md has other exit codes than\n{}", table());
    }
}
