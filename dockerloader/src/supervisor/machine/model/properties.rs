//! The invariants, each a function that says how a state, a step or a start breaks it.

use std::fmt;

use super::super::Phase;
use super::directory::{Directory, Held, Judged, Tree, VERSIONS, Version, index};
use super::happening::Happening;
use super::rules::{Rules, Scope};
use super::state::State;
use crate::layout::Slot;

/// What has to hold, by the numbers of the design.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Property {
    I1,
    I2,
    I3,
    I4,
    I5,
    I6,
    I7,
    I8,
    /// `slots::check` refuses what was decided: a defect by itself.
    SecondOpinion,
}

/// A property is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) property: Property,
    pub(super) what: String,
}

impl Violation {
    pub(super) fn new(property: Property, what: impl Into<String>) -> Self {
        Self { property, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.property, self.what)
    }
}

fn broken(property: Property, what: impl Into<String>) -> Option<Violation> {
    Some(Violation::new(property, what))
}

/// A version is about to be executed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    pub(super) version: Version,
    pub(super) trial: bool,
    /// Whether all that was decided could be written.
    pub(super) written: bool,
}

/// Before a version is executed. I1: one at a time. I2: what is executed is there. I4: nothing that failed. I5: what has not
/// failed has three attempts, each counted before it is made. I8: what runs is what the links say.
pub(super) fn of_start(
    state: &State,
    directory: &Directory,
    Start { version, trial, written }: Start,
    rules: &Rules,
    scope: &Scope,
) -> Option<Violation> {
    let number = version.number();
    if let Some(process) = state.process {
        return broken(Property::I1, format!("{version} is started while {} runs", process.version));
    }
    if directory.trees[number] != Tree::Whole && !scope.trees {
        return broken(Property::I2, format!("{version} is started, and its tree is not there"));
    }
    if state.cleaning.is_some_and(|clean_up| clean_up.doomed[number]) {
        return broken(Property::I3, format!("{version} is started while a clean-up is about to remove it"));
    }
    if trial {
        if directory.held(Slot::Attempting) != Some(version) {
            return broken(
                Property::I8,
                format!("{version} is tried, but entrypoint-attempting does not name it"),
            );
        }
        if state.past.condemned[number] {
            return broken(Property::I4, format!("{version} failed, and is tried again unasked"));
        }
        if !directory.trial.is_some_and(|(counted, attempts, _)| counted == version && attempts > 0) {
            return broken(Property::I5, format!("{version} is tried, and no attempt is counted"));
        }
        if state.past.starts[number] >= rules.policy.attempts {
            return broken(Property::I5, format!("{version} is tried more often than it has attempts"));
        }
        return None;
    }
    if directory.held(Slot::Current) != Some(version) {
        return broken(Property::I8, format!("{version} runs, but entrypoint does not name it"));
    }
    let is_final =
        |version: Version| matches!(directory.judged[version.number()], Judged::App | Judged::Operator);
    let other =
        directory.runnable(Slot::Previous).filter(|previous| *previous != version && !is_final(*previous));
    // Where a rollback can't be written, what entrypoint names runs.
    if let (true, true, Some(other)) = (written, is_final(version) || state.past.condemned[number], other) {
        return broken(Property::I4, format!("{version} failed, and runs again although {other} is there"));
    }
    None
}

/// Of every step. I1: `entrypoint` moves to what said that it is ready, to what it named before, or away from what can't be run.
/// I3: what can be run does not become less than something.
pub(super) fn of_steps(before: &State, seen: &[Directory], happening: Happening) -> Option<Violation> {
    let mut last = before.directory;
    for directory in seen {
        let violation = verdict_comes_first(before, &last, directory, happening)
            .or_else(|| way_back_comes_first(&last, directory))
            .or_else(|| entrypoint_moves(before, &last, directory, happening))
            .or_else(|| keeps_one(&last, directory));
        if violation.is_some() {
            return violation;
        }
        last = *directory;
    }
    None
}

