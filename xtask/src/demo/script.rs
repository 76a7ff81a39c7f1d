//! The demo as a table: what is done in each step, and what must then be seen.

use super::expect::Expected;
use super::versions::Version::{self, V1, V2, V3, V4, V5};

/// What is done in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// The tag names the version; the supervisor starts on an empty directory.
    Install(Version),
    /// The tag is moved to the version.
    Push(Version),
    /// Nothing, until the registry was asked so many times more what the tag names, which is this version. It may not be
    /// asked for anything else.
    Watch { version: Version, polls: usize },
    /// The tag is moved to the version, whose download is held half-way; there the supervisor is killed.
    KillInDownload(Version),
    /// The supervisor is started again. The download has to go on where it was; it is held once more.
    Restart(Version),
    /// The download is no longer held.
    Release(Version),
    /// `dockerloader rollback`.
    RollBack,
    /// SIGTERM, as `docker stop` sends it. The exit code has to be 0.
    Stop,
}

impl Action {
    /// The version that it is about.
    pub(super) const fn about(self) -> Option<Version> {
        match self {
            Self::Install(version)
            | Self::Push(version)
            | Self::Watch { version, .. }
            | Self::KillInDownload(version)
            | Self::Restart(version)
            | Self::Release(version) => Some(version),
            Self::RollBack | Self::Stop => None,
        }
    }
}

/// One step.
#[derive(Debug)]
pub(super) struct Step {
    /// A word or two.
    pub(super) title: &'static str,
    /// What is done and what comes of it, for people.
    pub(super) story: &'static str,
    pub(super) action: Action,
    pub(super) expected: Expected,
}

/// The state after the first installation; each step says what it changes.
const FIRST: Expected = Expected {
    current: Some(V1),
    previous: None,
    failed: None,
    downloading: None,
    alive: true,
    starts: [1, 0, 0, 0, 0],
    fetches: [1, 0, 0, 0, 0],
};
const SECOND: Expected = Expected {
    current: Some(V2),
    previous: Some(V1),
    starts: [1, 1, 0, 0, 0],
    fetches: [1, 1, 0, 0, 0],
    ..FIRST
};
const CRASHED: Expected =
    Expected { failed: Some(V3), starts: [1, 2, 1, 0, 0], fetches: [1, 1, 1, 0, 0], ..SECOND };
const HUNG: Expected =
    Expected { failed: Some(V4), starts: [1, 3, 1, 1, 0], fetches: [1, 1, 1, 1, 0], ..CRASHED };
const KILLED: Expected = Expected { downloading: Some(V5), alive: false, fetches: [1, 1, 1, 1, 1], ..HUNG };
const RESTARTED: Expected =
    Expected { alive: true, starts: [1, 4, 1, 1, 0], fetches: [1, 1, 1, 1, 2], ..KILLED };
const FIXED: Expected = Expected {
    current: Some(V5),
    previous: Some(V2),
    failed: None,
    downloading: None,
    starts: [1, 4, 1, 1, 1],
    ..RESTARTED
};
const ROLLED_BACK: Expected =
    Expected { current: Some(V2), previous: Some(V5), starts: [1, 5, 1, 1, 1], ..FIXED };

/// All steps, in order.
pub(super) const STEPS: &[Step] = &[
    Step {
        title: "install",
        story: "the supervisor starts on an empty directory, fetches v1 and runs it",
        action: Action::Install(V1),
        expected: FIRST,
    },
    Step {
        title: "update",
        story: "v2 is pushed, fetched while v1 runs, tried and committed",
        action: Action::Push(V2),
        expected: SECOND,
    },
    Step {
        title: "crash",
        story: "v3 is pushed and crashes in its trial; v2 comes back",
        action: Action::Push(V3),
        expected: CRASHED,
    },
    Step {
        title: "no retry",
        story: "the tag still names v3; it is neither fetched nor tried again",
        action: Action::Watch { version: V3, polls: 3 },
        expected: CRASHED,
    },
    Step {
        title: "hang",
        story: "v4 is pushed and hangs in its trial; after 1.5 s it is ended and v2 comes back",
        action: Action::Push(V4),
        expected: HUNG,
    },
    Step {
        title: "kill -9",
        story: "v5, the fix, is pushed; half-way through its download the supervisor is killed",
        action: Action::KillInDownload(V5),
        expected: KILLED,
    },
    Step {
        title: "restart",
        story: "the supervisor starts again; v2 runs at once, the download goes on",
        action: Action::Restart(V5),
        expected: RESTARTED,
    },
    Step {
        title: "fix",
        story: "the rest of v5 arrives; it is tried and committed",
        action: Action::Release(V5),
        expected: FIXED,
    },
    Step {
        title: "by hand",
        story: "`dockerloader rollback` brings v2 back",
        action: Action::RollBack,
        expected: ROLLED_BACK,
    },
    Step {
        title: "it stays",
        story: "the tag still names v5, but what a person rolled back is not tried again",
        action: Action::Watch { version: V5, polls: 3 },
        expected: ROLLED_BACK,
    },
    Step {
        title: "stop",
        story: "on SIGTERM, as from `docker stop`, the app stops and the supervisor leaves with code 0",
        action: Action::Stop,
        expected: Expected { alive: false, ..ROLLED_BACK },
    },
];
