//! Networks in the engine's words.

use std::cmp::Reverse;

use serde_json::{Map, Value, json};

use super::build::Names;
use super::members::Members;
use crate::document::run::Run;
use crate::document::run::network::Attachment;

/// The engine's network for containers that name none. It knows no aliases.
pub(super) const DEFAULT: &str = "bridge";

/// `NetworkMode`, and an endpoint for each network. The one with the highest priority is the mode: it is attached first.
pub(super) fn networks(
    run: &Run,
    names: &Names,
    body: &mut Members,
    host: &mut Members,
) -> Result<(), String> {
    let mut networks = Vec::new();
    for (name, attachment) in &run.networks.0 {
        let engine = names.networks.get(name).map(String::as_str);
        let engine = engine.or_else(|| (name == "default").then_some(DEFAULT));
        let engine = engine.ok_or_else(|| format!("`networks`: there is no network `{name}`"))?;
        networks.push((engine, attachment));
    }
    networks.sort_by_key(|(name, attachment)| (Reverse(attachment.priority), *name));
    let main = networks.first().map(|(name, _)| *name);
    host.some("NetworkMode", run.network_mode.as_deref().or(main));
    let endpoints: Map<String, Value> = networks
        .iter()
        .map(|(name, attachment)| ((*name).to_owned(), endpoint(name, attachment, &names.id)))
        .collect();
    // Podman has no network of that name, only the mode.
    let is_default_alone =
        endpoints.len() == 1 && endpoints.get(DEFAULT).is_some_and(|own| *own == json!({}));
    if !endpoints.is_empty() && !is_default_alone {
        let mut config = Members::default();
        config.set("EndpointsConfig", endpoints);
        body.set("NetworkingConfig", config.0);
    }
    Ok(())
}

/// What a container is in a network. It answers to its id in the document.
fn endpoint(network: &str, attachment: &Attachment, id: &str) -> Value {
    let mut endpoint = Members::default();
    if network != DEFAULT {
        let others = attachment.aliases.iter().map(String::as_str).filter(|alias| *alias != id);
        endpoint.list("Aliases", std::iter::once(id).filter(|id| !id.is_empty()).chain(others));
    }
    let mut addresses = Members::default();
    addresses.some("IPv4Address", attachment.ipv4_address.map(|address| address.to_string()));
    addresses.some("IPv6Address", attachment.ipv6_address.map(|address| address.to_string()));
    addresses.list("LinkLocalIPs", attachment.link_local_ips.iter().map(ToString::to_string));
    endpoint.object("IPAMConfig", addresses.0);
    endpoint.some("MacAddress", attachment.mac_address.as_deref());
    endpoint.object("DriverOpts", attachment.driver_opts.clone());
    endpoint.0.into()
}
