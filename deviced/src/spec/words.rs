//! The body of a create call in the document's words: each field with its value as text, the same for whatever means the same to the engine.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::mounted;
use super::networks::DEFAULT;
use crate::document::quantity::{Bytes, Span};

/// Fields in the document's words, with their values.
pub(super) type Words = BTreeMap<String, String>;

/// The value of a network.
pub(super) const ATTACHED: &str = "attached";

/// How a value is written.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// As it is.
    Text,
    /// Only a true one is there.
    Truth,
    /// A truth value that differs from none at all.
    Choice,
    /// 0 is none.
    Number,
    /// Below 0 is none.
    Natural,
    /// 0 and less is none.
    Positive,
    /// 0 is none.
    Bytes,
    /// 0 is none.
    Nanoseconds,
    /// 0 is none.
    Microseconds,
    /// Billionths.
    Cpus,
    /// In its order.
    List,
    /// In any order.
    Set,
    /// Names of capabilities in any order, with `CAP_` or without.
    Capabilities,
    /// Values by name.
    Map,
}

/// Fields whose value stands in one place.
const PLAIN: &[(&str, &str, Kind)] = &[
    ("command", "/Cmd", Kind::List),
    ("entrypoint", "/Entrypoint", Kind::List),
    ("working_dir", "/WorkingDir", Kind::Text),
    ("user", "/User", Kind::Text),
    ("group_add", "/HostConfig/GroupAdd", Kind::Set),
    ("init", "/HostConfig/Init", Kind::Choice),
    ("tty", "/Tty", Kind::Truth),
    ("stdin_open", "/OpenStdin", Kind::Truth),
    ("healthcheck.test", "/Healthcheck/Test", Kind::List),
    ("healthcheck.interval", "/Healthcheck/Interval", Kind::Nanoseconds),
    ("healthcheck.timeout", "/Healthcheck/Timeout", Kind::Nanoseconds),
    ("healthcheck.retries", "/Healthcheck/Retries", Kind::Number),
    ("healthcheck.start_period", "/Healthcheck/StartPeriod", Kind::Nanoseconds),
    ("healthcheck.start_interval", "/Healthcheck/StartInterval", Kind::Nanoseconds),
    ("stop_grace_period", "/StopTimeout", Kind::Natural),
    ("hostname", "/Hostname", Kind::Text),
    ("domainname", "/Domainname", Kind::Text),
    ("mac_address", "/MacAddress", Kind::Text),
    ("dns", "/HostConfig/Dns", Kind::List),
    ("dns_opt", "/HostConfig/DnsOptions", Kind::List),
    ("dns_search", "/HostConfig/DnsSearch", Kind::List),
    ("extra_hosts", "/HostConfig/ExtraHosts", Kind::Set),
    ("volumes_from", "/HostConfig/VolumesFrom", Kind::List),
    ("tmpfs", "/HostConfig/Tmpfs", Kind::Map),
    ("read_only", "/HostConfig/ReadonlyRootfs", Kind::Truth),
    ("shm_size", "/HostConfig/ShmSize", Kind::Bytes),
    ("storage_opt", "/HostConfig/StorageOpt", Kind::Map),
    ("device_cgroup_rules", "/HostConfig/DeviceCgroupRules", Kind::Set),
    ("cap_add", "/HostConfig/CapAdd", Kind::Capabilities),
    ("cap_drop", "/HostConfig/CapDrop", Kind::Capabilities),
    ("privileged", "/HostConfig/Privileged", Kind::Truth),
    ("sysctls", "/HostConfig/Sysctls", Kind::Map),
    ("ipc", "/HostConfig/IpcMode", Kind::Text),
    ("pid", "/HostConfig/PidMode", Kind::Text),
    ("uts", "/HostConfig/UTSMode", Kind::Text),
    ("userns_mode", "/HostConfig/UsernsMode", Kind::Text),
    ("cgroup", "/HostConfig/CgroupnsMode", Kind::Text),
    ("cgroup_parent", "/HostConfig/CgroupParent", Kind::Text),
    ("cpus", "/HostConfig/NanoCpus", Kind::Cpus),
    ("cpuset", "/HostConfig/CpusetCpus", Kind::Text),
    ("cpu_shares", "/HostConfig/CpuShares", Kind::Number),
    ("cpu_period", "/HostConfig/CpuPeriod", Kind::Microseconds),
    ("cpu_quota", "/HostConfig/CpuQuota", Kind::Microseconds),
    ("cpu_rt_period", "/HostConfig/CpuRealtimePeriod", Kind::Microseconds),
    ("cpu_rt_runtime", "/HostConfig/CpuRealtimeRuntime", Kind::Microseconds),
    ("mem_limit", "/HostConfig/Memory", Kind::Bytes),
    ("mem_reservation", "/HostConfig/MemoryReservation", Kind::Bytes),
    ("memswap_limit", "/HostConfig/MemorySwap", Kind::Bytes),
    ("mem_swappiness", "/HostConfig/MemorySwappiness", Kind::Natural),
    ("oom_kill_disable", "/HostConfig/OomKillDisable", Kind::Truth),
    ("oom_score_adj", "/HostConfig/OomScoreAdj", Kind::Number),
    ("pids_limit", "/HostConfig/PidsLimit", Kind::Positive),
    ("blkio_config.weight", "/HostConfig/BlkioWeight", Kind::Number),
    ("labels", "/Labels", Kind::Map),
    ("annotations", "/HostConfig/Annotations", Kind::Map),
    ("logging.driver", "/HostConfig/LogConfig/Type", Kind::Text),
    ("logging.options", "/HostConfig/LogConfig/Config", Kind::Map),
    ("platform", "/Platform", Kind::Text),
    ("runtime", "/HostConfig/Runtime", Kind::Text),
];

