//! The way back: the old version is brought back exactly as it was, and what the new one failed with is written down.

use super::scene::{is_up, is_wreck};
use super::swap::{Ongoing, need_not_prove};
use super::{Decision, Step, names};
use crate::engine::State;
use crate::swap::{Cause, Failure, Reason, Stage};

/// From whatever stage: the failure is written down before anything is undone.
pub(super) fn begin(ongoing: &Ongoing<'_>, failure: Failure, why: &str) -> Decision {
    let failure = weighed(ongoing, failure);
    let mut all = vec![ongoing.record(Stage::Revert(failure.clone()))];
    all.extend(steps(ongoing, &failure));
    Decision::act(format!("{} is rolled back: {why}", ongoing.swap.target.version), all)
}

/// A revert under way. It is tried once; what is left to mend after a step failed is mended like anything else that is not as it has to be.
pub(super) fn go_on(ongoing: &Ongoing<'_>, failure: &Failure) -> Decision {
    let swap = ongoing.swap;
    let why = format!("{} is rolled back: {}", swap.target.version, failure.text);
    if ongoing.scene.known.failures.contains_key(&swap.container) {
        return Decision::act(why, vec![judge(ongoing, failure), ongoing.finish()]);
    }
    Decision::act(why, steps(ongoing, failure))
}

/// What has worked before with these options is not to blame when restoring it fails.
fn weighed(ongoing: &Ongoing<'_>, failure: Failure) -> Failure {
    if failure.reason == Reason::App && need_not_prove(ongoing.scene, ongoing.swap) {
        return Failure { reason: Reason::Environment, ..failure };
    }
    failure
}

fn judge(ongoing: &Ongoing<'_>, failure: &Failure) -> Step {
    Step::Judge { container: ongoing.swap.container.clone(), failure: failure.clone() }
}

fn steps(ongoing: &Ongoing<'_>, failure: &Failure) -> Vec<Step> {
    let (scene, swap) = (ongoing.scene, ongoing.swap);
    let mut steps = Vec::new();
    let started = ongoing.new.filter(|new| new.state != State::Created && !is_wreck(new.state));
    steps.extend(started.map(|new| Step::KeepLog(new.id.clone())));
    // What was in force is only judged: it runs, or ran, until there is something better.
    let is_judged_only = swap.cause == Cause::Probation && swap.old.is_none();
    if !is_judged_only {
        if let Some(new) = ongoing.new
            && is_up(new.state)
        {
            steps.push(Step::Stop(new.id.clone()));
        }
        if let Some(old) = ongoing.old.filter(|old| !is_wreck(old.state)) {
            let room: Vec<_> = ongoing.new.iter().map(|new| &new.id).chain([&old.id]).collect();
            let operation = old.made().map(|made| made.operation).unwrap_or_default();
            let name = names::current(scene, &swap.container, &operation, &room);
            if let Some(new) = ongoing.new
                && new.name == name
            {
                let name = names::new(scene, &swap.container, &swap.operation);
                steps.push(Step::Rename { id: new.id.clone(), name });
            }
            if old.name != name {
                steps.push(Step::Rename { id: old.id.clone(), name });
            }
            if swap.old_ran && old.state != State::Running {
                steps.push(Step::Start(old.id.clone()));
            }
        }
        let new = ongoing.new.filter(|new| new.state != State::Removing);
        steps.extend(new.map(|new| Step::Remove(new.id.clone())));
    }
    steps.push(judge(ongoing, failure));
    steps.push(ongoing.finish());
    steps
}
