//! Why a version is not tried again, and for how long.

use serde::{Deserialize, Serialize};

use crate::clock::{Moment, Uptime};
use crate::digest::Digest;

/// Seconds of the first pause before a version that failed for no fault of its own is tried again; doubled each time.
const FIRST_PAUSE_SECONDS: u64 = 60;
/// Longest such pause, in seconds.
const LONGEST_PAUSE_SECONDS: u64 = 6 * 3600;

/// Whose fault it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictKind {
    /// The version itself: it crashed, hung or can't be executed. Final for this digest (I4).
    App,
    /// The machine: disk, memory, killed from outside. Tried again after a pause (I5).
    Environment,
    /// Stopped in its trial more often than the budget allows. Tried again after a pause (I5).
    Interrupted,
    /// A person rolled it back. Final until forgotten.
    Operator,
}

impl VerdictKind {
    /// The word used in status and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Environment => "environment",
            Self::Interrupted => "interrupted",
            Self::Operator => "operator",
        }
    }
}

/// A verdict on one digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The version.
    pub digest: Digest,
    /// Whose fault it was.
    pub kind: VerdictKind,
    /// What happened, for people.
    pub reason: String,
    /// Seconds since 1970, by the clock of that moment; to show, and to pace retries where the uptime can't.
    pub at: u64,
    /// The machine's uptime at that moment, which paces retries whatever the clock is set to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime: Option<Uptime>,
    /// How often this version ended so.
    #[serde(default)]
    pub times: u32,
    /// The last lines that it wrote.
    #[serde(default)]
    pub output: Vec<String>,
}

impl Verdict {
    /// Seconds between the verdict and the next try; `None` is never.
    pub fn retry_seconds(&self) -> Option<u64> {
        match self.kind {
            VerdictKind::App | VerdictKind::Operator => None,
            VerdictKind::Environment | VerdictKind::Interrupted => {
                let doublings = self.times.saturating_sub(1).min(16);
                Some(FIRST_PAUSE_SECONDS.saturating_mul(1 << doublings).min(LONGEST_PAUSE_SECONDS))
            }
        }
    }

    /// Whether the version may not be tried `now`. A clock that jumps neither ends a pause nor makes it endless (I6).
    pub fn blocks(&self, now: &Moment) -> bool {
        let then = Moment { unix: self.at, uptime: self.uptime.clone() };
        self.retry_seconds().is_none_or(|pause| now.is_within(pause, &then))
    }
}
