//! What a plan is made from besides what has to be and what is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dockerloader::digest::Digest;

use crate::health::Proof;
use crate::history::{Verdict, Version};
use crate::swap::Swap;

/// What is known at this moment. All times are spans from now: a plan has no clock.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// Replacements under way, by container.
    pub swaps: BTreeMap<String, Swap>,
    /// Versions that ran, by container, the newest first.
    pub versions: BTreeMap<String, Vec<Version>>,
    /// Verdicts.
    pub verdicts: Vec<Verdict>,
    /// What has been seen of versions that are to prove themselves, by container.
    pub proofs: BTreeMap<String, Proof>,
    /// How the `pre` hooks of a replacement under way ended, by container; not there before they ran.
    pub hooks: BTreeMap<String, HooksEnd>,
    /// Pulls that are under way or have failed, by manifest.
    pub pulls: BTreeMap<Digest, PullState>,
    /// Containers whose last steps failed: why, and how long they are left alone. Images whose removal failed, by name. A failure ends when a
    /// swap was written down after it.
    pub failures: BTreeMap<String, Pause>,
    /// Containers that deviced has started or changed in place a short while ago: how long until it may do so again. That grows while it has to be
    /// done over and over, so that one that ends at once is not started without pause.
    pub rests: BTreeMap<String, Duration>,
    /// Containers whose window is closed, and when it opens.
    pub closed: BTreeMap<String, Duration>,
    /// Containers that somebody wants updated now, whatever their window says.
    pub hurried: BTreeSet<String>,
    /// Containers, strays too, that a worker is busy with: nothing is planned for them.
    pub busy: BTreeSet<String>,
    /// For each container the id that an operation begun by this plan gets.
    pub operations: BTreeMap<String, String>,
}

/// How `pre` hooks ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HooksEnd {
    /// Well.
    Done,
    /// One ended with 75: not now, but again after this.
    NotNow(Duration),
    /// One failed.
    Failed(String),
}

/// What becomes of a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullState {
    /// It is under way.
    Running,
    /// It failed.
    Failed(Pause),
}

/// A failure after which is waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// What failed.
    pub text: String,
    /// How long.
    pub left: Duration,
}