/// Lists of objects: the field, where it is, and the members that say what it is.
const LISTS: &[(&str, &str, &[&str])] = &[
    ("blkio_config.weight_device", "/HostConfig/BlkioWeightDevice", &["Path", "Weight"]),
    ("blkio_config.device_read_bps", "/HostConfig/BlkioDeviceReadBps", &["Path", "Rate"]),
    ("blkio_config.device_read_iops", "/HostConfig/BlkioDeviceReadIOps", &["Path", "Rate"]),
    ("blkio_config.device_write_bps", "/HostConfig/BlkioDeviceWriteBps", &["Path", "Rate"]),
    ("blkio_config.device_write_iops", "/HostConfig/BlkioDeviceWriteIOps", &["Path", "Rate"]),
    ("devices", "/HostConfig/Devices", &["PathOnHost", "PathInContainer", "CgroupPermissions"]),
    ("gpus", "/HostConfig/DeviceRequests", &["Driver", "Count", "DeviceIDs", "Capabilities", "Options"]),
];

/// All fields that a body sets.
pub(super) fn words(body: &Value) -> Words {
    let mut words = Words::new();
    for (word, pointer, kind) in PLAIN {
        let Some(value) = body.pointer(pointer) else { continue };
        match kind {
            Kind::Map => words.extend(map(word, value)),
            kind => words.extend(text(value, *kind).map(|text| ((*word).to_owned(), text))),
        }
    }
    for (word, pointer, members) in LISTS {
        let items = items(body, pointer).map(|item| object(item, members)).collect();
        words.extend(set(items).map(|text| ((*word).to_owned(), text)));
    }
    environment(body, &mut words);
    restart(body, &mut words);
    stop_signal(body, &mut words);
    ports(body, &mut words);
    network(body, &mut words);
    volumes(body, &mut words);
    security(body, &mut words);
    for limit in items(body, "/HostConfig/Ulimits") {
        let name = member(limit, "Name").to_lowercase();
        let name = name.strip_prefix("rlimit_").unwrap_or(&name);
        words.insert(format!("ulimits.{name}"), object(limit, &["Soft", "Hard"]));
    }
    words
}

