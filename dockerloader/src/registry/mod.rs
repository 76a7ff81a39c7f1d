//! One registry conversation: authentication, mirrors, retries, ranges.
//!
//! The vocabulary is `oci-client`'s (media types, error envelope, token answer). The requests are made here, since its own
//! have no cap on what a registry may send, no deadline, no retry and no range that is checked; `docs/dependencies.md` has
//! the list. What comes back is verified: a manifest against its digest here, a blob by whoever stores it.

mod error;

mod roots;

mod transport;

mod endpoint;

mod challenge;

mod credentials;

mod token;

mod auth;

mod answer;

mod range;

mod pace;

mod blob;

mod ask;

mod tags;

mod probe;

pub mod retry;

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use sha2::Digest as _;

use crate::config::RegistrySettings;
use crate::digest::Digest;
use crate::limits::Limits;
use crate::manifest::{self, Document, Image, Platform, platform};
use crate::reference::Reference;

pub use blob::Blob;
pub use endpoint::is_loopback;
pub use error::Error;
pub use probe::Shown;

use ask::{Hosts, What};
use auth::Authenticator;
use endpoint::{Endpoint, endpoints};
use transport::{Deadlines, Transport};

/// What the registries of one process are asked through. Share it: connections, tokens and what is known about hosts are
/// kept in it.
pub struct Client {
    settings: RegistrySettings,
    limits: Limits,
    policy: retry::Policy,
    transport: Arc<Transport>,
    authenticator: Authenticator,
    hosts: Hosts,
    /// What a host has sent with other bytes than the digest says.
    corrupt: Mutex<HashSet<(String, Digest)>>,
    pauses: Pauses,
}

/// What a reference stands for at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The manifest's digest: an index's, where there is one.
    pub digest: Digest,
    /// What the registry says it is.
    pub media_type: Option<String>,
    /// Its length in bytes, if the registry says it.
    pub size: Option<u64>,
}

/// The image that a reference stands for on a platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// The digest of its manifest: the version.
    pub digest: Digest,
    /// The manifest, as the registry has it: its digest is the one above.
    pub bytes: Vec<u8>,
    /// What is in it.
    pub image: Image,
    /// Whether an index led to it. If none did, only its config says what it runs on:
    /// [`ImageConfig::check_platform`](manifest::ImageConfig::check_platform).
    pub by_index: bool,
}

/// How pauses are made.
enum Pauses {
    Real,
    /// Noted down instead, by the tests.
    #[cfg(test)]
    Noted(Mutex<Vec<std::time::Duration>>),
}

impl Client {
    /// A client with these settings. It makes no connection yet.
    ///
    /// # Errors
    /// [`Error::CaFile`] and [`Error::Setup`].
    pub fn new(settings: &RegistrySettings, limits: Limits) -> Result<Self, Error> {
        let deadlines = Deadlines::of(settings.timeout);
        Self::with(settings, limits, retry::Policy::default(), deadlines, Pauses::Real)
    }

    fn with(
        settings: &RegistrySettings,
        limits: Limits,
        policy: retry::Policy,
        deadlines: Deadlines,
        pauses: Pauses,
    ) -> Result<Self, Error> {
        Ok(Self {
            settings: settings.clone(),
            limits,
            policy,
            transport: Arc::new(Transport::new(settings, deadlines)?),
            authenticator: Authenticator::new(settings, limits),
            hosts: Hosts::default(),
            corrupt: Mutex::default(),
            pauses,
        })
    }

