//! `run` of the document -> the body of the engine's create call. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::environment::{Environment, environment, profile};
use super::members::Members;
use super::{Spec, mounts, networks, ports};
use crate::document::run::limits::{Blkio, Rate, Swap};
use crate::document::run::restart::Restart;
use crate::document::run::words::{Pairs, Word};
use crate::document::run::{GpuRequest, Gpus, Healthcheck, Run};
use crate::labels;

/// What things of the document are called in the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// The container's id in the document: it answers to it in its networks.
    pub id: String,
    /// Networks.
    pub networks: BTreeMap<String, String>,
    /// Volumes.
    pub volumes: BTreeMap<String, String>,
}

/// Makes a spec of what the document says. Only what it says is set, so that a newer deviced makes the same of it.
///
/// # Errors
/// When the engine can't be told so, or a file can't be read: a sentence that names the field.
pub fn build(run: &Run, names: &Names, environment: &Environment) -> Result<Spec, String> {
    let (mut body, mut host) = (Members::default(), Members::default());
    program(run, environment, &mut body, &mut host)?;
    life(run, &mut body, &mut host)?;
    ports::ports(run, &mut body, &mut host)?;
    networks::networks(run, names, &mut body, &mut host)?;
    resolution(run, &mut body, &mut host);
    mounts::mounts(run, names, &mut host)?;
    host.truth("ReadonlyRootfs", run.read_only);
    host.some("ShmSize", run.shm_size.map(|size| size.signed()));
    host.object("StorageOpt", words(&run.storage_opt));
    devices(run, &mut host)?;
    rights(run, environment, &mut host)?;
    limits(run, &mut host);
    said(run, &mut body, &mut host)?;
    body.object("HostConfig", host.0);
    Ok(Spec(body.0))
}

fn program(run: &Run, given: &Environment, body: &mut Members, host: &mut Members) -> Result<(), String> {
    match (&run.command, &run.entrypoint) {
        (Some(command), None) if command.0.is_empty() => {
            return Err("`command`: an empty one does not take the image's away in Docker; write `entrypoint` as well".into());
        }
        (command, _) => {
            body.list("Cmd", command.iter().flat_map(|command| command.0.iter().map(String::as_str)))
        }
    }
    // One empty word is how the engine is told to have none; of an empty list it makes the image's.
    let entrypoint = run.entrypoint.as_ref().map(|command| match command.0.as_slice() {
        [] => json!([""]),
        words => json!(words),
    });
    body.some("Entrypoint", entrypoint);
    body.some("WorkingDir", run.working_dir.as_deref());
    body.some("User", run.user.as_ref().map(|Word(user)| user.as_str()));
    host.list("GroupAdd", run.group_add.iter().map(|Word(group)| group.as_str()));
    body.list("Env", environment(run, given)?);
    host.some("Init", run.init);
    body.truth("Tty", run.tty);
    body.truth("OpenStdin", run.stdin_open);
    Ok(())
}

fn life(run: &Run, body: &mut Members, host: &mut Members) -> Result<(), String> {
    host.set("RestartPolicy", restart(run.restart));
    body.some("Healthcheck", run.healthcheck.as_ref().map(healthcheck).transpose()?);
    body.some("StopSignal", run.stop_signal.as_deref());
    let seconds = |span: std::time::Duration| span.as_secs() + u64::from(span.subsec_nanos() > 0);
    body.some("StopTimeout", run.stop_grace_period.map(|span| seconds(span.0)));
    Ok(())
}

fn restart(restart: Restart) -> Value {
    match restart {
        Restart::No => json!({"Name": "no"}),
        Restart::Always => json!({"Name": "always"}),
        Restart::UnlessStopped => json!({"Name": "unless-stopped"}),
        Restart::OnFailure(0) => json!({"Name": "on-failure"}),
        Restart::OnFailure(times) => json!({"Name": "on-failure", "MaximumRetryCount": times}),
    }
}

