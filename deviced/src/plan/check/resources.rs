//! The steps for networks, volumes and images.

use std::collections::BTreeSet;

use super::{Facts, Violation, violation};
use crate::engine::Image;
use crate::labels;
use crate::plan::Step;

/// Steps before those of any container.
pub(super) fn check_networks(facts: Facts<'_>, steps: &[Step], violations: &mut Vec<Violation>) {
    let mut removed = BTreeSet::new();
    let mut detached = BTreeSet::new();
    for step in steps {
        let why = match step {
            Step::CreateNetwork { name, .. } => {
                let is_there = facts.observed.networks.iter().any(|network| network.name == *name);
                (is_there && !removed.contains(name)).then(|| "it is there already".to_owned())
            }
            Step::CreateVolume { name, .. } => {
                let is_there = facts.observed.volumes.iter().any(|volume| volume.name == *name);
                is_there.then(|| "it is there already, and may hold data".to_owned())
            }
            Step::Disconnect { id, network } => {
                detached.insert((id, network));
                let container = facts.observed.containers.iter().find(|container| container.id == *id);
                let is_ours = container.is_some_and(|container| container.labels.contains_key(labels::ID));
                (!is_ours).then(|| "it is not deviced's".to_owned())
            }
            Step::RemoveNetwork(name) => {
                removed.insert(name);
                let network = facts.observed.networks.iter().find(|network| network.name == *name);
                let is_ours = network.is_some_and(|network| network.labels.contains_key(labels::ID));
                let used = facts.observed.containers.iter().find(|container| {
                    container.networks.contains_key(name) && !detached.contains(&(&container.id, name))
                });
                match used {
                    _ if !is_ours => Some("it is not deviced's".to_owned()),
                    Some(container) => Some(format!("{} is attached to it", container.name)),
                    None => None,
                }
            }
            _ => Some("it is no step of a network or volume".to_owned()),
        };
        violations.extend(why.map(|why| violation("networks and volumes", step, why)));
    }
}

/// Images: only those that nobody names.
pub(super) fn check_images(facts: Facts<'_>, steps: &[Step], violations: &mut Vec<Violation>) {
    for step in steps {
        let why = match step {
            Step::RemoveImage(name) => {
                let has = |image: &&Image| image.tags.contains(name) || image.digests.contains(name);
                facts.observed.images.iter().find(has).and_then(|image| needed(facts, image))
            }
            _ => Some("it is no step of an image".to_owned()),
        };
        violations.extend(why.map(|why| violation("images", step, why)));
    }
}

/// Who needs an image.
fn needed(facts: Facts<'_>, image: &Image) -> Option<String> {
    if let Some(container) = facts.observed.containers.iter().find(|container| container.image_id == image.id)
    {
        return Some(format!("the container {} was made from it", container.name));
    }
    let is_it = |target: &crate::desired::Target| {
        let digest = format!("@{}", target.digest);
        target.image.as_ref() == Some(&image.id) || image.digests.iter().any(|name| name.ends_with(&digest))
    };
    if let Some(swap) = facts.known.swaps.values().find(|swap| is_it(&swap.target)) {
        return Some(format!("a replacement of {} needs it", swap.container));
    }
    let wanted = facts.desired.containers.values();
    if let Some(wanted) = wanted.clone().find(|wanted| wanted.target.as_ref().is_ok_and(is_it)) {
        return Some(format!("{} has to run it", wanted.id));
    }
    // The way back: what runs, or ran last, and one before it if any is to be kept.
    wanted.clone().find_map(|wanted| {
        let versions = facts.known.versions.get(&wanted.id)?;
        let newest = versions.first()?;
        let before = versions
            .iter()
            .find(|version| version.failure.is_none() && version.target.digest != newest.target.digest);
        let kept = before.filter(|_| wanted.update.keep > 0);
        [Some(newest), kept]
            .into_iter()
            .flatten()
            .find(|version| is_it(&version.target))
            .map(|version| format!("{} may go back to version {}", wanted.id, version.id))
    })
}
