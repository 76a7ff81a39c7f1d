//! What an application or the command line asks of the supervisor, and what it answers: one JSON object a line over a
//! Unix stream socket, whose address the supervisor gives its child in [`CONTROL_VARIABLE`].

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::remedy::Remedy;

/// Environment variable with the supervisor's control address: `@name` for an abstract socket, else a path.
pub const CONTROL_VARIABLE: &str = "DOCKERLOADER_CONTROL";
/// Environment variable that names one run of one version; a late answer of an older run is told apart by it.
pub const GENERATION_VARIABLE: &str = "DOCKERLOADER_GENERATION";
/// Environment variable that is `1` while a version is on trial.
pub const TRIAL_VARIABLE: &str = "DOCKERLOADER_TRIAL";
/// The exit code by which an application asks to be replaced by the version that is staged.
pub const RESTART_EXIT_CODE: i32 = 42;
/// Longest request or answer line, in bytes.
pub const LINE_BYTES: usize = 256 << 10;

/// What is asked of the supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// The running version works: commit it, if it is on trial.
    Ready {
        /// The run that asks; `None` is a person at the command line, for whatever runs now.
        generation: Option<String>,
    },
    /// The trial may last this much longer, counted from now.
    Extend {
        /// The run that asks.
        generation: Option<String>,
        /// Milliseconds from now, at most an hour a call.
        milliseconds: u64,
    },
    /// Look for a newer version now and stage it. Answered when that is done.
    Check {
        /// The run that asks.
        generation: Option<String>,
    },
    /// Tell the state.
    Status,
    /// Stop what runs and start the previous version.
    Rollback,
    /// Drop the verdict on a digest, so that it may be tried again.
    Forget {
        /// The digest of the version.
        digest: Digest,
    },
}

/// The answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// To `ready`: the trial is over, this version is the current one, and that is on disk.
    Committed {
        /// The version.
        digest: Digest,
    },
    /// To `ready`: this version is the current one already.
    AlreadyCommitted {
        /// The version.
        digest: Digest,
    },
    /// To `extend`: the trial ends this many milliseconds from now.
    Extended {
        /// Milliseconds from now.
        milliseconds: u64,
    },
    /// To `check`: the target names the running version.
    UpToDate {
        /// The version.
        digest: Digest,
    },
    /// To `check`: a newer version is staged; exit with 42 to have it tried.
    Staged {
        /// The version.
        digest: Digest,
    },
    /// To `check`: the target names a version that was rejected before.
    Skipped {
        /// The version.
        digest: Digest,
        /// Why it was rejected.
        reason: String,
    },
    /// To `check`: the check failed; what runs goes on.
    CheckFailed {
        /// What went wrong.
        error: String,
        /// What helps.
        remedy: Remedy,
    },
    /// To `status`.
    Status(Box<crate::status::Status>),
    /// To `rollback`: the previous version takes over now.
    RollingBack {
        /// What ran.
        from: Digest,
        /// What will run.
        to: Digest,
    },
    /// To `forget`.
    Forgotten {
        /// The version.
        digest: Digest,
        /// Whether there was a verdict.
        found: bool,
    },
    /// The request can't be done, and nothing was changed.
    Refused {
        /// Why, and what to do.
        reason: String,
    },
}
