//! Containers that live in another's network, IPC or process namespace: what becomes of them when that one is replaced or started again.

use serde_json::Value;

use super::scene::Scene;
use crate::desired::Wanted;
use crate::engine::{Container, ContainerId, State};

/// What happened to the owner of a namespace since a container joined it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// It is another container now: this one has to be made anew.
    Replaced(String),
    /// It was started again: this one has to be, too.
    Restarted(String),
}

/// What happened to the owners of a container's namespaces. Nothing while one of them does not run, or is being replaced: it may come back.
pub(super) fn change(scene: Scene<'_>, wanted: &Wanted, container: &Container) -> Option<Change> {
    let owners: Vec<(&str, &Container)> = wanted
        .joins
        .iter()
        .map(|owner| {
            let current = scene.reliable(owner).filter(|current| current.state == State::Running);
            current.map(|current| (owner.as_str(), current))
        })
        .collect::<Option<_>>()?;
    let joined = joined(scene, container);
    let stale = joined.iter().find(|id| !owners.iter().any(|(_, current)| current.id == **id));
    if stale.is_some() {
        let (owner, _) = owners.first()?;
        return Some(Change::Replaced((*owner).to_owned()));
    }
    let own = started(scene, container)?;
    owners.into_iter().filter(|(_, current)| joined.contains(&current.id)).find_map(|(owner, current)| {
        (started(scene, current)? > own).then(|| Change::Restarted(owner.to_owned()))
    })
}

/// The containers whose namespaces it was created in.
fn joined(scene: Scene<'_>, container: &Container) -> Vec<ContainerId> {
    let inspected = |name: &str| {
        let body = &scene.inspection(container)?.body;
        body.pointer("/HostConfig").and_then(|host| host.get(name)).and_then(Value::as_str)
    };
    let modes = [Some(container.network_mode.as_str()), inspected("IpcMode"), inspected("PidMode")];
    let ids = modes.into_iter().flatten().filter_map(|mode| mode.strip_prefix("container:"));
    ids.map(|id| ContainerId(id.to_owned())).collect()
}

/// When it was started last, by the engine's clock; `None` if it never was, or was not inspected.
pub(super) fn started(scene: Scene<'_>, container: &Container) -> Option<jiff::Timestamp> {
    let started: jiff::Timestamp = scene.inspection(container)?.started_at.parse().ok()?;
    // The engine writes "never" as the year 1.
    (started > jiff::Timestamp::UNIX_EPOCH).then_some(started)
}
