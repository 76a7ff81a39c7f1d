//! From a reference to a version on disk, staged: resolve, fetch, extract, check, install, stage.
//!
//! ```text
//! HEAD tag -> digest -> (index ->) manifest -> config, layers -> tmp tree -> program check -> seal, launch -> rename -> link
//! ```
//!
//! The tag is resolved once; all that follows is by digest. A poll that finds nothing new is one HEAD request. Every step
//! leaves a state from which the next pull goes on: blobs and partial downloads stay, half a tree is made anew.

mod error;

pub mod resolved;

mod content;

mod download;

mod extract;

mod elf;

mod program;

mod install;

pub use error::Error;
pub use program::Error as ProgramError;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::blobs::Blobs;
use crate::blobs::space::{self, Full, Need};
use crate::config::RegistrySettings;
use crate::digest::Digest;
use crate::disk::RealDisk;
use crate::launch::Launch;
use crate::layout::Layout;
use crate::limits::Limits;
use crate::lock::StoreLock;
use crate::manifest::Platform;
use crate::progress::{Event, Progress};
use crate::reference::Reference;
use crate::registry::Client;
use crate::remedy::Remedy;

use content::Content;
use download::Downloader;
use resolved::{Failure, Resolved};

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Request {
    /// The image.
    pub reference: Reference,
    /// Whether to stage the version, so that the supervisor tries it next; else it is only put on disk.
    pub stage: bool,
    /// The version that runs, or would run: it is not staged again.
    pub current: Option<Digest>,
    /// Versions that are not tried again, and why.
    pub rejected: BTreeMap<Digest, String>,
    /// Whether to try a version again that was refused, or that filled the disk, at the last look.
    pub again: bool,
    /// How long to wait for whoever holds the store's lock.
    pub wait: Duration,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The version is on disk and in the slot `entrypoint-attempt`.
    Staged {
        /// The version.
        digest: Digest,
    },
    /// The version is on disk; it was not to be staged.
    Installed {
        /// The version.
        digest: Digest,
    },
    /// The reference stands for the version that runs.
    UpToDate {
        /// The version.
        digest: Digest,
    },
    /// The reference stands for a version that is not tried again.
    Skipped {
        /// The version.
        digest: Digest,
        /// Why it is not tried again.
        reason: String,
    },
}

impl Request {
    /// What there is to say about a version without looking at the disk.
    fn judge(&self, version: Digest) -> Option<Outcome> {
        if self.current == Some(version) {
            return Some(Outcome::UpToDate { digest: version });
        }
        let reason = self.rejected.get(&version)?;
        Some(Outcome::Skipped { digest: version, reason: reason.clone() })
    }
}

/// Puts the version that the request's reference stands for on disk, and stages it if wanted.
///
/// # Errors
/// [`Error`], whose [`Error::remedy`] says what helps. Slots and installed versions are as before.
pub async fn pull(
    request: &Request,
    settings: &RegistrySettings,
    layout: &Layout,
    progress: Arc<dyn Progress>,
) -> Result<Outcome, Error> {
    let lock = Arc::new(lock(layout, request.wait, &progress).await?);
    let limits = Limits::default();
    let client = Client::new(settings, limits)?;
    let platform = platform(settings)?;
    let question = (request.reference.to_string(), platform.to_string());

    let tag = client.resolve(&request.reference).await?.digest;
    let last = Resolved::read(&RealDisk, layout);
    let known = last.as_ref().and_then(|last| last.version(&question.0, &question.1, &tag));
    if let Some(outcome) = known.and_then(|version| request.judge(version)) {
        return settle(request, layout, outcome);
    }

    let (content, bytes) = match known.and_then(|version| Content::read(layout, &version, &limits).ok()) {
        Some(content) => (content, None),
        None => {
            let selected = client.select(&request.reference, &tag, &platform).await?;
            (Content { digest: selected.digest, image: selected.image }, Some(selected.bytes))
        }
    };
    let version = content.digest;
    progress.event(Event::Resolved { digest: version });
    let failure = last.filter(|_| known == Some(version)).and_then(|last| last.failure);
    let mut now = Resolved { reference: question.0, platform: question.1, tag, manifest: version, failure };
    let outcome = request.judge(version);
    if let (None, Some(bytes)) = (&outcome, &bytes) {
        content::write(layout, &version, bytes)?;
    }
    if known != Some(version) {
        now.write(&RealDisk, layout).map_err(Error::io("write", layout.resolved()))?;
    }
    if let Some(outcome) = outcome {
        return settle(request, layout, outcome);
    }

    let launch = match install::installed(layout, &version) {
        Some(launch) => launch,
        None => {
            let known_failure = now.failure.take().filter(|_| !request.again);
            let pull = Pull { request, layout, limits, client, platform, progress: &progress, lock };
            let free = space::free(&layout.storage()).map_err(Error::io("look at", layout.storage()))?;
            pull.bring(&content, tag != version, known_failure, free).await.inspect_err(|error| {
                now.failure = failure_of(error, free);
                // The error that led here is the one to report.
                let _ = now.write(&RealDisk, layout);
            })?
        }
    };
    progress.event(Event::Installed { digest: version });
    if !request.stage {
        return Ok(Outcome::Installed { digest: version });
    }
    install::stage(layout, &version, &launch)?;
    Ok(Outcome::Staged { digest: version })
}

