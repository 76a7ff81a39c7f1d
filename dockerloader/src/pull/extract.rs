//! Layers from the store into a tree, in the manifest's order, while they and later ones are still on their way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, mpsc};

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

/// What is said of bytes that did not come, or were wrong.
pub(super) fn abandoned(digest: Digest) -> Error {
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
