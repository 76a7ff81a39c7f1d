//! Whether a container has to be replaced, why, and by what. Nothing here asks whether that can be done now.

use super::namespace::{self, Change};
use super::scene::{Scene, is_wreck};
use super::{drift, scene};
use crate::desired::{Target, Wanted};
use crate::engine::{Container, State};
use crate::swap::Cause;

/// The replacement that has to be, with an image that is here.
pub(super) fn replacement(
    scene: Scene<'_>,
    wanted: &Wanted,
    current: Option<&Container>,
) -> Option<(Cause, Target)> {
    let ready = ready(scene, wanted);
    let Some(current) = current else {
        return ready.or(meanwhile(scene, wanted)).map(|target| (Cause::Missing, target.clone()));
    };
    if let Some(why) = broken(scene, current) {
        let target = ready.or(meanwhile(scene, wanted)).cloned().or_else(|| own(scene, wanted, current))?;
        return Some((Cause::Broken(why), target));
    }
    if let Some(target) = ready
        && let Some(cause) = differs(scene, wanted, current, target)
        && closed(scene, wanted, current).is_none()
    {
        return Some((cause, target.clone()));
    }
    match namespace::change(scene, wanted, current) {
        Some(Change::Replaced(owner)) => Some((Cause::Namespace(owner), own(scene, wanted, current)?)),
        _ => None,
    }
}

/// What is there, to be made anew: not while that was just tried in vain, and not what was judged.
fn own(scene: Scene<'_>, wanted: &Wanted, current: &Container) -> Option<Target> {
    let own = scene.own_target(current).filter(|_| wanted.rest.is_none())?;
    (!scene.is_judged(&wanted.id, &own.digest, &own.spec.hash())).then_some(own)
}

/// The target, if its image is here.
fn ready<'a>(scene: Scene<'_>, wanted: &'a Wanted) -> Option<&'a Target> {
    wanted.target.as_ref().ok().filter(|target| scene.has_image(target))
}

fn meanwhile<'a>(scene: Scene<'_>, wanted: &'a Wanted) -> Option<&'a Target> {
    wanted.meanwhile.as_ref().filter(|target| scene.has_image(target))
}

/// Whether what is there is another version, or has other options, than it has to be.
pub(super) fn differs(
    scene: Scene<'_>,
    wanted: &Wanted,
    current: &Container,
    target: &Target,
) -> Option<Cause> {
    current.made()?;
    let is_version = drift::of_version(current, target).is_some();
    let options = drift::of_spec(scene, current, target);
    if !is_version && options.is_empty() {
        return None;
    }
    if wanted.pinned {
        return Some(Cause::Rollback);
    }
    if scene.is_of_judged(current) {
        return Some(Cause::Probation);
    }
    Some(if is_version { Cause::Version } else { Cause::Drift(options) })
}

/// How long a window keeps a version or options from being exchanged. It protects what runs; what does not run is mended at any time.
pub(super) fn closed(scene: Scene<'_>, wanted: &Wanted, current: &Container) -> Option<std::time::Duration> {
    let opens = scene.known.closed.get(&wanted.id).copied()?;
    let is_hurried = wanted.pinned || scene.known.hurried.contains(&wanted.id);
    (current.state == State::Running && !is_hurried).then_some(opens)
}

/// Why a container can't be made to run.
fn broken(scene: Scene<'_>, current: &Container) -> Option<String> {
    if is_wreck(current.state) {
        return Some("what is there is half removed".to_owned());
    }
    let inspection = scene.inspection(current)?;
    let has_failed = !scene::is_up(current.state) && !inspection.error.is_empty();
    has_failed.then(|| format!("what is there can't be started: {}", inspection.error))
}
