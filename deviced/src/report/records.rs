//! What the history remembers, as it is told. Specs, whose environment may hold secrets, stay in the history.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::VersionReport;
use crate::engine::Progress;
use crate::history::{Audit, Happening, Operation, OperationState, Revision, Verdict, Version};
use crate::swap::{Cause, Reason};

/// What somebody wanted will be done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedReport {
    /// The operation to follow; none when it was so already, or is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
}

/// Something that takes time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationReport {
    /// Its id: 26 characters that sort by time.
    pub id: String,
    /// The container, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// What is done: `swap`, `start`, `stop`, `restart`, `pull`, `remove`, `apply`.
    pub kind: String,
    /// Who wants it.
    pub who: String,
    /// `running`, `done`, `failed`.
    pub state: String,
    /// The stage, in a word.
    pub stage: String,
    /// In a sentence.
    pub text: String,
    /// Of a pull.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressReport>,
    /// When it began, seconds since 1970.
    pub began: i64,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<i64>,
}

/// How far a pull is. Zero where nothing is known yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProgressReport {
    /// Bytes that have come.
    pub done: u64,
    /// Bytes in all, as far as they are known.
    pub total: u64,
    /// Layers that are there.
    pub layers_done: u32,
    /// Layers in all, as far as they are known.
    pub layers_total: u32,
}

/// Something that happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HappeningReport {
    /// Growing.
    pub id: i64,
    /// Seconds since 1970.
    pub at: i64,
    /// `swap`, `commit`, `rollback`, `verdict`, `drift`, `document`, `engine`, `registry`, `action`.
    pub kind: String,
    /// The container, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// In a sentence.
    pub text: String,
}

/// A change that somebody made, and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditReport {
    /// Growing.
    pub id: i64,
    /// Seconds since 1970.
    pub at: i64,
    /// `file`, `socket:UID`, `token`, `deviced`.
    pub who: String,
    /// What they did: `put document`, `stop`, `rollback`.
    pub action: String,
    /// To what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// What was before, if it was little.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// What came of it.
    pub outcome: String,
}

/// A document as it was accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionReport {
    /// From 1, growing.
    pub revision: u64,
    /// Who brought it.
    pub who: String,
    /// When, seconds since 1970.
    pub at: i64,
    /// Bytes of its text.
    pub size: usize,
    /// The text as it was written; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A version that a container has run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RanReport {
    /// The version; its id is what a rollback goes back to.
    #[serde(flatten)]
    pub version: VersionReport,
    /// The hash of the spec that it ran with.
    pub spec: String,
    /// The document's revision at that time.
    pub revision: u64,
    /// The operation that brought it.
    pub operation: String,
    /// Why it came, in a sentence.
    pub cause: String,
    /// Who brought it.
    pub who: String,
    /// When it had proven itself, seconds since 1970.
    pub began: i64,
    /// When it was replaced; none for the one that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<i64>,
    /// What it failed with, if it was judged later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Milliseconds that replacing took, until it had proven itself.
    pub took_ms: u64,
    /// Seconds that are left of its probation.
    pub probation: u64,
    /// How often it has ended unasked in its probation.
    pub crashes: u32,
    /// Somebody went back to it, and it stays until released.
    pub pinned: bool,
}

/// What is known about a version with a spec that has failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerdictReport {
    /// The tag it was found under.
    pub version: String,
    /// The digest.
    pub digest: String,
    /// The hash of the spec.
    pub spec: String,
    /// `app`: final. `environment`: tried again after a pause. `interrupted`: three times. `operator`: somebody's word.
    pub reason: String,
    /// In a sentence.
    pub text: String,
    /// When, seconds since 1970.
    pub at: i64,
    /// How often it has been tried.
    pub attempts: u32,
    /// The last lines that it wrote.
    pub log: Vec<String>,
}

impl From<Operation> for OperationReport {
    fn from(operation: Operation) -> Self {
        let state = match operation.state {
            OperationState::Running => "running",
            OperationState::Done => "done",
            OperationState::Failed => "failed",
        };
        Self {
            id: operation.id,
            container: operation.container,
            kind: operation.kind,
            who: operation.who,
            state: state.to_owned(),
            stage: operation.stage,
            text: operation.text,
            progress: operation.progress.map(Into::into),
            began: operation.began,
            ended: operation.ended,
        }
    }
}

impl From<Progress> for ProgressReport {
    fn from(progress: Progress) -> Self {
        let Progress { done, total, layers_done, layers_total } = progress;
        Self { done, total, layers_done, layers_total }
    }
}

impl From<Happening> for HappeningReport {
    fn from(happening: Happening) -> Self {
        let Happening { id, at, kind, container, text } = happening;
        Self { id, at, kind, container, text }
    }
}

impl From<Audit> for AuditReport {
    fn from(audit: Audit) -> Self {
        let Audit { id, at, who, action, container, before, after, outcome } = audit;
        Self { id, at, who, action, container, before, after, outcome }
    }
}

impl RevisionReport {
    /// One of a list.
    pub fn listed(revision: Revision) -> Self {
        Self { text: None, ..Self::whole(revision) }
    }

    /// One with its text.
    pub fn whole(revision: Revision) -> Self {
        let Revision { revision, text, who, at } = revision;
        Self { revision, who, at, size: text.len(), text: Some(text) }
    }
}

impl RanReport {
    /// A version, and whether somebody went back to it.
    pub fn new(version: Version, pinned: Option<i64>) -> Self {
        Self {
            spec: version.target.spec.hash().0,
            version: VersionReport {
                version: version.target.version,
                digest: version.target.digest.to_string(),
                repository: version.target.repository,
                id: Some(version.id),
            },
            revision: version.revision,
            operation: version.operation,
            cause: sentence(&version.cause),
            who: version.who,
            began: version.began,
            ended: version.ended,
            failure: version.failure.map(|failure| failure.text),
            took_ms: u64::try_from(version.took.as_millis()).unwrap_or(u64::MAX),
            probation: version.probation.as_secs(),
            crashes: version.crashes,
            pinned: pinned == Some(version.id),
        }
    }
}

impl From<Verdict> for VerdictReport {
    fn from(verdict: Verdict) -> Self {
        let reason = match verdict.failure.reason {
            Reason::App => "app",
            Reason::Environment => "environment",
            Reason::Interrupted => "interrupted",
            Reason::Operator => "operator",
        };
        Self {
            version: verdict.version,
            digest: verdict.digest.to_string(),
            spec: verdict.spec.0,
            reason: reason.to_owned(),
            text: verdict.failure.text,
            at: verdict.at,
            attempts: verdict.attempts,
            log: verdict.log,
        }
    }
}

fn sentence(cause: &Cause) -> String {
    match cause {
        Cause::Missing => "there was none".to_owned(),
        Cause::Version => "another version".to_owned(),
        Cause::Drift(drift) => {
            let fields: Vec<_> = drift.iter().map(|drift| drift.field.as_str()).collect();
            format!("other options: {}", fields.join(", "))
        }
        Cause::Namespace(container) => format!("{container}, whose namespace it shares, was replaced"),
        Cause::Broken(problem) => format!("what was there could not be used: {problem}"),
        Cause::Rollback => "somebody rolled back".to_owned(),
        Cause::Adopted => "it was there already".to_owned(),
        Cause::Probation => "the version before was judged in its probation".to_owned(),
    }
}
