//! I6: from every state, with no more faults, without a person and without a registry, a version runs after a few inputs, and
//! nothing changes any more.

use std::collections::HashSet;

use super::super::{Exit, Helper, Phase};
use super::directory::{Judged, Tree, Version};
use super::ground::Fault;
use super::happening::Happening;
use super::properties::{Property, Violation};
use super::rules::{Rules, Scope};
use super::state::State;
use crate::layout::Slot;

/// More inputs than any state needs.
const BOUND: usize = 60;

/// States from which all is well.
#[derive(Debug, Default)]
pub(super) struct Calm {
    well: [HashSet<u64>; 2],
    pub(super) longest: usize,
}

/// What an application on trial does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trial {
    /// It says that it is ready.
    Good,
    /// It ends.
    Bad,
}

impl Calm {
    /// Whether the state comes to rest, whatever a version on trial does.
    pub(super) fn comes_to_rest(
        &mut self,
        state: &State,
        rules: &Rules,
        scope: &Scope,
    ) -> Result<(), Violation> {
        for (trial, well) in [Trial::Good, Trial::Bad].into_iter().zip(&mut self.well) {
            let mut now = state.clone();
            let mut passed = Vec::new();
            let failed = |what: String| Violation::new(Property::I6, format!("{what} ({trial:?} trials)"));
            while let Some(happening) = next(&now, trial) {
                let name = now.name();
                if well.contains(&name) {
                    break;
                }
                if passed.len() > BOUND {
                    return Err(failed(format!("it never comes to rest: {}", now.directory)));
                }
                passed.push(name);
                let after = now.after(happening, Fault::None, rules, scope, false);
                if let Some(violation) = after.violation {
                    let what = format!("on the way to rest, {happening}: {}", violation.what);
                    return Err(Violation { what, ..violation });
                }
                now = after.state;
            }
            if !well.contains(&now.name()) {
                at_rest(state, &now, trial).map_err(failed)?;
                passed.push(now.name());
            }
            self.longest = self.longest.max(passed.len());
            well.extend(passed);
        }
        Ok(())
    }
}

/// What happens next where nothing goes wrong; `None` when nothing more will.
fn next(state: &State, trial: Trial) -> Option<Happening> {
    use Happening as H;
    if state.cleaning.is_some() {
        return Some(H::CleanUpRemoves);
    }
    match state.pulling {
        Some(puller) if puller.ours && !puller.done => return Some(H::CheckFails),
        Some(puller) if puller.done => return Some(H::PullEnds),
        // A person's pull without a registry.
        Some(_) => return Some(H::PullStages),
        None => {}
    }
    let Some(machine) = &state.live else { return Some(H::PowerOn) };
    match state.helper {
        Some(Helper::Check) => return Some(H::CheckFails),
        Some(Helper::Restore(_)) => return Some(H::RestoreEnds(false)),
        Some(Helper::Verify(..) | Helper::VerifyAll(_)) => return Some(H::VerifyEnds(false)),
        Some(Helper::CleanUp) => return Some(H::CleanUpBegins { ours: true }),
        None => {}
    }
    let process = state.process;
    match (&machine.phase, process) {
        (_, Some(process)) if !process.main => Some(H::LastChildEnds),
        (Phase::Running(run), Some(_)) if run.trial_ends.is_some() => Some(match trial {
            Trial::Good if process.is_some_and(|process| !process.ready) => H::Ready,
            // It was told why it can't be committed.
            Trial::Good => H::Deadline,
            Trial::Bad => H::Ends(Exit::Code(1), false),
        }),
        (Phase::Running(run), Some(_)) => run.probation_ends.is_some().then_some(H::Deadline),
        (Phase::Stopping { killed: true, .. }, Some(_)) => Some(H::Ends(Exit::Signal(9), false)),
        (Phase::Stopping { .. }, Some(_)) => Some(H::Ends(Exit::Code(0), false)),
        // It waits for a registry that is not there, unless there is something else.
        (Phase::Installing { .. }, None) => {
            let is_there = Slot::ALL.iter().any(|slot| state.directory.runnable(*slot).is_some());
            is_there.then_some(H::Deadline)
        }
        _ => machine.deadline().map(|_| H::Deadline),
    }
}

/// What runs in the end is there, and the one that was good before, if there was one.
fn at_rest(begun: &State, now: &State, trial: Trial) -> Result<(), String> {
    let directory = &begun.directory;
    // A version that never was the current one may turn out to be none.
    let is_good = |version: &Version| {
        let number = version.number();
        let may_fail = trial == Trial::Bad && directory.held(Slot::Current).is_some();
        // One that crashes gives way to one whose damage nobody knows of yet.
        let is_doubtful = begun.past.guilty[number] && directory.trees.contains(&Tree::Damaged);
        (begun.past.been[number] && !is_doubtful)
            || (!may_fail && begun.live.is_none() && directory.judged[number] == Judged::No)
    };
    let candidates: Vec<Version> =
        Slot::ALL.iter().filter_map(|slot| directory.runnable(*slot)).filter(is_good).collect();
    let Some(process) = now.process else {
        return match candidates.first() {
            Some(version) => Err(format!("nothing runs although {version} is there: {}", now.directory)),
            None => Ok(()),
        };
    };
    // What was damaged while it runs is found when it is to be started again.
    let was_running = begun.process.is_some_and(|before| before.version == process.version);
    if now.directory.trees[process.version.number()] != Tree::Whole && !was_running {
        return Err(format!("{} runs, and its tree is not whole", process.version));
    }
    Ok(())
}
