//! What one answer of the API holds: a list with a name can get neighbours, a bare one can't.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    AuditReport, ContainerReport, DriftReport, HappeningReport, ImageReport, OperationReport,
    PassedOverReport, RanReport, RegistryReport, RevisionReport, VerdictReport, VersionReport,
};
use crate::engine::LogLine;

/// All containers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainersReport {
    /// Those of the document, in its order.
    pub containers: Vec<ContainerReport>,
    /// Those of ours that it does not name.
    pub strays: Vec<ContainerReport>,
}

/// Why a container is as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhyReport {
    /// The container.
    pub id: String,
    /// `settled`, `acting`, `proving`, `waiting`, `paused`, `stopped`, `blocked`.
    pub status: String,
    /// The answer, in a sentence.
    pub why: String,
    /// What has to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<VersionReport>,
    /// What runs, or was there last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<VersionReport>,
    /// Better versions that it can't be, and why.
    pub passed_over: Vec<PassedOverReport>,
    /// What differs from the document.
    pub drift: Vec<DriftReport>,
    /// What somebody said over the document.
    pub overrides: Vec<String>,
    /// Seconds until the registries are asked again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_look: Option<u64>,
    /// Why the document's file is not in force, if it isn't.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_problem: Option<String>,
    /// What is wrong with the engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_problem: Option<String>,
}

/// Versions that a container ran.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryReport {
    /// The newest first.
    pub versions: Vec<RanReport>,
}

/// Verdicts on a container's versions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerdictsReport {
    /// The newest first.
    pub verdicts: Vec<VerdictReport>,
}

/// Verdicts that were lifted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForgottenReport {
    /// How many.
    pub forgotten: usize,
}

/// A document that was put in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliedReport {
    /// Its revision.
    pub revision: u64,
    /// Its entity tag, for the next change.
    pub etag: String,
}

/// What differs from the document.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftsReport {
    /// In the words of the document.
    pub drift: Vec<DriftReport>,
}

/// Devices of a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DevicesReport {
    /// `source:target:permissions`.
    pub devices: Vec<String>,
}

/// Mounts of a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MountsReport {
    /// `source:target[:ro]`.
    pub mounts: Vec<String>,
}

/// A tag that somebody set over the document's versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TagReport {
    /// The tag; `null` when the document's versions are followed.
    pub tag: Option<String>,
}

/// Run options that somebody changed over the document's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArgumentsReport {
    /// The merge patch (RFC 7396); `null` when the document's are used.
    pub arguments: Option<Value>,
}

/// A line of output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LineReport {
    /// When it was written, RFC 3339.
    pub at: String,
    /// Whether it came from standard error.
    pub error: bool,
    /// Without the line's end.
    pub text: String,
}

impl From<LogLine> for LineReport {
    fn from(line: LogLine) -> Self {
        let LogLine { at, error, text } = line;
        Self { at, error, text }
    }
}

/// The last lines of what failed in an operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogReport {
    /// The operation.
    pub operation: String,
    /// Oldest first.
    pub lines: Vec<String>,
}

/// Images of the engine that are ours.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImagesReport {
    /// The largest first.
    pub images: Vec<ImageReport>,
}

/// Registries.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistriesReport {
    /// The closest first.
    pub registries: Vec<RegistryReport>,
}

/// Operations.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationsReport {
    /// The newest first.
    pub operations: Vec<OperationReport>,
}

/// What happened.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HappeningsReport {
    /// Oldest first. What was before the first of them and after the number that was asked for is forgotten.
    pub events: Vec<HappeningReport>,
}

/// Who changed what.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditsReport {
    /// Oldest first.
    pub audit: Vec<AuditReport>,
}

/// Documents that were accepted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionsReport {
    /// The newest first, without their texts.
    pub revisions: Vec<RevisionReport>,
}
