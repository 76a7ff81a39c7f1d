//! Ports of the device that somebody else holds: a replacement would only find out after the old version was stopped.

use serde_json::Value;

use super::scene::{Scene, is_up};
use crate::desired::Target;
use crate::engine::{Container, PublishedPort};

/// Who holds a port that a version publishes, if that one is no container of the document. Those give up theirs by themselves, or never: then the
/// engine says so.
pub(super) fn holder(scene: Scene<'_>, id: &str, target: &Target) -> Option<String> {
    let wanted = published(target);
    let others = scene.observed.containers.iter().filter(|container| {
        is_up(container.state)
            && !container.made().is_some_and(|made| is_of_document(scene, id, &made.container))
    });
    others.into_iter().find_map(|container| {
        let port = container.ports.iter().find(|port| wanted.iter().any(|wanted| meets(wanted, port)))?;
        Some(said(port, container))
    })
}

fn is_of_document(scene: Scene<'_>, id: &str, other: &str) -> bool {
    other == id || scene.desired.containers.contains_key(other)
}

fn said(port: &PublishedPort, container: &Container) -> String {
    let whose = if container.made().is_some() {
        "which the document does not name"
    } else {
        "which is not deviced's"
    };
    format!("port {}/{} is held by the container {}, {whose}", port.published, port.protocol, container.name)
}

/// The ports that a spec publishes. Of ranges the engine takes a free one.
fn published(target: &Target) -> Vec<PublishedPort> {
    let bindings = target.spec.get("/HostConfig/PortBindings").and_then(Value::as_object);
    let one = |(inside, bindings): (&String, &Value)| -> Vec<PublishedPort> {
        let (number, protocol) = inside.split_once('/').unwrap_or((inside, "tcp"));
        let Ok(number) = number.parse() else { return Vec::new() };
        let text = |binding: &Value, name: &str| binding.get(name).and_then(Value::as_str).map(str::to_owned);
        let bindings = bindings.as_array().into_iter().flatten();
        bindings
            .filter_map(|binding| {
                Some(PublishedPort {
                    address: text(binding, "HostIp").and_then(|address| address.parse().ok()),
                    published: text(binding, "HostPort")?.parse().ok()?,
                    target: number,
                    protocol: protocol.to_owned(),
                })
            })
            .collect()
    };
    bindings.into_iter().flatten().flat_map(one).collect()
}

/// Whether both can't be listened at.
fn meets(one: &PublishedPort, other: &PublishedPort) -> bool {
    let all = |address: Option<std::net::IpAddr>| address.is_none_or(|address| address.is_unspecified());
    one.published == other.published
        && one.published != 0
        && one.protocol == other.protocol
        && (all(one.address) || all(other.address) || one.address == other.address)
}
