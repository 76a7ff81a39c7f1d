//! Containers of ours that the document does not name.

use std::collections::{BTreeMap, BTreeSet};

use super::scene::{Scene, is_up};
use super::{Decision, Status, Step, swap};
use crate::document::RemoveUnknown;
use crate::engine::{Container, State};

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
