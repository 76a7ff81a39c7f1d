//! The beginning of a replacement, and what it waits for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::scene::{Scene, is_up};
use super::{Decision, Step, names, order, ports};
use crate::desired::{Target, Wanted};
use crate::engine::Container;
use crate::labels;
use crate::spec::{self, Spec};
use crate::swap::{Cause, Stage, Swap};

/// Why a replacement can't begin now, and when to look again.
pub(super) fn hindrance(
    scene: Scene<'_>,
    wanted: &Wanted,
    target: &Target,
    decided: &BTreeMap<String, Decision>,
) -> Option<(String, Option<Duration>)> {
    let now = |why: String| Some((why, None));
    if let Some(first) = order::replaced_first(scene, wanted, decided) {
        return now(format!("{first}, which it needs, comes first"));
    }
    if let Some(unmet) = order::unmet(scene, wanted) {
        return now(unmet);
    }
    if let Some(missing) = missing_resource(scene, &target.spec) {
        return now(missing);
    }
    if let Some(holder) = ports::holder(scene, &wanted.id, target) {
        return now(holder);
    }
    if !scene.known.operations.contains_key(&wanted.id) {
        return now("waits for a name for its operation".to_owned());
    }
    None
}

/// The first stage: it is written down, and the new container is created beside the old one.
pub(super) fn begin(
    scene: Scene<'_>,
    wanted: &Wanted,
    current: Option<&Container>,
    cause: Cause,
    target: Target,
) -> Decision {
    let swap = Swap {
        container: wanted.id.clone(),
        operation: scene.known.operations.get(&wanted.id).cloned().unwrap_or_default(),
        cause,
        old: current.map(|current| current.id.clone()),
        old_ran: current.is_some_and(|current| is_up(current.state)),
        target,
        stage: Stage::Create,
        interrupted: 0,
    };
    match create(scene, &swap) {
        Ok(create) => {
            let why = format!("{}, {}", names::change(current, &swap.target), swap.cause);
            Decision::act(why, vec![Step::Record(swap), create])
        }
        Err(why) => Decision::wait(why, None),
    }
}

/// The step that creates a swap's new container.
pub(super) fn create(scene: Scene<'_>, swap: &Swap) -> Result<Step, String> {
    let id = &swap.container;
    let image = swap.target.image.clone().filter(|image| scene.observed.image(image).is_some());
    let image = image.ok_or_else(|| format!("the image of {} is not here any more", swap.target.version))?;
    let owner = |owner: &str| scene.reliable(owner).map(|container| container.id.clone());
    let spec = spec::resolve(&swap.target.spec, owner)?;
    let first_name = names::current(scene, id, &swap.operation, &[]);
    let name = if swap.old.is_none() { first_name } else { names::new(scene, id, &swap.operation) };
    let labels = BTreeMap::from([
        (labels::ID.to_owned(), id.clone()),
        (labels::OPERATION.to_owned(), swap.operation.clone()),
        (labels::DIGEST.to_owned(), swap.target.digest.to_string()),
        (labels::VERSION.to_owned(), swap.target.version.clone()),
        (labels::SPEC.to_owned(), swap.target.spec.hash().0),
    ]);
    Ok(Step::Create { container: id.clone(), name, image, spec, labels })
}

/// A network or volume of the document that a spec names and that is not there (yet).
fn missing_resource(scene: Scene<'_>, spec: &Spec) -> Option<String> {
    let networks = networks(spec).into_iter().find_map(|name| {
        let resource = scene.desired.networks.get(&name)?;
        let is_there = scene.observed.networks.iter().any(|network| network.name == name);
        (!is_there).then(|| said("network", &name, resource.external))
    });
    networks.or_else(|| {
        volumes(spec).into_iter().find_map(|name| {
            let resource = scene.desired.volumes.get(&name)?;
            let is_there = scene.observed.volumes.iter().any(|volume| volume.name == name);
            (!is_there).then(|| said("volume", &name, resource.external))
        })
    })
}

fn said(kind: &str, name: &str, is_external: bool) -> String {
    if is_external {
        format!(
            "the {kind} {name} is not there; it is external: create it, or take `external` out of the document"
        )
    } else {
        format!("waits for the {kind} {name} to be created")
    }
}

/// Names of the networks of a spec.
pub(super) fn networks(spec: &Spec) -> BTreeSet<String> {
    let endpoints = spec.get("/NetworkingConfig/EndpointsConfig").and_then(Value::as_object);
    let mode = spec.get("/HostConfig/NetworkMode").and_then(Value::as_str);
    endpoints.into_iter().flatten().map(|(name, _)| name.clone()).chain(mode.map(str::to_owned)).collect()
}

/// Names of the volumes of a spec: of its `Mounts`, and of `Binds` that do not begin with a path.
fn volumes(spec: &Spec) -> BTreeSet<String> {
    let list = |pointer: &str| spec.get(pointer).and_then(Value::as_array).into_iter().flatten();
    let mounts = list("/HostConfig/Mounts").filter_map(|mount| {
        let is_volume = mount.get("Type").and_then(Value::as_str) == Some("volume");
        mount.get("Source").and_then(Value::as_str).filter(|_| is_volume)
    });
    let binds = list("/HostConfig/Binds").filter_map(|bind| bind.as_str()?.split(':').next());
    mounts.chain(binds.filter(|name| !name.starts_with('/'))).map(str::to_owned).collect()
}
