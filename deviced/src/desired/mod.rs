//! What has to be: the document, what somebody said over it, and the version that was chosen.

mod make;
mod patch;

pub use make::{desired, set_targets};
pub use patch::patched;

use std::collections::BTreeMap;
use std::time::Duration;

use dockerloader::digest::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::document::RemoveUnknown;
use crate::document::container::Hooks;
use crate::document::run::depends::Dependency;
use crate::document::update::Update;
use crate::engine::ImageId;
use crate::spec::Spec;

/// What has to be on the device.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Desired {
    /// The document's revision; 0 for none. Without a document nothing is ours to change.
    pub revision: u64,
    /// Networks by the engine's names.
    pub networks: BTreeMap<String, Resource>,
    /// Volumes by the engine's names.
    pub volumes: BTreeMap<String, Resource>,
    /// Containers by id.
    pub containers: BTreeMap<String, Wanted>,
    /// What becomes of containers of ours that it does not name.
    pub remove_unknown: RemoveUnknown,
}

/// A network or a volume.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// Its name in the document.
    pub id: String,
    /// It is somebody else's, and has to be there.
    pub external: bool,
    /// The body of the engine's create call, with labels.
    pub body: Value,
}

/// A container that has to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Its id.
    pub id: String,
    /// How it is created. Namespaces of others are `service:ID`.
    pub spec: Spec,
    /// Containers that have to be there before.
    pub depends: BTreeMap<String, Dependency>,
    /// Containers whose network, process or IPC namespace, or volumes, it shares.
    pub joins: Vec<String>,
    /// Whether the engine starts it again itself, and when.
    pub restart: crate::document::run::restart::Restart,
    /// When it is updated, and how.
    pub update: Update,
    /// Commands around its replacement.
    pub hooks: Hooks,
    /// Nobody may stop or remove it by hand.
    pub protected: bool,
    /// It is left alone, and why: the document or an override says so.
    pub paused: Option<String>,
    /// Somebody stopped it by hand.
    pub stopped: bool,
    /// Somebody rolled it back by hand, and it stays so until it is released.
    pub pinned: bool,
    /// Nothing new can be made of it until somebody acts: why. What runs goes on.
    pub blocked: Option<String>,
    /// Which version it has to be; or why none is known.
    pub target: Result<Target, String>,
    /// What it can be at once while the image of the target is not here and nothing else runs.
    pub meanwhile: Option<Target>,
    /// So long what is there is not made anew: it was tried, and failed for reasons of the device.
    pub rest: Option<Duration>,
}

/// A version with the spec that it is run with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The digest of its manifest.
    pub digest: Digest,
    /// The tag it was found under.
    pub version: String,
    /// `host[:port]/repository`: where it comes from.
    pub repository: String,
    /// The image, if the engine has it. Without one nothing is stopped for it.
    pub image: Option<ImageId>,
    /// What it is created with: usually that of the document, that of the time when it ran if the new one was judged or it was rolled back to.
    pub spec: Spec,
}
