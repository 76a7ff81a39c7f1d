//! Ports in the engine's words.

use serde_json::{Map, Value, json};

use super::members::Members;
use crate::document::run::Run;
use crate::document::run::port::{Port, Range};
use crate::document::run::words::Word;

/// `ExposedPorts` of the container, and `PortBindings` of the host.
pub(super) fn ports(run: &Run, container: &mut Members, host: &mut Members) -> Result<(), String> {
    let mut exposed = Map::new();
    let mut bindings: Map<String, Value> = Map::new();
    for Word(text) in &run.expose {
        let port = Port::read(text).ok().filter(|port| port.published.is_none() && port.address.is_none());
        let port = port.ok_or_else(|| {
            format!("`expose`: {text:?} is no port of a container; write a number or a range, for example 8080 or 53/udp")
        })?;
        exposed.extend(targets(&port).map(|(_, target)| (target, json!({}))));
    }
    for port in &run.ports {
        for (offset, target) in targets(port) {
            exposed.insert(target.clone(), json!({}));
            let binding = json!({
                "HostIp": port.address.map(|address| address.to_string()).unwrap_or_default(),
                "HostPort": published(port, offset),
            });
            if let Value::Array(bound) = bindings.entry(target).or_insert_with(|| json!([])) {
                bound.push(binding);
            }
        }
    }
    container.object("ExposedPorts", exposed);
    host.object("PortBindings", bindings);
    Ok(())
}

/// Each port of the container, with its place in the range.
fn targets(port: &Port) -> impl Iterator<Item = (u16, String)> {
    let Range { first, last } = port.target;
    (first..=last).map(move |target| (target - first, format!("{target}/{}", port.protocol)))
}

/// Nothing for any free port; a range for any of its ports.
fn published(port: &Port, offset: u16) -> String {
    match port.published {
        None => String::new(),
        Some(range) if range.count() == port.target.count() => range.first.saturating_add(offset).to_string(),
        Some(range) => range.to_string(),
    }
}
