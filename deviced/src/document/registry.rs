//! Where images come from.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A registry that has copies of images: a mirror, a pull-through cache, or the registry itself. Of those that have a version,
/// the closest serves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Registry {
    /// `https://host[:port]`; `http://` where `plainHttp` says so.
    pub url: String,
    /// What stands before an image's name there: `mirror/` makes `acme/web` to `mirror/acme/web`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// The registries of which it has the images, as in references: `docker.io`, `ghcr.io`. Without it: those of images whose name
    /// has no registry, and its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    /// Who asks. Docker's own credentials without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// A file of PEM certificates to trust besides the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Whether it may be asked without TLS. Loopback always may.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plain_http: bool,
    /// Headers to send to it. Values are not secrets: they are shown.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// Credentials by reference: no secret stands in a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Credentials {
    /// The user's name.
    pub username: String,
    /// The file with the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<String>,
    /// The variable of deviced's environment with the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_env: Option<String>,
}
