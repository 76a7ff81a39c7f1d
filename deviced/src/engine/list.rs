//! Entries of the engine's lists, as engines of different age write them. Pure.
//!
//! A field that is missing, null or of another type is taken as empty: one odd entry must not hide all others. Only an entry without an id is left out.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Map, Value};

use super::{Address, Container, ContainerId, Health, Image, ImageId, Network, PublishedPort, State, Volume};

/// `GET /containers/json?all=true`.
pub(super) fn containers(list: &Value) -> Vec<Container> {
    entries(list).filter_map(container).collect()
}

/// `GET /images/json`.
pub(super) fn images(list: &Value) -> Vec<Image> {
    entries(list).filter_map(image).collect()
}

/// `GET /networks`.
pub(super) fn networks(list: &Value) -> Vec<Network> {
    let network = |entry: &Value| {
        let (id, name) = (text(entry, "Id")?.to_owned(), text(entry, "Name")?.to_owned());
        Some(Network { id, name, body: entry.clone(), labels: labels(entry) })
    };
    entries(list).filter_map(network).collect()
}

/// `GET /volumes`.
pub(super) fn volumes(answer: &Value) -> Vec<Volume> {
    let volume = |entry: &Value| {
        Some(Volume { name: text(entry, "Name")?.to_owned(), body: entry.clone(), labels: labels(entry) })
    };
    answer.get("Volumes").map(entries).into_iter().flatten().filter_map(volume).collect()
}

fn entries(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name)?.as_str().filter(|text| !text.is_empty())
}

fn object<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    value.pointer(pointer).and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

fn labels(value: &Value) -> BTreeMap<String, String> {
    let label =
        |(name, value): (&String, &Value)| (name.clone(), value.as_str().unwrap_or_default().to_owned());
    object(value, "/Labels").map(label).collect()
}

fn container(entry: &Value) -> Option<Container> {
    let status = text(entry, "Status").unwrap_or_default();
    let networks = object(entry, "/NetworkSettings/Networks");
    let mut ports: Vec<_> = entry.get("Ports").map(entries).into_iter().flatten().filter_map(port).collect();
    ports.sort();
    ports.dedup();
    Some(Container {
        id: ContainerId(text(entry, "Id")?.to_owned()),
        name: name(entry).to_owned(),
        image: text(entry, "Image").unwrap_or_default().to_owned(),
        image_id: ImageId(text(entry, "ImageID").unwrap_or_default().to_owned()),
        state: state(text(entry, "State").unwrap_or_default(), status),
        health: entry
            .pointer("/Health/Status")
            .and_then(Value::as_str)
            .and_then(health)
            .or_else(|| health_of(status)),
        created: entry.get("Created").and_then(Value::as_i64).unwrap_or_default(),
        labels: labels(entry),
        ports,
        network_mode: entry
            .pointer("/HostConfig/NetworkMode")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        networks: networks.map(|(name, endpoint)| (name.clone(), address(endpoint))).collect(),
    })
}

/// A linked container has names of the form `/other/alias` besides.
fn name(entry: &Value) -> &str {
    let names = entry.get("Names").map(entries).into_iter().flatten().filter_map(Value::as_str);
    let mut names = names.map(|name| name.trim_start_matches('/'));
    names.find(|name| !name.contains('/')).unwrap_or_default()
}

/// An engine's word for a state. Podman has more words than Docker; of one that nobody knows the text for people says whether it runs.
pub(super) fn state(word: &str, status: &str) -> State {
    match word.to_ascii_lowercase().as_str() {
        "created" | "configured" | "initialized" => State::Created,
        "running" | "stopping" => State::Running,
        "paused" => State::Paused,
        "restarting" => State::Restarting,
        "exited" | "stopped" => State::Exited,
        "removing" => State::Removing,
        "dead" => State::Dead,
        _ if status.starts_with("Up") => State::Running,
        _ => State::Exited,
    }
}

pub(super) fn health(word: &str) -> Option<Health> {
    match word {
        "starting" => Some(Health::Starting),
        "healthy" => Some(Health::Healthy),
        "unhealthy" => Some(Health::Unhealthy),
        _ => None,
    }
}

/// Before API 1.52 a list has it in the text for people alone: `Up 2 minutes (health: starting)`.
fn health_of(status: &str) -> Option<Health> {
    let (_, word) = status.strip_suffix(')')?.rsplit_once('(')?;
    health(word.strip_prefix("health: ").unwrap_or(word))
}

fn address(endpoint: &Value) -> Address {
    let addresses = ["IPAddress", "GlobalIPv6Address"].into_iter().filter_map(|name| text(endpoint, name));
    Address(addresses.filter_map(|address| address.parse().ok()).next())
}

/// One for each of the device's addresses; an address that stands for all of them is none.
fn port(entry: &Value) -> Option<PublishedPort> {
    let port = |name: &str| {
        entry.get(name)?.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0)
    };
    let address: Option<IpAddr> = text(entry, "IP").and_then(|address| address.parse().ok());
    Some(PublishedPort {
        address: address.filter(|address| !address.is_unspecified()),
        published: port("PublicPort")?,
        target: port("PrivatePort")?,
        protocol: text(entry, "Type").unwrap_or("tcp").to_owned(),
    })
}

/// An image without a name has `<none>` instead of it, or no list at all.
fn image(entry: &Value) -> Option<Image> {
    let names = |list: &str| -> Vec<String> {
        let names = entry.get(list).map(entries).into_iter().flatten().filter_map(Value::as_str);
        names.filter(|name| !name.contains("<none>")).map(str::to_owned).collect()
    };
    Some(Image {
        id: ImageId(text(entry, "Id")?.to_owned()),
        tags: names("RepoTags"),
        digests: names("RepoDigests"),
        size: entry.get("Size").and_then(Value::as_u64).unwrap_or_default(),
        created: entry.get("Created").and_then(Value::as_i64).unwrap_or_default(),
        labels: labels(entry),
    })
}

#[cfg(test)]
mod tests;
