//! Exit codes: what the application's end means, and with what the supervisor itself leaves.

use std::fmt;

use crate::control::RESTART_EXIT_CODE;

/// How the application's main process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// `exit(2)` with this code, 0..=255.
    Code(i32),
    /// Killed by this signal.
    Signal(i32),
    /// It could not be executed: `execve(2)` failed with this error number.
    Exec(i32),
}

/// The supervisor's own code when a trial hung and it was told to leave on failure, as `timeout(1)` has it.
pub(super) const TIMED_OUT: i32 = 124;
/// The supervisor's own code for a setting that is wrong or missing (`EX_CONFIG`, sysexits.h).
pub(super) const CONFIG: i32 = 78;
/// The supervisor's own code when another one holds the data directory (`EX_TEMPFAIL`, sysexits.h).
pub(super) const LOCKED: i32 = 75;
/// The supervisor's own code when the data directory can't be used (`EX_IOERR`, sysexits.h).
pub(super) const DATA_DIRECTORY: i32 = 74;
/// The supervisor's own code for an error that should not happen (`EX_SOFTWARE`, sysexits.h).
pub(super) const INTERNAL: i32 = crate::defect::EXIT_CODE;

/// What a version that is not on disk comes to.
pub(super) const NOT_THERE: Exit = Exit::Exec(ENOENT);

const ENOENT: i32 = 2;
const ENOTDIR: i32 = 20;

impl Exit {
    /// The code that a shell would report: 0..=255 pass through, 128+n for signal n, 127 for a program that is not there, 126
    /// for one that can't be executed.
    pub const fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => signal.saturating_add(128),
            Self::Exec(ENOENT | ENOTDIR) => 127,
            Self::Exec(_) => 126,
        }
    }

    /// Whether the application asks to be replaced by what is staged.
    pub fn asks_for_restart(self) -> bool {
        self == Self::Code(RESTART_EXIT_CODE)
    }

    /// Whether this end counts as a crash when nobody asked the application to stop.
    pub fn is_crash(self) -> bool {
        self != Self::Code(0) && !self.asks_for_restart()
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(code) => write!(f, "exited with {code}"),
            Self::Signal(number) => match nix::sys::signal::Signal::try_from(number) {
                Ok(signal) => write!(f, "killed by {signal}"),
                Err(_) => write!(f, "killed by signal {number}"),
            },
            Self::Exec(number) => {
                write!(f, "can't be executed: {}", nix::errno::Errno::from_raw(number).desc())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_table() {
        for (exit, code, crash) in [
            (Exit::Code(0), 0, false),
            (Exit::Code(1), 1, true),
            (Exit::Code(42), 42, false),
            (Exit::Code(255), 255, true),
            (Exit::Signal(9), 137, true),
            (Exit::Signal(15), 143, true),
            (Exit::Signal(34), 162, true),
            (Exit::Exec(2), 127, true),
            (Exit::Exec(13), 126, true),
            (Exit::Exec(8), 126, true),
            (Exit::Exec(40), 126, true),
        ] {
            assert_eq!((exit.code(), exit.is_crash()), (code, crash), "{exit}");
        }
    }
}
