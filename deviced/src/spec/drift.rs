//! What differs between what has to be and what is. Pure.
//!
//! An engine echoes a create call in its own way: it fills in what the image says and what its configuration says, writes values differently, and
//! leaves out what the kernel can't do. None of that is drift.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::in_place::is_updatable;
use super::networks::DEFAULT;
use super::words::{ATTACHED, Words, member, members, words};
use super::{Spec, mounted};
use crate::labels;
use crate::swap::Drift;

/// What differs between two specs, in the document's words.
pub fn difference(old: &Spec, new: &Spec) -> Vec<Drift> {
    let (found, wanted) = (words(&Value::Object(old.0.clone())), words(&Value::Object(new.0.clone())));
    let names: BTreeSet<_> = found.keys().chain(wanted.keys()).collect();
    let mut drift: Vec<_> = names
        .into_iter()
        .filter(|name| found.get(*name) != wanted.get(*name))
        .map(|name| named(name, wanted.get(name), found.get(name)))
        .collect();
    if drift.is_empty() && old.hash() != new.hash() {
        drift.push(Drift { field: "run".to_owned(), wanted: None, found: None });
    }
    within(drift)
}

/// What differs between a spec and a container, in the document's words. `inspection` is the answer of `GET /containers/{id}/json`, `image_config` the
/// `Config` of its image's inspection: without it, what a container has beyond the spec is taken for the image's. A namespace that is still
/// `service:ID` agrees with any container's.
///
/// A container whose label says that it was made from this very spec can only differ in what can be changed afterwards: its restart policy, its limits,
/// its networks. Everything else is what the engine has made of the spec, which Podman for one does not echo.
pub fn drift(spec: &Spec, inspection: &Value, image_config: Option<&Value>) -> Vec<Drift> {
    let seen = Seen::new(spec, inspection, image_config);
    let mut drift = Vec::new();
    for (name, wanted) in seen.wanted.iter().filter(|(name, _)| seen.is_in_question(name)) {
        let found = seen.found.get(name);
        if found != Some(wanted) && !seen.agrees(name, wanted, found) {
            drift.push(named(name, Some(wanted), found));
        }
    }
    for (name, found) in seen.found.iter().filter(|(name, _)| seen.is_in_question(name)) {
        if !seen.wanted.contains_key(name) && !seen.may_be_there(name, found) {
            drift.push(named(name, None, Some(found)));
        }
    }
    if !seen.is_of_this_spec {
        drift.extend(mounted::drift(&seen.spec, inspection));
    }
    drift.sort_by(|one, other| one.field.cmp(&other.field));
    within(drift)
}

/// Of a network that is not attached, or is one too many, nothing more needs to be said.
fn within(mut drift: Vec<Drift>) -> Vec<Drift> {
    let whole: Vec<_> = drift
        .iter()
        .filter(|drift| {
            drift.field.starts_with("networks.") && (drift.wanted.is_none() || drift.found.is_none())
        })
        .filter(|drift| [&drift.wanted, &drift.found].into_iter().flatten().any(|text| text == ATTACHED))
        .map(|drift| format!("{}.", drift.field))
        .collect();
    drift.retain(|drift| !whole.iter().any(|prefix| drift.field.starts_with(prefix.as_str())));
    drift
}

/// Values that may be secrets are not shown.
fn named(name: &str, wanted: Option<&String>, found: Option<&String>) -> Drift {
    const HIDDEN: &[&str] = &["environment.", "logging.options."];
    let is_hidden = HIDDEN.iter().any(|prefix| name.starts_with(prefix));
    let show = |value: Option<&String>| {
        value.map(|value| if is_hidden { "(not shown)".to_owned() } else { shortened(value) })
    };
    Drift { field: name.to_owned(), wanted: show(wanted), found: show(found) }
}

/// A profile of system calls is a long document.
fn shortened(value: &str) -> String {
    const LONGEST: usize = 300;
    match value.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", value.get(..end).unwrap_or_default()),
        None => value.to_owned(),
    }
}

/// Both sides in the same words.
struct Seen<'a> {
    spec: Value,
    inspection: &'a Value,
    wanted: Words,
    found: Words,
    image: Option<Words>,
    /// The container was made from this very spec: what it lacks of it, the engine left out.
    is_of_this_spec: bool,
}

impl<'a> Seen<'a> {
    fn new(spec: &Spec, inspection: &'a Value, image_config: Option<&Value>) -> Self {
        let body = Value::Object(spec.0.clone());
        let mut wanted = words(&body);
        wanted.remove("platform");
        wanted.retain(|name, _| !name.starts_with("volumes."));
        let mut found = words(&as_created(inspection));
        found.retain(|name, _| {
            !name.starts_with("volumes.") && !name.starts_with(&format!("labels.{}", labels::PREFIX))
        });
        let label = inspection.pointer("/Config/Labels").map(|all| member(all, labels::SPEC));
        let is_of_this_spec = label.is_some_and(|label| label == spec.hash().0);
        Self { spec: body, inspection, wanted, found, image: image_config.map(words), is_of_this_spec }
    }

