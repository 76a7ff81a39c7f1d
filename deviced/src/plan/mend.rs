//! What is mended without replacing a container: one that is down is started, one that is frozen or cut off is started again, what somebody changed
//! is changed back.

use super::namespace::{self, Change};
use super::scene::Scene;
use super::{Decision, Step, drift, names, order};
use crate::desired::Wanted;
use crate::document::run::restart::Restart;
use crate::engine::{Container, State};

/// What is to be mended; `None` if nothing is.
pub(super) fn mend(scene: Scene<'_>, wanted: &Wanted, current: &Container) -> Option<Decision> {
    let (why, steps) = steps(scene, wanted, current)?;
    if let Some(rest) = scene.known.rests.get(&wanted.id) {
        return Some(Decision::wait(format!("{why}; it was mended a short while ago"), Some(*rest)));
    }
    let starts = steps.iter().any(|step| matches!(step, Step::Start(_)));
    if starts && let Some(unmet) = order::unmet(scene, wanted) {
        return Some(Decision::wait(unmet, None));
    }
    Some(Decision::act(why, steps))
}

fn steps(scene: Scene<'_>, wanted: &Wanted, current: &Container) -> Option<(String, Vec<Step>)> {
    let id = || current.id.clone();
    match current.state {
        State::Created => Some(("it is started".to_owned(), vec![Step::Start(id())])),
        State::Exited => {
            let code = scene.inspection(current).map(|inspection| inspection.exit_code);
            is_to_be_started(wanted.restart, code).then(|| {
                let how = code.map(|code| format!("it ended with {code}, and ")).unwrap_or_default();
                (format!("{how}is started again"), vec![Step::Start(id())])
            })
        }
        // The engine refuses to start what is frozen.
        State::Paused => Some((
            "its processes are frozen: it is stopped and started".to_owned(),
            vec![Step::Stop(id()), Step::Start(id())],
        )),
        State::Running => running(scene, wanted, current),
        State::Restarting | State::Removing | State::Dead => None,
    }
}

/// Whether a container that ended is started by deviced. What the engine would start itself, it has given up or was told to leave; a job that ended
/// well is done.
const fn is_to_be_started(restart: Restart, code: Option<i64>) -> bool {
    match restart {
        Restart::Always | Restart::UnlessStopped => true,
        Restart::No | Restart::OnFailure(_) => matches!(code, Some(code) if code != 0),
    }
}

fn running(scene: Scene<'_>, wanted: &Wanted, current: &Container) -> Option<(String, Vec<Step>)> {
    let again = || vec![Step::Stop(current.id.clone()), Step::Start(current.id.clone())];
    if let Some(Change::Restarted(owner)) = namespace::change(scene, wanted, current) {
        return Some((format!("{owner}, whose namespace it shares, was started again: so is it"), again()));
    }
    if let Some(other) = order::restarted_with(scene, wanted, current) {
        return Some((format!("{other} was replaced: it is started again"), again()));
    }
    let mut steps = in_place(scene, current);
    let made = current.made()?;
    let name = names::current(scene, &wanted.id, &made.operation, &[&current.id]);
    if current.name != name {
        steps.push(Step::Rename { id: current.id.clone(), name });
    }
    (!steps.is_empty()).then(|| ("what somebody changed by hand is changed back".to_owned(), steps))
}

/// Only against the spec that it was made from: another one is a matter of replacing it.
fn in_place(scene: Scene<'_>, current: &Container) -> Vec<Step> {
    let Some(own) = scene.own_target(current) else { return Vec::new() };
    let drift = drift::by_hand(scene, current, &own.spec);
    drift::in_place(scene, current, &own.spec, &drift)
}
