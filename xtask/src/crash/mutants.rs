//! Sync mutants, on the recording: what if one sync were not there, or two neighbouring operations came in the other order? Each
//! leads to a state that violates an invariant, or to no state that was not there before, or stands in [`super::commuting`]: pure.

use std::collections::HashSet;

use super::choose::{Bounds, choices};
use super::disk::Disk;
use super::explore::{Explored, Step, advance, seed_of};
use super::invariants::{Known, violation};
use super::record::{Deed, Operation};
use super::units::{self, Class};
use super::view::View;

/// A change of the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutation {
    /// This sync does nothing.
    Without(usize),
    /// The second operation happens before the first; the number of the one and of the other.
    Swapped(usize, usize),
}

/// What came of a mutant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// This invariant is violated in some state.
    Caught(&'static str, String),
    /// No state is new: the two do the same. For a sync: another one covers it.
    Same,
    /// There are new states, and no invariant minds them.
    Harmless,
}

/// A mutant.
#[derive(Debug)]
pub(super) struct Mutant {
    pub(super) mutation: Mutation,
    /// What was changed, with the names of versions in the place of digests.
    pub(super) label: String,
    pub(super) fate: Fate,
    /// A few of the states that are new.
    pub(super) fresh: Vec<Disk>,
}

/// New states that are kept of a mutant that no property caught, for the real recovery.
const KEPT: usize = 4;

/// All mutants of an episode.
pub(super) fn mutants(
    steps: &[Step],
    operations: &[Operation],
    explored: &Explored,
    known: &Known<'_>,
    bounds: Bounds,
    seed: u64,
) -> Vec<Mutant> {
    let judge = |mutation| {
        let (fate, fresh) = fate(mutation, steps, operations, explored, known, bounds, seed);
        Mutant { mutation, label: known.versions.named(&label(mutation, steps, operations)), fate, fresh }
    };
    let syncs = (0..operations.len()).filter(|number| matches!(operations[*number].deed, Deed::Sync(_)));
    let mut found: Vec<Mutant> = syncs.map(|number| judge(Mutation::Without(number))).collect();
    let decisive = decisive(steps, operations);
    let pairs = decisive.windows(2).filter(|pair| !both_sync(operations, pair[0], pair[1]));
    found.extend(pairs.map(|pair| judge(Mutation::Swapped(pair[0], pair[1]))));
    found
}

fn both_sync(operations: &[Operation], one: usize, other: usize) -> bool {
    [one, other].iter().all(|number| matches!(operations[*number].deed, Deed::Sync(_)))
}

fn label(mutation: Mutation, steps: &[Step], operations: &[Operation]) -> String {
    match mutation {
        Mutation::Without(number) => {
            // By what it makes durable: one directory is synced for many reasons.
            let (before, after) = (&steps[number].moment.pending, &steps[number + 1].moment.pending);
            let still = |number: &usize| after.iter().any(|(other, _)| other == number);
            let done = before.iter().map(|(number, _)| *number).filter(|number| !still(number));
            let done: Vec<&str> = done.map(|number| operations[number].label.as_str()).collect();
            let what = match &done[..] {
                [] => "nothing".to_owned(),
                [first, .., last] if done.len() > 3 => format!("{first}, ..., {last}"),
                few => few.join(", "),
            };
            format!("{}: {what}", operations[number].label)
        }
        Mutation::Swapped(one, other) => format!("{} | {}", operations[one].label, operations[other].label),
    }
}

/// The operations that are durable steps: syncs, and changes of names or data that are no scratch.
fn decisive(steps: &[Step], operations: &[Operation]) -> Vec<usize> {
    let is_decisive = |number: &usize| match &operations[*number].deed {
        Deed::Sync(_) => true,
        // Nothing on the disk: what has to come before it is durable, which the syncs' mutants are about.
        Deed::Execute(_) => false,
        Deed::Change(_) => {
            // As a unit of the moment after it, unless it is durable already.
            let moment = &steps[number + 1].moment;
            let last = moment.pending.last().filter(|(pending, _)| pending == number);
            last.is_some_and(|_| {
                let units = units::units(moment);
                let unit = units.iter().find(|unit| unit.about == units::About::Operation(*number));
                unit.is_some_and(|unit| !matches!(unit.class, Class::Scratch(_)))
            })
        }
    };
    (0..operations.len()).filter(is_decisive).collect()
}

/// The operations of a mutant, and the first of them that is another.
fn mutate(mutation: Mutation, operations: &[Operation]) -> (Vec<Operation>, usize) {
    let mut mutated = operations.to_vec();
    match mutation {
        Mutation::Without(number) => {
            mutated[number].deed = Deed::Change(Vec::new());
            (mutated, number)
        }
        Mutation::Swapped(one, other) => {
            let mut moved = mutated.remove(other);
            // As late as it was: what it did not wait for, it does not wait for now.
            moved.began = one.saturating_sub(other.saturating_sub(moved.began));
            mutated.insert(one, moved);
            for (number, operation) in mutated.iter_mut().enumerate().take(other + 1).skip(one + 1) {
                if operation.began + 1 == number {
                    operation.began = number;
                }
            }
            (mutated, one)
        }
    }
}

fn fate(
    mutation: Mutation,
    steps: &[Step],
    operations: &[Operation],
    explored: &Explored,
    known: &Known<'_>,
    bounds: Bounds,
    seed: u64,
) -> (Fate, Vec<Disk>) {
    let (mutated, first) = mutate(mutation, operations);
    let mut now = steps[first].clone();
    let (mut seen, mut fresh) = (HashSet::new(), Vec::new());
    for (number, operation) in mutated.iter().enumerate().skip(first) {
        advance(&mut now, number, operation, known.versions);
        now.facts.is_over = number + 1 == mutated.len();
        let rejoined = number + 1 >= after(mutation) && is_same(&now, &steps[number + 1]);
        if rejoined {
            break;
        }
        let point = number + 1;
        let units = units::units(&now.moment);
        for choice in choices(&units, bounds, seed_of(seed, point)) {
            let disk = units::disk(&now.moment, &units, &choice);
            let key = (disk.fingerprint(), now.facts.clone());
            if explored.index.contains_key(&key) || !seen.insert(key) {
                continue;
            }
            if let Some((invariant, why)) = violation(&View::new(&disk, known.versions), known, &now.facts) {
                return (Fate::Caught(invariant, why), Vec::new());
            }
            if fresh.len() < KEPT {
                fresh.push(disk);
            }
        }
    }
    if seen.is_empty() { (Fate::Same, fresh) } else { (Fate::Harmless, fresh) }
}

/// The number of operations after which both have done the same.
fn after(mutation: Mutation) -> usize {
    match mutation {
        Mutation::Without(number) => number + 1,
        Mutation::Swapped(_, other) => other + 1,
    }
}

/// Whether from here on both are the same: numbers of operations aside.
fn is_same(one: &Step, other: &Step) -> bool {
    let changes =
        |step: &Step| step.moment.pending.iter().map(|(_, changes)| changes.clone()).collect::<Vec<_>>();
    one.facts == other.facts && one.moment.durable == other.moment.durable && changes(one) == changes(other)
}
