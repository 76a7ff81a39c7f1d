//! What containers are called in the engine. People read these names; deviced finds its containers by labels.

use super::scene::Scene;
use crate::desired::Target;
use crate::engine::{Container, ContainerId};

/// The name of the current container: its id, unless somebody else has that name; Docker's names have two letters at least.
///
/// `ours` are the containers that make room for it.
pub(super) fn current(scene: Scene<'_>, id: &str, operation: &str, ours: &[&ContainerId]) -> String {
    let is_taken = |name: &str| has_name(scene, name).any(|container| !ours.contains(&&container.id));
    if id.len() > 1 && !is_taken(id) {
        return id.to_owned();
    }
    free(format!("{id}-{operation}"), is_taken)
}

/// The name of a new container until it takes the old one's place.
pub(super) fn new(scene: Scene<'_>, id: &str, operation: &str) -> String {
    free(format!("{id}.new-{operation}"), |name| has_name(scene, name).next().is_some())
}

/// The name of an old container that is kept until the new one has proven itself.
pub(super) fn old(scene: Scene<'_>, id: &str, operation: &str, old: &ContainerId) -> String {
    free(format!("{id}.old-{operation}"), |name| has_name(scene, name).any(|container| container.id != *old))
}

/// What becomes of what, for people: `1.4.2 -> 1.5.0`, or only the version if it stays the same.
pub(super) fn change(old: Option<&Container>, target: &Target) -> String {
    let from = old.and_then(Container::made).filter(|made| made.digest != Some(target.digest));
    let from = from.map(|made| format!("{} -> ", made.version));
    format!("{}{}", from.unwrap_or_default(), target.version)
}

fn has_name<'a>(scene: Scene<'a>, name: &str) -> impl Iterator<Item = &'a Container> {
    scene.observed.containers.iter().filter(move |container| container.name == name)
}

/// A name that is not taken, with a number if need be.
fn free(name: String, is_taken: impl Fn(&str) -> bool) -> String {
    if !is_taken(&name) {
        return name;
    }
    let numbered = (2_u32..).map(|number| format!("{name}-{number}"));
    numbered.into_iter().find(|name| !is_taken(name)).unwrap_or(name)
}
