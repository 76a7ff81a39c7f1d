//! The lines that the example application appends to `DOCKERLOADED_STAMP`: pure.

use std::path::Path;
use std::time::Duration;

use super::expect::{Each, Named};
use super::versions::{COUNT, Version};

/// `start NANOSECONDS PID EXECUTABLE`, by the first instruction, or `exit ...`, by the last before code 42.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) start: bool,
    /// Of `CLOCK_MONOTONIC`, which all processes share.
    pub(super) at: Duration,
    pub(super) of: Named,
}

impl Stamp {
    pub(super) fn parse(line: &str, named: impl FnOnce(&Path) -> Named) -> Option<Self> {
        let mut words = line.splitn(4, ' ');
        let start = match words.next()? {
            "start" => true,
            "exit" => false,
            _ => return None,
        };
        let at = Duration::from_nanos(words.next()?.parse().ok()?);
        Some(Self { start, at, of: named(Path::new(words.nth(1)?)) })
    }
}

/// How often each version was started.
pub(super) fn starts(stamps: &[Stamp]) -> Each {
    let mut starts = [0; COUNT];
    for stamp in stamps.iter().filter(|stamp| stamp.start) {
        if let Named::Version(version) = stamp.of {
            starts[version.index()] += 1;
        }
    }
    starts
}

/// When the application was started last.
pub(super) fn last_start(stamps: &[Stamp]) -> Option<Duration> {
    stamps.iter().rev().find(|stamp| stamp.start).map(|stamp| stamp.at)
}

/// From the last stamp of another version to the start of the one that runs: the time without service after an exit with
/// 42, or all that a failed trial cost.
pub(super) fn gap(stamps: &[Stamp], running: Version) -> Option<Duration> {
    let running = Named::Version(running);
    let (last, earlier) = stamps.split_last()?;
    let before = earlier.last()?;
    (last.start && last.of == running && before.of != running).then(|| last.at.saturating_sub(before.at))
}
