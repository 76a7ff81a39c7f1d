//! What the engine has: its lists, and what was inspected of them.

use std::collections::BTreeMap;

use dockerloader::digest::Digest;

use crate::engine::{Container, ContainerId, Image, ImageId, Inspection, Network, State, Volume};
use crate::history::{Verdict, Version};
use crate::labels;
use crate::spec::SpecHash;
use crate::swap::{Reason, Swap};

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

    /// Whether it is what is left of a try that failed: its version was judged, and this container never proved itself.
    pub fn has_failed(&self, versions: &[Version], verdicts: &[Verdict]) -> bool {
        let Some(made) = self.made() else { return false };
        let judged = verdicts.iter().any(|verdict| {
            verdict.failure.reason == Reason::App
                && verdict.container == made.container
                && Some(verdict.digest) == made.digest
                && verdict.spec == made.spec
        });
        judged && !versions.iter().any(|version| version.operation == made.operation)
    }
}

impl Observed {
    /// The container with this id.
    pub fn container(&self, id: &ContainerId) -> Option<&Container> {
        self.containers.iter().find(|container| container.id == *id)
    }

    /// All containers of ours for one of the document.
    pub fn of<'a>(&'a self, id: &str) -> impl Iterator<Item = &'a Container> {
        self.containers
            .iter()
            .filter(move |container| container.labels.get(labels::ID).is_some_and(|own| own == id))
    }

    /// The container of ours that is the current one for an entry of the document: the old one while it is being replaced; else the one that the
    /// history says proved itself; else one that runs; else the one with its name; else the newest. What is left of a version that failed before it
    /// had ever proven itself is none.
    pub fn current<'a>(
        &'a self,
        id: &str,
        swap: Option<&Swap>,
        versions: &[Version],
        verdicts: &[Verdict],
    ) -> Option<&'a Container> {
        if let Some(swap) = swap {
            return self.container(swap.old.as_ref()?);
        }
        let open =
            versions.first().filter(|version| version.ended.is_none()).map(|version| &version.operation);
        let has_failed = |container: &&Container| container.has_failed(versions, verdicts);
        self.of(id).filter(|container| !has_failed(container)).max_by_key(|container| {
            let is_known = open.is_some() && container.labels.get(labels::OPERATION) == open;
            let runs = matches!(container.state, State::Running | State::Paused | State::Restarting);
            let is_whole = !matches!(container.state, State::Removing | State::Dead);
            (is_known, runs, is_whole, container.name == id, container.created, &container.id)
        })
    }

    /// What an operation has made for an entry of the document, besides what it replaces.
    pub fn made_by<'a>(
        &'a self,
        id: &str,
        operation: &str,
        old: Option<&ContainerId>,
    ) -> Option<&'a Container> {
        self.of(id).find(|container| {
            let made_by = container.labels.get(labels::OPERATION);
            made_by.is_some_and(|made_by| made_by == operation) && Some(&container.id) != old
        })
    }

    /// The image with this id.
    pub fn image(&self, id: &ImageId) -> Option<&Image> {
        self.images.iter().find(|image| image.id == *id)
    }
}