/// Makes the tree of a version anew from what is on disk, without a registry: its manifest, config and layers.
///
/// Blocks its thread.
///
/// # Errors
/// [`Error::Blob`] when a blob is missing or damaged: [`pull`] of the version by its digest fetches it.
pub fn restore(
    digest: &Digest,
    settings: &RegistrySettings,
    layout: &Layout,
    wait: Duration,
    progress: &Arc<dyn Progress>,
) -> Result<(), Error> {
    let lock = Arc::new(StoreLock::take(layout, "restore", wait, |holder| {
        progress.event(Event::Waiting { holder: holder.to_owned() });
    })?);
    let limits = Limits::default();
    let content = Content::read(layout, digest, &limits)?;
    let blobs = Blobs::new(layout);
    let config = content.config(&blobs, &limits)?;
    for layer in &content.image.layers {
        blobs.open_verified(&layer.descriptor.digest, layer.descriptor.size)?;
    }
    install::remove_leftovers(layout)?;
    let job = extract::Job::new(layout, &content, &config, limits, Arc::clone(progress), lock)?;
    let ready = content.image.layers.iter().map(|layer| layer.descriptor.digest).collect();
    let tree = install::Temporary::new(layout, digest)?;
    let extracted = extract::run(&job, ready, &std::sync::mpsc::channel().1, tree.path())?;
    tree.install(layout, digest, &extracted.seal, &config, &platform(settings)?)?;
    progress.event(Event::Installed { digest: *digest });
    Ok(())
}

async fn lock(layout: &Layout, wait: Duration, progress: &Arc<dyn Progress>) -> Result<StoreLock, Error> {
    let (layout, progress) = (layout.clone(), Arc::clone(progress));
    let path = layout.store_lock();
    let taken = tokio::task::spawn_blocking(move || {
        StoreLock::take(&layout, "pull", wait, |holder| {
            progress.event(Event::Waiting { holder: holder.to_owned() });
        })
    });
    let taken = taken.await.map_err(|gone| Error::io("lock", path)(std::io::Error::other(gone)))?;
    Ok(taken?)
}

fn platform(settings: &RegistrySettings) -> Result<Platform, Error> {
    match &settings.platform {
        Some(text) => Ok(text.parse().map_err(Error::Manifest)?),
        None => Ok(Platform::current()),
    }
}

/// Ends a pull that has nothing to bring. Where the reference went back to the version that runs, what was staged in
/// between is withdrawn.
fn settle(request: &Request, layout: &Layout, outcome: Outcome) -> Result<Outcome, Error> {
    if let (true, Outcome::UpToDate { digest }) = (request.stage, &outcome) {
        install::withdraw(layout, digest)?;
    }
    Ok(outcome)
}

/// Whether, and why, the next pull of the version would end the same way.
fn failure_of(error: &Error, free: space::Free) -> Option<Failure> {
    match error {
        Error::Full(_) => Some(Failure::NoRoom { free: free.bytes }),
        Error::Refused { reason, .. } => {
            Some(Failure::Refused { reason: reason.clone(), loader: LOADER.to_owned() })
        }
        // It may be there when this container is another one.
        Error::Program(ProgramError::Interpreter { .. }) => None,
        error if error.remedy() == Remedy::Refuse => {
            Some(Failure::Refused { reason: error.to_string(), loader: LOADER.to_owned() })
        }
        _ => None,
    }
}

