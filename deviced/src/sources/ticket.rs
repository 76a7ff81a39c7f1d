//! What the engine may fetch through the relay in one pull, and from where it comes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use dockerloader::clock;
use dockerloader::digest::Digest;
use dockerloader::limits::Limits;
use dockerloader::manifest::{self, Descriptor, Document, media_type};
use dockerloader::reference::Reference;
use dockerloader::registry::{Client, Error};

use super::rank::{Outcome, Ranks};
use super::say::say;
use super::tries::{Decision, Tries};

/// A repository that may have it.
pub(super) struct Origin {
    /// The registry's URL.
    pub(super) url: String,
    pub(super) client: Arc<Client>,
    pub(super) reference: Reference,
    /// Whether it is a registry of the document.
    pub(super) is_declared: bool,
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin")
            .field("url", &self.url)
            .field("reference", &self.reference)
            .finish_non_exhaustive()
    }
}

/// One pull.
#[derive(Debug)]
pub(super) struct Ticket {
    origins: Vec<Origin>,
    ranks: Arc<Mutex<Ranks>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What may be asked for: what was announced, and what that names.
    manifests: HashMap<Digest, Option<String>>,
    blobs: HashMap<Digest, Descriptor>,
    /// Manifests that have come.
    read: HashMap<Digest, Manifest>,
    /// Who sent what, or a part of it, that turned out to be wrong.
    suspects: HashSet<(usize, Digest)>,
}

/// A manifest or an index, verified.
#[derive(Debug, Clone)]
pub(super) struct Manifest {
    pub(super) bytes: Bytes,
    pub(super) media_type: String,
}

impl Ticket {
    /// A pull of a manifest or an index.
    pub(super) fn new(digest: Digest, origins: Vec<Origin>, ranks: Arc<Mutex<Ranks>>) -> Self {
        let state = State { manifests: [(digest, None)].into(), ..State::default() };
        Self { origins, ranks, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A blob that a manifest of this pull names.
    pub(super) fn blob(&self, digest: &Digest) -> Option<Descriptor> {
        self.state().blobs.get(digest).cloned()
    }

    /// A manifest of this pull; `None` when it is none. What it names belongs to the pull from now on.
    ///
    /// # Errors
    /// Why it can't be had.
    pub(super) async fn manifest(&self, digest: &Digest) -> Result<Option<Manifest>, String> {
        let claim = {
            let state = self.state();
            if let Some(manifest) = state.read.get(digest) {
                return Ok(Some(manifest.clone()));
            }
            match state.manifests.get(digest) {
                None => return Ok(None),
                Some(claim) => claim.clone(),
            }
        };
        let mut tries = self.tries(digest);
        let (bytes, header) = loop {
            let (place, origin) = self.turn(&tries)?;
            match origin.client.manifest(&origin.reference, digest).await {
                Ok(answer) => {
                    self.note(place, Outcome::Answered);
                    break answer;
                }
                Err(error) => self.failed(&mut tries, place, &error).await?,
            }
        };
        let claim = claim.or_else(|| header.as_deref().and_then(media_type::of_header));
        let document = manifest::parse(&bytes, claim.as_deref(), &Limits::default())
            .map_err(|error| format!("{digest}: {error}"))?;
        let media_type = inside(&bytes).or(claim).unwrap_or_else(|| by_kind(&document).to_owned());
        let manifest = Manifest { bytes: bytes.into(), media_type };
        let mut state = self.state();
        state.learn(document);
        state.read.insert(*digest, manifest.clone());
        Ok(Some(manifest))
    }

    /// In which order the registries are tried for something: the closest first, those last that sent it wrong.
    pub(super) fn tries(&self, digest: &Digest) -> Tries {
        let (state, now) = (self.state(), clock::now());
        let ranks = self.ranks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut order: Vec<_> = (0..self.origins.len()).collect();
        order.sort_by_key(|place| {
            let origin = self.origins.get(*place);
            let distance = origin.map(|origin| ranks.distance(&origin.url, origin.is_declared, now));
            (state.suspects.contains(&(*place, *digest)), distance)
        });
        Tries::new(order)
    }

    /// Whose turn it is.
    ///
    /// # Errors
    /// When there is nobody to ask.
    pub(super) fn turn(&self, tries: &Tries) -> Result<(usize, &Origin), String> {
        let origin = tries.current().and_then(|place| Some((place, self.origins.get(place)?)));
        origin.ok_or_else(|| "there is no registry to ask".to_owned())
    }

    pub(super) fn note(&self, place: usize, outcome: Outcome) {
        let Some(origin) = self.origins.get(place) else { return };
        let unix = i64::try_from(clock::unix_seconds()).unwrap_or(i64::MAX);
        self.ranks.lock().unwrap_or_else(PoisonError::into_inner).note(
            &origin.url,
            outcome,
            clock::now(),
            unix,
        );
    }

    /// Takes a failure down, and waits as long as has to be waited before the next registry is asked.
    ///
    /// # Errors
    /// When nobody is to be asked any more: what went wrong last.
    pub(super) async fn failed(&self, tries: &mut Tries, place: usize, error: &Error) -> Result<(), String> {
        self.note(place, Outcome::of(error));
        let is_final = matches!(
            error,
            Error::NotFound { .. }
                | Error::Unauthorized { .. }
                | Error::Forbidden { .. }
                | Error::Size { .. }
        );
        let decision = if is_final { tries.lacks() } else { tries.failed() };
        tracing::warn!(event = "relay_failed", %error, ?decision);
        match decision {
            Decision::Next => Ok(()),
            Decision::After(pause) => {
                tokio::time::sleep(pause).await;
                Ok(())
            }
            Decision::GiveUp => Err(say(error)),
        }
    }

    /// Whoever sent a part of what turned out to be wrong is asked last for it from now on.
    pub(super) fn suspect(&self, expected: &Digest, found: Digest, from: &BTreeSet<usize>) -> Error {
        self.state().suspects.extend(from.iter().map(|place| (*place, *expected)));
        let hosts: Vec<_> = from.iter().filter_map(|place| self.origins.get(*place)).collect();
        let hosts: Vec<_> = hosts.iter().map(|origin| origin.reference.registry()).collect();
        let error = Error::Digest {
            host: hosts.join(" and "),
            what: format!("the blob {expected}"),
            expected: *expected,
            found,
        };
        tracing::warn!(event = "relay_wrong_blob", %error);
        // Of several, nobody knows which one it was.
        if let (Some(place), 1) = (from.first(), from.len()) {
            self.note(*place, Outcome::of(&error));
        }
        error
    }
}

impl State {
    fn learn(&mut self, document: Document) {
        match document {
            Document::Index(index) => self
                .manifests
                .extend(index.manifests.into_iter().map(|entry| (entry.digest, Some(entry.media_type)))),
            Document::Image(image) => {
                let layers = image.layers.into_iter().map(|layer| layer.descriptor);
                let all = layers.chain([image.config]);
                self.blobs.extend(all.map(|descriptor| (descriptor.digest, descriptor)));
            }
        }
    }
}

fn inside(bytes: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    value.get("mediaType")?.as_str().map(str::to_owned)
}

const fn by_kind(document: &Document) -> &'static str {
    match document {
        Document::Index(_) => media_type::OCI_INDEX,
        Document::Image(_) => media_type::OCI_MANIFEST,
    }
}
