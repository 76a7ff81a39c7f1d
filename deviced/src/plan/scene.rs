//! What a decision looks at.

use dockerloader::digest::Digest;

use super::Known;
use crate::desired::{Desired, Target};
use crate::engine::{Container, Inspection, State};
use crate::history::Version;
use crate::observed::Observed;
use crate::spec::SpecHash;
use crate::swap::{Reason, Stage, Swap};

/// Everything, in one hand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) desired: &'a Desired,
    pub(super) observed: &'a Observed,
    pub(super) known: &'a Known,
}

impl<'a> Scene<'a> {
    pub(super) fn swap(self, id: &str) -> Option<&'a Swap> {
        self.known.swaps.get(id)
    }

    /// What it has run, the newest first.
    pub(super) fn versions(self, id: &str) -> &'a [Version] {
        self.known.versions.get(id).map_or(&[], Vec::as_slice)
    }

    /// Its container, if no replacement is under way; the old one if one is.
    pub(super) fn current(self, id: &str) -> Option<&'a Container> {
        self.observed.current(id, self.swap(id), self.versions(id), &self.known.verdicts)
    }

    /// The container that others may rely on: not one that may have to go again because it replaces another.
    pub(super) fn reliable(self, id: &str) -> Option<&'a Container> {
        match self.swap(id) {
            Some(Swap { stage: Stage::Prove | Stage::Retire, old: None, operation, .. }) => {
                self.observed.made_by(id, operation, None)
            }
            Some(Swap { stage: Stage::Create | Stage::Hook, .. }) | None => self.current(id),
            Some(_) => None,
        }
    }

    pub(super) fn inspection(self, container: &Container) -> Option<&'a Inspection> {
        self.observed.inspected.get(&container.id)
    }

    /// The version in the history that a container is.
    pub(super) fn version(self, container: &Container) -> Option<&'a Version> {
        let made = container.made()?;
        self.versions(&made.container).iter().find(|version| version.operation == made.operation)
    }

    /// The version in force, if a container is it.
    pub(super) fn in_force(self, container: &Container) -> Option<&'a Version> {
        let newest = self.versions(&container.made()?.container).first()?;
        let version = self.version(container)?;
        (version.id == newest.id && version.ended.is_none()).then_some(version)
    }

    /// What a container is, to be made again from the same image. Without its spec that can't be said.
    pub(super) fn own_target(self, container: &Container) -> Option<Target> {
        let made = container.made()?;
        let digest = made.digest?;
        let wanted = self.desired.containers.get(&made.container);
        let chosen = wanted.and_then(|wanted| wanted.target.as_ref().ok());
        let ran = self.versions(&made.container).iter().map(|version| &version.target);
        let known = chosen
            .into_iter()
            .chain(ran)
            .find(|target| target.digest == digest && target.spec.hash() == made.spec)?;
        self.observed.image(&container.image_id)?;
        Some(Target { image: Some(container.image_id.clone()), ..known.clone() })
    }

    /// Whether a version failed by its own doing.
    pub(super) fn is_judged(self, id: &str, digest: &Digest, spec: &SpecHash) -> bool {
        self.known.verdicts.iter().any(|verdict| {
            verdict.container == id
                && verdict.digest == *digest
                && verdict.spec == *spec
                && verdict.failure.reason == Reason::App
        })
    }

    /// Whether a container is of a version that failed by its own doing.
    pub(super) fn is_of_judged(self, container: &Container) -> bool {
        let Some(made) = container.made() else { return false };
        made.digest.is_some_and(|digest| self.is_judged(&made.container, &digest, &made.spec))
    }

    /// Whether a version has proven itself before, with this spec.
    pub(super) fn has_worked(self, id: &str, target: &Target) -> bool {
        let spec = target.spec.hash();
        let worked = self.versions(id).iter().any(|version| {
            version.target.digest == target.digest
                && version.failure.is_none()
                && version.target.spec.hash() == spec
        });
        worked && !self.is_judged(id, &target.digest, &spec)
    }

    /// Whether the engine has the image of a version.
    pub(super) fn has_image(self, target: &Target) -> bool {
        target.image.as_ref().is_some_and(|image| self.observed.image(image).is_some())
    }
}

/// Whether it has processes, or is about to have them again.
pub(super) const fn is_up(state: State) -> bool {
    matches!(state, State::Running | State::Paused | State::Restarting)
}

/// Whether nothing can be done with it but remove it.
pub(super) const fn is_wreck(state: State) -> bool {
    matches!(state, State::Removing | State::Dead)
}
