//! What has to be there before a container is started, and what is replaced before it.

use std::collections::{BTreeMap, BTreeSet};

use super::scene::{Scene, is_up};
use super::{Decision, Step};
use crate::desired::{Desired, Wanted};
use crate::document::run::depends::{Condition, Dependency};
use crate::engine::{Container, Health, State};

/// All containers, each after those that it needs. A circle, which only overrides can make, is entered anywhere.
pub(super) fn dependencies_first(desired: &Desired) -> Vec<&Wanted> {
    let mut ordered = Vec::with_capacity(desired.containers.len());
    let mut seen = BTreeSet::new();
    for wanted in desired.containers.values() {
        // Without recursion: a document may be a long chain.
        let mut path = vec![(wanted, needs(wanted))];
        if !seen.insert(wanted.id.as_str()) {
            continue;
        }
        while let Some((wanted, rest)) = path.last_mut() {
            let Some(next) = rest.pop() else {
                ordered.push(*wanted);
                path.pop();
                continue;
            };
            if let Some(next) = desired.containers.get(next)
                && seen.insert(next.id.as_str())
            {
                path.push((next, needs(next)));
            }
        }
    }
    ordered
}

/// The ids that a container needs.
fn needs(wanted: &Wanted) -> Vec<&str> {
    wanted.depends.keys().chain(&wanted.joins).map(String::as_str).collect()
}

/// What is missing for a container to be started.
pub(super) fn unmet(scene: Scene<'_>, wanted: &Wanted) -> Option<String> {
    let joined = wanted.joins.iter().find_map(|owner| {
        let runs = scene.reliable(owner).is_some_and(|container| container.state == State::Running);
        (!runs).then(|| format!("waits for {owner}, whose namespaces or volumes it shares, to run"))
    });
    joined.or_else(|| {
        wanted.depends.iter().find_map(|(id, dependency)| {
            if !dependency.required && !may_come_up(scene, id) {
                return None;
            }
            missing(scene, id, dependency).map(|what| format!("waits for {id}: {what}"))
        })
    })
}

/// Whether it makes sense to wait for a container that is not required.
fn may_come_up(scene: Scene<'_>, id: &str) -> bool {
    scene.desired.containers.get(id).is_some_and(|wanted| {
        !wanted.stopped && wanted.paused.is_none() && (wanted.target.is_ok() || scene.reliable(id).is_some())
    })
}

/// What a dependency lacks.
fn missing(scene: Scene<'_>, id: &str, dependency: &Dependency) -> Option<String> {
    let Some(wanted) = scene.desired.containers.get(id) else {
        return Some("the document has no such container".to_owned());
    };
    let Some(container) = scene.reliable(id) else {
        let is_replaced = scene.swap(id).is_some();
        return Some(if is_replaced { "it is being replaced" } else { "it is not there yet" }.to_owned());
    };
    let exit = || scene.inspection(container).map(|inspection| inspection.exit_code);
    let has_done = container.state == State::Exited && exit() == Some(0);
    let lacks = match dependency.condition {
        Condition::ServiceStarted if container.state == State::Running || has_done => return None,
        Condition::ServiceHealthy if container.state == State::Running => match container.health {
            Some(Health::Healthy) => return None,
            Some(Health::Starting) => "it has to become healthy".to_owned(),
            Some(Health::Unhealthy) => "it is unhealthy".to_owned(),
            None => "it has no health check by which it could be healthy".to_owned(),
        },
        Condition::ServiceCompletedSuccessfully if has_done => return None,
        Condition::ServiceCompletedSuccessfully if is_up(container.state) => "it has to end".to_owned(),
        _ if wanted.stopped => "somebody stopped it".to_owned(),
        _ => match (container.state, exit()) {
            (State::Exited, Some(code)) => format!("it ended with {code}"),
            _ => "it does not run".to_owned(),
        },
    };
    Some(lacks)
}

/// A container that this one needs, and that is replaced first.
pub(super) fn replaced_first<'a>(
    scene: Scene<'_>,
    wanted: &'a Wanted,
    decided: &BTreeMap<String, Decision>,
) -> Option<&'a str> {
    needs(wanted).into_iter().find(|id| {
        let begins = decided
            .get(*id)
            .is_some_and(|decision| decision.steps.iter().any(|step| matches!(step, Step::Record(_))));
        begins || (scene.swap(id).is_some() && scene.reliable(id).is_none())
    })
}

/// Whether a container has to be started again because one that it needs was replaced after it was started (`restart: true`).
pub(super) fn restarted_with(scene: Scene<'_>, wanted: &Wanted, container: &Container) -> Option<String> {
    let started = super::namespace::started(scene, container)?;
    wanted.depends.iter().filter(|(_, dependency)| dependency.restart).find_map(|(id, _)| {
        let other = scene.reliable(id).filter(|other| other.state == State::Running)?;
        let created =
            scene.inspection(other)?.body.get("Created")?.as_str()?.parse::<jiff::Timestamp>().ok()?;
        (created > started).then(|| id.clone())
    })
}
