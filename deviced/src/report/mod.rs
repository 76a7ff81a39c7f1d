//! What people and machines are told: the same values for the API, the command line and the page.

mod lists;
mod records;

pub use lists::{
    AppliedReport, ArgumentsReport, AuditsReport, ContainersReport, DevicesReport, DriftsReport,
    ForgottenReport, HappeningsReport, HistoryReport, ImagesReport, LineReport, LogReport, MountsReport,
    OperationsReport, RegistriesReport, RevisionsReport, TagReport, VerdictsReport, WhyReport,
};
pub use records::{
    AcceptedReport, AuditReport, HappeningReport, OperationReport, ProgressReport, RanReport, RevisionReport,
    VerdictReport,
};

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The whole device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// deviced's own version.
    pub version: String,
    /// The device's name, from the document.
    pub device: Option<String>,
    /// When this was true, seconds since 1970.
    pub at: i64,
    /// The engine.
    pub engine: EngineReport,
    /// The document.
    pub document: DocumentReport,
    /// The containers of the document, in its order.
    pub containers: Vec<ContainerReport>,
    /// Containers of ours that the document does not name.
    pub strays: Vec<ContainerReport>,
    /// Registries, the closest first.
    pub registries: Vec<RegistryReport>,
    /// Images of the engine that are ours, the largest first.
    pub images: Vec<ImageReport>,
    /// The last pass.
    pub pass: PassReport,
}

/// The engine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EngineReport {
    /// Whether it answers.
    pub up: bool,
    /// `Docker Engine - Community 20.10.24`.
    pub name: String,
    /// The version of the API that is spoken.
    pub api: String,
    /// What is wrong, with how long it has been so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Since when, seconds since 1970.
    pub since: i64,
}

/// The document.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DocumentReport {
    /// The revision that is in force; 0 for none.
    pub revision: u64,
    /// Its entity tag, as in the API's `ETag`.
    pub etag: String,
    /// Where its file is.
    pub file: String,
    /// Why the file is not in force: it is broken, or would remove everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// One container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerReport {
    /// Its id in the document.
    pub id: String,
    /// Its image.
    pub image: String,
    /// `settled`, `acting`, `proving`, `waiting`, `paused`, `stopped`, `blocked`.
    pub status: String,
    /// The answer to "why": one sentence.
    pub why: String,
    /// What has to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<VersionReport>,
    /// What runs, or was there last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<VersionReport>,
    /// The engine's id of its container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// What that does: `running`, `exited` and so on; `missing` for none.
    pub state: String,
    /// `healthy`, `unhealthy`, `starting`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
    /// When it was started, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// How it ended, if it does not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// How often the engine has started it again.
    pub restarts: i64,
    /// What differs from the document.
    pub drift: Vec<DriftReport>,
    /// Ports of the device that lead to it: `127.0.0.1:8080->80/tcp`.
    pub ports: Vec<String>,
    /// Mounts: `source:target[:ro]`.
    pub mounts: Vec<String>,
    /// Devices.
    pub devices: Vec<String>,
    /// Nobody may stop or remove it by hand.
    pub protected: bool,
    /// What somebody said over the document: `tag 1.4`, `stopped`.
    pub overrides: Vec<String>,
    /// Seconds until the registries are asked again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_look: Option<u64>,
    /// The operation that is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// How far its pull is, in bytes: done, total.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<(u64, u64)>,
    /// Better versions that it can't be, and why.
    pub passed_over: Vec<PassedOverReport>,
    /// What is kept to go back to.
    pub kept: Vec<VersionReport>,
    /// Labels of the document, for selecting.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionReport {
    /// The tag.
    pub version: String,
    /// The manifest's digest.
    pub digest: String,
    /// Where it is from: `host/repository`.
    pub repository: String,
    /// Its number in the history, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
}

/// A difference.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftReport {
    /// Which field, in the words of the document.
    pub field: String,
    /// What has to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// What is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}

/// A better version that it can't be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PassedOverReport {
    /// The tag.
    pub version: String,
    /// The digest, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Why not.
    pub why: String,
}

/// A registry.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryReport {
    /// Its URL.
    pub url: String,
    /// Whether it answered last.
    pub up: bool,
    /// Milliseconds of a small request, an average with decay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// Its place, 1 for the closest.
    pub rank: usize,
    /// What went wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Seconds for which it is left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<u64>,
    /// Requests since deviced started.
    pub requests: u64,
}

/// An image of the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageReport {
    /// Its name: `acme/web:1.4.2`; the digest's where it has no other.
    pub reference: String,
    /// The digest of its manifest or index, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The first twelve digits of the engine's id.
    pub id: String,
    /// Bytes that it takes.
    pub size: u64,
    /// Containers of the document that run it.
    pub used_by: Vec<String>,
    /// Why it is kept: `runs`, `history of web`, `pinned by web`; nothing for one that may go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
}

/// A pass of the loop.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PassReport {
    /// How many there have been.
    pub count: u64,
    /// Milliseconds that the last one took, without what was done because of it.
    pub took_ms: f64,
    /// Calls to the engine that it made.
    pub calls: u64,
    /// When, seconds since 1970.
    pub at: i64,
}

/// A plan, for a dry run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanReport {
    /// The document's revision that it is for; 0 for one that was only shown.
    pub revision: u64,
    /// Whether anything would be done.
    pub changes: bool,
    /// What would be done to networks and volumes.
    pub resources: Vec<String>,
    /// What would be done to each container.
    pub containers: Vec<PlannedReport>,
}

/// What a plan does to one container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedReport {
    /// Its id.
    pub id: String,
    /// `create`, `replace`, `start`, `stop`, `remove`, `repair`, `keep`, `wait`.
    pub action: String,
    /// The sentence.
    pub why: String,
    /// The version that is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The version that comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// What differs.
    pub drift: Vec<DriftReport>,
}
