//! A replacement that is under way, as it is written down before each stage, and what becomes of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::desired::Target;
use crate::engine::ContainerId;

/// A replacement. There is one for each container at most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Swap {
    /// The container of the document.
    pub container: String,
    /// The operation: it stands in a label of what is new.
    pub operation: String,
    /// Why.
    pub cause: Cause,
    /// What ran before; none when there was nothing.
    pub old: Option<ContainerId>,
    /// Whether that ran, or had ended by itself.
    pub old_ran: bool,
    /// What comes.
    pub target: Target,
    /// How far it is.
    pub stage: Stage,
    /// How often its proof was interrupted by what is not the version's doing.
    pub interrupted: u32,
}

/// Why something is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind", content = "detail")]
pub enum Cause {
    /// There is none yet, or none any more.
    Missing,
    /// Another version.
    Version,
    /// The same version with other options: which.
    Drift(Vec<Drift>),
    /// The container whose namespace it shares was replaced.
    Namespace(String),
    /// What is there can't be started, or is half removed.
    Broken(String),
    /// Somebody rolled back.
    Rollback,
    /// The version that ran was judged in its probation.
    Probation,
    /// It was there, and the history did not know it.
    Adopted,
}

/// A difference between what is and what has to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Which: `version`, `ports`, `environment.LEVEL`, `restart`: in the words of the document.
    pub field: String,
    /// What has to be; nothing for what has to go. Values of the environment are not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// What is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}

/// How far a replacement is. What a stage does is idempotent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "stage", content = "reason")]
pub enum Stage {
    /// The new container is created beside the old one.
    Create,
    /// `pre` hooks run in the old one.
    Hook,
    /// Names change, the old one is stopped, the new one is started.
    Switch,
    /// The new one is watched.
    Prove,
    /// It has proven itself: the old one goes.
    Retire,
    /// It has failed: the old one comes back.
    Revert(Failure),
}

/// What a version failed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Whose doing it is.
    pub reason: Reason,
    /// A sentence for people.
    pub text: String,
}

/// Whose doing a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// The version's: final for this digest with this spec.
    App,
    /// The device's or the engine's: tried again after a pause.
    Environment,
    /// A stop or a loss of power: three times.
    Interrupted,
    /// Somebody rolled back.
    Operator,
}

/// Proofs of one replacement that may be interrupted before it is given up.
pub const INTERRUPTIONS: u32 = 3;
/// So often may a version's container end before the version has failed, while it proves itself and in its probation.
pub const CRASHES: u32 = 3;

impl Stage {
    /// In a word, as in the documentation.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Hook => "hook",
            Self::Switch => "switch",
            Self::Prove => "prove",
            Self::Retire => "retire",
            Self::Revert(_) => "revert",
        }
    }
}

impl Failure {
    /// A failure with its sentence.
    pub fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into() }
    }
}

impl fmt::Display for Swap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, {}", self.container, self.target.version, self.cause)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is none"),
            Self::Version => f.write_str("another version"),
            Self::Drift(drift) => {
                let fields: Vec<_> = drift.iter().map(|drift| drift.field.as_str()).collect();
                write!(f, "other options: {}", fields.join(", "))
            }
            Self::Namespace(owner) => write!(f, "{owner}, whose namespace it shares, was replaced"),
            Self::Broken(why) => f.write_str(why),
            Self::Rollback => f.write_str("rolled back by hand"),
            Self::Probation => f.write_str("what ran was judged in its probation"),
            Self::Adopted => f.write_str("it was there already"),
        }
    }
}

impl Reason {
    /// In a word, as in the documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Environment => "environment",
            Self::Interrupted => "interrupted",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