fn text(value: &Value, kind: Kind) -> Option<String> {
    let number = || value.as_i64();
    let microseconds =
        |number: i64| Span(std::time::Duration::from_micros(number.unsigned_abs())).to_string();
    Some(match kind {
        Kind::Text => value.as_str().filter(|text| !text.is_empty())?.to_owned(),
        Kind::Truth => value.as_bool().filter(|truth| *truth)?.to_string(),
        Kind::Choice => value.as_bool()?.to_string(),
        Kind::Number => number().filter(|number| *number != 0)?.to_string(),
        Kind::Natural => number().filter(|number| *number >= 0)?.to_string(),
        Kind::Positive => number().filter(|number| *number > 0)?.to_string(),
        Kind::Bytes => match number().filter(|number| *number != 0)? {
            negative @ ..0 => negative.to_string(),
            bytes => Bytes(bytes.unsigned_abs()).to_string(),
        },
        Kind::Nanoseconds => {
            let nanoseconds = number().filter(|number| *number != 0)?;
            Span(std::time::Duration::from_nanos(nanoseconds.unsigned_abs())).to_string()
        }
        Kind::Microseconds => number().filter(|number| *number > 0).map(microseconds)?,
        #[expect(clippy::cast_precision_loss, reason = "a number of processors, in billionths, for people")]
        Kind::Cpus => (number().filter(|number| *number != 0)? as f64 / 1e9).to_string(),
        Kind::List => {
            let items: Vec<_> = strings(value).collect();
            // One empty word is how the engine is told to have none.
            (!items.iter().all(|item| item.is_empty())).then(|| items.join(" "))?
        }
        Kind::Set => set(strings(value).map(str::to_owned).collect())?,
        Kind::Capabilities => {
            let name = |name: &str| {
                let name = name.to_uppercase();
                name.strip_prefix("CAP_").map_or(name.clone(), str::to_owned)
            };
            set(strings(value).map(name).collect())?
        }
        Kind::Map => return None,
    })
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

pub(super) fn items<'b>(body: &'b Value, pointer: &str) -> impl Iterator<Item = &'b Value> {
    body.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

pub(super) fn members<'b>(body: &'b Value, pointer: &str) -> impl Iterator<Item = (&'b String, &'b Value)> {
    body.pointer(pointer).and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

pub(super) fn member<'b>(object: &'b Value, name: &str) -> &'b str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn set(mut items: Vec<String>) -> Option<String> {
    items.sort();
    items.dedup();
    (!items.is_empty()).then(|| items.join(", "))
}

fn map<'v>(word: &str, value: &'v Value) -> impl Iterator<Item = (String, String)> + use<'v> {
    let word = word.to_owned();
    let members = value.as_object().into_iter().flat_map(Map::iter);
    members
        .map(move |(name, value)| (format!("{word}.{name}"), value.as_str().unwrap_or_default().to_owned()))
}

/// The members that are not empty, with colons between.
fn object(object: &Value, names: &[&str]) -> String {
    let text = |name: &&str| match object.get(*name)? {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()).filter(|number| number != "0"),
        Value::Array(items) => (!items.is_empty()).then(|| Value::Array(items.clone()).to_string()),
        Value::Object(members) => (!members.is_empty()).then(|| Value::Object(members.clone()).to_string()),
        _ => None,
    };
    names.iter().filter_map(text).collect::<Vec<_>>().join(":")
}

fn environment(body: &Value, words: &mut Words) {
    for pair in items(body, "/Env").filter_map(Value::as_str) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        words.insert(format!("environment.{name}"), value.to_owned());
    }
}

fn restart(body: &Value, words: &mut Words) {
    let Some(policy) = body.pointer("/HostConfig/RestartPolicy") else { return };
    let times = policy.get("MaximumRetryCount").and_then(Value::as_i64).filter(|times| *times > 0);
    let text = match (member(policy, "Name"), times) {
        ("", _) => "no".to_owned(),
        ("on-failure", Some(times)) => format!("on-failure:{times}"),
        (name, _) => name.to_owned(),
    };
    words.insert("restart".to_owned(), text);
}

