//! What the history remembers, as values.

use std::time::Duration;

use dockerloader::digest::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::desired::Target;
use crate::spec::SpecHash;
use crate::swap::{Cause, Failure};

/// What somebody said over the document about one container. It outlives restarts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Override {
    /// This tag instead of the document's versions; the document's are fallen back to when it can't be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Changes to `run`, as a merge patch (RFC 7396).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Value>,
    /// It was stopped, and stays so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// It is left alone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// A version of the history that it was rolled back to, until released.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<i64>,
}

/// A version that a container has run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// Its number in the history, growing.
    pub id: i64,
    /// The container.
    pub container: String,
    /// What ran, with its image and spec.
    pub target: Target,
    /// The document's revision at that time.
    pub revision: u64,
    /// The operation that brought it.
    pub operation: String,
    /// Why it came.
    pub cause: Cause,
    /// Who brought it: `deviced`, or a name from the API.
    pub who: String,
    /// When it had proven itself, seconds since 1970 by the device's clock.
    pub began: i64,
    /// When it was replaced; it is the one that runs without it.
    pub ended: Option<i64>,
    /// What it failed with, if it was judged later.
    pub failure: Option<Failure>,
    /// How long replacing took, until it had proven itself.
    pub took: Duration,
    /// What is left of its probation.
    pub probation: Duration,
    /// How often it has ended unasked in its probation.
    pub crashes: u32,
}

/// What is known about a version with a spec that has failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// The container.
    pub container: String,
    /// The version.
    pub digest: Digest,
    /// The tag it was found under.
    pub version: String,
    /// The spec.
    pub spec: SpecHash,
    /// Whose doing, and what.
    pub failure: Failure,
    /// When, seconds since 1970 by the device's clock.
    pub at: i64,
    /// How often it has been tried.
    pub attempts: u32,
    /// The last lines that it wrote.
    pub log: Vec<String>,
}

/// Something that takes time and can be asked about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Its id: 26 characters that sort by time.
    pub id: String,
    /// The container, if it is about one.
    pub container: Option<String>,
    /// What is done: `swap`, `start`, `stop`, `restart`, `pull`, `remove`, `apply`.
    pub kind: String,
    /// Who wants it.
    pub who: String,
    /// How far it is.
    pub state: OperationState,
    /// The stage, in a word.
    pub stage: String,
    /// In a sentence.
    pub text: String,
    /// Bytes of a pull.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<crate::engine::Progress>,
    /// When it began, seconds since 1970.
    pub began: i64,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<i64>,
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationState {
    /// It goes on.
    Running,
    /// It has done what it was for.
    Done,
    /// It has not, and what was before is there again.
    Failed,
}

/// Something that happened, for those who follow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Happening {
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// From 1, growing.
    pub revision: u64,
    /// As it was written.
    pub text: String,
    /// Who brought it.
    pub who: String,
    /// Seconds since 1970.
    pub at: i64,
}
