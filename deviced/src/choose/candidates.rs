//! What is wished for, and what is known that fulfils it, best first.

use std::cmp::Reverse;
use std::fmt;
use std::time::Duration;

use dockerloader::digest::Digest;

use super::local::Local;
use super::{Input, Offer};
use crate::document::versions::{Acceptable, Rank};

/// Something that a container may be, in the order of preference.
#[derive(Debug, Clone)]
pub(super) enum Wish<'a> {
    /// The tag that somebody set.
    Said(&'a str),
    /// An entry of the document.
    Entry(&'a Acceptable),
    /// The document's fallback.
    Fallback(&'a str),
}

/// A version that is known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    pub(super) version: String,
    pub(super) digest: Digest,
    pub(super) repository: String,
    pub(super) source: Source,
}

/// How it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A registry has it.
    Registry(String),
    /// It runs.
    Running,
    /// Its image is there.
    Engine,
}

/// All wishes, best first.
pub(super) fn wishes<'a>(input: &Input<'a>) -> Vec<Wish<'a>> {
    let said = input.said.tag.as_deref().map(Wish::Said);
    let entries = input.container.versions.iter().map(Wish::Entry);
    let fallback = input.container.fallback.as_deref().map(Wish::Fallback);
    said.into_iter().chain(entries).chain(fallback).collect()
}

impl Wish<'_> {
    /// Whether a version is meant, and how good it is among those that are.
    fn rank(&self, version: &str, digest: &Digest) -> Option<Option<Rank>> {
        match self {
            Self::Said(tag) | Self::Fallback(tag) => (*tag == version).then_some(None),
            Self::Entry(Acceptable::Digest(wanted)) => (wanted == digest).then_some(None),
            Self::Entry(entry) => entry.rank(version).map(Some),
        }
    }
}

impl fmt::Display for Wish<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(tag) => write!(f, "the tag {tag} that somebody set"),
            Self::Entry(entry) => entry.fmt(f),
            Self::Fallback(tag) => write!(f, "the fallback {tag}"),
        }
    }
}

/// What is known that fulfils a wish, best first; each digest once for a tag.
pub(super) fn best_first(wish: &Wish<'_>, input: &Input<'_>, local: &Local<'_>) -> Vec<Candidate> {
    let running = local.running.as_ref().map(|running| running.version.as_str());
    let mut ranked: Vec<_> = known(input, local)
        .into_iter()
        .enumerate()
        .filter_map(|(order, candidate)| {
            let rank = wish.rank(&candidate.version, &candidate.digest)?;
            // Of two tags that say the same version, the one that runs.
            let is_other = running != Some(candidate.version.as_str());
            Some(((Reverse(rank), is_other, order), candidate))
        })
        .collect();
    ranked.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut best: Vec<Candidate> = Vec::new();
    for (_, candidate) in ranked {
        let is_there =
            best.iter().any(|known| known.digest == candidate.digest && known.version == candidate.version);
        if !is_there {
            best.push(candidate);
        }
    }
    best
}

/// All that is known. Of the same tag what comes first counts for more: what registries say, the newest first; an image that was built here
/// after what runs; what runs; other images; what the history has. Last what a registry says that may be old: another digest of the tag that
/// runs, which ran before, while not all registries answer.
fn known(input: &Input<'_>, local: &Local<'_>) -> Vec<Candidate> {
    let (mut fresh, mut stale): (Vec<&Offer>, Vec<&Offer>) =
        input.offers.iter().partition(|offer| !may_be_old(offer, input, local));
    fresh.sort_by_key(|offer| known_for(input, &offer.digest));
    stale.sort_by_key(|offer| known_for(input, &offer.digest));
    let offered = |offer: &&Offer| Candidate {
        version: offer.version.clone(),
        digest: offer.digest,
        repository: offer.repository.clone(),
        source: Source::Registry(offer.registry.clone()),
    };
    let running = local.running.iter().map(|running| Candidate {
        version: running.version.clone(),
        digest: running.digest,
        repository: running.repository.clone(),
        source: Source::Running,
    });
    let tagged = |is_newer: bool| {
        local.tagged.iter().filter(move |tagged| tagged.is_newer == is_newer).map(|tagged| Candidate {
            version: tagged.version.clone(),
            digest: tagged.digest,
            repository: tagged.repository.clone(),
            source: Source::Engine,
        })
    };
    let ran = input.versions.iter().filter(|version| local.image(&version.target.digest).is_some());
    let ran = ran.map(|version| Candidate {
        version: version.target.version.clone(),
        digest: version.target.digest,
        repository: version.target.repository.clone(),
        source: Source::Engine,
    });
    // Images without any tag that a digest of the document names.
    let digests = input.container.versions.iter().filter_map(|entry| match entry {
        Acceptable::Digest(digest) if local.image(digest).is_some() => Some(Candidate {
            version: digest.to_string(),
            digest: *digest,
            repository: input.container.image.clone(),
            source: Source::Engine,
        }),
        _ => None,
    });
    fresh
        .iter()
        .map(offered)
        .chain(tagged(true))
        .chain(running)
        .chain(tagged(false))
        .chain(ran)
        .chain(digests)
        .chain(stale.iter().map(offered))
        .collect()
}

fn may_be_old(offer: &Offer, input: &Input<'_>, local: &Local<'_>) -> bool {
    let is_complete = input.was_asked && input.problems.is_empty();
    let is_other = local
        .running
        .as_ref()
        .is_some_and(|running| running.version == offer.version && running.digest != offer.digest);
    is_other && !is_complete && input.versions.iter().any(|version| version.target.digest == offer.digest)
}

/// How long a digest is known, whoever offers it.
pub(super) fn known_for(input: &Input<'_>, digest: &Digest) -> Option<Duration> {
    input.offers.iter().filter(|offer| offer.digest == *digest).map(|offer| offer.known_for).max()
}