/// By its name: `15`, `TERM` and `SIGTERM` are the same.
fn stop_signal(body: &Value, words: &mut Words) {
    let text = member(body, "StopSignal").to_uppercase();
    let name = match text.strip_prefix("SIG").unwrap_or(&text) {
        "" => return,
        "1" => "HUP",
        "2" => "INT",
        "3" => "QUIT",
        "9" => "KILL",
        "10" => "USR1",
        "12" => "USR2",
        "15" => "TERM",
        "28" => "WINCH",
        name => name,
    };
    words.insert("stop_signal".to_owned(), format!("SIG{name}"));
}

fn ports(body: &Value, words: &mut Words) {
    let mut ports = Vec::new();
    for (target, bindings) in members(body, "/HostConfig/PortBindings") {
        for binding in bindings.as_array().into_iter().flatten() {
            let (address, published) = (member(binding, "HostIp"), member(binding, "HostPort"));
            let address = match address {
                "" => String::new(),
                address if address.contains(':') => format!("[{address}]:"),
                address => format!("{address}:"),
            };
            ports.push(match (address.as_str(), published) {
                ("", "") => target.clone(),
                _ => format!("{address}{published}:{target}"),
            });
        }
    }
    words.extend(set(ports).map(|ports| ("ports".to_owned(), ports)));
    let published = body.pointer("/HostConfig/PortBindings");
    let is_published = |target: &String| published.is_some_and(|published| published.get(target).is_some());
    let exposed =
        members(body, "/ExposedPorts").map(|(target, _)| target).filter(|target| !is_published(target));
    words.extend(set(exposed.cloned().collect()).map(|ports| ("expose".to_owned(), ports)));
}

/// `network_mode` unless it is a network's name, and each network with what the container is there.
fn network(body: &Value, words: &mut Words) {
    let mode = body.pointer("/HostConfig/NetworkMode").and_then(Value::as_str).unwrap_or_default();
    if matches!(mode, "host" | "none") || mode.starts_with("service:") || mode.starts_with("container:") {
        words.insert("network_mode".to_owned(), mode.to_owned());
        return;
    }
    let endpoints =
        body.pointer("/NetworkingConfig/EndpointsConfig").filter(|endpoints| !endpoints.is_null());
    if endpoints.is_none() {
        let name = if matches!(mode, "" | "default") { DEFAULT } else { mode };
        words.insert(format!("networks.{name}"), ATTACHED.to_owned());
    }
    for (name, endpoint) in endpoints.and_then(Value::as_object).into_iter().flat_map(Map::iter) {
        let word = format!("networks.{name}");
        let mut say = |member: &str, text: String| words.insert(format!("{word}.{member}"), text);
        let aliases: Vec<_> =
            endpoint.get("Aliases").map(strings).into_iter().flatten().map(str::to_owned).collect();
        set(aliases).map(|aliases| say("aliases", aliases));
        let own = endpoint.get("IPAMConfig").unwrap_or(&Value::Null);
        for (member_word, name) in [("ipv4_address", "IPv4Address"), ("ipv6_address", "IPv6Address")] {
            let address = member(own, name);
            if !address.is_empty() {
                say(member_word, address.to_owned());
            }
        }
        let links = own.get("LinkLocalIPs").map(strings).into_iter().flatten().map(str::to_owned).collect();
        set(links).map(|links| say("link_local_ips", links));
        let mac = member(endpoint, "MacAddress");
        if !mac.is_empty() {
            say("mac_address", mac.to_lowercase());
        }
        words.extend(map(&format!("{word}.driver_opts"), endpoint.get("DriverOpts").unwrap_or(&Value::Null)));
        words.insert(word, ATTACHED.to_owned());
    }
}

fn volumes(body: &Value, words: &mut Words) {
    for mount in mounted::mounts(body) {
        words.insert(format!("volumes.{}", mount.target), mount.to_string());
    }
}

/// Without profiles, which are long.
fn security(body: &Value, words: &mut Words) {
    let option = |option: &str| match option.split_once(['=', ':']) {
        Some(("no-new-privileges", "true")) => "no-new-privileges".to_owned(),
        Some((name, value)) => format!("{name}={value}"),
        None => option.to_owned(),
    };
    let options = items(body, "/HostConfig/SecurityOpt").filter_map(Value::as_str).map(option).collect();
    words.extend(set(options).map(|options| ("security_opt".to_owned(), options)));
}
