//! Images that deviced pulled and nobody needs any more.

use std::collections::BTreeSet;

use dockerloader::digest::Digest;

use super::Step;
use super::scene::Scene;
use crate::desired::Target;
use crate::document::RemoveUnknown;
use crate::engine::{Image, ImageId};
use crate::history::Version;
use crate::sources::relay;
use crate::swap::Reason;

/// Takes the names away that deviced pulled them by. What else has a name stays.
pub(super) fn steps(scene: Scene<'_>) -> Vec<Step> {
    let kept = Kept::new(scene);
    let images = scene.observed.images.iter().filter(|image| !kept.has(image));
    images
        .flat_map(|image| names(scene, image))
        .filter(|name| !scene.known.failures.contains_key(name))
        .map(Step::RemoveImage)
        .collect()
}

/// What has to stay.
struct Kept {
    images: BTreeSet<ImageId>,
    digests: BTreeSet<Digest>,
}

impl Kept {
    fn new(scene: Scene<'_>) -> Self {
        let mut kept = Self { images: BTreeSet::new(), digests: BTreeSet::new() };
        kept.images.extend(scene.observed.containers.iter().map(|container| container.image_id.clone()));
        kept.digests.extend(scene.known.pulls.keys());
        for swap in scene.known.swaps.values() {
            kept.keep(&swap.target);
        }
        for wanted in scene.desired.containers.values() {
            for target in wanted.target.iter().chain(&wanted.meanwhile) {
                kept.keep(target);
            }
        }
        for (id, versions) in &scene.known.versions {
            for version in worth_keeping(scene, id, versions) {
                kept.keep(&version.target);
            }
        }
        kept
    }

    fn keep(&mut self, target: &Target) {
        self.images.extend(target.image.clone());
        self.digests.insert(target.digest);
    }

    fn has(&self, image: &Image) -> bool {
        self.images.contains(&image.id) || digests(image).any(|digest| self.digests.contains(&digest))
    }
}

/// The version that runs, or ran last, and as many different ones before it as the document says. Of what the document does not name any more, all:
/// it may come back, unless it was removed.
fn worth_keeping<'a>(scene: Scene<'_>, id: &str, versions: &'a [Version]) -> Vec<&'a Version> {
    let keep = match scene.desired.containers.get(id) {
        Some(wanted) => usize::try_from(wanted.update.keep).unwrap_or(usize::MAX),
        None if scene.desired.remove_unknown == RemoveUnknown::Remove
            && scene.observed.of(id).next().is_none() =>
        {
            return Vec::new();
        }
        None => return versions.iter().collect(),
    };
    let mut different = BTreeSet::new();
    let mut kept = Vec::new();
    for (index, version) in versions.iter().enumerate() {
        // What failed is nothing to go back to.
        if index > 0 && version.failure.is_some() {
            continue;
        }
        different.insert(version.target.digest);
        if different.len() > keep.saturating_add(1) {
            break;
        }
        kept.push(version);
    }
    kept
}

/// The names of an image by which deviced pulled it: from where it had a version of the container, or through its relay, with the digest of a version that
/// it ran or tried; and the tag that it gave it. Other names are somebody else's, be it the same image.
fn names(scene: Scene<'_>, image: &Image) -> Vec<String> {
    let is_digest = |digest: &Digest| digests(image).any(|found| found == *digest);
    let ran: Vec<&Target> = scene
        .known
        .versions
        .values()
        .flatten()
        .map(|version| &version.target)
        .filter(|target| target.image.as_ref() == Some(&image.id) || is_digest(&target.digest))
        .collect();
    let mut pulled: BTreeSet<(&str, Digest)> =
        ran.iter().map(|target| (target.repository.as_str(), target.digest)).collect();
    let tried = scene
        .known
        .verdicts
        .iter()
        .filter(|verdict| verdict.failure.reason == Reason::App && is_digest(&verdict.digest));
    pulled.extend(tried.flat_map(|verdict| {
        repositories(scene, &verdict.container).map(|repository| (repository, verdict.digest))
    }));
    let by_digest = image.digests.iter().filter(|name| {
        let Some((repository, digest)) = parts(name) else { return false };
        pulled.contains(&(repository, digest))
            || relay::is_name(repository) && pulled.iter().any(|(_, pulled)| *pulled == digest)
    });
    let by_tag = image.tags.iter().filter(|name| {
        ran.iter().any(|target| **name == format!("{}:{}", target.repository, target.version))
    });
    by_digest.chain(by_tag).cloned().collect()
}

/// Where versions of a container come from or came from.
fn repositories<'a>(scene: Scene<'a>, id: &str) -> impl Iterator<Item = &'a str> {
    let wanted = scene.desired.containers.get(id);
    let chosen = wanted.into_iter().flat_map(|wanted| wanted.target.iter().chain(&wanted.meanwhile));
    let versions = scene.known.versions.get(id).into_iter().flatten();
    versions.map(|version| &version.target).chain(chosen).map(|target| target.repository.as_str())
}

/// Repository and digest of `repository@digest`.
fn parts(name: &str) -> Option<(&str, Digest)> {
    let (repository, digest) = name.split_once('@')?;
    Some((repository, digest.parse().ok()?))
}

fn digests(image: &Image) -> impl Iterator<Item = Digest> {
    image.digests.iter().filter_map(|name| Some(parts(name)?.1))
}