/// I4: the link of a trial that failed goes only when its verdict is written, unless something newer is to be tried instead.
fn verdict_comes_first(
    before: &State,
    from: &Directory,
    to: &Directory,
    happening: Happening,
) -> Option<Violation> {
    let tried = from.runnable(Slot::Attempting)?;
    let is_about = before.process.is_some_and(|process| process.trial && process.version == tried);
    let ends = matches!(happening, Happening::Ends(..) | Happening::LastChildEnds);
    let is_kept = Slot::ALL.iter().any(|slot| to.held(*slot) == Some(tried));
    let is_superseded = to.held(Slot::Attempt).is_some();
    if is_about && ends && !is_kept && !is_superseded && to.judged[tried.number()] == Judged::No {
        return broken(Property::I4, format!("{tried} failed, and its link goes before that is written"));
    }
    None
}

/// I3: the record of where a trial came from goes only when the way back is laid.
fn way_back_comes_first(from: &Directory, to: &Directory) -> Option<Violation> {
    let (tried, _, Some(origin)) = from.trial? else { return None };
    let is_commit = to.trial.is_none() && to.held(Slot::Current) == Some(tried) && origin != tried;
    if is_commit && from.held(Slot::Previous) != Some(origin) {
        return broken(Property::I3, format!("{tried} is committed, and no link leads back to {origin}"));
    }
    None
}

fn entrypoint_moves(
    before: &State,
    from: &Directory,
    to: &Directory,
    happening: Happening,
) -> Option<Violation> {
    let (Some(old), Some(new)) = (from.runnable(Slot::Current), to.held(Slot::Current)) else { return None };
    if old == new || from.trees[old.number()] != Tree::Whole {
        return None;
    }
    let says_so = matches!(happening, Happening::Ready | Happening::CommitsByRename);
    let is_ready = before.process.is_some_and(|process| process.version == new && (process.ready || says_so));
    let has_been = before.past.been[new.number()];
    if is_ready || has_been {
        return None;
    }
    broken(Property::I1, format!("entrypoint moves from {old} to {new}, which never said that it is ready"))
}

fn keeps_one(from: &Directory, to: &Directory) -> Option<Violation> {
    // Whether a program can be executed is not known before that is tried.
    let some = |directory: &Directory| {
        let mut held = Slot::ALL.iter().filter_map(|slot| directory.held(*slot));
        held.any(|version| directory.trees[version.number()] != Tree::Missing)
    };
    if some(from) && !some(to) {
        return broken(Property::I3, "no slot names a version that can be run any more");
    }
    None
}

/// A clean-up took away what somebody needs.
pub(super) fn of_clean_up(before: &State, after: &State) -> Option<Violation> {
    let running = after.process.map(|process| process.version);
    let lost = after.directory.named().into_iter().chain(running).find(|version| {
        let number = version.number();
        before.directory.trees[number] != Tree::Missing && after.directory.trees[number] == Tree::Missing
    })?;
    broken(Property::I3, format!("the clean-up removed {lost}, which a slot or a process names"))
}

/// At rest. I5: only what failed is blacklisted. I8: the machine, the processes and the links say the same.
pub(super) fn of_state(state: &State) -> Option<Violation> {
    let directory = &state.directory;
    for version in Version::all(VERSIONS) {
        let number = version.number();
        let is_blamed = directory.judged[number] == Judged::App || directory.marker == Some(version);
        if is_blamed && !state.past.guilty[number] {
            return broken(Property::I5, format!("{version} is blacklisted, but never failed"));
        }
    }
    let Some(machine) = &state.live else {
        return match state.process {
            Some(process) => broken(Property::I1, format!("{} runs without a supervisor", process.version)),
            None => None,
        };
    };
    let runs = machine.run().map(|run| Version::of(&run.version.digest));
    if runs != state.process.map(|process| process.version) {
        return broken(Property::I8, format!("status says that {runs:?} runs, but {:?} does", state.process));
    }
    if machine.helper != state.helper {
        let (said, found) = (machine.helper, state.helper);
        return broken(Property::I8, format!("the machine waits for {said:?}, but {found:?} runs"));
    }
    let Phase::Running(run) = &machine.phase else { return None };
    let version = Version::of(&run.version.digest);
    // What somebody put in a link's place is a finding of its own.
    let names = |slot| [Held::Version(version), Held::Foreign].contains(&directory.links[index(slot)]);
    let (is_current, is_tried) = (names(Slot::Current), names(Slot::Attempting));
    match run.trial_ends {
        Some(_) if !is_tried && !is_current => {
            broken(Property::I8, format!("{version} is on trial, but no link says so"))
        }
        None if !is_current => broken(Property::I8, format!("{version} runs, but entrypoint names another")),
        _ => None,
    }
}