    /// The client with another patience: [`retry::Policy`] says when it asks again by itself.
    #[must_use]
    pub fn with_policy(mut self, policy: retry::Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The digest that a reference stands for. A pinned one is its own answer; for a tag there is one `HEAD` request, which
    /// registries don't count as a pull.
    ///
    /// # Errors
    /// [`Error`], after the retries that its remedy allows.
    pub async fn resolve(&self, reference: &Reference) -> Result<Resolved, Error> {
        if let Some(digest) = reference.digest() {
            return Ok(Resolved { digest: *digest, media_type: None, size: None });
        }
        let tag = reference.tag().unwrap_or("latest");
        let mut attempts = retry::Attempts::default();
        loop {
            match self.resolve_once(reference, tag, None).await {
                Ok(resolved) => return Ok(resolved),
                Err(error) => self.pause_after(&mut attempts, error).await?,
            }
        }
    }

    /// Whether the manifest or index with this digest can be had, by one `HEAD` request. Its bytes are not looked at.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it can't, and others, after the retries that their remedy allows.
    pub async fn find(&self, reference: &Reference, digest: &Digest) -> Result<Resolved, Error> {
        let mut attempts = retry::Attempts::default();
        loop {
            match self.resolve_once(reference, &digest.to_string(), Some(digest)).await {
                Ok(found) => return Ok(found),
                Err(error) => self.pause_after(&mut attempts, error).await?,
            }
        }
    }

    async fn resolve_once(
        &self,
        reference: &Reference,
        name: &str,
        expected: Option<&Digest>,
    ) -> Result<Resolved, Error> {
        let mut sources = self.sources(reference, expected);
        loop {
            let (endpoint, is_last) = sources.next()?;
            let answer = self.resolve_at(&endpoint, name).await.and_then(|found| match expected {
                Some(expected) if found.digest != *expected => {
                    let (host, what) = (endpoint.host.clone(), What::Manifest(name.to_owned()).to_string());
                    Err(Error::Digest { host, what, expected: *expected, found: found.digest })
                }
                _ => Ok(found),
            });
            match answer {
                Err(error) if !is_last => self.pass_over(&endpoint, &error),
                answer => return answer,
            }
        }
    }

    async fn resolve_at(&self, endpoint: &Endpoint, name: &str) -> Result<Resolved, Error> {
        let what = What::Manifest(name.to_owned());
        let response = self.ask(endpoint, Method::HEAD, &what, HeaderMap::new()).await?;
        let status = response.status();
        // 405 and 501: it has no HEAD. A 404 is an answer, and asking again would change nothing.
        if !status.is_success() && !matches!(status.as_u16(), 405 | 501) {
            return Err(self.refusal(endpoint, &what, response).await);
        }
        if status.is_success()
            && let Some(digest) = ask::content_digest(&response)
        {
            let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
            return Ok(Resolved {
                digest,
                media_type: header(CONTENT_TYPE).map(str::to_owned),
                size: header(CONTENT_LENGTH).and_then(|length| length.parse().ok()),
            });
        }
        let (bytes, media_type, promised) = self.read_manifest(endpoint, &what).await?;
        let digest = sha256(&bytes);
        match promised {
            Some(promised) if promised != digest => {
                let (host, what) = (endpoint.host.clone(), what.to_string());
                Err(Error::Digest { host, what, expected: promised, found: digest })
            }
            _ => Ok(Resolved { digest, media_type, size: Some(bytes.len() as u64) }),
        }
    }

    /// The manifest or index with this digest, verified, and what the registry says it is.
    ///
    /// # Errors
    /// [`Error`], after the retries that its remedy allows.
    pub async fn manifest(
        &self,
        reference: &Reference,
        digest: &Digest,
    ) -> Result<(Vec<u8>, Option<String>), Error> {
        let mut attempts = retry::Attempts::default();
        let mut second_chance = true;
        loop {
            match self.manifest_once(reference, digest).await {
                Ok(manifest) => return Ok(manifest),
                // What was damaged on its way is fetched again, as a blob is.
                Err(Error::Digest { .. }) if std::mem::take(&mut second_chance) => {}
                Err(error) => self.pause_after(&mut attempts, error).await?,
            }
        }
    }

    async fn manifest_once(
        &self,
        reference: &Reference,
        digest: &Digest,
    ) -> Result<(Vec<u8>, Option<String>), Error> {
        let what = What::Manifest(digest.to_string());
        let mut sources = self.sources(reference, Some(digest));
        loop {
            let (endpoint, is_last) = sources.next()?;
            let answer = self.read_manifest(&endpoint, &what).await.and_then(|(bytes, media_type, _)| {
                let found = sha256(&bytes);
                if found == *digest {
                    return Ok((bytes, media_type));
                }
                let host = endpoint.host.clone();
                Err(Error::Digest { host, what: what.to_string(), expected: *digest, found })
            });
            if let Err(Error::Digest { .. }) = &answer {
                self.report_corrupt(digest, &endpoint.host);
            }
            match answer {
                Err(error) if !is_last => self.pass_over(&endpoint, &error),
                answer => return answer,
            }
        }
    }

    async fn read_manifest(
        &self,
        endpoint: &Endpoint,
        what: &What,
    ) -> Result<(Vec<u8>, Option<String>, Option<Digest>), Error> {
        let response = self.ask(endpoint, Method::GET, what, HeaderMap::new()).await?;
        if !response.status().is_success() {
            return Err(self.refusal(endpoint, what, response).await);
        }
        let media_type =
            response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let promised = ask::content_digest(&response);
        let limit = self.limits.manifest_bytes;
        let bytes = answer::read(&self.transport, response, limit, &what.to_string()).await?;
        Ok((bytes, media_type, promised))
    }

    /// The image for a platform behind a digest that [`Client::resolve`] gave: the manifest itself, or the one that an index
    /// names, through one more index at most.
    ///
    /// # Errors
    /// [`Error`] of [`Client::manifest`], and [`Error::Manifest`] for what is in it.
    pub async fn select(
        &self,
        reference: &Reference,
        digest: &Digest,
        wanted: &Platform,
    ) -> Result<Selected, Error> {
        let refuse = |source| Error::Manifest { reference: reference.to_string(), source };
        let mut digest = *digest;
        let mut claimed: Option<String> = None;
        for depth in 0..=manifest::NESTED_INDEXES + 1 {
            let (bytes, content_type) = self.manifest(reference, &digest).await?;
            let claim = claimed.as_deref().or(content_type.as_deref());
            match manifest::parse(&bytes, claim, &self.limits).map_err(refuse)? {
                Document::Image(image) => return Ok(Selected { digest, bytes, image, by_index: depth > 0 }),
                Document::Index(index) => {
                    let chosen = platform::choose(&index, wanted).map_err(refuse)?;
                    digest = chosen.digest;
                    claimed = Some(chosen.media_type.clone());
                }
            }
        }
        Err(refuse(manifest::Error::NestedTooDeep { limit: manifest::NESTED_INDEXES }))
    }

    /// A blob from `offset` on, without retries: whoever stores it knows how far it came, and goes on with
    /// [`Client::pause_after`] and the new offset. A foreign layer that the registry doesn't have is fetched from its
    /// `urls`, without credentials.
    ///
    /// # Errors
    /// [`Error`]; its remedy says whether to ask again.
    pub async fn blob(
        &self,
        reference: &Reference,
        descriptor: &manifest::Descriptor,
        offset: u64,
    ) -> Result<Blob, Error> {
        // A longer file than the blob can't be the beginning of it.
        let offset = if offset > descriptor.size { 0 } else { offset };
        if offset == descriptor.size && offset > 0 {
            self.check_size(reference, descriptor)?;
            let (transport, source) = (Arc::clone(&self.transport), reference.registry().to_owned());
            return Ok(Blob::new(transport, source, descriptor, offset..offset, None));
        }
        self.blob_range(reference, descriptor, offset..descriptor.size).await
    }

    /// Some bytes of a blob, as [`Client::blob`] gets all that follow an offset. Where the registry ignores ranges, or
    /// answers with another one, the whole blob comes: [`Blob::start`] and [`Blob::end`] say what it is.
    ///
    /// # Errors
    /// [`Error`]; its remedy says whether to ask again.
    pub async fn blob_range(
        &self,
        reference: &Reference,
        descriptor: &manifest::Descriptor,
        range: Range<u64>,
    ) -> Result<Blob, Error> {
        self.check_size(reference, descriptor)?;
        let end = range.end.min(descriptor.size);
        let range = range.start.min(end)..end;
        if range.is_empty() && descriptor.size > 0 {
            let (transport, source) = (Arc::clone(&self.transport), reference.registry().to_owned());
            return Ok(Blob::new(transport, source, descriptor, range, None));
        }
        let mut sources = self.sources(reference, Some(&descriptor.digest));
        let refused = loop {
            let (endpoint, is_last) = sources.next()?;
            match self.blob_at(&endpoint, descriptor, range.clone()).await {
                Ok(blob) => return Ok(blob),
                Err(error) if !is_last => self.pass_over(&endpoint, &error),
                Err(error) => break error,
            }
        };
        if matches!(refused, Error::NotFound { .. }) {
            for url in &descriptor.urls {
                match self.foreign(url, descriptor, range.clone()).await {
                    Ok(blob) => return Ok(blob),
                    Err(error) => {
                        tracing::warn!(event = "foreign_layer_failed", digest = %descriptor.digest, %error);
                    }
                }
            }
        }
        Err(refused)
    }

    fn check_size(&self, reference: &Reference, descriptor: &manifest::Descriptor) -> Result<(), Error> {
        let over = |source| Error::OverLimit {
            host: reference.registry().to_owned(),
            what: What::Blob(descriptor.digest).to_string(),
            source,
        };
        self.limits.layer_bytes.check(descriptor.size).map(drop).map_err(over)
    }

    /// Says that a host sent other bytes than the digest stands for: mirrors are not asked for them again. Whether that
    /// leaves another one to ask.
    pub fn report_corrupt(&self, digest: &Digest, host: &str) -> bool {
        tracing::warn!(event = "digest_mismatch", %digest, host, "other bytes than the digest says");
        let mut corrupt = self.corrupt.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = corrupt.insert((host.to_owned(), *digest));
        is_new && self.settings.mirrors.iter().any(|mirror| mirror.host == host)
    }

    /// Waits as long as the policy wants after a failure, so that the request may be made again.
    ///
    /// # Errors
    /// `error` itself, when it is not to be made again.
    pub async fn pause_after(&self, attempts: &mut retry::Attempts, error: Error) -> Result<(), Error> {
        match attempts.failed(&self.policy, &error, retry::jitter()) {
            retry::Decision::GiveUp => Err(error),
            retry::Decision::After(pause) => {
                if let Some(host) = error.broke_off().filter(|_| attempts.is_stuck()) {
                    // The registry itself is asked all the same: this is about mirrors.
                    self.hosts.set_aside(host);
                }
                let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(event = "registry_retry", pause_ms, %error, "asking again after a pause");
                match &self.pauses {
                    Pauses::Real => tokio::time::sleep(pause).await,
                    #[cfg(test)]
                    Pauses::Noted(pauses) => {
                        pauses.lock().unwrap_or_else(PoisonError::into_inner).push(pause);
                    }
                }
                Ok(())
            }
        }
    }

    /// Where to ask, in order: mirrors that are set aside, or that sent wrong bytes for `digest`, are left out.
    fn sources(&self, reference: &Reference, digest: Option<&Digest>) -> Sources {
        let corrupt = self.corrupt.lock().unwrap_or_else(PoisonError::into_inner);
        let is_usable = |endpoint: &Endpoint| {
            endpoint.mirror_of.is_none()
                || !(self.hosts.is_aside(&endpoint.host)
                    || digest.is_some_and(|digest| corrupt.contains(&(endpoint.host.clone(), *digest))))
        };
        Sources(
            endpoints(reference, &self.settings)
                .into_iter()
                .filter(is_usable)
                .collect::<Vec<_>>()
                .into_iter(),
        )
    }

    fn pass_over(&self, endpoint: &Endpoint, error: &Error) {
        if error.is_of_host() {
            self.hosts.set_aside(&endpoint.host);
        }
        tracing::warn!(event = "mirror_failed", host = %endpoint.host, %error, "asking the next one");
    }
}

/// The endpoints that are still to be asked.
struct Sources(std::vec::IntoIter<Endpoint>);

impl Sources {
    /// The next one, and whether it is the last: the registry itself, whose errors count.
    fn next(&mut self) -> Result<(Endpoint, bool), Error> {
        let next = self.0.next().ok_or_else(|| Error::Setup { problem: "no registry to ask".to_owned() })?;
        Ok((next, self.0.len() == 0))
    }
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest::from_bytes(sha2::Sha256::digest(bytes).into())
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
