//! Networks and volumes: what is missing is created, what has changed is made anew where that harms nobody. Volumes are never removed.

use super::Step;
use super::scene::Scene;
use crate::desired::Resource;
use crate::engine::{Container, Network};
use crate::labels;

/// Steps before those of any container.
pub(super) fn steps(scene: Scene<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    for (name, wanted) in scene.desired.networks.iter().filter(|(_, wanted)| !wanted.external) {
        match scene.observed.networks.iter().find(|network| network.name == *name) {
            None => steps.push(create_network(name, wanted)),
            Some(found) if differs(found, wanted) && in_the_way(scene, found).is_none() => {
                steps.extend(
                    attached(scene, name).map(|container| Step::Disconnect {
                        id: container.id.clone(),
                        network: name.clone(),
                    }),
                );
                steps.push(Step::RemoveNetwork(name.clone()));
                steps.push(create_network(name, wanted));
            }
            Some(_) => {}
        }
    }
    for (name, wanted) in scene.desired.volumes.iter().filter(|(_, wanted)| !wanted.external) {
        if !scene.observed.volumes.iter().any(|volume| volume.name == *name) {
            steps.push(Step::CreateVolume { name: name.clone(), body: wanted.body.clone() });
        }
    }
    let surplus = scene.observed.networks.iter().filter(|network| {
        is_ours(network)
            && !scene.desired.networks.contains_key(&network.name)
            && attached(scene, &network.name).next().is_none()
    });
    steps.extend(surplus.map(|network| Step::RemoveNetwork(network.name.clone())));
    steps
}

/// What can't be as the document says, in sentences.
pub(super) fn notes(scene: Scene<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    for (name, wanted) in &scene.desired.networks {
        let found = scene.observed.networks.iter().find(|network| network.name == *name);
        match (wanted.external, found) {
            (true, None) => notes.push(format!("network {name} is external, and is not there")),
            (false, Some(found)) if !is_ours(found) => {
                notes.push(format!("network {name} is not deviced's: it is used as it is"));
            }
            (false, Some(found)) if differs(found, wanted) => {
                if let Some(why) = in_the_way(scene, found) {
                    notes.push(format!("network {name} differs from the document, and stays: {why}"));
                }
            }
            _ => {}
        }
    }
    for (name, wanted) in &scene.desired.volumes {
        let found = scene.observed.volumes.iter().find(|volume| volume.name == *name);
        match (wanted.external, found) {
            (true, None) => notes.push(format!("volume {name} is external, and is not there")),
            (false, Some(found)) if found.labels.get(labels::SPEC) != hash(wanted) => {
                notes.push(format!(
                    "volume {name} is not as the document says, and stays as it is: it may hold data"
                ));
            }
            _ => {}
        }
    }
    notes
}

fn create_network(name: &str, wanted: &Resource) -> Step {
    Step::CreateNetwork { name: name.to_owned(), body: wanted.body.clone() }
}

fn is_ours(network: &Network) -> bool {
    network.labels.contains_key(labels::ID)
}

/// One of ours that was made from something else than the document says now.
fn differs(found: &Network, wanted: &Resource) -> bool {
    is_ours(found) && found.labels.get(labels::SPEC) != hash(wanted)
}

fn hash(wanted: &Resource) -> Option<&String> {
    match wanted.body.get("Labels")?.get(labels::SPEC)? {
        serde_json::Value::String(hash) => Some(hash),
        _ => None,
    }
}

fn attached<'a>(scene: Scene<'a>, name: &str) -> impl Iterator<Item = &'a Container> {
    scene.observed.containers.iter().filter(move |container| container.networks.contains_key(name))
}

/// Why a network can't be made anew now: somebody else uses it, or something is under way there.
fn in_the_way(scene: Scene<'_>, network: &Network) -> Option<String> {
    attached(scene, &network.name).find_map(|container| {
        let Some(made) = container.made() else {
            return Some(format!("{}, which is not deviced's, is attached to it", container.name));
        };
        let id = made.container;
        let known = scene.known;
        let wanted = scene.desired.containers.get(&id);
        let is_closed = known.closed.contains_key(&id) && !known.hurried.contains(&id);
        if known.busy.contains(&id) || known.swaps.contains_key(&id) {
            Some(format!("{id} is being worked on"))
        } else if is_closed {
            Some(format!("the window of {id} is closed"))
        } else if wanted.is_none_or(|wanted| wanted.paused.is_some()) {
            Some(format!("{id}, which is left alone, is attached to it"))
        } else {
            None
        }
    })
}
