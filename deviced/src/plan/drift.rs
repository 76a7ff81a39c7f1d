//! What differs between what is and what has to be, and what of that can be mended in place.

use serde_json::Value;

use super::Step;
use super::scene::Scene;
use crate::desired::Target;
use crate::engine::Container;
use crate::spec::{self, Spec};
use crate::swap::Drift;

/// The spec that a container should have been made from differs from that of its label: how, in the document's words.
pub(super) fn of_spec(scene: Scene<'_>, container: &Container, target: &Target) -> Vec<Drift> {
    let Some(made) = container.made().filter(|made| made.spec != target.spec.hash()) else {
        return Vec::new();
    };
    let ran = scene.versions(&made.container).iter().find(|version| version.target.spec.hash() == made.spec);
    let drift = match (ran, scene.inspection(container)) {
        (Some(version), _) => spec::difference(&version.target.spec, &target.spec),
        (None, Some(inspection)) => spec::drift(&target.spec, &inspection.body, None),
        (None, None) => Vec::new(),
    };
    if !drift.is_empty() {
        return drift;
    }
    // Nothing that can be named: the hash differs all the same.
    vec![Drift { field: "run".to_owned(), wanted: Some(target.spec.hash().0), found: Some(made.spec.0) }]
}

/// The version differs.
pub(super) fn of_version(container: &Container, target: &Target) -> Option<Drift> {
    let made = container.made()?;
    if made.digest == Some(target.digest) {
        return None;
    }
    // A tag that has moved looks the same on both sides.
    let is_moved = made.version == target.version;
    let found = match made.digest {
        Some(digest) if is_moved => format!("{} ({})", made.version, digest.short()),
        _ => made.version,
    };
    let wanted = if is_moved {
        format!("{} ({})", target.version, target.digest.short())
    } else {
        target.version.clone()
    };
    Some(Drift { field: "version".to_owned(), wanted: Some(wanted), found: Some(found) })
}

/// What somebody changed of a container that was made from this very spec.
pub(super) fn by_hand(scene: Scene<'_>, container: &Container, spec: &Spec) -> Vec<Drift> {
    scene
        .inspection(container)
        .map(|inspection| spec::drift(spec, &inspection.body, None))
        .unwrap_or_default()
}

/// Steps that mend what somebody changed. What an engine can't change is as it was made, and only said.
pub(super) fn in_place(scene: Scene<'_>, container: &Container, spec: &Spec, drift: &[Drift]) -> Vec<Step> {
    let id = &container.id;
    let mut steps = networks(scene, container, spec);
    let mut host = serde_json::Map::new();
    for one in drift {
        if let Some(Value::Object(members)) = spec::in_place(std::slice::from_ref(one), spec) {
            host.extend(members);
        }
    }
    if !host.is_empty() {
        steps.push(Step::Update { id: id.clone(), host_config: Value::Object(host) });
    }
    steps
}

/// Networks that it has to be attached to and is not, and the other way round. Only where the spec names networks: what the engine's own ones are
/// called is its affair.
fn networks(scene: Scene<'_>, container: &Container, spec: &Spec) -> Vec<Step> {
    let Some(wanted) = spec.get("/NetworkingConfig/EndpointsConfig").and_then(Value::as_object) else {
        return Vec::new();
    };
    let exists = |name: &str| scene.observed.networks.iter().any(|network| network.name == name);
    let missing = wanted.iter().filter(|(name, _)| !container.networks.contains_key(*name) && exists(name));
    let connect = missing.map(|(name, endpoint)| Step::Connect {
        id: container.id.clone(),
        network: name.clone(),
        endpoint: endpoint.clone(),
    });
    let surplus = container.networks.keys().filter(|name| !wanted.contains_key(*name));
    let disconnect = surplus.map(|name| Step::Disconnect { id: container.id.clone(), network: name.clone() });
    connect.chain(disconnect).collect()
}
