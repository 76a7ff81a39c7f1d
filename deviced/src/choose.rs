//! Which version a container has to be: acceptable ones, offers, verdicts -> one. Pure.

use std::time::Duration;

use dockerloader::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::desired::Target;

/// A registry, or the engine itself, has a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// Which entry of the container's `versions` it is, from 0; the number of entries for the fallback; `None` for a tag that somebody set.
    pub entry: Option<usize>,
    /// The tag; the digest itself where the entry is one.
    pub version: String,
    /// What the tag stands for: the digest of a manifest or index.
    pub digest: Digest,
    /// `host[:port]/repository`: where it is pulled from.
    pub repository: String,
    /// The registry's URL; `engine` for an image that is there already.
    pub registry: String,
    /// How long this device has known it, by time that deviced was running.
    pub known_for: Duration,
}

/// What was chosen, and what was not.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The version, or why there is none.
    pub target: Result<Target, String>,
    /// In a sentence, why it is this one.
    pub why: String,
    /// Better ones that it could not be, best first.
    pub passed_over: Vec<PassedOver>,
    /// When it may be another one although no registry says anything new.
    pub again: Option<Duration>,
}

/// A version that would have been better.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// Its tag.
    pub version: String,
    /// Its digest, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Why not.
    pub why: String,
}