fn healthcheck(check: &Healthcheck) -> Result<Value, String> {
    if check.disable {
        return Ok(json!({"Test": ["NONE"]}));
    }
    let mut members = Members::default();
    let test = check.test.as_ref().map(|words| words.0.as_slice()).unwrap_or_default();
    match test.first().map(String::as_str) {
        None => {}
        Some("NONE" | "CMD" | "CMD-SHELL") => members.list("Test", test.iter().map(String::as_str)),
        Some(line) if test.len() == 1 => members.list("Test", ["CMD-SHELL", line]),
        Some(word) => {
            return Err(format!(
                "`healthcheck.test`: a list begins with CMD, CMD-SHELL or NONE, not with {word:?}"
            ));
        }
    }
    members.some("Interval", check.interval.map(|span| span.nanoseconds()));
    members.some("Timeout", check.timeout.map(|span| span.nanoseconds()));
    members.some("Retries", check.retries);
    members.some("StartPeriod", check.start_period.map(|span| span.nanoseconds()));
    members.some("StartInterval", check.start_interval.map(|span| span.nanoseconds()));
    Ok(members.0.into())
}

fn resolution(run: &Run, body: &mut Members, host: &mut Members) {
    body.some("Hostname", run.hostname.as_deref());
    body.some("Domainname", run.domainname.as_deref());
    body.some("MacAddress", run.mac_address.as_deref());
    host.list("Dns", run.dns.0.iter().map(String::as_str));
    host.list("DnsOptions", run.dns_opt.0.iter().map(String::as_str));
    host.list("DnsSearch", run.dns_search.0.iter().map(String::as_str));
    host.list("ExtraHosts", run.extra_hosts.0.iter().map(|(name, address)| format!("{name}:{address}")));
}

fn devices(run: &Run, host: &mut Members) -> Result<(), String> {
    let device = |device: &crate::document::run::device::Device| {
        json!({
            "PathOnHost": device.source,
            "PathInContainer": device.target,
            "CgroupPermissions": device.permissions,
        })
    };
    host.list("Devices", run.devices.iter().map(device));
    host.list("DeviceCgroupRules", run.device_cgroup_rules.iter().map(String::as_str));
    let requests = match &run.gpus {
        None => Vec::new(),
        Some(Gpus::All(_)) => vec![gpu(&GpuRequest::default())?],
        Some(Gpus::Some(requests)) => requests.iter().map(gpu).collect::<Result<_, _>>()?,
    };
    host.list("DeviceRequests", requests);
    Ok(())
}

/// All graphics processors unless a number or some are named.
fn gpu(request: &GpuRequest) -> Result<Value, String> {
    let mut members = Members::default();
    members.some("Driver", request.driver.as_deref());
    match (request.count, request.device_ids.is_empty()) {
        (Some(_), false) => return Err("`gpus`: `count` and `device_ids` exclude each other".into()),
        (None, false) => members.list("DeviceIDs", request.device_ids.iter().map(String::as_str)),
        (count, true) => members.set("Count", count.unwrap_or(-1)),
    }
    let others = request.capabilities.iter().map(String::as_str).filter(|capability| *capability != "gpu");
    members.set("Capabilities", json!([std::iter::once("gpu").chain(others).collect::<Vec<_>>()]));
    members.object("Options", request.options.clone());
    Ok(members.0.into())
}

fn rights(run: &Run, given: &Environment, host: &mut Members) -> Result<(), String> {
    host.list("CapAdd", run.cap_add.iter().map(String::as_str));
    host.list("CapDrop", run.cap_drop.iter().map(String::as_str));
    host.truth("Privileged", run.privileged);
    let mut options = Vec::new();
    for option in &run.security_opt {
        options.push(match profile(option) {
            Some(path) => {
                let content = given.file(path).map_err(|problem| format!("`security_opt`: {problem}"))?;
                let profile: Value = serde_json::from_str(content)
                    .map_err(|problem| format!("`security_opt`: {path} is no profile: {problem}"))?;
                format!("seccomp={profile}")
            }
            None => option.clone(),
        });
    }
    host.list("SecurityOpt", options);
    host.object("Sysctls", pairs("sysctls", &run.sysctls)?);
    host.some("IpcMode", run.ipc.as_deref());
    host.some("PidMode", run.pid.as_deref());
    host.some("UTSMode", run.uts.as_deref());
    host.some("UsernsMode", run.userns_mode.as_deref());
    host.some("CgroupnsMode", run.cgroup.as_deref());
    host.some("CgroupParent", run.cgroup_parent.as_deref());
    Ok(())
}

