//! Where versions come from: registries are probed, ranked and asked, and what they have is brought to the engine.
//!
//! A container's image -> the repositories that may have it ([`candidates`]) -> in the order of their distance (`rank`) -> one question
//! after the other (`question`) -> offers (`survey`). An offer is pulled by its digest, by the engine itself where it can be, else
//! through a registry on loopback (`relay`), in which each blob comes from the closest registry that has it (`feed`).

mod candidates;

mod say;

mod rank;

mod words;

mod question;

mod problems;

mod clients;

mod survey;

mod pulling;

mod tries;

mod ticket;

mod feed;

mod route;

pub(crate) mod relay;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use candidates::{Candidate, candidates};
pub use problems::Problem;
pub use pulling::Pulling;
pub use survey::{Sources, Survey};
pub use words::Said;

/// What is known about a registry.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistryState {
    /// Its URL, as in the document.
    pub url: String,
    /// Whether the last request was answered.
    pub up: bool,
    /// Latency of small requests, an average with decay; none before the first answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Duration>,
    /// Its place, 1 for the closest.
    pub rank: usize,
    /// Requests in a row that failed.
    #[serde(default)]
    pub failures: u32,
    /// What went wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// It has to be left alone for so long: it said 429 or 503, or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<Duration>,
    /// When it was asked last, seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<i64>,
    /// Requests since deviced started.
    pub requests: u64,
    /// What it said last about tags, by `image:tag` as in the document.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub said: BTreeMap<String, Said>,
}
