//! Networks and volumes of the document -> bodies of the engine's create calls. Pure.

use serde_json::{Map, Value, json};

use super::build::labelled;
use super::members::Members;
use crate::document::resources::{Ipam, Network, Subnet, Volume};
use crate::document::run::words::{Pairs, Word};
use crate::labels;

/// The body of `POST /networks/create` for the network that is called so in the document.
pub fn network_body(name: &str, network: &Network) -> Value {
    let mut body = Members::default();
    body.set("Name", network.name.as_deref().unwrap_or(name));
    body.some("Driver", network.driver.as_deref());
    body.object("Options", words(&network.driver_opts));
    body.truth("Attachable", network.attachable);
    body.truth("Internal", network.internal);
    body.truth("EnableIPv6", network.enable_ipv6);
    body.some("IPAM", network.ipam.as_ref().map(ipam));
    body.set("Labels", ours(name, &network.labels));
    body.0.into()
}

fn ipam(ipam: &Ipam) -> Value {
    let mut body = Members::default();
    body.some("Driver", ipam.driver.as_deref());
    body.list("Config", ipam.config.iter().map(subnet));
    body.object("Options", words(&ipam.options));
    body.0.into()
}

fn subnet(subnet: &Subnet) -> Value {
    let mut body = Members::default();
    body.some("Subnet", subnet.subnet.as_deref());
    body.some("IPRange", subnet.ip_range.as_deref());
    body.some("Gateway", subnet.gateway.as_deref());
    body.object("AuxiliaryAddresses", subnet.aux_addresses.clone());
    body.0.into()
}

/// The body of `POST /volumes/create` for the volume that is called so in the document.
pub fn volume_body(name: &str, volume: &Volume) -> Value {
    let mut body = Members::default();
    body.set("Name", volume.name.as_deref().unwrap_or(name));
    body.some("Driver", volume.driver.as_deref());
    body.object("DriverOpts", words(&volume.driver_opts));
    body.set("Labels", ours(name, &volume.labels));
    body.0.into()
}

/// Labels of the document, and the one by which it is found again.
fn ours(name: &str, labels: &Pairs) -> Value {
    let mut labels = labelled(labels);
    labels.insert(labels::ID.to_owned(), json!(name));
    labels.into()
}

fn words(words: &std::collections::BTreeMap<String, Word>) -> Map<String, Value> {
    words.iter().map(|(name, Word(value))| (name.clone(), value.as_str().into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let network = |value| network_body("front", &serde_json::from_value::<Network>(value).unwrap());
        assert_eq!(network(json!({})), json!({"Name": "front", "Labels": {"deviced.id": "front"}}));
        assert_eq!(
            network(json!({
                "name": "acme_front", "driver": "macvlan", "driver_opts": {"parent": "eth0", "mtu": 1400},
                "attachable": true, "internal": true, "enable_ipv6": true, "labels": {"a": "b", "c": null},
                "ipam": {
                    "driver": "default", "options": {"x": 1},
                    "config": [{
                        "subnet": "172.28.0.0/16", "ip_range": "172.28.5.0/24", "gateway": "172.28.0.1",
                        "aux_addresses": {"router": "172.28.0.9"},
                    }],
                },
            })),
            json!({
                "Name": "acme_front", "Driver": "macvlan",
                "Options": {"parent": "eth0", "mtu": "1400"},
                "Attachable": true, "Internal": true, "EnableIPv6": true,
                "IPAM": {
                    "Driver": "default", "Options": {"x": "1"},
                    "Config": [{
                        "Subnet": "172.28.0.0/16", "IPRange": "172.28.5.0/24", "Gateway": "172.28.0.1",
                        "AuxiliaryAddresses": {"router": "172.28.0.9"},
                    }],
                },
                "Labels": {"a": "b", "c": "", "deviced.id": "front"},
            })
        );
    }

    #[test]
    fn volumes() {
        let volume = |value| volume_body("data", &serde_json::from_value::<Volume>(value).unwrap());
        assert_eq!(volume(json!({})), json!({"Name": "data", "Labels": {"deviced.id": "data"}}));
        assert_eq!(
            volume(
                json!({"name": "acme", "driver": "local", "driver_opts": {"type": "tmpfs"}, "labels": ["a=b"]})
            ),
            json!({
                "Name": "acme", "Driver": "local", "DriverOpts": {"type": "tmpfs"},
                "Labels": {"a": "b", "deviced.id": "data"},
            })
        );
    }
}
