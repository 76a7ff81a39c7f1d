//! Pulls against a registry in the process: what arrives, what is asked for, and what trouble leaves behind.
#![expect(clippy::disallowed_methods, reason = "the tests look at the store, and damage it, from outside")]

mod arrivals;

mod polls;

mod downloads;

mod parts;

mod kills;

mod refusals;

mod store;

mod room;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dockerloader::config::{Mirror, RegistrySettings};
use dockerloader::digest::Digest;
use dockerloader::launch::Launch;
use dockerloader::layout::{Layout, Slot};
use dockerloader::progress::{Event, Progress};
use dockerloader::pull::{self, Error, Outcome, Request};
use dockerloader::remedy::Remedy;
use dockerloader::volume::{Method, Wanted};
use fixtures::ground::Ground;
use fixtures::image::{BuiltImage, Compression, Flavour, Image, Index, Layer, Publish, noise};
use fixtures::registry::{Auth, Fault, Gate, Kind, Registry, Rule};

const SCRIPT: &[u8] = b"#!/bin/sh\nexit 0\n";

/// Trees that are there without a supervisor to mount them, since the tests look into them.
const PLAIN: Wanted = Wanted::Only(Method::Copy);

/// A registry and a data directory.
struct Scene {
    registry: Registry,
    ground: Ground,
    layout: Layout,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Scene {
    fn new() -> Self {
        Self::on(Ground::new())
    }

    fn on(ground: Ground) -> Self {
        let layout = Layout::new(ground.data());
        Self { registry: Registry::start(), ground, layout, events: Arc::default() }
    }

    /// A registry that has `image` as `app:v1`.
    fn with(image: &impl Publish) -> Self {
        let scene = Self::new();
        scene.registry.put("app", "v1", image);
        scene
    }

    fn request(&self) -> Request {
        Request {
            reference: self.registry.reference("app", "v1").parse().unwrap(),
            stage: true,
            current: None,
            rejected: BTreeMap::new(),
            again: false,
            method: PLAIN,
            wait: Duration::ZERO,
        }
    }

    fn pull_as(&self, request: &Request) -> Result<Outcome, Error> {
        self.pull_with(request, &RegistrySettings::default())
    }

    fn pull_with(&self, request: &Request, settings: &RegistrySettings) -> Result<Outcome, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let events = Arc::clone(&self.events);
        let progress: Arc<dyn Progress> = Arc::new(move |event| events.lock().unwrap().push(event));
        runtime.block_on(pull::pull(request, settings, &self.layout, progress))
    }

    fn pull(&self) -> Result<Outcome, Error> {
        self.pull_as(&self.request())
    }

    fn slot(&self, slot: Slot) -> Option<String> {
        self.ground.read_slot(slot.name())
    }

    /// Files in the store, by their folders: launch files, seals, trees, manifests, blobs.
    fn counts(&self) -> [usize; 5] {
        ["launch", "seals", "extracted", "images", "blobs"].map(|folder| self.ground.list(folder).len())
    }

    /// `Range` headers of the blob requests for a digest.
    fn ranges(&self, digest: &str) -> Vec<Option<String>> {
        let requests = self.registry.requests().into_iter();
        requests.filter(|request| request.path.ends_with(digest)).map(|request| request.range).collect()
    }
}

fn digest(text: &str) -> Digest {
    text.parse().unwrap()
}

fn staged(image: &BuiltImage) -> Outcome {
    Outcome::Staged { digest: digest(&image.digest) }
}

/// A small layer with the program and a larger one of noise, so that downloads take a while.
fn large() -> BuiltImage {
    Image::with_entrypoint(SCRIPT).layer(Layer::new().file("data", 0o644, &noise(1, 3_000_000))).build()
}
