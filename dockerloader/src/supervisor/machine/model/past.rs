//! What has happened so far, as far as a property speaks of it: kept by the world, unknown to the machine.

use super::super::{Exit, Machine};
use super::directory::{Directory, Judged, VERSIONS, Version};
use super::happening::Happening;
use super::state::State;
use crate::layout::Slot;

/// The past, one entry a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Past {
    /// It has been `entrypoint`.
    pub(super) been: [bool; VERSIONS],
    /// It failed by itself: it ended, crashed or hung where it should not.
    pub(super) guilty: [bool; VERSIONS],
    /// The application's failure stands on the disk, or stood there and nobody asked for it to be forgotten.
    pub(super) condemned: [bool; VERSIONS],
    /// Times that it was started on trial since anything was said of it.
    pub(super) starts: [u32; VERSIONS],
}

impl Past {
    pub(super) const NEW: Self = Self {
        been: [false; VERSIONS],
        guilty: [false; VERSIONS],
        condemned: [false; VERSIONS],
        starts: [0; VERSIONS],
    };

    /// A trial begins: those of others are over.
    pub(super) fn started(&mut self, version: Version) {
        let starts = self.starts[version.number()].saturating_add(1);
        self.starts = [0; VERSIONS];
        self.starts[version.number()] = starts;
    }

    /// It could not even be executed.
    pub(super) const fn never_began(&mut self, version: Version) {
        let starts = &mut self.starts[version.number()];
        *starts = starts.saturating_sub(1);
    }

    /// Takes note of one happening.
    pub(super) fn witness(
        &mut self,
        before: &State,
        after: &State,
        seen: &[Directory],
        happening: Happening,
    ) {
        self.guilt(before, after, happening);
        for directory in seen.iter().chain([&after.directory]) {
            if let Some(current) = directory.held(Slot::Current) {
                self.been[current.number()] = true;
            }
            for version in Version::all(VERSIONS) {
                if directory.judged[version.number()] == Judged::App {
                    self.condemned[version.number()] = true;
                }
            }
        }
        for version in Version::all(VERSIONS) {
            let number = version.number();
            let is_committed = after.directory.held(Slot::Current) == Some(version)
                && before.directory.held(Slot::Current) != Some(version);
            let is_forgotten = match happening {
                // Whoever goes back by hand wants that version.
                Happening::RollBack | Happening::Ends(..) | Happening::LastChildEnds => is_committed,
                Happening::Forget(forgotten) => forgotten == version,
                Happening::MemoryLost => true,
                _ => is_committed,
            };
            if is_forgotten && after.directory.judged[number] != Judged::App {
                self.condemned[number] = false;
            }
            let links = [Slot::Attempt, Slot::Attempting].map(|slot| after.directory.held(slot));
            let is_gone = !links.contains(&Some(version));
            if is_forgotten || is_gone || matches!(happening, Happening::PauseOver(over) if over == version) {
                self.starts[number] = 0;
            }
        }
        // A stop that is asked for costs no attempt, if that could be written.
        if let (Some(process), None) = (before.process.filter(|process| process.trial), &after.live)
            && before.live.as_ref().is_some_and(Machine::is_stopping)
            && gave_back(before, seen, process.version)
        {
            self.never_began(process.version);
        }
    }

    fn guilt(&mut self, before: &State, after: &State, happening: Happening) {
        let (Some(process), Some(machine)) = (before.process, &before.live) else { return };
        if machine.is_stopping() {
            return;
        }
        let on_trial = machine.run().is_some_and(|run| run.trial_ends.is_some());
        let fails = match happening {
            Happening::Ends(Exit::Signal(9), _) => !on_trial,
            Happening::Ends(exit, _) => on_trial || exit.is_crash(),
            Happening::Deadline => on_trial && after.live.as_ref().is_some_and(Machine::is_stopping),
            _ => false,
        };
        if fails {
            self.guilty[process.version.number()] = true;
        }
    }
}

/// Whether a step took an attempt back.
fn gave_back(before: &State, seen: &[Directory], version: Version) -> bool {
    let attempts = |directory: &Directory| match directory.trial {
        Some((tried, attempts, _)) if tried == version => attempts,
        _ => 0,
    };
    seen.iter().any(|directory| attempts(directory) < attempts(&before.directory))
}
