//! How a container runs, in the words of the Compose specification's service element.

pub mod words;

pub mod port;
pub mod volume;

pub mod depends;
pub mod device;
pub mod limits;
pub mod network;
pub mod restart;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::quantity::{Bytes, Span};
use depends::Dependencies;
use device::Device;
use limits::{Blkio, Cpus, Swap, Ulimit};
use network::{Attachments, Hosts};
use port::Port;
use restart::Restart;
use volume::Volume;
use words::{Command, Pairs, Word, Words};

/// How a container runs. All of it may be left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Run {
    // What is executed.
    /// Instead of the image's command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Command>,
    /// Instead of the image's entrypoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Command>,
    /// Instead of the image's working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// `user[:group]`, by name or number, instead of the image's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Word>,
    /// More groups, by name or number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group_add: Vec<Word>,
    /// Environment. A name without a value gets the one that deviced has.
    #[serde(skip_serializing_if = "is_default")]
    pub environment: Pairs,
    /// Files with `NAME=VALUE` lines, paths on the device. What `environment` says counts for more.
    #[serde(skip_serializing_if = "is_default")]
    pub env_file: Words,
    /// An init of Docker's that reaps processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// A terminal.
    #[serde(skip_serializing_if = "is_default")]
    pub tty: bool,
    /// Standard input stays open.
    #[serde(skip_serializing_if = "is_default")]
    pub stdin_open: bool,

    // When it runs.
    /// What the engine does when it ends.
    pub restart: Restart,
    /// Containers that have to be there before.
    #[serde(skip_serializing_if = "is_default")]
    pub depends_on: Dependencies,
    /// How its health is found out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// The signal that asks it to end, instead of the image's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// From that signal to SIGKILL; Docker's 10 s without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_grace_period: Option<Span>,

    // What it reaches, and what reaches it.
    /// Ports that are reached from outside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// Ports that other containers reach; says more to people than to the engine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expose: Vec<Word>,
    /// Networks of the document that it is attached to; Docker's default one without.
    #[serde(skip_serializing_if = "is_default")]
    pub networks: Attachments,
    /// `bridge`, `host`, `none`, or `service:ID` for the network of another container of the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_mode: Option<String>,
    /// Its host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Its domain name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domainname: Option<String>,
    /// Hardware address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac_address: Option<String>,
    /// Name servers.
    #[serde(skip_serializing_if = "is_default")]
    pub dns: Words,
    /// Options for the resolver.
    #[serde(skip_serializing_if = "is_default")]
    pub dns_opt: Words,
    /// Domains to search in.
    #[serde(skip_serializing_if = "is_default")]
    pub dns_search: Words,
    /// Lines for /etc/hosts: `name:address` or `name=address` in a list, or a map.
    #[serde(skip_serializing_if = "is_default")]
    pub extra_hosts: Hosts,

    // Files.
    /// Directories, files, volumes and memory that it sees.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// Containers of the document whose volumes it sees too: `ID[:ro]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes_from: Vec<String>,
    /// Paths that are memory: `path[:options]`.
    #[serde(skip_serializing_if = "is_default")]
    pub tmpfs: Words,
    /// Its root can't be written to.
    #[serde(skip_serializing_if = "is_default")]
    pub read_only: bool,
    /// Size of /dev/shm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<Bytes>,
    /// Options of the storage driver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub storage_opt: BTreeMap<String, Word>,

    // Devices.
    /// Devices that it may use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// Rules of the device control group: `c 189:* rmw`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_cgroup_rules: Vec<String>,
    /// Graphics processors: `all`, or a list of requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<Gpus>,

    // What it may do.
    /// Capabilities to add.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    /// Capabilities to take away; `ALL` for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_drop: Vec<String>,
    /// Everything is allowed.
    #[serde(skip_serializing_if = "is_default")]
    pub privileged: bool,
    /// `no-new-privileges:true`, `seccomp=...`, `apparmor=...`, `label=...`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_opt: Vec<String>,
    /// Kernel settings of its namespaces.
    #[serde(skip_serializing_if = "is_default")]
    pub sysctls: Pairs,
    /// `host`, `private`, `shareable` or `service:ID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipc: Option<String>,
    /// `host` or `service:ID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<String>,
    /// `host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uts: Option<String>,
    /// `host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userns_mode: Option<String>,
    /// `host` or `private`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// The control group it is put below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup_parent: Option<String>,

    // What it may use.
    /// Processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Cpus>,
    /// Which processors: `0-2,5`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpuset: Option<Word>,
    /// Share of processors when they are short, 1024 being usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_shares: Option<i64>,
    /// Period of the processors' quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_period: Option<Span>,
    /// Quota in a period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_quota: Option<Span>,
    /// Real-time period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_rt_period: Option<Span>,
    /// Real-time quota in a period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_rt_runtime: Option<Span>,
    /// Memory, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_limit: Option<Bytes>,
    /// Memory that it keeps when memory is short.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_reservation: Option<Bytes>,
    /// Memory and swap together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memswap_limit: Option<Swap>,
    /// How readily it is swapped out, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_swappiness: Option<i64>,
    /// It is not killed when memory is short.
    #[serde(skip_serializing_if = "is_default")]
    pub oom_kill_disable: bool,
    /// How readily it is killed when memory is short, -1000 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i64>,
    /// Processes, at most; -1 for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids_limit: Option<i64>,
    /// Resource limits by name: `nofile`, `nproc` and so on.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Block devices' weight and rates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blkio_config: Option<Blkio>,

    // What is said about it.
    /// Labels of the container.
    #[serde(skip_serializing_if = "is_default")]
    pub labels: Pairs,
    /// Annotations for the runtime.
    #[serde(skip_serializing_if = "is_default")]
    pub annotations: Pairs,
    /// Where its output goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
    /// `os/architecture[/variant]`; the engine's without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The OCI runtime; the engine's default without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// How the engine finds out whether a container is healthy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Healthcheck {
    /// `[CMD, program, ...]`, `[CMD-SHELL, line]`, `[NONE]`, or a line for the image's shell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<Words>,
    /// Between two looks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Span>,
    /// A look that takes longer has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// So many failures in a row make it unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Failures in this time after the start don't count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_period: Option<Span>,
    /// Between two looks in that time (engine 25 and later).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<Span>,
    /// The image's check is not done.
    #[serde(skip_serializing_if = "is_default")]
    pub disable: bool,
}

/// Where output goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Logging {
    /// The engine's default without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// The driver's options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, Word>,
}

/// Graphics processors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "`all`, or a list of requests for graphics processors")]
pub enum Gpus {
    /// `all`.
    All(AllGpus),
    /// Some.
    Some(Vec<GpuRequest>),
}

/// The word `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AllGpus {
    /// All there are.
    All,
}

/// A request for graphics processors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GpuRequest {
    /// The driver that has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// How many; -1 for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
    /// Which.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_ids: Vec<String>,
    /// What they have to be able to do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// The driver's options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}
