//! Containers of ours that the document does not name.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use super::scene::{Scene, is_up};
use super::{Decision, Status, Step, swap};
use crate::document::RemoveUnknown;
use crate::engine::{Container, ContainerId, State};
use crate::spec::{self, Spec};

/// Decides about each of them.
pub(super) fn decide(scene: Scene<'_>) -> BTreeMap<String, Decision> {
    let made = scene.observed.containers.iter().filter_map(Container::made).map(|made| made.container);
    let ids: BTreeSet<_> = made.chain(scene.known.swaps.keys().cloned()).collect();
    ids.into_iter()
        .filter(|id| !scene.desired.containers.contains_key(id))
        .map(|id| {
            let decision = stray(scene, &id);
            (id, decision)
        })
        .collect()
}

/// A container of the document whose version, with the options that it has to run with, needs this one: it was rolled back to, or is all that
/// works. What the document says is not broken by what it no longer says.
fn user<'a>(scene: Scene<'a>, id: &str) -> Option<&'a str> {
    let shares = |spec: &Spec| {
        let found = Cell::new(false);
        // Whether others can be found does not matter here.
        let _ = spec::resolve(spec, |service| {
            found.set(found.get() || service == id);
            Some(ContainerId(String::new()))
        });
        found.get()
    };
    let wanted = scene.desired.containers.values();
    let mut users = wanted.filter(|wanted| wanted.target.as_ref().is_ok_and(|target| shares(&target.spec)));
    users.next().map(|wanted| wanted.id.as_str())
}

fn owns(scene: Scene<'_>, id: &str, owner: &Container, user: &str) -> Decision {
    let why = format!("the document does not name it, and {user} shares its namespace: it stays for as long");
    if owner.state == State::Running {
        return Decision::new(Status::Settled, why);
    }
    match scene.known.rests.get(id) {
        Some(left) => Decision::wait(why, Some(*left)),
        None => Decision::act(why, vec![Step::Start(owner.id.clone())]),
    }
}

fn stray(scene: Scene<'_>, id: &str) -> Decision {
    const WHY: &str = "the document does not name it";
    if scene.known.busy.contains(id) {
        return Decision::new(Status::Acting, "its steps are being carried out");
    }
    if let Some(swap) = scene.swap(id) {
        return swap::wind_up(scene, swap);
    }
    if let Some(failure) = scene.known.failures.get(id) {
        return Decision::wait(failure.text.clone(), Some(failure.left));
    }
    let containers = || scene.observed.of(id);
    if let Some(user) = user(scene, id)
        && let Some(owner) = containers().next()
    {
        return owns(scene, id, owner, user);
    }
    let stop = containers()
        .filter(|container| is_up(container.state))
        .map(|container| Step::Stop(container.id.clone()));
    match scene.desired.remove_unknown {
        RemoveUnknown::Keep => {
            Decision::new(Status::Settled, format!("{WHY}: it goes on, since `removeUnknown` is `keep`"))
        }
        RemoveUnknown::Stop => {
            let steps: Vec<_> = stop.collect();
            let status = if steps.is_empty() { Status::Stopped } else { Status::Acting };
            Decision { steps, ..Decision::new(status, format!("{WHY}: it is stopped and kept")) }
        }
        RemoveUnknown::Remove => {
            let whole = containers().filter(|container| container.state != State::Removing);
            let remove = whole.map(|container| Step::Remove(container.id.clone()));
            Decision::act(format!("{WHY}: it is removed, and its volumes stay"), stop.chain(remove).collect())
        }
    }
}
