//! One container of the document: what is done about it now.

use std::collections::BTreeMap;
use std::time::Duration;

use super::scene::{Scene, is_up};
use super::{Decision, PullState, Status, Step, begin, drift, leftovers, mend, need, swap};
use crate::desired::Wanted;
use crate::document::quantity::Span;
use crate::engine::{Container, Health, State};
use crate::swap::{CRASHES, Cause, Drift, Failure, Reason, Stage, Swap};

/// Decides about one container. `decided` are those that it may depend on.
pub(super) fn decide(scene: Scene<'_>, wanted: &Wanted, decided: &BTreeMap<String, Decision>) -> Decision {
    let current = scene.current(&wanted.id);
    let decision = decide_about(scene, wanted, current, decided);
    Decision { drift: differences(scene, wanted, current), ..decision }
}

fn decide_about(
    scene: Scene<'_>,
    wanted: &Wanted,
    current: Option<&Container>,
    decided: &BTreeMap<String, Decision>,
) -> Decision {
    if scene.known.busy.contains(&wanted.id) {
        return Decision::new(Status::Acting, "its steps are being carried out");
    }
    if let Some(swap) = scene.swap(&wanted.id) {
        return swap::go_on(scene, wanted, swap);
    }
    if let Some(why) = &wanted.paused {
        return Decision::new(Status::Paused, format!("left alone: {why}"));
    }
    if let Some(failure) = scene.known.failures.get(&wanted.id) {
        return Decision::wait(failure.text.clone(), Some(failure.left));
    }
    if wanted.stopped {
        return stopped(scene, wanted);
    }
    let stop = leftovers::stop(scene, wanted, current);
    if !stop.is_empty() {
        return Decision::act("an older container of it runs too, and is stopped", stop);
    }
    if let Some(current) = current
        && let Some(decision) = probation(scene, wanted, current)
    {
        return decision;
    }
    act(scene, wanted, current, decided)
}

fn stopped(scene: Scene<'_>, wanted: &Wanted) -> Decision {
    let up = scene.observed.of(&wanted.id).filter(|container| is_up(container.state));
    let steps: Vec<_> = up.map(|container| Step::Stop(container.id.clone())).collect();
    let status = if steps.is_empty() { Status::Stopped } else { Status::Acting };
    let why = format!("somebody stopped it; `deviced start {}` starts it", wanted.id);
    Decision { steps, ..Decision::new(status, why) }
}

/// A version that has proven itself, and then ended again and again while it was still watched, is judged after all. Choosing does the rest.
fn probation(scene: Scene<'_>, wanted: &Wanted, current: &Container) -> Option<Decision> {
    let version = scene.in_force(current)?;
    let is_over = version.probation.is_zero() || version.crashes < CRASHES;
    if is_over || scene.is_judged(&wanted.id, &version.target.digest, &version.target.spec.hash()) {
        return None;
    }
    let text = format!("it ended {} times after it had proven itself", version.crashes);
    let failure = Failure::new(Reason::App, text);
    let swap = Swap {
        container: wanted.id.clone(),
        operation: version.operation.clone(),
        cause: Cause::Probation,
        old: None,
        old_ran: false,
        target: version.target.clone(),
        stage: Stage::Revert(failure.clone()),
        interrupted: 0,
    };
    let steps = vec![
        Step::Record(swap),
        Step::KeepLog(current.id.clone()),
        Step::Judge { container: wanted.id.clone(), failure: failure.clone() },
        Step::Finish { container: wanted.id.clone() },
    ];
    Some(Decision::act(format!("{} is judged: {}", version.target.version, failure.text), steps))
}

/// Replaces it if it has to be and can be; else mends it; else says why it is as it is.
fn act(
    scene: Scene<'_>,
    wanted: &Wanted,
    current: Option<&Container>,
    decided: &BTreeMap<String, Decision>,
) -> Decision {
    let mut waits = None;
    if let Some((cause, target)) = need::replacement(scene, wanted, current) {
        match begin::hindrance(scene, wanted, &target, decided) {
            None => {
                let (pull, _) = pull(scene, wanted, current);
                let mut decision = begin::begin(scene, wanted, current, cause, target);
                decision.steps.splice(0..0, pull);
                return decision;
            }
            Some((why, again)) => waits = Some(Decision::wait(why, again)),
        }
    }
    let (pull, pulling) = pull(scene, wanted, current);
    let mended = current.and_then(|current| mend::mend(scene, wanted, current));
    let mut decision = mended
        .or(waits)
        .or(pulling)
        .or_else(|| tidy(scene, wanted, current))
        .unwrap_or_else(|| at_rest(scene, wanted, current));
    if pull.is_some() {
        decision.status = Status::Acting;
    }
    decision.steps.splice(0..0, pull);
    decision
}

