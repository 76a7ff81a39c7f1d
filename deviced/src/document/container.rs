//! One container: which image, which versions of it, how it runs, and how it is updated.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::quantity::Span;
use super::run::Run;
use super::run::words::Command;
use super::update::Update;
use super::versions::Acceptable;

/// A container that has to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Container {
    /// Its name here, unique: letters, digits, `_`, `.` and `-`, at most 63, the first a letter or digit. It is found again by it,
    /// whatever Docker calls it.
    pub id: String,
    /// The image without a version: `acme/web`, `ghcr.io/acme/web`.
    pub image: String,
    /// Acceptable versions, best first.
    pub versions: Vec<Acceptable>,
    /// The tag that is used when no acceptable version can be had; none without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// How it runs.
    #[serde(default)]
    pub run: Run,
    /// How it is updated.
    #[serde(default)]
    pub update: Update,
    /// What is done before and after.
    #[serde(default)]
    pub hooks: Hooks,
    /// Nobody may stop or remove it by hand. It is updated all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
    /// It is left alone: neither started nor updated nor repaired.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

/// Commands in a container around its replacement. One that ends with 75 says "not now"; any other failure of a `pre` hook keeps the version that runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Hooks {
    /// In the version that runs, before it is stopped to be replaced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pre: Vec<Hook>,
    /// In the new version, when it has proven itself. One that fails is reported, and changes nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub post: Vec<Hook>,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Hook {
    /// What is executed in the container.
    pub command: Command,
    /// One that takes longer has failed.
    #[serde(default = "half_a_minute")]
    pub timeout: Span,
}

const fn half_a_minute() -> Span {
    Span::seconds(30)
}
