//! The document that says what a device runs: text -> values with their places -> types -> what contradicts itself.
//!
//! All of it is pure. Whatever is wrong is said with line and column, all at once where that is possible, and nothing that is
//! wrong gets any further.

mod finding;
mod source;

mod unknown;

pub mod quantity;
pub mod run;

pub mod container;
pub mod registry;
pub mod resources;
pub mod update;
pub mod versions;

mod check;
mod schema;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use finding::{Finding, Pointer, Refused};
pub use schema::schema;
pub use source::{MAX_BYTES, MAX_DEPTH, MAX_VALUES, Place};

use container::Container;
use registry::Registry;
use resources::{Network, Volume};
use source::Source;
pub(crate) use unknown::nearest;

/// What a device has to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a map with apiVersion and containers")]
pub struct Document {
    /// The version of this format.
    pub api_version: ApiVersion,
    /// The device.
    #[serde(default)]
    pub device: Device,
    /// Where images come from, besides the registries that their names say.
    #[serde(default)]
    pub registries: Vec<Registry>,
    /// Networks by name.
    #[serde(default)]
    pub networks: BTreeMap<String, Option<Network>>,
    /// Volumes by name.
    #[serde(default)]
    pub volumes: BTreeMap<String, Option<Volume>>,
    /// Containers. An empty list has to be written out.
    pub containers: Vec<Container>,
    /// What becomes of containers of ours that aren't named any more.
    #[serde(default)]
    pub remove_unknown: RemoveUnknown,
}

/// The version of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The first.
    #[serde(rename = "deviced/v1")]
    V1,
}

/// Who the device is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Device {
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is known about it: its place, its owner.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// What becomes of containers of ours that a document names no more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RemoveUnknown {
    /// They are stopped and kept, and `status` says so.
    #[default]
    Stop,
    /// They go on running, and `status` says so.
    Keep,
    /// They are stopped and removed; their volumes stay.
    Remove,
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// When anything about it is wrong, with everything that was found.
    pub fn read(text: &str) -> Result<Self, Refused> {
        let source = Source::read(text).map_err(|finding| Refused::new(vec![finding]))?;
        let refused = |findings: Vec<Finding>| {
            Refused::new(findings.into_iter().map(|finding| finding.located(&source)).collect())
        };
        let unknown = unknown::find(schema().as_value(), &source.value);
        if !unknown.is_empty() {
            return Err(refused(unknown));
        }
        let document: Self = serde_path_to_error::deserialize(&source.value)
            .map_err(|error| refused(vec![wrong_type(&error)]))?;
        let findings = check::check(&document);
        if findings.is_empty() { Ok(document) } else { Err(refused(findings)) }
    }
}

fn wrong_type(error: &serde_path_to_error::Error<serde_json::Error>) -> Finding {
    use serde_path_to_error::Segment;
    let pointer = error.path().iter().fold(Pointer::root(), |pointer, segment| match segment {
        Segment::Seq { index } => pointer.index(*index),
        Segment::Map { key } => pointer.key(key),
        Segment::Enum { .. } | Segment::Unknown => pointer,
    });
    Finding::new(pointer, error.inner().to_string())
}

#[cfg(test)]
mod tests;