/// Fetching the target's image, if it is needed and not here: the step, and what is to be said of it.
fn pull(scene: Scene<'_>, wanted: &Wanted, current: Option<&Container>) -> (Option<Step>, Option<Decision>) {
    let Ok(target) = &wanted.target else { return (None, None) };
    let is_needed = current.is_none_or(|current| need::differs(scene, wanted, current, target).is_some());
    if !is_needed || scene.has_image(target) {
        return (None, None);
    }
    match scene.known.pulls.get(&target.digest) {
        Some(PullState::Running) => {
            (None, Some(Decision::wait(format!("the image of {} is being pulled", target.version), None)))
        }
        Some(PullState::Failed(pause)) => {
            let why = format!("the image of {} could not be pulled: {}", target.version, pause.text);
            (None, Some(Decision::wait(why, Some(pause.left))))
        }
        None => {
            let step = Step::Pull {
                container: wanted.id.clone(),
                repository: target.repository.clone(),
                digest: target.digest.to_string(),
            };
            (
                Some(step),
                Some(Decision::act(format!("the image of {} is pulled", target.version), Vec::new())),
            )
        }
    }
}

/// Nothing is missing: what is left over goes, and what the history does not know is adopted.
fn tidy(scene: Scene<'_>, wanted: &Wanted, current: Option<&Container>) -> Option<Decision> {
    if let Some(steps) = current.and_then(|current| leftovers::adopt(scene, wanted, current)) {
        return Some(Decision::act("it was there already, and is taken over as it is", steps));
    }
    let steps = leftovers::remove(scene, wanted, current);
    (!steps.is_empty()).then(|| Decision::act("older containers of it are removed", steps))
}

/// Nothing is done: why.
fn at_rest(scene: Scene<'_>, wanted: &Wanted, current: Option<&Container>) -> Decision {
    if let Some(why) = &wanted.blocked {
        return Decision::new(Status::Blocked, why.clone());
    }
    let Some(current) = current else {
        let why = wanted.target.as_ref().err().cloned();
        return Decision::wait(
            why.unwrap_or_else(|| "its container can't be made yet".to_owned()),
            wanted.rest,
        );
    };
    if let Ok(target) = &wanted.target
        && need::differs(scene, wanted, current, target).is_some()
        && let Some(opens) = need::closed(scene, wanted, current)
    {
        let opens_in = Span(Duration::from_secs(opens.as_secs()));
        let why = format!("{} is ready, and waits for its window, which opens in {opens_in}", target.version);
        return Decision::wait(why, Some(opens));
    }
    let settled = |why: &str| Decision::new(Status::Settled, why);
    match (current.state, current.health, &wanted.target) {
        (State::Restarting, ..) => Decision::wait("it ended, and the engine starts it again", None),
        (State::Removing | State::Dead, ..) => {
            Decision::wait("it is half removed, and nothing is here to make it anew from", wanted.rest)
        }
        (_, _, Err(why)) => Decision::wait(format!("it goes on as it is: {why}"), None),
        (State::Running, Some(Health::Unhealthy), _) => {
            settled("it runs, and its health check says: unhealthy")
        }
        (State::Running, ..) => settled("it runs"),
        (State::Exited, ..) => settled("it has ended with 0, as it may"),
        (State::Created | State::Paused, ..) => settled("it is there"),
    }
}

/// What differs from what it has to be.
fn differences(scene: Scene<'_>, wanted: &Wanted, current: Option<&Container>) -> Vec<Drift> {
    let (Some(current), Ok(target)) = (current, &wanted.target) else { return Vec::new() };
    let mut all: Vec<_> = drift::of_version(current, target).into_iter().collect();
    let options = drift::of_spec(scene, current, target);
    if options.is_empty() {
        all.extend(drift::by_hand(scene, current, &target.spec));
    } else {
        all.extend(options);
    }
    all
}
