//! Layers from the store into a tree, in the manifest's order, while they and later ones are still on their way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, mpsc};

use tokio::sync::oneshot;

use crate::blobs::{self, Abandoned, Arrival, Blobs, Follow};
use crate::digest::Digest;
use crate::layout::Layout;
use crate::limits::Limits;
use crate::lock::StoreLock;
use crate::manifest::{Descriptor, ImageConfig};
use crate::progress::{Event, Progress};
use crate::remedy::Remedy;
use crate::tree::{self, Extracted, Extraction};

use super::Error;
use super::content::Content;
use super::download::{Downloader, Fetch};

/// Bytes between two progress events, at least.
const STEP: u64 = 1 << 20;

/// What is to be extracted.
pub(super) struct Job {
    blobs: Blobs,
    /// Blob and `diff_id`, lowest first.
    layers: Vec<(Descriptor, Digest)>,
    limits: Limits,
    progress: Arc<dyn Progress>,
    /// The thread may outlive a pull that was given up.
    _lock: Arc<StoreLock>,
}

impl Job {
    /// The layers of a version.
    pub(super) fn new(
        layout: &Layout,
        content: &Content,
        config: &ImageConfig,
        limits: Limits,
        progress: Arc<dyn Progress>,
        lock: Arc<StoreLock>,
    ) -> Result<Self, Error> {
        config.check_layers(&content.image).map_err(Error::Manifest)?;
        let blobs = content.image.layers.iter().map(|layer| layer.descriptor.clone());
        let layers = blobs.zip(config.diff_ids.iter().copied()).collect();
        Ok(Self { blobs: Blobs::new(layout), layers, limits, progress, _lock: lock })
    }
}

/// Extracts into the empty directory `root`. Layers whose blobs are not in `ready` are followed while they come in; `wait`
/// says which of them have begun to, and ends when no more will.
pub(super) fn run(
    job: &Job,
    ready: &BTreeSet<Digest>,
    wait: &mpsc::Receiver<Arrival>,
    root: &Path,
) -> Result<Extracted, Error> {
    let mut digest = Digest::from_bytes([0; 32]);
    let at = |digest: Digest| move |source| explain(digest, source);
    let mut arrivals = BTreeMap::new();
    let mut extraction = Extraction::new(root, job.limits, |_| {}).map_err(at(digest))?;
    for (layer, diff_id) in &job.layers {
        digest = layer.digest;
        let (source, arrival) = if ready.contains(&digest) {
            (Source::Stored(job.blobs.open(&digest, layer.size)?), None)
        } else {
            let arrival = wait_for(&digest, &mut arrivals, wait)?;
            (Source::Arriving(arrival.follow()), Some(arrival))
        };
        let reader = Counted { source, layer, progress: &*job.progress, done: 0, told: 0 };
        job.progress.event(Event::Extracting { digest, done: 0, total: layer.size });
        let applied = extraction.apply(reader, Some(diff_id));
        applied.map_err(|error| match arrival {
            Some(arrival) if arrival.is_abandoned() => abandoned(digest),
            Some(_) => explain(digest, error),
            None => job.blame(layer, error),
        })?;
        job.progress.event(Event::Extracting { digest, done: layer.size, total: layer.size });
    }
    extraction.finish().map_err(at(digest))
}

/// Waits until a blob begins to come in. One that was begun anew takes the place of what came before.
fn wait_for(
    digest: &Digest,
    arrivals: &mut BTreeMap<Digest, Arrival>,
    wait: &mpsc::Receiver<Arrival>,
) -> Result<Arrival, Error> {
    loop {
        arrivals.extend(wait.try_iter().map(|arrival| (*arrival.digest(), arrival)));
        if let Some(arrival) = arrivals.get(digest) {
            return Ok(arrival.clone());
        }
        let arrival = wait.recv().map_err(|_| abandoned(*digest))?;
        arrivals.insert(*arrival.digest(), arrival);
    }
}

fn abandoned(digest: Digest) -> Error {
    Error::Blob(blobs::Error::Abandoned(Abandoned { digest }))
}

impl Job {
    /// A layer that can't be read: the blob on disk may have been damaged since it was stored. It is hashed, and removed
    /// if that is so, to be fetched again.
    fn blame(&self, layer: &Descriptor, error: tree::Error) -> Error {
        if matches!(error.remedy(), Remedy::Corrupt | Remedy::Refuse | Remedy::Retry)
            && let Err(damage @ blobs::Error::Corrupt { .. }) =
                self.blobs.open_verified(&layer.digest, layer.size)
        {
            return match self.blobs.remove(&layer.digest) {
                Ok(()) => damage.into(),
                Err(error) => error.into(),
            };
        }
        explain(layer.digest, error)
    }
}