    fn is_in_question(&self, name: &str) -> bool {
        !self.is_of_this_spec || is_updatable(name) || name.starts_with("networks.")
    }

    /// Whether what was found is what the engine makes of what is wanted.
    fn agrees(&self, name: &str, wanted: &str, found: Option<&String>) -> bool {
        let found = found.map(String::as_str);
        if self.is_of_this_spec && is_left_out(name, found) {
            return true;
        }
        match (name, found) {
            ("ports", Some(_)) => self.ports_agree(),
            ("expose", Some(found)) => is_within(wanted, found, ", "),
            ("security_opt", Some(found)) => is_within(wanted, found, ", "),
            ("network_mode" | "ipc" | "pid", Some(found)) => {
                wanted.starts_with("service:") && found.starts_with("container:")
            }
            ("volumes_from", Some(_)) => wanted.starts_with("service:"),
            // No swap at all, or no limit for it, where the kernel does not count it.
            ("memswap_limit", None | Some("-1")) => wanted == "-1" || self.is_of_this_spec,
            // Podman does not know that there is no limit.
            ("memswap_limit", Some(_)) => wanted == "-1" && self.is_of_this_spec && self.has_default_swap(),
            // Known while it runs only.
            ("mac_address", None) => self.main_endpoint().is_none_or(|endpoint| {
                let found = member(endpoint, "MacAddress");
                found.is_empty() || found.eq_ignore_ascii_case(wanted)
            }),
            ("logging.driver", Some("k8s-file")) => wanted == "json-file",
            ("devices", Some(found)) => wanted.replace(":rwm", "") == found,
            (name, found) if name.starts_with("tmpfs.") => {
                found.is_some_and(|found| is_within(wanted, found, ","))
            }
            (name, found) if name.starts_with("networks.") => self.endpoint_agrees(name, wanted, found),
            _ => false,
        }
    }

    /// Whether a container may have what its spec does not set.
    fn may_be_there(&self, name: &str, found: &str) -> bool {
        // Not of the image and not of the document: engines set them.
        const ENGINES_OWN: &[&str] = &["PATH", "HOME", "HOSTNAME", "TERM", "container"];
        // They have defaults that the engine's configuration says.
        const CONFIGURED: &[&str] = &[
            "hostname",
            "shm_size",
            "logging",
            "runtime",
            "ipc",
            "cgroup",
            "init",
            "userns_mode",
            "oom_score_adj",
            "stop_grace_period",
            "ulimits",
            "storage_opt",
            "annotations",
            "security_opt",
            "mac_address",
            "cgroup_parent",
        ];
        const IMAGES: &[&str] = &[
            "command",
            "entrypoint",
            "working_dir",
            "user",
            "environment",
            "expose",
            "healthcheck",
            "stop_signal",
            "labels",
        ];
        let root = name.split('.').next().unwrap_or_default();
        let is_wanted = |name: &str| self.wanted.contains_key(name);
        if CONFIGURED.contains(&root) {
            return true;
        }
        match (root, found) {
            ("environment", _)
                if name.split_once('.').is_some_and(|(_, name)| ENGINES_OWN.contains(&name)) =>
            {
                true
            }
            ("working_dir", "/") | ("memswap_limit", "-1") => true,
            ("memswap_limit", _) if is_wanted("mem_limit") => self.has_default_swap(),
            ("cpu_period" | "cpu_quota", _) if is_wanted("cpus") => true,
            // Podman's defaults.
            ("pids_limit", "2048") => true,
            ("networks", _) => self.network_may_be_there(name),
            _ if IMAGES.contains(&root) => {
                self.image.as_ref().is_none_or(|image| image.get(name).is_some_and(|own| own == found))
            }
            _ => false,
        }
    }

    /// Memory and swap together are limited to twice the memory.
    fn has_default_swap(&self) -> bool {
        let number = |body: &Value, pointer: &str| body.pointer(pointer).and_then(Value::as_i64);
        let memory = number(&self.spec, "/HostConfig/Memory");
        memory.and_then(|memory| memory.checked_mul(2)) == number(self.inspection, "/HostConfig/MemorySwap")
    }

    fn ports_agree(&self) -> bool {
        let bindings = |body: &Value| -> Vec<(String, String, String)> {
            let mut all = Vec::new();
            for (target, bindings) in members(body, "/HostConfig/PortBindings") {
                for binding in bindings.as_array().into_iter().flatten() {
                    let address = Some(member(binding, "HostIp")).filter(|address| *address != "0.0.0.0");
                    let address = address.unwrap_or_default().to_owned();
                    all.push((target.clone(), address, member(binding, "HostPort").to_owned()));
                }
            }
            all
        };
        let (mut wanted, mut found) = (bindings(&self.spec), bindings(self.inspection));
        // Exact ones first, so that a range does not take what another one needs.
        wanted.sort_by_key(|(.., port)| port.is_empty() || port.contains('-'));
        wanted.len() == found.len()
            && wanted.iter().all(|(target, address, port)| {
                let fits = |other: &(String, String, String)| {
                    other.0 == *target && other.1 == *address && port_fits(port, &other.2)
                };
                found.iter().position(fits).map(|at| found.swap_remove(at)).is_some()
            })
    }

