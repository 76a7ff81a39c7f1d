//! What the engine and the history know of versions, without any registry.

use dockerloader::digest::Digest;
use dockerloader::reference::Reference;

use super::Input;
use crate::desired::Target;
use crate::engine::{Container, Image, ImageId, State};
use crate::spec::SpecHash;

/// What is there already.
#[derive(Debug)]
pub(super) struct Local<'a> {
    input: &'a Input<'a>,
    /// What runs, or ran last and is still there.
    pub(super) running: Option<Running>,
    /// Images with a tag of the container's repository.
    pub(super) tagged: Vec<Tagged>,
}

/// The version that a container of ours is.
#[derive(Debug, Clone)]
pub(super) struct Running {
    pub(super) digest: Digest,
    pub(super) version: String,
    pub(super) repository: String,
    pub(super) spec: SpecHash,
    /// It does run; else it is only there.
    pub(super) is_up: bool,
    created: i64,
}

/// An image with a tag of the container's repository.
#[derive(Debug, Clone)]
pub(super) struct Tagged {
    pub(super) version: String,
    pub(super) digest: Digest,
    pub(super) repository: String,
    /// It was built later than the image of what runs.
    pub(super) is_newer: bool,
}

impl<'a> Local<'a> {
    pub(super) fn new(input: &'a Input<'a>) -> Self {
        let mut local = Self { input, running: None, tagged: Vec::new() };
        local.running = local.running();
        local.tagged = local.tagged();
        local
    }

    fn running(&self) -> Option<Running> {
        let input = self.input;
        let container =
            input.observed.current(&input.container.id, input.swap, input.versions, input.verdicts)?;
        let made = container.made()?;
        let digest = made.digest?;
        let known = input.versions.iter().find(|version| version.target.digest == digest);
        let repository = known.map_or_else(
            || repository_of(&container.image).unwrap_or_else(|| input.container.image.clone()),
            |version| version.target.repository.clone(),
        );
        let created = input.observed.image(&container.image_id).map_or(i64::MAX, |image| image.created);
        let is_up = matches!(container.state, State::Running | State::Paused);
        Some(Running { digest, version: made.version, repository, spec: made.spec, is_up, created })
    }

    fn tagged(&self) -> Vec<Tagged> {
        let Ok(wanted) = self.input.container.image.parse::<Reference>() else { return Vec::new() };
        let mut tagged = Vec::new();
        for image in &self.input.observed.images {
            for name in &image.tags {
                let Ok(reference) = name.parse::<Reference>() else { continue };
                let is_meant = reference.registry() == wanted.registry()
                    && reference.repository() == wanted.repository();
                if let (true, Some(version), Some(digest)) =
                    (is_meant, reference.tag(), self.digest_of(image))
                {
                    tagged.push(Tagged {
                        version: version.to_owned(),
                        digest,
                        repository: format!("{}/{}", wanted.registry(), wanted.repository()),
                        is_newer: self
                            .running
                            .as_ref()
                            .is_some_and(|running| image.created > running.created),
                    });
                }
            }
        }
        tagged
    }

    /// The digest that an image is known by: what it ran as, what a registry offers, any that the engine knows, or its own id if it was never in a
    /// registry.
    fn digest_of(&self, image: &Image) -> Option<Digest> {
        let ran = self.input.versions.iter().find(|version| version.target.image.as_ref() == Some(&image.id));
        if let Some(version) = ran {
            return Some(version.target.digest);
        }
        let digests =
            || image.digests.iter().filter_map(|name| name.split_once('@')?.1.parse::<Digest>().ok());
        let is_known = |digest: &Digest| {
            self.running.as_ref().is_some_and(|running| running.digest == *digest)
                || self.input.offers.iter().any(|offer| offer.digest == *digest)
        };
        digests().find(is_known).or_else(|| digests().next()).or_else(|| image.id.0.parse().ok())
    }

    /// The engine's image of a version, if it is there.
    pub(super) fn image(&self, digest: &Digest) -> Option<ImageId> {
        let text = digest.to_string();
        let has = |image: &&Image| {
            image.id.0 == text
                || image
                    .digests
                    .iter()
                    .any(|name| name.split_once('@').is_some_and(|(_, found)| found == text))
        };
        let observed = self.input.observed;
        if let Some(image) = observed.images.iter().find(has) {
            return Some(image.id.clone());
        }
        // The engine forgets digests of what it imports or saves: containers and the history know it too.
        let is_it = |container: &&Container| {
            container.made().is_some_and(|made| made.digest.as_ref() == Some(digest))
        };
        let of_containers = observed.of(&self.input.container.id).filter(is_it);
        let of_containers = of_containers.map(|container| container.image_id.clone());
        let ran = self.input.versions.iter().filter(|version| version.target.digest == *digest);
        let of_history = ran.filter_map(|version| version.target.image.clone());
        of_containers.chain(of_history).find(|id| observed.image(id).is_some())
    }

    /// A version of the history with the image that is there now.
    pub(super) fn with_image(&self, target: &Target) -> Target {
        Target { image: self.image(&target.digest), ..target.clone() }
    }
}

/// `host/repository` of what a container was created from; `None` if that is only an id.
fn repository_of(image: &str) -> Option<String> {
    if image.starts_with("sha256:") {
        return None;
    }
    let reference = image.parse::<Reference>().ok()?;
    Some(format!("{}/{}", reference.registry(), reference.repository()))
}
