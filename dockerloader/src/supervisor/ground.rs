//! The machine's ground in the real world: the slots on disk, the clock, what the application wrote last, the kernel's counts.

use crate::clock;
use crate::digest::Digest;
use crate::disk::RealDisk;
use crate::layout::Layout;
use crate::slots::{ApplyError, Event, Policy, Slots, act, read};
use crate::volume::overlay::{self, Ready};

use super::machine;
use super::tail::Tail;

/// The real ground.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) layout: Layout,
    pub(super) probation: bool,
    pub(super) tail: Tail,
    /// The kernel's count of processes killed for memory when the application started.
    pub(super) kills_before: u64,
}

impl machine::Ground for Ground {
    fn act(&mut self, event: &Event) -> Result<Slots, ApplyError> {
        let now = clock::moment();
        let dated = match event {
            Event::Checked(check) => {
                Some(Event::Checked(crate::status::Check { at: now.unix, ..check.clone() }))
            }
            _ => None,
        };
        let policy = Policy { now, probation: self.probation, ..Policy::default() };
        act(&RealDisk, &self.layout, dated.as_ref().unwrap_or(event), &policy)
    }

    fn slots(&mut self) -> Slots {
        read(&RealDisk, &self.layout).unwrap_or_else(|error| {
            tracing::error!(event = "unreadable", "{}: {error}", self.layout.root().display());
            Slots::default()
        })
    }

    fn prepare(&mut self, version: &Digest) -> Result<(), String> {
        match overlay::ready(&self.layout, version) {
            Ok(Ready::Mounted) => {
                tracing::debug!(event = "mount", digest = %version, "mounted version {}", version.short());
                Ok(())
            }
            Ok(Ready::Already) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn output(&mut self) -> Vec<String> {
        self.tail.text()
    }

    fn out_of_memory(&mut self) -> bool {
        memory_kills() > self.kills_before
    }
}

/// How many processes of our control group the kernel killed for memory (`cgroup-v2.rst`, "memory.events"; version 1:
/// `memory.oom_control`). 0 where that can't be read.
pub(super) fn memory_kills() -> u64 {
    ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .filter_map(|text| parse_memory_kills(&text))
        .sum()
}

fn parse_memory_kills(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_control_groups_are_read() {
        assert_eq!(
            parse_memory_kills("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"),
            Some(2)
        );
        assert_eq!(parse_memory_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"), Some(5));
        assert_eq!(parse_memory_kills(""), None);
    }
}
