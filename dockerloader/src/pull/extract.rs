//! Layers from the store into a tree, in the manifest's order, while later ones are still on their way.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, mpsc};

use tokio::sync::oneshot;

use crate::blobs::{self, Blobs};
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
use super::download::Downloader;

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

/// Extracts into the empty directory `root`. Layers whose blobs are not in `ready` are waited for; `wait` says when they
/// are there, and ends when they won't be.
pub(super) fn run(
    job: &Job,
    mut ready: BTreeSet<Digest>,
    wait: &mpsc::Receiver<Digest>,
    root: &Path,
) -> Result<Extracted, Error> {
    let mut digest = Digest::from_bytes([0; 32]);
    let at = |digest: Digest| move |source| explain(digest, source);
    let mut extraction = Extraction::new(root, job.limits, |_| {}).map_err(at(digest))?;
    for (layer, diff_id) in &job.layers {
        digest = layer.digest;
        while !ready.contains(&digest) {
            let gone =
                |_| Error::io("extract", root.to_owned())(io::Error::other("the download was given up"));
            ready.insert(wait.recv().map_err(gone)?);
        }
        let file = job.blobs.open(&digest, layer.size)?;
        let reader = Counted { file, layer, progress: &*job.progress, done: 0, told: 0 };
        job.progress.event(Event::Extracting { digest, done: 0, total: layer.size });
        extraction.apply(reader, Some(diff_id)).map_err(|error| job.blame(layer, error))?;
        job.progress.event(Event::Extracting { digest, done: layer.size, total: layer.size });
    }
    extraction.finish().map_err(at(digest))
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

/// Downloads what is missing while a thread of its own extracts what is there.
pub(super) async fn alongside(
    job: Job,
    downloader: &Downloader<'_>,
    content: &Content,
    root: &Path,
) -> Result<Extracted, Error> {
    let missing: Vec<&Descriptor> = content.missing(downloader.blobs).collect();
    let absent: BTreeSet<Digest> = missing.iter().map(|blob| blob.digest).collect();
    let layers = content.image.layers.iter().map(|layer| layer.descriptor.digest);
    let present = layers.filter(|digest| !absent.contains(digest)).collect();
    let (ready, wait) = mpsc::channel();
    let (done, extracted) = oneshot::channel();
    let died = || Error::io("extract", root.to_owned())(io::Error::other("the extracting thread died"));
    let into = root.to_owned();
    let thread = std::thread::Builder::new()
        .name("extract".to_owned())
        .spawn(move || done.send(run(&job, present, &wait, &into)).map_err(drop))
        .map_err(Error::io("extract", root.to_owned()))?;
    let mut extracted = std::pin::pin!(extracted);
    let result = {
        let downloads = downloader.fetch_all(missing.into_iter(), move |digest| {
            // If the thread has ended, its own error is the one that counts.
            let _ = ready.send(digest);
        });
        // Leaving this block drops the downloads, and with them the sender: a thread that waits goes on, to its end.
        tokio::select! {
            downloaded = downloads => downloaded.map(|()| None),
            early = &mut extracted => Ok(Some(early)),
        }
    };
    let result = match result {
        Ok(None) => extracted.await.unwrap_or_else(|_| Err(died())),
        Ok(Some(early)) => early.unwrap_or_else(|_| Err(died())),
        Err(error) => {
            // The tree is not to be removed under the thread's hands.
            let _ = extracted.await;
            Err(error)
        }
    };
    let _ = thread.join();
    result
}

/// Reads a blob and tells how far it came.
struct Counted<'c> {
    file: File,
    layer: &'c Descriptor,
    progress: &'c dyn Progress,
    done: u64,
    told: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
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
