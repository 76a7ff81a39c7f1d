//! Bytes -> index, manifest, config; and which image of an index runs here. Pure: nothing in this module does I/O.
//!
//! What comes in is untrusted. A document is refused when two readers could understand it differently, when it is over a
//! [limit](crate::limits), or when it is no image.

mod error;

pub mod media_type;

mod json;

pub mod platform;

pub mod config;

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::digest::Digest;
use crate::limits::{Limit, Limits};

pub use config::ImageConfig;
pub use error::Error;
pub use media_type::Compression;
pub use platform::Platform;

/// How many indexes an index may lead through before an image is reached. A chain this short can't be a cycle.
pub const NESTED_INDEXES: usize = 1;

/// What a registry calls a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// A list of manifests, one a platform.
    Index(Index),
    /// One image.
    Image(Image),
}

/// An OCI image index (image-index.md) or a Docker manifest list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Its entries, in their order.
    pub manifests: Vec<Descriptor>,
}

/// An OCI image manifest (manifest.md) or a Docker manifest of schema 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The image config.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Layer>,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// What to fetch.
    pub descriptor: Descriptor,
    /// What its media type claims.
    pub compression: Compression,
    /// Whether registries may lack it, so that `descriptor.urls` are to be tried.
    pub foreign: bool,
}

/// A reference to content (OCI image spec, descriptor.md).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// What the content is.
    pub media_type: String,
    /// The content's name.
    pub digest: Digest,
    /// The content's length in bytes, within its limit.
    pub size: u64,
    /// Where else it can be had: `http` and `https` only.
    pub urls: Vec<String>,
    /// The annotations.
    pub annotations: BTreeMap<String, String>,
    /// What it runs on, in an index; normalised.
    pub platform: Option<Platform>,
}

/// Reads a manifest or an index. `content_type` is what the registry, or the descriptor that led here, says about it.
///
/// # Errors
/// [`Error`], which says what is refused and why; see the variants.
pub fn parse(bytes: &[u8], content_type: Option<&str>, limits: &Limits) -> Result<Document, Error> {
    cap(limits.manifest_bytes, bytes.len() as u64, "manifest")?;
    json::check(bytes).map_err(malformed)?;
    let raw: RawDocument = serde_json::from_slice(bytes).map_err(malformed)?;
    let inside = raw.media_type.as_deref().filter(|text| !text.is_empty());
    let outside = content_type.and_then(media_type::of_header);
    let claimed = inside.or(outside.as_deref());
    if raw.schema_version == 1
        || raw.fs_layers.is_some()
        || claimed.and_then(media_type::Kind::of) == Some(media_type::Kind::Schema1)
    {
        return Err(Error::Schema1);
    }
    if raw.schema_version != 2 {
        return Err(malformed(format_args!("schemaVersion is {}, expected 2", raw.schema_version)));
    }
    if raw.manifests.is_some() && (raw.layers.is_some() || raw.config.is_some()) {
        return Err(Error::Ambiguous);
    }
    if let (Some(inside), Some(outside)) = (inside, outside.as_deref())
        && inside != outside
    {
        return Err(Error::MediaTypeMismatch { inside: quoted(inside), outside: quoted(outside) });
    }
    let by_fields = if raw.manifests.is_some() { media_type::Kind::Index } else { media_type::Kind::Image };
    if let Some(claimed) = claimed {
        let kind = media_type::Kind::of(claimed).ok_or_else(|| Error::MediaType {
            what: "manifest".to_owned(),
            media_type: quoted(claimed),
            expected: "an OCI image index or manifest, or a Docker manifest list or manifest of schema 2",
        })?;
        if kind != by_fields {
            return Err(malformed(format_args!("its fields are not those of {claimed}")));
        }
    }
    match (raw.manifests, raw.config, raw.layers) {
        (Some(manifests), _, _) => index(manifests, limits).map(Document::Index),
        (None, Some(config), Some(layers)) => image(config, layers, limits).map(Document::Image),
        _ => Err(malformed("it has neither `manifests` nor both `config` and `layers`")),
    }
}