fn limits(run: &Run, host: &mut Members) {
    let microseconds = |span: crate::document::quantity::Span| span.nanoseconds() / 1000;
    host.some("NanoCpus", run.cpus.map(|cpus| cpus.nano));
    host.some("CpusetCpus", run.cpuset.as_ref().map(|Word(set)| set.as_str()));
    host.some("CpuShares", run.cpu_shares);
    host.some("CpuPeriod", run.cpu_period.map(microseconds));
    host.some("CpuQuota", run.cpu_quota.map(microseconds));
    host.some("CpuRealtimePeriod", run.cpu_rt_period.map(microseconds));
    host.some("CpuRealtimeRuntime", run.cpu_rt_runtime.map(microseconds));
    host.some("Memory", run.mem_limit.map(|bytes| bytes.signed()));
    host.some("MemoryReservation", run.mem_reservation.map(|bytes| bytes.signed()));
    let swap = run.memswap_limit.map(|swap| match swap {
        Swap::Limited(bytes) => bytes.signed(),
        Swap::Unlimited => -1,
    });
    host.some("MemorySwap", swap);
    host.some("MemorySwappiness", run.mem_swappiness);
    host.truth("OomKillDisable", run.oom_kill_disable);
    host.some("OomScoreAdj", run.oom_score_adj);
    host.some("PidsLimit", run.pids_limit);
    let ulimit = |(name, limit): (&String, &crate::document::run::limits::Ulimit)| json!({"Name": name, "Soft": limit.soft, "Hard": limit.hard});
    host.list("Ulimits", run.ulimits.iter().map(ulimit));
    if let Some(blkio) = &run.blkio_config {
        block_devices(blkio, host);
    }
}

fn block_devices(blkio: &Blkio, host: &mut Members) {
    let rates = |rates: &[Rate]| -> Vec<Value> {
        rates.iter().map(|rate| json!({"Path": rate.path, "Rate": rate.rate.signed()})).collect()
    };
    let weight =
        |weight: &crate::document::run::limits::Weight| json!({"Path": weight.path, "Weight": weight.weight});
    host.some("BlkioWeight", blkio.weight);
    host.list("BlkioWeightDevice", blkio.weight_device.iter().map(weight));
    host.list("BlkioDeviceReadBps", rates(&blkio.device_read_bps));
    host.list("BlkioDeviceReadIOps", rates(&blkio.device_read_iops));
    host.list("BlkioDeviceWriteBps", rates(&blkio.device_write_bps));
    host.list("BlkioDeviceWriteIOps", rates(&blkio.device_write_iops));
}

fn said(run: &Run, body: &mut Members, host: &mut Members) -> Result<(), String> {
    if let Some(name) = run.labels.0.keys().find(|name| name.starts_with(labels::PREFIX)) {
        return Err(format!("`labels`: {name:?} is one of deviced's own; take another name"));
    }
    body.object("Labels", labelled(&run.labels));
    host.object("Annotations", labelled(&run.annotations));
    if let Some(logging) = &run.logging {
        let mut members = Members::default();
        members.some("Type", logging.driver.as_deref());
        members.object("Config", words(&logging.options));
        host.object("LogConfig", members.0);
    }
    body.some("Platform", run.platform.as_deref());
    host.some("Runtime", run.runtime.as_deref());
    Ok(())
}

fn words(words: &BTreeMap<String, Word>) -> Map<String, Value> {
    words.iter().map(|(name, Word(value))| (name.clone(), value.as_str().into())).collect()
}

/// A label without a value has an empty one.
pub(super) fn labelled(pairs: &Pairs) -> Map<String, Value> {
    pairs.0.iter().map(|(name, value)| (name.clone(), value.as_deref().unwrap_or_default().into())).collect()
}

fn pairs(field: &str, pairs: &Pairs) -> Result<Map<String, Value>, String> {
    let pair = |(name, value): (&String, &Option<String>)| match value {
        Some(value) => Ok((name.clone(), Value::from(value.as_str()))),
        None => Err(format!("`{field}`: {name} has no value; write {name}=VALUE")),
    };
    pairs.0.iter().map(pair).collect()
}

#[cfg(test)]
mod tests;