    fn endpoint(&self, name: &str) -> Option<&Value> {
        self.inspection.pointer("/NetworkSettings/Networks")?.get(name)
    }

    /// The endpoint in the network that is the container's mode.
    fn main_endpoint(&self) -> Option<&Value> {
        let mode = self.spec.pointer("/HostConfig/NetworkMode").and_then(Value::as_str);
        self.endpoint(mode.unwrap_or(DEFAULT))
    }

    /// The network that a word is about, and what of it.
    fn of_network<'n>(&self, name: &'n str) -> Option<(&'n str, &'n str)> {
        let rest = name.strip_prefix("networks.")?;
        let is_wanted = |network: &str| {
            self.wanted.get(&format!("networks.{network}")).is_some_and(|word| word == ATTACHED)
        };
        let dots = rest.match_indices('.').filter_map(|(at, _)| rest.get(..at).zip(rest.get(at + 1..)));
        dots.rev().find(|(network, _)| is_wanted(network))
    }

    fn endpoint_agrees(&self, name: &str, wanted: &str, found: Option<&str>) -> bool {
        if wanted == ATTACHED {
            return name == default_word() && self.has_default_network();
        }
        let Some((network, part)) = self.of_network(name) else { return false };
        let Some(endpoint) = self.endpoint(network) else { return false };
        // Where the engine does not echo what was asked for, it says what was given, while the container runs.
        let is_given = |member_name: &str| {
            let given = member(endpoint, member_name);
            given == wanted || found.is_none() && given.is_empty()
        };
        match part {
            "aliases" => {
                let names = ["Aliases", "DNSNames"].into_iter().filter_map(|list| endpoint.get(list));
                let names: BTreeSet<_> =
                    names.filter_map(Value::as_array).flatten().filter_map(Value::as_str).collect();
                wanted.split(", ").all(|alias| names.contains(alias))
            }
            "ipv4_address" => is_given("IPAddress"),
            "ipv6_address" => is_given("GlobalIPv6Address"),
            "mac_address" => found.is_none(),
            _ => false,
        }
    }

    /// Whether a container without networks of its own is attached to the engine's default one, whatever that is called.
    fn has_default_network(&self) -> bool {
        let networks = self.inspection.pointer("/NetworkSettings/Networks").and_then(Value::as_object);
        let mode = self.inspection.pointer("/HostConfig/NetworkMode").and_then(Value::as_str);
        let is_default = |name: &String| matches!(name.as_str(), DEFAULT | "podman");
        match mode {
            Some("default" | DEFAULT) | None => {
                networks.is_none_or(|networks| networks.keys().any(is_default))
            }
            // An engine without rights has no bridge.
            Some(mode) => mode.starts_with("slirp4netns") || mode.starts_with("pasta"),
        }
    }

    fn network_may_be_there(&self, name: &str) -> bool {
        let is_default = |name: &str| matches!(name.split('.').nth(1), Some(DEFAULT | "podman"));
        // What a container is in a network that it has to be in: addresses, and names of the engine's.
        self.wanted.contains_key("network_mode")
            || self.of_network(name).is_some()
            || self.wanted.contains_key(&default_word()) && is_default(name)
    }
}

fn default_word() -> String {
    format!("networks.{DEFAULT}")
}

/// A limit that the kernel can't keep is not there. It can't have been taken away afterwards: in an update 0 is no change.
fn is_left_out(name: &str, found: Option<&str>) -> bool {
    found.is_none() && name != "restart" && is_updatable(name)
}

/// Whether each part of `wanted` is one of `found`.
fn is_within(wanted: &str, found: &str, separator: &str) -> bool {
    let found: BTreeSet<_> = found.split(separator).collect();
    wanted.split(separator).filter(|part| !part.is_empty()).all(|part| found.contains(part))
}

/// Any port for none, one of a range for a range.
fn port_fits(wanted: &str, found: &str) -> bool {
    if wanted.is_empty() || wanted == found {
        return true;
    }
    let port = |text: &str| text.parse::<u16>().ok();
    let range = wanted.split_once('-').and_then(|(first, last)| Some(port(first)?..=port(last)?));
    range.zip(port(found)).is_some_and(|(range, found)| range.contains(&found))
}

/// An inspection in the shape of a create call.
fn as_created(inspection: &Value) -> Value {
    let mut body = match inspection.get("Config") {
        Some(Value::Object(config)) => config.clone(),
        _ => Map::new(),
    };
    body.insert("HostConfig".to_owned(), inspection.get("HostConfig").cloned().unwrap_or_default());
    let networks = inspection.pointer("/NetworkSettings/Networks").cloned().unwrap_or_default();
    body.insert("NetworkingConfig".to_owned(), json!({"EndpointsConfig": networks}));
    Value::Object(body)
}

#[cfg(test)]
mod tests;
