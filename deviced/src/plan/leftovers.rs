//! Containers of ours beside the current one, which no replacement is about: what a history that was lost, or a removal that failed, has left.

use super::Step;
use super::scene::{Scene, is_up};
use crate::desired::Wanted;
use crate::engine::{Container, State};
use crate::swap::{Cause, Stage, Swap};

/// All of them.
fn all<'a>(scene: Scene<'a>, wanted: &Wanted, current: Option<&Container>) -> Vec<&'a Container> {
    let current = current.map(|current| &current.id);
    scene.observed.of(&wanted.id).filter(|container| Some(&container.id) != current).collect()
}

/// Two must not run: those that run beside the current one are stopped.
pub(super) fn stop(scene: Scene<'_>, wanted: &Wanted, current: Option<&Container>) -> Vec<Step> {
    let up = all(scene, wanted, current).into_iter().filter(|container| is_up(container.state));
    up.map(|container| Step::Stop(container.id.clone())).collect()
}

/// Those that nobody will need: they failed, or what came after them runs and is known to have proven itself. One that never ran is no way back
/// either, but "created" says that of Docker only: Podman puts what ran back to it at a reboot. So it stays beside what is judged.
pub(super) fn remove(scene: Scene<'_>, wanted: &Wanted, current: Option<&Container>) -> Vec<Step> {
    let is_judged = current.is_some_and(|current| scene.is_of_judged(current));
    let is_in_force =
        current.is_some_and(|current| current.state == State::Running && scene.in_force(current).is_some());
    let is_safe = is_in_force && !is_judged;
    let has_failed =
        |container: &Container| container.has_failed(scene.versions(&wanted.id), &scene.known.verdicts);
    let removable = |container: &&Container| match container.state {
        State::Removing => false,
        State::Dead => true,
        State::Created => !is_judged || has_failed(container),
        _ => is_safe || has_failed(container),
    };
    let gone = all(scene, wanted, current).into_iter().filter(removable);
    gone.map(|container| Step::Remove(container.id.clone())).collect()
}

/// A running container that the history does not know is taken for the version that it says it is. If it may have been in the middle of
/// replacing another one, it has to prove itself first, and the other one is the way back. One that ends again and again is found out in its
/// probation.
pub(super) fn adopt(scene: Scene<'_>, wanted: &Wanted, current: &Container) -> Option<Vec<Step>> {
    if !matches!(current.state, State::Running | State::Restarting) || scene.in_force(current).is_some() {
        return None;
    }
    let made = current.made()?;
    let target = scene.own_target(current)?;
    let ran = all(scene, wanted, Some(current)).into_iter().filter(|container| {
        let has_failed = container.has_failed(scene.versions(&wanted.id), &scene.known.verdicts);
        container.state == State::Exited && !has_failed
    });
    let old = ran.max_by_key(|container| container.created);
    let adopted = Swap {
        container: wanted.id.clone(),
        operation: made.operation,
        cause: Cause::Adopted,
        old: old.map(|old| old.id.clone()),
        old_ran: old.is_some(),
        target,
        stage: if old.is_some() { Stage::Prove } else { Stage::Retire },
        interrupted: 0,
    };
    let mut steps = vec![Step::Record(adopted)];
    if old.is_none() {
        steps.push(Step::Commit { container: wanted.id.clone() });
        steps.push(Step::Finish { container: wanted.id.clone() });
    }
    Some(steps)
}
