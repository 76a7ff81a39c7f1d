//! Makes the versions of an image, in the storage of a registry, and keeps what was made between runs.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::layer::{Layer, Made, Sum};
use super::shapes::{Recipe, Scale};
use super::store::{Store, TAG};
use crate::bench::corpus::Corpus;
use crate::failure::{Context as _, Failure, Result};
use crate::interrupt;

/// Another number makes other images: part of the names of what is kept.
const FORMAT: u32 = 1;
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Where images are made.
#[derive(Debug)]
pub(in crate::bench) struct Works {
    corpus: Corpus,
    cache: PathBuf,
    store: Store,
}

/// The versions of an image, in one repository.
#[derive(Debug)]
pub(in crate::bench) struct Chain {
    pub(in crate::bench) repository: String,
    pub(in crate::bench) versions: Vec<Image>,
}

/// One version.
#[derive(Debug, Clone)]
pub(in crate::bench) struct Image {
    /// SHA-256 of the manifest, hexadecimal.
    pub(in crate::bench) digest: String,
    /// The layers as they are sent, lowest first.
    pub(in crate::bench) blobs: Vec<PathBuf>,
    /// Paths of regular files, hard links among them, that are there after the last layer.
    pub(in crate::bench) files: i64,
    /// Bytes of the layers as they are sent.
    pub(in crate::bench) compressed: u64,
    /// Bytes of the archives in them.
    pub(in crate::bench) archives: u64,
}

impl Works {
    /// Keeps everything below `cache`.
    pub(in crate::bench) fn new(cache: &Path, corpus: Corpus) -> Self {
        let cache = cache.join(format!("images-{FORMAT}-{}", corpus.id));
        Self { corpus, store: Store::new(&cache.join("registry")), cache }
    }

    /// The storage of the registry that has the images.
    pub(in crate::bench) fn storage(&self) -> PathBuf {
        self.cache.join("registry")
    }

    pub(in crate::bench) fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    /// Makes the first so many versions, or finds them.
    pub(in crate::bench) fn chain(&self, recipe: Recipe, scale: Scale, versions: u64) -> Result<Chain> {
        let layers = (0..versions).map(|version| recipe.layers(scale, version)).collect::<Vec<_>>();
        self.make_missing(layers.iter().flatten())?;
        let repository = format!("{}-{}", recipe.name(), format!("{scale:?}").to_lowercase());
        let mut images = Vec::new();
        for (version, layers) in layers.iter().enumerate() {
            let made = layers.iter().map(|layer| {
                self.kept(layer).ok_or_else(|| Failure::new("a layer that was made has disappeared"))
            });
            let made = made.collect::<Result<Vec<_>>>()?;
            let image = self.publish(&repository, &format!("v{version}"), &made);
            images.push(image.context(format_args!("write to {}", self.cache.display()))?);
        }
        Ok(Chain { repository, versions: images })
    }

    /// Lets the tag that is pulled point to a version.
    pub(in crate::bench) fn point(&self, repository: &str, image: &Image) -> Result {
        let linked = self.store.link_manifest(repository, TAG, &image.digest);
        linked.context(format_args!("move the tag of {repository}"))
    }

    /// A version that somebody else pushed under a tag, of as many files as `like`.
    pub(in crate::bench) fn find(&self, repository: &str, tag: &str, like: &Image) -> Option<Image> {
        let digest = self.store.tag(repository, tag)?;
        let manifest = std::fs::read(self.store.blob(&digest)).ok()?;
        let manifest = serde_json::from_slice::<Value>(&manifest).ok()?;
        let layers = manifest["layers"].as_array()?;
        let hex =
            |layer: &Value| layer["digest"].as_str()?.strip_prefix("sha256:").map(|hex| self.store.blob(hex));
        Some(Image {
            digest,
            blobs: layers.iter().filter_map(hex).collect(),
            compressed: layers.iter().filter_map(|layer| layer["size"].as_u64()).sum(),
            ..like.clone()
        })
    }