/// This loader's version.
const LOADER: &str = env!("CARGO_PKG_VERSION");

/// One pull that has something to bring.
struct Pull<'p> {
    request: &'p Request,
    layout: &'p Layout,
    limits: Limits,
    client: Client,
    platform: Platform,
    progress: &'p Arc<dyn Progress>,
    lock: Arc<StoreLock>,
}

impl Pull<'_> {
    /// Brings a version on disk. When the disk is full, what it brought is removed again.
    async fn bring(
        &self,
        content: &Content,
        by_index: bool,
        known_failure: Option<Failure>,
        free: space::Free,
    ) -> Result<Launch, Error> {
        let not_enough = match known_failure {
            Some(Failure::Refused { reason, loader }) if loader == LOADER => {
                return Err(Error::Refused { digest: content.digest, reason });
            }
            Some(Failure::NoRoom { free }) => Some(free),
            _ => None,
        };
        install::remove_leftovers(self.layout)?;
        let blobs = Blobs::new(self.layout);
        let missing: BTreeSet<Digest> = content.missing(&blobs).map(|blob| blob.digest).collect();
        self.check_space(content, &blobs, not_enough, free)?;
        let mut result = self.fetch_and_install(content, by_index, &blobs).await;
        // A blob of an earlier time that turned out to be damaged was removed: it is fetched now.
        if matches!(result, Err(Error::Blob(crate::blobs::Error::Corrupt { .. }))) {
            result = self.fetch_and_install(content, by_index, &blobs).await;
        }
        result.inspect_err(|error| {
            if error.is_full() {
                // The error that led here is the one to report.
                missing.iter().for_each(|digest| drop(blobs.forget(digest)));
            }
        })
    }

    /// What is needed at least: the missing blobs, and the largest layer extracted, which is hardly ever smaller than
    /// compressed. More can't be known before; a false alarm would keep a device from its update.
    fn check_space(
        &self,
        content: &Content,
        blobs: &Blobs,
        not_enough: Option<u64>,
        free: space::Free,
    ) -> Result<(), Full> {
        let (mut need, mut bytes_left) = (Need::default(), 0);
        for blob in content.missing(blobs) {
            bytes_left += blob.size.saturating_sub(blobs.partial_bytes(&blob.digest));
            need.files += 1;
        }
        self.progress.event(Event::Planned { blobs: need.files, bytes: bytes_left });
        let largest = content.image.layers.iter().map(|layer| layer.descriptor.size).max();
        let at_least = not_enough.map_or(0, |free| free.saturating_add(1));
        need.bytes = bytes_left.saturating_add(largest.unwrap_or(0)).max(at_least);
        // The tree's folder, its program, the seal, the launch file.
        need.files += 4;
        space::check(&self.layout.storage(), need, free)
    }

    async fn fetch_and_install(
        &self,
        content: &Content,
        by_index: bool,
        blobs: &Blobs,
    ) -> Result<Launch, Error> {
        let downloader = Downloader {
            client: &self.client,
            reference: &self.request.reference,
            blobs,
            progress: &**self.progress,
        };
        if !blobs.has(&content.image.config.digest, content.image.config.size) {
            downloader.fetch(&content.image.config).await?;
        }
        let config = content.config(blobs, &self.limits).inspect_err(|error| {
            if let Error::Blob(crate::blobs::Error::Corrupt { digest, .. }) = error {
                // It is fetched again.
                let _ = blobs.remove(digest);
            }
        })?;
        if !by_index {
            config.check_platform(&self.platform).map_err(Error::Manifest)?;
        }
        let (progress, lock) = (Arc::clone(self.progress), Arc::clone(&self.lock));
        let job = extract::Job::new(self.layout, content, &config, self.limits, progress, lock)?;
        let tree = install::Temporary::new(self.layout, &content.digest)?;
        let extracted = extract::alongside(job, &downloader, content, tree.path()).await?;
        for warning in &extracted.warnings {
            tracing::warn!(event = "extraction_warning", digest = %content.digest, "{warning}");
        }
        tree.install(self.layout, &content.digest, &extracted.seal, &config, &self.platform)
    }
}
