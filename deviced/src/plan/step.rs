//! What a plan is made of.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::{ContainerId, ImageId};
use crate::spec::Spec;
use crate::swap::{Drift, Failure, Swap};

/// What is done next. What is in different containers is independent of each other: each container's steps are carried out by a worker of its own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Networks and volumes, before any container.
    pub resources: Vec<Step>,
    /// Containers of the document by id.
    pub containers: BTreeMap<String, Decision>,
    /// Containers of ours that the document does not name, by id.
    pub strays: BTreeMap<String, Decision>,
    /// Images that nobody needs any more.
    pub images: Vec<Step>,
}

/// What is decided about one container.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// In a word.
    pub status: Status,
    /// In a sentence: what is done, or what is waited for, or why nothing is.
    pub why: String,
    /// What differs from what has to be.
    pub drift: Vec<Drift>,
    /// What is done now, in this order; the first that fails ends it.
    pub steps: Vec<Step>,
    /// When to look again although nothing happens.
    pub again: Option<Duration>,
}

/// A decision in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is as it has to be.
    Settled,
    /// Something is done about it.
    Acting,
    /// A new version is being watched.
    Proving,
    /// It waits for something: an image, another container, a window, a pause after a failure.
    Waiting,
    /// It is left alone because somebody said so.
    Paused,
    /// It is stopped because somebody said so.
    Stopped,
    /// Nothing can be done until somebody acts.
    Blocked,
}

impl Decision {
    /// One without steps.
    pub(super) fn new(status: Status, why: impl Into<String>) -> Self {
        Self { status, why: why.into(), drift: Vec::new(), steps: Vec::new(), again: None }
    }

    /// One that does something.
    pub(super) fn act(why: impl Into<String>, steps: Vec<Step>) -> Self {
        Self { steps, ..Self::new(Status::Acting, why) }
    }

    /// One that waits, with a time after which to look again.
    pub(super) fn wait(why: impl Into<String>, again: Option<Duration>) -> Self {
        Self { again, ..Self::new(Status::Waiting, why) }
    }
}

impl Status {
    /// The word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Acting => "acting",
            Self::Proving => "proving",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Blocked => "blocked",
        }
    }
}

/// One thing to do. Each is idempotent.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Writes the swap down, before anything of its stage is done.
    Record(Swap),
    /// Fetches an image. It runs beside everything else.
    Pull {
        /// For this container.
        container: String,
        /// `host[:port]/repository`.
        repository: String,
        /// Manifest.
        digest: String,
    },
    /// Creates a container and does not start it.
    Create {
        /// For this container.
        container: String,
        /// Its name.
        name: String,
        /// The image.
        image: ImageId,
        /// Namespaces resolved.
        spec: Spec,
        /// Labels of ours.
        labels: BTreeMap<String, String>,
    },
    /// Starts one.
    Start(ContainerId),
    /// Stops one, with the grace of its spec.
    Stop(ContainerId),
    /// Renames one.
    Rename {
        /// Which.
        id: ContainerId,
        /// Its new name.
        name: String,
    },
    /// Removes one.
    Remove(ContainerId),
    /// Changes restart policy or resources in place.
    Update {
        /// Which.
        id: ContainerId,
        /// What changes.
        host_config: Value,
    },
    /// Attaches one to a network.
    Connect {
        /// Which.
        id: ContainerId,
        /// The network.
        network: String,
        /// Its endpoint there.
        endpoint: Value,
    },
    /// Detaches one.
    Disconnect {
        /// Which.
        id: ContainerId,
        /// The network.
        network: String,
    },
    /// Runs the hooks of one moment. `pre`: a failure postpones or ends the swap. `post`: a failure is reported.
    Hooks {
        /// In which container.
        id: ContainerId,
        /// Before the old one is stopped, or after the new one has proven itself.
        before: bool,
    },
    /// Keeps the last lines of a container's output with the swap.
    KeepLog(ContainerId),
    /// Writes the verdict on the swap's target down.
    Judge {
        /// The swap's container.
        container: String,
        /// With what it failed.
        failure: Failure,
    },
    /// Writes the version into the history and begins its probation.
    Commit {
        /// The swap's container.
        container: String,
    },
    /// The swap is over.
    Finish {
        /// The swap's container.
        container: String,
    },
    /// Creates a network.
    CreateNetwork {
        /// Its name.
        name: String,
        /// The body of the engine's call.
        body: Value,
    },
    /// Removes a network of ours that nobody is attached to, to make it anew or because nobody wants it.
    RemoveNetwork(String),
    /// Creates a volume.
    CreateVolume {
        /// Its name.
        name: String,
        /// The body of the engine's call.
        body: Value,
    },
    /// Takes a name away from an image, and its layers if it was the last one.
    RemoveImage(String),
}

impl Step {
    /// The engine's container that it changes.
    pub const fn touches(&self) -> Option<&ContainerId> {
        match self {
            Self::Start(id)
            | Self::Stop(id)
            | Self::Remove(id)
            | Self::Rename { id, .. }
            | Self::Update { id, .. }
            | Self::Connect { id, .. }
            | Self::Disconnect { id, .. }
            | Self::Hooks { id, .. } => Some(id),
            Self::Record(_)
            | Self::Pull { .. }
            | Self::Create { .. }
            | Self::KeepLog(_)
            | Self::Judge { .. }
            | Self::Commit { .. }
            | Self::Finish { .. }
            | Self::CreateNetwork { .. }
            | Self::RemoveNetwork(_)
            | Self::CreateVolume { .. }
            | Self::RemoveImage(_) => None,
        }
    }
}
