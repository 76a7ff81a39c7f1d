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

mod look;

mod content;

mod base;

mod sources;

mod donor;

mod budget;

mod bring;

mod known;

mod assembly;

mod download;

mod requests;

mod part;

mod extract;

mod alongside;

mod elf;

mod program;

mod install;

mod mend;

pub use error::Error;
pub use mend::{complete, layers_of, mend, reseal};
pub use program::Error as ProgramError;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::blobs::{Blobs, space};
use crate::config::RegistrySettings;
use crate::digest::Digest;
use crate::disk::RealDisk;
use crate::launch::Launch;
use crate::layout::{Layout, Slot};
use crate::limits::Limits;
use crate::lock::StoreLock;
use crate::manifest::Platform;
use crate::progress::{Event, Progress};
use crate::reference::Reference;
use crate::registry::Client;
use crate::volume::{self, Wanted};

use bring::{Pull, failure_of};
use content::Content;
use look::{Look, look};

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
    /// How the tree is to be made.
    pub method: Wanted,
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
    let current = install::named(layout, Slot::Current);
    let lock = Arc::new(lock(layout, request.wait, &progress).await?);
    let limits = Limits::default();
    let client = Client::new(settings, limits)?;
    let platform = platform(settings)?;
    let (content, mut memory) = match look(request, layout, &client, &platform, &limits).await? {
        Look::Settled(outcome) => return settle(request, layout, outcome),
        Look::Wanted(wanted) => *wanted,
    };
    let version = content.digest;
    progress.event(Event::Resolved { digest: version });
    let launch = match install::installed(layout, &version) {
        Some(launch) => launch,
        None => {
            space::keep_reserve(layout);
            let failure = memory.resolved.failure.take();
            let had_failed = failure.is_some();
            let free = space::free(&layout.storage()).map_err(Error::io("look at", layout.storage()))?;
            let by_index = memory.resolved.tag != version;
            let pull = Pull {
                request,
                layout,
                limits,
                client,
                platform,
                progress: &progress,
                lock,
                fetched: AtomicU64::new(0),
            };
            let brought = pull.bring(&content, by_index, failure.filter(|_| !request.again), free).await;
            memory.resolved.failure = brought.as_ref().err().and_then(|error| failure_of(error, free));
            if had_failed || memory.resolved.failure.is_some() {
                // An error that led here is the one to report.
                let _ = memory.write(layout);
            }
            brought?
        }
    };
    progress.event(Event::Installed { digest: version });
    if !request.stage {
        return Ok(Outcome::Installed { digest: version });
    }
    let is_staged = install::stage(layout, &version, &launch, current)?;
    Ok(if is_staged { Outcome::Staged { digest: version } } else { Outcome::UpToDate { digest: version } })
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
    restore_locked(digest, settings, layout, &lock, progress)
}

/// As [`restore`], for who holds the store's lock.
///
/// # Errors
/// As [`restore`].
pub fn restore_locked(
    digest: &Digest,
    settings: &RegistrySettings,
    layout: &Layout,
    lock: &Arc<StoreLock>,
    progress: &Arc<dyn Progress>,
) -> Result<(), Error> {
    let limits = Limits::default();
    let content = Content::read(layout, digest, &limits)?;
    let blobs = Blobs::new(layout);
    let config = content.config(&blobs, &limits)?;
    for layer in &content.image.layers {
        blobs.open_verified(&layer.descriptor.digest, layer.descriptor.size)?;
    }
    install::remove_leftovers(layout)?;
    let job = extract::Job::new(layout, &content, &config, limits, Arc::clone(progress), Arc::clone(lock))?;
    let ready = content.image.layers.iter().map(|layer| layer.descriptor.digest).collect();
    let method = volume::recall(&RealDisk, layout).and_then(|memory| memory.trees.method);
    let tree = install::Temporary::new(layout, digest, method)?;
    let made = extract::run(job, &ready, &std::sync::mpsc::channel().1, tree.path())?;
    tree.install(layout, digest, &made.extracted, &made.indexes, &config, &platform(settings)?)?;
    progress.event(Event::Installed { digest: *digest });
    Ok(())
}

/// How a version whose tree is on disk is started, by its manifest and config there: what its launch file says, or said before
/// it was damaged.
///
/// # Errors
/// What is missing or damaged.
pub fn launch_of(digest: &Digest, settings: &RegistrySettings, layout: &Layout) -> Result<Launch, Error> {
    let limits = Limits::default();
    let content = Content::read(layout, digest, &limits)?;
    let config = content.config(&Blobs::new(layout), &limits)?;
    Ok(program::launch(&layout.tree(digest), &config, &platform(settings)?, Path::exists)?)
}

/// Writes the launch file of a version anew.
///
/// The caller holds the store's lock.
///
/// # Errors
/// As [`launch_of`]; of the disk.
pub fn write_launch(digest: &Digest, settings: &RegistrySettings, layout: &Layout) -> Result<(), Error> {
    install::write_launch(layout, digest, &launch_of(digest, settings, layout)?)
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
