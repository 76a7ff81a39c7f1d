//! One recording, studied: its moments, its states, its mutants.

use super::choose::Bounds;
use super::explore::{Explored, Step, explore, steps};
use super::invariants::{Facts, Known};
use super::record::Recording;
use super::versions::Versions;
use super::view::{Memory, Reference, Slot, View};

/// A recording with all that is known of it.
#[derive(Debug)]
pub(super) struct Study<'s> {
    pub(super) name: String,
    pub(super) recording: Recording,
    /// Where it was recorded: links lead there.
    pub(super) recorded: std::path::PathBuf,
    pub(super) known: Known<'s>,
    pub(super) steps: Vec<Step>,
    pub(super) explored: Explored,
    /// What the tag stands for when a registry answers.
    pub(super) target: usize,
}

/// What it begins from.
#[derive(Debug)]
pub(super) struct Beginning<'b> {
    pub(super) name: String,
    pub(super) recorded: std::path::PathBuf,
    pub(super) facts: Facts,
    pub(super) target: usize,
    pub(super) versions: &'b Versions,
    pub(super) references: &'b [Option<Reference>],
}

impl<'s> Study<'s> {
    /// Enumerates the states of a recording.
    pub(super) fn new(recording: Recording, beginning: Beginning<'s>, bounds: Bounds, seed: u64) -> Self {
        let Beginning { name, recorded, facts, target, versions, references } = beginning;
        let start = View::new(&recording.start, versions);
        let known = Known {
            versions,
            references,
            had_current: start.version(Slot::Current).is_some(),
            had_memory: start.memory != Memory::Absent,
            failed: std::array::from_fn(|version| start.verdict(version) == Some("app")),
            tried: start.version(Slot::Attempting),
            end: View::new(&recording.end, versions).slots,
        };
        drop(start);
        let steps = steps(&recording.start, &facts, &recording.operations, versions);
        let explored = explore(&steps, &known, bounds, seed);
        Self { name, recording, recorded, known, steps, explored, target }
    }
}