fn index(manifests: Vec<RawDescriptor>, limits: &Limits) -> Result<Index, Error> {
    cap(limits.index_entries, manifests.len() as u64, "index")?;
    let manifests = manifests
        .into_iter()
        .enumerate()
        // Entries that aren't manifests of images are not followed, so their size has no cap here.
        .map(|(number, raw)| descriptor(raw, limits.layer_bytes, || format!("entry {number} of the index")))
        .collect::<Result<_, _>>()?;
    Ok(Index { manifests })
}

fn image(config: RawDescriptor, layers: Vec<RawDescriptor>, limits: &Limits) -> Result<Image, Error> {
    if !media_type::is_config(&config.media_type) {
        return Err(Error::MediaType {
            what: "config of the manifest".to_owned(),
            media_type: quoted(&config.media_type),
            expected: "an image config: this is another kind of artifact, not an image that can be run",
        });
    }
    let config = descriptor(config, limits.config_bytes, || "config of the manifest".to_owned())?;
    cap(limits.layers, layers.len() as u64, "number of layers")?;
    let layers = layers
        .into_iter()
        .enumerate()
        .map(|(number, raw)| {
            let what = || format!("layer {number}");
            let (compression, foreign) =
                media_type::layer(&raw.media_type).ok_or_else(|| Error::MediaType {
                    what: what(),
                    media_type: quoted(&raw.media_type),
                    expected: "a file system layer: tar, tar+gzip or tar+zstd of OCI or Docker",
                })?;
            Ok(Layer { descriptor: descriptor(raw, limits.layer_bytes, what)?, compression, foreign })
        })
        .collect::<Result<_, Error>>()?;
    Ok(Image { config, layers })
}

fn descriptor(raw: RawDescriptor, limit: Limit, what: impl Fn() -> String) -> Result<Descriptor, Error> {
    let digest = raw.digest.parse().map_err(|source| Error::Digest { what: what(), source })?;
    let size = limit.check(raw.size).map_err(|source| Error::OverLimit { what: what(), source })?;
    let is_http = |url: &String| url.starts_with("https://") || url.starts_with("http://");
    Ok(Descriptor {
        digest,
        size,
        urls: raw.urls.unwrap_or_default().into_iter().filter(is_http).collect(),
        annotations: raw.annotations.unwrap_or_default(),
        platform: raw.platform.map(RawPlatform::normalised),
        media_type: raw.media_type,
    })
}

pub(crate) fn cap(limit: Limit, found: u64, what: &str) -> Result<(), Error> {
    limit.check(found).map(drop).map_err(|source| Error::OverLimit { what: what.to_owned(), source })
}

fn malformed(problem: impl std::fmt::Display) -> Error {
    Error::Malformed { what: "manifest", problem: told(&problem.to_string()) }
}

/// What a parser says of a registry's text, of which it may quote any length.
fn told(problem: &str) -> String {
    bounded(problem, 384)
}

/// A registry's word in an error.
fn quoted(text: &str) -> String {
    bounded(text, 128)
}

/// A registry's text in an error: so many characters of it, and without control characters, which could write into a terminal or a log.
pub(crate) fn bounded(text: &str, most: usize) -> String {
    let mut letters = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    let mut bounded: String = letters.by_ref().take(most).collect();
    if letters.next().is_some() {
        bounded.push('…');
    }
    bounded
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDocument {
    schema_version: u64,
    media_type: Option<String>,
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
    manifests: Option<Vec<RawDescriptor>>,
    fs_layers: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    urls: Option<Vec<String>>,
    annotations: Option<BTreeMap<String, String>>,
    platform: Option<RawPlatform>,
}

#[derive(Deserialize)]
struct RawPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

impl RawPlatform {
    fn normalised(self) -> Platform {
        Platform::new(&self.os, &self.architecture, self.variant.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