    /// Makes the layers that aren't there, on all cores.
    fn make_missing<'l>(&self, layers: impl Iterator<Item = &'l Layer>) -> Result {
        let mut missing = VecDeque::new();
        for layer in layers {
            if self.kept(layer).is_none() && !missing.contains(&layer) {
                missing.push_back(layer);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        eprintln!("making {} layers", missing.len());
        let queue = Mutex::new(missing);
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let work = || -> Result {
            while let Some(layer) = next() {
                if interrupt::interrupted() {
                    return Err(Failure::new("interrupted"));
                }
                self.make(layer).context(format_args!("make the layer {}", layer.name))?;
            }
            Ok(())
        };
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        std::thread::scope(|scope| {
            let threads = (0..cores).map(|_| scope.spawn(work)).collect::<Vec<_>>();
            let ended = threads.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|_| Err(Failure::new("a thread that made a layer panicked")))
            });
            ended.collect()
        })
    }

    fn make(&self, layer: &Layer) -> std::io::Result<()> {
        let (layers, blobs) = (self.cache.join("layers"), self.storage());
        std::fs::create_dir_all(&layers)?;
        std::fs::create_dir_all(&blobs)?;
        let file = tempfile::NamedTempFile::new_in(&blobs)?;
        let made = layer.write(self.corpus.bytes(), file.path())?;
        // Kept under its digest, so there is nothing left to be removed.
        let (_, path) = file.keep().map_err(|error| error.error)?;
        self.store.adopt(&path, &made.blob)?;
        std::fs::write(layers.join(key(layer)), described(&made).to_string())
    }

    fn kept(&self, layer: &Layer) -> Option<Made> {
        let text = std::fs::read(self.cache.join("layers").join(key(layer))).ok()?;
        let made = read(&serde_json::from_slice(&text).ok()?)?;
        self.store.blob(&made.blob.hex).is_file().then_some(made)
    }

    fn publish(&self, repository: &str, tag: &str, layers: &[Made]) -> std::io::Result<Image> {
        let config = self.store.put(config(layers).to_string().as_bytes())?;
        let manifest = self.store.put(manifest(&config, layers).to_string().as_bytes())?;
        for blob in layers.iter().map(|layer| &layer.blob).chain([&config]) {
            self.store.link_blob(repository, &blob.hex)?;
        }
        self.store.link_manifest(repository, tag, &manifest.hex)?;
        Ok(Image {
            digest: manifest.hex,
            blobs: layers.iter().map(|layer| self.store.blob(&layer.blob.hex)).collect(),
            files: layers.iter().map(|layer| layer.files).sum(),
            compressed: layers.iter().map(|layer| layer.blob.length).sum(),
            archives: layers.iter().map(|layer| layer.archive.length).sum(),
        })
    }
}

/// The name of what is known of a layer.
fn key(layer: &Layer) -> String {
    fixtures::sha256(format!("{layer:?}").as_bytes()).replace("sha256:", "")
}

fn config(layers: &[Made]) -> Value {
    let diff_ids = layers.iter().map(|layer| format!("sha256:{}", layer.archive.hex));
    json!({
        "created": "2020-01-01T00:00:00Z",
        "os": "linux",
        "architecture": fixtures::image::host_architecture(),
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": diff_ids.collect::<Vec<_>>() },
    })
}

fn manifest(config: &Sum, layers: &[Made]) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, config),
        "layers": layers.iter().map(|layer| descriptor(LAYER, &layer.blob)).collect::<Vec<_>>(),
    })
}

fn descriptor(media_type: &str, sum: &Sum) -> Value {
    json!({ "mediaType": media_type, "digest": format!("sha256:{}", sum.hex), "size": sum.length })
}

fn described(made: &Made) -> Value {
    let sum = |sum: &Sum| json!({ "sha256": sum.hex, "length": sum.length });
    json!({ "blob": sum(&made.blob), "archive": sum(&made.archive), "files": made.files })
}

fn read(value: &Value) -> Option<Made> {
    let sum = |value: &Value| {
        Some(Sum { hex: value["sha256"].as_str()?.to_owned(), length: value["length"].as_u64()? })
    };
    Some(Made {
        blob: sum(&value["blob"])?,
        archive: sum(&value["archive"])?,
        files: value["files"].as_i64()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_images_are_made_each_time_and_kept() {
        let make = || {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let corpus = Corpus::find_or_make(directory.path(), true).expect("a made-up corpus");
            let works = Works::new(directory.path(), corpus);
            let chain = works.chain(Recipe::Top, Scale::Tiny, 2).expect("a chain");
            let again = works.chain(Recipe::Top, Scale::Tiny, 2).expect("the same chain");
            let digests =
                |chain: &Chain| chain.versions.iter().map(|image| image.digest.clone()).collect::<Vec<_>>();
            assert_eq!(digests(&chain), digests(&again));
            let [one, two] = chain.versions.as_slice() else { panic!("two versions were asked for") };
            assert_eq!(one.blobs[..2], two.blobs[..2]);
            assert_ne!(one.blobs[2], two.blobs[2]);
            assert!(one.compressed < one.archives && one.compressed > one.archives / 5, "{one:?}");
            works.point(&chain.repository, two).expect("the tag moves");
            let found = works.find(&chain.repository, TAG, one).expect("it is found by its tag");
            assert_eq!((&found.digest, &found.blobs), (&two.digest, &two.blobs));
            digests(&chain)
        };
        assert_eq!(make(), make());
    }
}
