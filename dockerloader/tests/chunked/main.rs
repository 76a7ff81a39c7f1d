//! Updates of layers with a table of contents: what is fetched, what is taken from disk, and what lies lead to.
#![expect(clippy::disallowed_methods, reason = "the tests look at the store, and damage it, from outside")]

mod lies;

mod trouble;

mod skopeo;

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dockerloader::config::RegistrySettings;
use dockerloader::digest::Digest;
use dockerloader::layout::Layout;
use dockerloader::progress::{Event, Progress};
use dockerloader::pull::{self, Error, Outcome, Request};
use dockerloader::volume::{Made, Method, Wanted};
use fixtures::ground::Ground;
use fixtures::image::{BuiltImage, Compression, Image, Layer, noise};
use fixtures::registry::{Fault, Kind, Registry, Rule};

const FORMATS: [Compression; 2] = [Compression::ZstdChunked, Compression::Estargz];
const FILES: u64 = 400;
/// One of them is large.
const LARGE: u64 = 200;

/// A registry and a data directory.
struct Scene {
    registry: Registry,
    ground: Ground,
    layout: Layout,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Scene {
    fn new() -> Self {
        // What is tested here is not how disks sync, of which many pulls do a lot.
        let memory = std::path::Path::new("/dev/shm");
        let ground = if memory.is_dir() { Ground::within(memory) } else { Ground::new() };
        let layout = Layout::new(ground.data());
        Self { registry: Registry::start(), ground, layout, events: Arc::default() }
    }

    /// One that has pulled `image`, and forgotten the requests for it.
    fn after(image: &BuiltImage) -> Self {
        let scene = Self::new();
        assert_eq!(scene.pull(image).unwrap(), staged(image));
        scene.registry.clear_requests();
        scene.events.lock().unwrap().clear();
        scene
    }

    fn pull(&self, image: &BuiltImage) -> Result<Outcome, Error> {
        self.registry.put("app", "v1", image);
        self.pull_from(&self.registry.reference("app", "v1"))
    }

    fn pull_from(&self, reference: &str) -> Result<Outcome, Error> {
        let request = Request {
            reference: reference.parse().unwrap(),
            stage: true,
            current: None,
            rejected: BTreeMap::new(),
            again: false,
            // Without a supervisor nobody mounts what a pull makes.
            method: Wanted::Only(Method::Copy),
            wait: Duration::ZERO,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let events = Arc::clone(&self.events);
        let progress: Arc<dyn Progress> = Arc::new(move |event| events.lock().unwrap().push(event));
        runtime.block_on(pull::pull(&request, &RegistrySettings::default(), &self.layout, progress))
    }

    /// Requests for a layer, and the bytes that they asked for.
    fn asked(&self, image: &BuiltImage) -> (usize, u64) {
        let (digest, size) = (&image.layers[0].digest, image.layers[0].bytes.len() as u64);
        let requests = self.registry.requests().into_iter();
        let ranges = requests.filter(|request| request.path.ends_with(digest)).map(|request| {
            let (first, last) = request.range.as_deref().map_or(("0", ""), |range| {
                range.strip_prefix("bytes=").and_then(|range| range.split_once('-')).unwrap()
            });
            last.parse().map_or(size, |last: u64| last + 1) - first.parse::<u64>().unwrap()
        });
        ranges.fold((0, 0), |(requests, bytes), range| (requests + 1, bytes + range))
    }

    /// What a pull said about the blob that it put together: fetched and copied bytes.
    fn assembled(&self) -> Option<(u64, u64)> {
        let events = self.events.lock().unwrap();
        events.iter().find_map(|event| match event {
            Event::Assembled { fetched, copied, .. } => Some((*fetched, *copied)),
            _ => None,
        })
    }

    /// What the pull said about the tree that it made.
    fn made(&self) -> Option<Made> {
        let events = self.events.lock().unwrap();
        events.iter().find_map(|event| match event {
            Event::Made { made, .. } => Some(made.clone()),
            _ => None,
        })
    }

    /// As [`Scene::check_blob`], and the tree is that of a first extraction.
    fn check(&self, image: &BuiltImage, what: &str) {
        self.check_blob(image, what);
        let cold = Self::new();
        assert_eq!(cold.pull(image).unwrap(), staged(image), "{what}");
        let seal = |scene: &Self| fs::read(scene.layout.seal(&digest(&image.digest))).unwrap();
        assert_eq!(seal(self), seal(&cold), "{what}");
    }

    /// The layer on disk is the one of the image, and nothing else is left.
    fn check_blob(&self, image: &BuiltImage, what: &str) {
        let blob = fs::read(self.layout.blob(&digest(&image.layers[0].digest))).unwrap();
        assert_eq!(fixtures::sha256(&blob), image.layers[0].digest, "{what}");
        let names = self.ground.list("blobs");
        assert!(!names.iter().any(|name| name.starts_with("partial")), "{what}: {names:?}");
    }
}

fn digest(text: &str) -> Digest {
    text.parse().unwrap()
}

fn staged(image: &BuiltImage) -> Outcome {
    Outcome::Staged { digest: digest(&image.digest) }
}

fn length(n: u64) -> usize {
    if n == LARGE { 1_000_000 } else { usize::try_from(n * 7919 % 15_000).unwrap() }
}

/// A layer of many files; those in `changed` have other contents than usual.
fn files(changed: impl Fn(u64) -> bool) -> Layer {
    let mut layer = Layer::new().file("entrypoint", 0o755, b"#!/bin/sh\nexit 0\n").dir("usr", 0o755);
    for n in 0..FILES {
        let seed = if changed(n) { n + 1_000_000 } else { n };
        if n % 10 == 0 {
            layer =
                layer.dir(&format!("usr/{n}"), 0o755).symlink(&format!("usr/{n}/link"), "../../entrypoint");
            layer = layer.pax(&[("SCHILY.xattr.user.n", n.to_string().as_bytes())]);
        }
        layer = layer.file(&format!("usr/{}/{n}", n / 10 * 10), 0o644, &noise(seed, length(n)));
    }
    layer.hardlink("usr/hard", "usr/0/1").file("usr/empty", 0o600, b"")
}

fn image(format: Compression, changed: impl Fn(u64) -> bool) -> BuiltImage {
    Image::new().layer(files(changed).compression(format)).build()
}

#[test]
fn only_what_changed_is_fetched() {
    for format in FORMATS {
        let scene = Scene::after(&image(format, |_| false));
        let new = image(format, |n| n % 100 == 33);
        assert_eq!(scene.pull(&new).unwrap(), staged(&new), "{format:?}");

        let size = new.layers[0].bytes.len() as u64;
        let (requests, bytes) = scene.asked(&new);
        println!("{format:?}: {bytes} of {size} bytes in {requests} requests");
        assert!(bytes < size / 20, "{format:?}: {bytes} of {size} bytes");
        assert!(requests <= 6, "{format:?}: {requests} requests: the table, and one for each of four files");
        let (fetched, copied) = scene.assembled().unwrap();
        assert_eq!(fetched, bytes, "{format:?}");
        assert!(fetched + copied >= size, "{format:?}: {fetched} and {copied} of {size}");
        let made = scene.made().unwrap();
        assert_eq!(
            made.fetched,
            bytes + new.config.len() as u64,
            "{format:?}: the layer's parts and the config"
        );
        scene.check(&new, &format!("{format:?}"));

        let events = scene.events.lock().unwrap();
        let progress = events.iter().filter_map(|event| match event {
            Event::Blob { digest: blob, done, total } if *blob == digest(&new.layers[0].digest) => {
                Some((*done, *total))
            }
            _ => None,
        });
        let progress: Vec<_> = progress.collect();
        assert!(progress.is_sorted() && progress.len() > 5, "{progress:?}");
        assert_eq!(progress.last(), Some(&(size, size)));
    }
}

#[test]
fn a_layer_that_was_moved_and_reordered_is_found_all_the_same() {
    for format in FORMATS {
        let old = image(format, |_| false);
        let scene = Scene::after(&old);
        // Another position in the image, files before and after, some gone.
        let mut layer = Layer::new().file("first", 0o644, &noise(7, 1000));
        for n in (0..FILES).filter(|n| n % 50 > 0) {
            layer = layer.file(&format!("usr/{}/{n}", n / 10 * 10), 0o644, &noise(n, length(n)));
        }
        let layer = layer.file("last", 0o644, &noise(8, 1000)).compression(format);
        let new =
            Image::new().layer(layer).layer(Layer::new().file("entrypoint", 0o755, b"#!/bin/sh\n")).build();
        assert_eq!(scene.pull(&new).unwrap(), staged(&new), "{format:?}");
        scene.check(&new, &format!("{format:?}"));
        let (fetched, copied) = scene.assembled().unwrap();
        assert!(copied > fetched, "{format:?}: {fetched} fetched, {copied} copied");
    }
}

#[test]
fn what_has_nothing_in_common_is_downloaded() {
    for format in FORMATS {
        let scene = Scene::after(&image(format, |_| false));
        let new = image(format, |_| true);
        assert_eq!(scene.pull(&new).unwrap(), staged(&new), "{format:?}");
        scene.check(&new, &format!("{format:?}"));
        assert_eq!(scene.assembled(), None);
        let (_, bytes) = scene.asked(&new);
        let size = new.layers[0].bytes.len() as u64;
        assert_eq!(scene.made().unwrap().fetched, bytes + new.config.len() as u64, "{format:?}");
        assert!(
            bytes > size && bytes < size + size / 10,
            "{format:?}: the table and the whole: {bytes} of {size}"
        );
    }
}

#[test]
fn without_an_old_layer_of_the_format_no_table_is_fetched() {
    for (before, format) in [
        (Compression::Zstd, Compression::ZstdChunked),
        (Compression::Estargz, Compression::ZstdChunked),
        (Compression::ZstdChunked, Compression::Estargz),
        (Compression::ZstdChunked, Compression::Zstd),
    ] {
        let scene = Scene::after(&image(before, |_| false));
        let new = image(format, |n| n == 33);
        assert_eq!(scene.pull(&new).unwrap(), staged(&new));
        assert_eq!(scene.asked(&new).1, new.layers[0].bytes.len() as u64, "{before:?} {format:?}");
        assert_eq!(scene.assembled(), None);
    }
}
