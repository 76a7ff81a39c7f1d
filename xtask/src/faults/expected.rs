//! What is expected of a pull.

use std::fmt;

/// What is to come of one pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// The image is on disk and staged, byte for byte.
    Right(Ceiling),
    /// Nothing is staged; the error says all of these words and names a host that is at fault.
    Refused(Remedy, &'static [&'static str], Ceiling),
    /// There is no such case, and why.
    DoesNotApply(&'static str),
}

/// What the pull may cost at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ceiling {
    /// Requests to all hosts together.
    pub(super) requests: usize,
    /// Seconds of wall time, on a busy machine, with the registry timeout of this test-bed.
    pub(super) seconds: u64,
}

/// What the error says that helps, and with it the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    Retry,
    Later,
    Refuse,
    Corrupt,
    Local,
}

impl Remedy {
    /// As the last line of `pull --json` has it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Later => "later",
            Self::Refuse => "refuse",
            Self::Corrupt => "corrupt",
            Self::Local => "local",
        }
    }

    /// The documented exit code.
    pub(super) const fn exit(self) -> i32 {
        match self {
            Self::Retry => 75,
            Self::Later => 69,
            Self::Refuse | Self::Corrupt => 65,
            Self::Local => 77,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Right(ceiling) => write!(f, "Right, {} requests at most.", ceiling.requests),
            Self::Refused(remedy, says, ceiling) => write!(
                f,
                "Exit code {} ({}), {} requests at most; it says: {}.",
                remedy.exit(),
                remedy.name(),
                ceiling.requests,
                says.join(", ")
            ),
            Self::DoesNotApply(reason) => write!(f, "Does not apply: {reason}."),
        }
    }
}

impl Expected {
    /// In the matrix: `ok`, the exit code, or nothing.
    pub(super) fn symbol(self) -> String {
        match self {
            Self::Right(_) => "ok".to_owned(),
            Self::Refused(remedy, ..) => remedy.exit().to_string(),
            Self::DoesNotApply(_) => "-".to_owned(),
        }
    }
}
