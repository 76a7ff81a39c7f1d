//! The answer to "what runs, since when, what is next, why not": one type for people, machines and the control socket.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::volume::{Method, Probe};

/// The state of one data directory, and of its supervisor if one is alive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The reference that `DOCKERLOADER_TARGET` names.
    pub target: Option<String>,
    /// What the supervisor does now; `None` when none is alive.
    pub supervisor: Option<Supervisor>,
    /// `entrypoint`.
    pub current: Option<Version>,
    /// `entrypoint-previous`.
    pub previous: Option<Version>,
    /// `entrypoint-attempt`.
    pub staged: Option<Version>,
    /// `entrypoint-attempting`.
    pub trying: Option<Version>,
    /// The committed version is watched until its probation is over.
    pub probation: Option<Probation>,
    /// Versions that are not tried again, and why; newest first.
    pub rejected: Vec<Rejected>,
    /// The last look at the registry.
    pub last_check: Option<Check>,
    /// How new versions' trees are made here; `None` before the first pull that had something to bring.
    #[serde(default)]
    pub trees: Option<Trees>,
    /// What the last looks at versions came to that found something, the latest first.
    #[serde(default)]
    pub health: Vec<Health>,
    /// What is odd on the disk: broken links, foreign files, a damaged state file.
    pub findings: Vec<String>,
}

/// What the last pull that had something to bring found out about the data volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trees {
    /// The method that is used; `None` to extract every tree from its layers.
    pub method: Option<Method>,
    /// What the volume can't do, and why.
    #[serde(flatten)]
    pub probe: Probe,
    /// `DOCKERLOADER_TREE_METHOD` asks for what does not work here: updates fail until it is changed.
    pub problem: Option<String>,
}

/// What a look at a version came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The version.
    pub digest: Digest,
    /// How it was.
    pub condition: Condition,
    /// Seconds since 1970, by the clock of that moment.
    pub at: u64,
    /// For people: what was found, and what became of it.
    pub detail: String,
}

/// How a version was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// As it was extracted.
    Intact,
    /// Damaged, and put right.
    Repaired,
    /// Damaged, and not put right yet.
    Damaged,
}

/// A version on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Digest of the image's manifest.
    pub digest: Digest,
    /// The executable that the slot's link points to.
    pub executable: String,
    /// Seconds since 1970 at which the link was made.
    pub since: Option<u64>,
}

/// A live supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supervisor {
    /// Its process id.
    pub pid: u32,
    /// One word: `installing`, `trial`, `running`, `stopping`, `back_off`, `waiting`.
    pub phase: String,
    /// One sentence for people on what happens now and what is next.
    pub detail: String,
    /// The application's process id while one runs.
    pub app_pid: Option<u32>,
    /// The version that runs.
    pub running: Option<Digest>,
    /// Seconds that the application has been running.
    pub running_seconds: Option<u64>,
    /// Starts of the application in this supervisor's life.
    pub starts: u64,
    /// Milliseconds until the trial ends.
    pub trial_ends_in_ms: Option<u64>,
    /// Seconds until the supervisor itself looks at the registry.
    pub next_check_seconds: Option<u64>,
    /// A pull is under way.
    pub pulling: bool,
}

/// A committed version under watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probation {
    /// The version.
    pub digest: Digest,
    /// Crashes so far.
    pub crashes: u32,
    /// Crashes at which the previous version comes back.
    pub budget: u32,
    /// Seconds left; `None` when no supervisor is alive.
    pub seconds_left: Option<u64>,
}

/// A version that is not tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// The version.
    pub digest: Digest,
    /// `app`, `environment`, `interrupted` or `operator`.
    pub kind: String,
    /// What happened.
    pub reason: String,
    /// Seconds since 1970, by the clock of that moment.
    pub at: u64,
    /// Seconds after which it may be tried again by itself; `None` is never.
    pub retry_seconds: Option<u64>,
    /// The last lines that it wrote.
    pub output: Vec<String>,
}

/// One look at the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Seconds since 1970, by the clock of that moment.
    pub at: u64,
    /// `up_to_date`, `staged`, `skipped` or `failed`.
    pub outcome: String,
    /// The version that the target named.
    pub digest: Option<Digest>,
    /// For people: what was found or what went wrong, and what to do.
    pub detail: String,
}