fn explain(digest: Digest, error: tree::Error) -> Error {
    match error {
        tree::Error::Disk { source, path, .. } if crate::disk::is_full(&source) => {
            Error::io("write", path.into())(source)
        }
        source => Error::Tree { digest, source },
    }
}

/// Downloads what is missing while a thread of its own extracts what is there. The blobs get their names when the tree is
/// complete and durable, and they with it.
///
/// # Errors
/// [`blobs::Error::Abandoned`] when bytes turned out to be wrong that something was made of; the right ones may have
/// taken their place by then, so that it works when it is done once more.
pub(super) async fn alongside(
    job: Job,
    downloader: &Downloader<'_>,
    content: &Content,
    root: &Path,
) -> Result<Extracted, Error> {
    let missing: Vec<&Descriptor> = content.missing(downloader.blobs).collect();
    let absent: BTreeSet<Digest> = missing.iter().map(|blob| blob.digest).collect();
    let layers = content.image.layers.iter().map(|layer| layer.descriptor.digest);
    let present: BTreeSet<Digest> = layers.filter(|digest| !absent.contains(digest)).collect();
    let (begun, wait) = mpsc::channel();
    let (done, extracted) = oneshot::channel();
    let into = root.to_owned();
    let thread = std::thread::Builder::new()
        .name("extract".to_owned())
        .spawn(move || done.send(run(&job, &present, &wait, &into)).map_err(drop))
        .map_err(Error::io("extract", root.to_owned()))?;
    let fetch = downloader.begin(missing, move |arrival| {
        // If the thread has ended, its own error is the one that counts.
        let _ = begun.send(arrival);
    });
    let mut thread = Thread { extracted, thread: Some(thread), root };
    let result = both(&fetch, &mut thread).await;
    let is_redone = fetch.was_redone();
    let verified = fetch.into_verified();
    if result.is_err() {
        // The downloads are gone, which a thread that waits for them has been told. The tree is not to be removed under
        // its hands.
        thread.end().await;
    }
    match result {
        Ok(_) | Err(Error::Tree { .. }) if is_redone => Err(abandoned(content.digest)),
        Ok(extracted) => {
            downloader.blobs.name(&verified, root)?;
            Ok(extracted)
        }
        Err(error) => Err(error),
    }
}

/// Waits for the downloads and for the extraction, or for the error that counts.
async fn both<F: Fn(Arrival)>(fetch: &Fetch<'_, F>, thread: &mut Thread<'_>) -> Result<Extracted, Error> {
    let mut downloads = std::pin::pin!(fetch.run());
    let early = tokio::select! {
        downloaded = &mut downloads => {
            downloaded?;
            return thread.result().await;
        }
        early = thread.result() => early,
    };
    let error = match early {
        Ok(extracted) => {
            downloads.await?;
            return Ok(extracted);
        }
        Err(error) => error,
    };
    if let Error::Tree { digest, .. } | Error::Blob(blobs::Error::Abandoned(Abandoned { digest })) = &error {
        // If its bytes are wrong, it is them; if not, it is the layer.
        fetch.only(digest);
        loop {
            let changed = fetch.changed.notified();
            if !fetch.is_open(digest) {
                break;
            }
            tokio::select! {
                downloaded = &mut downloads => downloaded?,
                () = changed => {}
            }
        }
    }
    Err(error)
}

/// The thread that extracts.
struct Thread<'t> {
    extracted: oneshot::Receiver<Result<Extracted, Error>>,
    thread: Option<std::thread::JoinHandle<Result<(), ()>>>,
    root: &'t Path,
}

impl Thread<'_> {
    /// What came of it. To be asked for once.
    async fn result(&mut self) -> Result<Extracted, Error> {
        let result = (&mut self.extracted).await;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        result.unwrap_or_else(|_| {
            Err(Error::io("extract", self.root.to_owned())(io::Error::other("the extracting thread died")))
        })
    }

    /// Waits until it has ended, if it has not been waited for.
    async fn end(&mut self) {
        if self.thread.is_some() {
            let _ = self.result().await;
        }
    }
}

/// Where a blob is read.
enum Source {
    Stored(File),
    Arriving(Follow),
}

/// Reads a blob and tells how far it came.
struct Counted<'c> {
    source: Source,
    layer: &'c Descriptor,
    progress: &'c dyn Progress,
    done: u64,
    told: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.source {
            Source::Stored(file) => file.read(buffer)?,
            Source::Arriving(follow) => follow.read(buffer)?,
        };
        self.done += read as u64;
        if self.done - self.told >= STEP {
            self.told = self.done;
            self.progress.event(Event::Extracting {
                digest: self.layer.digest,
                done: self.done,
                total: self.layer.size,
            });
        }
        Ok(read)
    }
}
