//! A container to be made -> the engine's calls, by the version of its API. Pure.

use serde_json::{Map, Value, json};

use super::NewContainer;
use super::version::{Api, MANY_NETWORKS};

/// What has to be called.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Calls {
    /// `os/architecture[/variant]`: it stands in the query.
    pub(super) platform: Option<String>,
    /// The body of the create call.
    pub(super) body: Value,
    /// Networks that it is attached to afterwards, with its endpoints there.
    pub(super) connect: Vec<(String, Value)>,
    /// What such an engine can't do.
    pub(super) warnings: Vec<String>,
}

/// Before API 1.44 only the network of the mode can be given at the creation, and its hardware address is the container's; afterwards it is the
/// endpoint's.
pub(super) fn calls(new: &NewContainer, api: Api) -> Calls {
    let mut body = new.spec.0.clone();
    let mut calls = Calls::default();
    body.insert("Image".to_owned(), new.image.0.clone().into());
    if let Some(Value::String(platform)) = body.remove("Platform") {
        calls.platform = Some(platform);
    }
    let labels = new.labels.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    if let Value::Object(all) = body.entry("Labels").or_insert_with(|| json!({})) {
        all.extend(labels);
    }
    let mode =
        new.spec.get("/HostConfig/NetworkMode").and_then(Value::as_str).unwrap_or("default").to_owned();
    let mut endpoints = match new.spec.get("/NetworkingConfig/EndpointsConfig") {
        Some(Value::Object(endpoints)) => endpoints.clone(),
        _ => Map::new(),
    };
    if api >= MANY_NETWORKS {
        if let Some(address) = body.remove("MacAddress")
            && let Value::Object(main) = endpoints.entry(mode).or_insert_with(|| json!({}))
        {
            main.entry("MacAddress").or_insert(address);
        }
    } else {
        let (main, others): (Map<_, _>, Map<_, _>) =
            endpoints.into_iter().partition(|(name, _)| *name == mode);
        endpoints = main;
        if let Some(address) = endpoints.get(&mode).and_then(|main| main.get("MacAddress")) {
            body.entry("MacAddress").or_insert_with(|| address.clone());
        }
        for (name, endpoint) in others {
            if endpoint.get("MacAddress").is_some() {
                let warning = format!(
                    "network {name}: the hardware address is left out: this engine gives one in the first network alone (API {MANY_NETWORKS} and later can)"
                );
                calls.warnings.push(warning);
            }
            calls.connect.push((name, endpoint));
        }
    }
    body.remove("NetworkingConfig");
    if !endpoints.is_empty() {
        body.insert("NetworkingConfig".to_owned(), json!({"EndpointsConfig": endpoints}));
    }
    calls.body = Value::Object(body);
    calls
}

#[cfg(test)]
mod tests {
    use super::super::ImageId;
    use super::*;

    fn new(spec: Value) -> NewContainer {
        NewContainer {
            name: "web".to_owned(),
            image: ImageId("sha256:1".to_owned()),
            spec: serde_json::from_value(spec).unwrap(),
            labels: [("deviced.id".to_owned(), "web".to_owned())].into(),
        }
    }

    #[test]
    fn an_old_engine_is_given_one_network_and_a_new_one_all_of_them() {
        let new = new(json!({
            "Labels": {"a": "b"}, "Platform": "linux/arm64",
            "HostConfig": {"NetworkMode": "front"},
            "NetworkingConfig": {"EndpointsConfig": {
                "back": {"Aliases": ["web"], "MacAddress": "02:00:00:00:00:01"},
                "front": {"MacAddress": "02:00:00:00:00:02"},
            }},
        }));
        let labels = json!({"a": "b", "deviced.id": "web"});
        let old = calls(&new, Api::new(1, 43));
        assert_eq!(
            old.body,
            json!({
                "Image": "sha256:1", "Labels": labels, "MacAddress": "02:00:00:00:00:02", "HostConfig": {"NetworkMode": "front"},
                "NetworkingConfig": {"EndpointsConfig": {"front": {"MacAddress": "02:00:00:00:00:02"}}},
            })
        );
        assert_eq!(old.platform.as_deref(), Some("linux/arm64"));
        assert_eq!(
            old.connect,
            [("back".to_owned(), json!({"Aliases": ["web"], "MacAddress": "02:00:00:00:00:01"}))]
        );
        assert!(old.warnings.len() == 1 && old.warnings[0].starts_with("network back"), "{:?}", old.warnings);

        let recent = calls(&new, MANY_NETWORKS);
        assert!(recent.connect.is_empty() && recent.warnings.is_empty());
        assert_eq!(recent.body["NetworkingConfig"], Value::Object(new.spec.0.clone())["NetworkingConfig"]);
        assert_eq!(recent.body.get("MacAddress"), None);
    }

    #[test]
    fn the_hardware_address_of_a_container_is_that_of_its_first_network() {
        let address = "02:00:00:00:00:03";
        for (spec, expected) in [
            (json!({"MacAddress": address}), json!({"default": {"MacAddress": address}})),
            (
                json!({
                    "MacAddress": address, "HostConfig": {"NetworkMode": "front"},
                    "NetworkingConfig": {"EndpointsConfig": {"front": {"Aliases": ["web"]}}},
                }),
                json!({"front": {"Aliases": ["web"], "MacAddress": address}}),
            ),
        ] {
            let recent = calls(&new(spec.clone()), MANY_NETWORKS).body;
            assert_eq!(recent["NetworkingConfig"]["EndpointsConfig"], expected);
            assert_eq!(recent.get("MacAddress"), None);
            assert_eq!(calls(&new(spec), Api::new(1, 41)).body["MacAddress"], address);
        }
    }

    #[test]
    fn a_spec_without_networks_gets_none() {
        let plain = calls(&new(json!({"Cmd": ["a"]})), Api::new(1, 41));
        assert_eq!(plain.body, json!({"Cmd": ["a"], "Image": "sha256:1", "Labels": {"deviced.id": "web"}}));
        assert_eq!(plain, calls(&new(json!({"Cmd": ["a"]})), MANY_NETWORKS));
    }
}
