//! Every moment of an episode, every way in which a crash may turn out there, and what the invariants say to it: pure.

use std::collections::HashMap;

use super::choose::{Bounds, Choice, choices};
use super::disk::{Change, Disk};
use super::invariants::{Facts, Known, violation};
use super::pending::Moment;
use super::record::{Deed, Operation};
use super::units::{self, About, Outcome, Unit};
use super::versions::Versions;
use super::view::{Slot, View};

/// Two states with the same key are the same: from outside, and by what is known.
pub(super) type Key = (u128, Facts);

/// Where a state was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// How many operations had been made.
    pub(super) point: usize,
    pub(super) choice: Choice,
}

/// A state that violates an invariant.
#[derive(Debug, Clone)]
pub(super) struct Bad {
    pub(super) place: Place,
    pub(super) invariant: &'static str,
    pub(super) why: String,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Explored {
    /// States looked at.
    pub(super) total: usize,
    /// Each of them once, in the order in which they were found.
    pub(super) distinct: Vec<(Key, Place)>,
    pub(super) index: HashMap<Key, usize>,
    pub(super) bad: Vec<Bad>,
}

/// A moment and what is known then, after so many operations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) moment: Moment,
    pub(super) facts: Facts,
}

/// All moments of a sequence of operations: one more than there are operations.
pub(super) fn steps(start: &Disk, facts: &Facts, operations: &[Operation], versions: &Versions) -> Vec<Step> {
    let mut now = Step { moment: Moment::new(start.clone()), facts: facts.clone() };
    let mut steps = vec![now.clone()];
    for (number, operation) in operations.iter().enumerate() {
        advance(&mut now, number, operation, versions);
        now.facts.is_over = number + 1 == operations.len();
        steps.push(now.clone());
    }
    steps
}

/// One operation further.
pub(super) fn advance(now: &mut Step, number: usize, operation: &Operation, versions: &Versions) {
    now.moment.take(number, operation);
    if let Deed::Change(changes) = &operation.deed {
        let says_farewell = |change: &Change| matches!(change, Change::Name { name, inode: Some(_), .. } if **name == *b"stopped");
        now.facts.runs &= !changes.iter().any(says_farewell);
    }
    if let Deed::Execute(path) = &operation.deed {
        now.facts.runs = true;
        let whole = now.moment.whole();
        let on_trial = View::new(&whole, versions).version(Slot::Attempting);
        let path = String::from_utf8_lossy(path);
        let executed = on_trial.filter(|version| path.contains(versions.digest(*version)));
        if let Some(version) = executed {
            now.facts.trials[version] += 1;
        }
    }
}

/// The seed of a point: the same whatever else is looked at.
pub(super) fn seed_of(seed: u64, point: usize) -> u64 {
    seed.wrapping_add(1 + point as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Looks at everything.
pub(super) fn explore(steps: &[Step], known: &Known<'_>, bounds: Bounds, seed: u64) -> Explored {
    let mut explored = Explored::default();
    for (point, step) in steps.iter().enumerate() {
        look(&mut explored, step, point, known, bounds, seed);
    }
    explored
}

fn look(explored: &mut Explored, step: &Step, point: usize, known: &Known<'_>, bounds: Bounds, seed: u64) {
    let units = units::units(&step.moment);
    for choice in choices(&units, bounds, seed_of(seed, point)) {
        explored.total += 1;
        let disk = units::disk(&step.moment, &units, &choice);
        let key = (disk.fingerprint(), step.facts.clone());
        if explored.index.contains_key(&key) {
            continue;
        }
        let place = Place { point, choice };
        if let Some((invariant, why)) = violation(&View::new(&disk, known.versions), known, &step.facts) {
            explored.bad.push(Bad { place: place.clone(), invariant, why });
        }
        explored.index.insert(key.clone(), explored.distinct.len());
        explored.distinct.push((key, place));
    }
}

/// The disk at a place.
pub(super) fn disk_at(steps: &[Step], place: &Place) -> Disk {
    let moment = &steps[place.point].moment;
    units::disk(moment, &units::units(moment), &place.choice)
}

/// What happened at a place, for people: what was lost and what was damaged.
pub(super) fn shown(steps: &[Step], operations: &[Operation], place: &Place, versions: &Versions) -> String {
    let moment = &steps[place.point].moment;
    let units = units::units(moment);
    let last = place.point.checked_sub(1).and_then(|last| operations.get(last));
    let mut text = format!("after `{}`", last.map_or("nothing", |last| &last.label));
    for (unit, chosen) in units.iter().zip(&place.choice) {
        if usize::from(*chosen) + 1 < unit.outcomes.len() {
            text.push_str(&format!(", {}", told(unit, *chosen, moment, operations)));
        }
    }
    versions.named(&text)
}

fn told(unit: &Unit, chosen: u8, moment: &Moment, operations: &[Operation]) -> String {
    let how = match &unit.outcomes[usize::from(chosen)] {
        Outcome::File(_, bytes, damage) => format!("{damage:?} ({} bytes)", bytes.bytes.len()),
        _ => "lost".to_owned(),
    };
    let path = |inode| {
        let whole = moment.whole();
        let found = whole.walk().into_iter().find(|found| found.inode == inode);
        found.map_or_else(
            || "a file without a name".into(),
            |found| String::from_utf8_lossy(&found.path).into_owned(),
        )
    };
    match unit.about {
        About::Operation(number) => {
            format!("`{}` {how}", operations.get(number).map_or("", |operation| operation.label.as_str()))
        }
        About::Data(inode) => format!("data of {} {how}", path(inode)),
        About::Attributes(inode) => format!("attributes of {} {how}", path(inode)),
    }
}
