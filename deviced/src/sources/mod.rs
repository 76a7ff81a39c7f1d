//! Where versions come from: registries are probed, ranked and asked.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What is known about a registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
}
