//! What the engine has: its lists, and what was inspected of them.

use std::collections::BTreeMap;

use dockerloader::digest::Digest;

use crate::engine::{Container, ContainerId, Image, Inspection, Network, Volume};
use crate::labels;
use crate::spec::SpecHash;

/// The engine at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// All containers, ours or not.
    pub containers: Vec<Container>,
    /// All images.
    pub images: Vec<Image>,
    /// All networks.
    pub networks: Vec<Network>,
    /// All volumes.
    pub volumes: Vec<Volume>,
    /// Of containers of ours what was inspected, once for each, and again after the engine has said that something happened to it.
    pub inspected: BTreeMap<ContainerId, Inspection>,
}

/// What labels say about a container of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The container of the document.
    pub container: String,
    /// The operation that made it.
    pub operation: String,
    /// The version.
    pub digest: Option<Digest>,
    /// The tag it was found under.
    pub version: String,
    /// Of its spec.
    pub spec: SpecHash,
}

impl Container {
    /// What its labels say; `None` for one that is not ours.
    pub fn made(&self) -> Option<Made> {
        let label = |name: &str| self.labels.get(name).cloned();
        Some(Made {
            container: label(labels::ID)?,
            operation: label(labels::OPERATION).unwrap_or_default(),
            digest: label(labels::DIGEST).and_then(|digest| digest.parse().ok()),
            version: label(labels::VERSION).unwrap_or_default(),
            spec: SpecHash(label(labels::SPEC).unwrap_or_default()),
        })
    }
}

impl Observed {
    /// The container with this id.
    pub fn container(&self, id: &ContainerId) -> Option<&Container> {
        self.containers.iter().find(|container| container.id == *id)
    }

    /// All containers of ours for one of the document.
    pub fn of<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Container> {
        self.containers
            .iter()
            .filter(move |container| container.labels.get(labels::ID).is_some_and(|own| own == id))
    }
}
