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
use crate::tree::{self, Extracted, Extraction, LayerIndex, NoContents, Update};

use crate::volume::{Made, Method, Origin};

use super::Error;
use super::base::{Base, Plan};
use super::content::Content;
use super::donor::Donor;
use super::sources::{self, Sources};

/// Bytes between two progress events, at least.
const STEP: u64 = 1 << 20;

/// What is to be extracted.
pub(super) struct Job {
    blobs: Blobs,
    /// Blob and `diff_id`, lowest first.
    layers: Vec<(Descriptor, Digest)>,
    limits: Limits,
    progress: Arc<dyn Progress>,
    layout: Layout,
    /// `None` to extract into an empty directory.
    update: Option<Start>,
    /// The thread may outlive a pull that was given up.
    _lock: Arc<StoreLock>,
}

/// What a tree that is not extracted begins as.
struct Start {
    /// Until it is begun with.
    base: Option<tree::Base>,
    /// A version whose files may be read.
    contents: Option<Digest>,
    /// Whether layers that are known are read all the same.
    read_all: bool,
}

/// What makes the tree.
enum Engine<P> {
    Extraction(Box<Extraction<P>>),
    Update(Box<Update<P>>),
}

/// A finished tree, and what is to be known of its layers from now on.
pub(super) struct Tree {
    pub(super) extracted: Extracted,
    /// Of the layers that were read, by the digests of their blobs.
    pub(super) indexes: Vec<(Digest, LayerIndex)>,
}

impl Tree {
    /// What is told about it.
    pub(super) fn in_short(&self, method: Option<Method>, plan: Plan, layers: u64, fetched: u64) -> Made {
        let work = self.extracted.work;
        let (method, base) = match plan {
            Plan::Extract => (None, Origin::Empty),
            Plan::Update { base: Base::Empty, .. } => (method, Origin::Empty),
            Plan::Update { base: Base::Spare(_), .. } => (method, Origin::Spare),
            Plan::Update { base: Base::Current(_), .. } => (method, Origin::Current),
        };
        Made {
            method,
            base,
            layers,
            layers_unchanged: layers.saturating_sub(self.indexes.len() as u64),
            files: self.extracted.entries,
            files_written: work.staged + work.copied + work.shared + work.adjusted,
            fetched,
            written: self.extracted.bytes,
        }
    }
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
        Ok(Self {
            blobs: Blobs::new(layout),
            layers,
            limits,
            progress,
            layout: layout.clone(),
            update: None,
            _lock: lock,
        })
    }

    /// Makes the tree by this plan; what the plan begins with is taken from `sources`.
    pub(super) fn by(mut self, plan: Plan, sources: &mut Sources) -> Self {
        self.update = match plan {
            Plan::Extract => None,
            Plan::Update { base, contents, read_all } => {
                sources.take(base).map(|base| Start { base: Some(base), contents, read_all })
            }
        };
        self
    }
}

impl Job {
    /// Puts right what `base` says, in place: all layers are read, and of them is written what the tree has no longer.
    pub(super) fn mending(mut self, base: tree::Base) -> Self {
        self.update = Some(Start { base: Some(base), contents: None, read_all: true });
        self
    }
}

/// Makes the tree in the directory `root`. Layers that are known are not read, unless all are to be. Those of the others whose
/// blobs are not in `ready` are followed while they come in; `wait` says which of them have begun to, and ends when no
/// more will.
pub(super) fn run(
    mut job: Job,
    ready: &BTreeSet<Digest>,
    wait: &mpsc::Receiver<Arrival>,
    root: &Path,
) -> Result<Tree, Error> {
    let mut digest = Digest::from_bytes([0; 32]);
    let at = |digest: Digest| move |source| explain(digest, source);
    let quiet: fn(u64) = |_| {};
    let mut engine = match job.update.as_mut().and_then(|start| start.base.take()) {
        None => Engine::Extraction(Box::new(Extraction::new(root, job.limits, quiet).map_err(at(digest))?)),
        Some(base) => {
            Engine::Update(Box::new(Update::new(root, base, job.limits, quiet).map_err(at(digest))?))
        }
    };
    let (mut arrivals, mut indexes) = (BTreeMap::new(), Vec::new());
    for (layer, diff_id) in &job.layers {
        digest = layer.digest;
        if let Engine::Update(update) = &mut engine
            && ready.contains(&digest)
            && let Some(index) = job.known(&digest, diff_id)
        {
            update.replay(&index).map_err(at(digest))?;
            continue;
        }
        let (source, arrival) = if ready.contains(&digest) {
            (Source::Stored(job.blobs.open(&digest, layer.size)?), None)
        } else {
            let arrival = wait_for(&digest, &mut arrivals, wait)?;
            (Source::Arriving(arrival.follow()), Some(arrival))
        };
        let reader = Counted { source, layer, progress: &*job.progress, done: 0, told: 0 };
        job.progress.event(Event::Extracting { digest, done: 0, total: layer.size });
        let applied = match &mut engine {
            Engine::Extraction(extraction) => extraction.apply(reader, Some(diff_id)),
            Engine::Update(update) => update.apply(reader, Some(diff_id)),
        };
        let index = applied.map_err(|error| match arrival {
            Some(arrival) if arrival.is_abandoned() => abandoned(digest),
            Some(_) => explain(digest, error),
            None => job.blame(layer, error),
        })?;
        indexes.push((digest, index));
        job.progress.event(Event::Extracting { digest, done: layer.size, total: layer.size });
    }
    let finished = match engine {
        Engine::Extraction(extraction) => extraction.finish(),
        Engine::Update(update) => {
            let version = job.update.as_ref().and_then(|start| start.contents);
            match version.and_then(|version| Donor::new(&job.layout.tree(&version))) {
                Some(donor) => update.finish(&donor),
                None => update.finish(&NoContents),
            }
        }
    };
    let extracted = finished.map_err(at(digest))?;
    Ok(Tree { extracted, indexes })
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
    /// What a layer does to a tree, if that is known and enough.
    fn known(&self, blob: &Digest, diff_id: &Digest) -> Option<LayerIndex> {
        let start = self.update.as_ref().filter(|start| !start.read_all);
        start.and_then(|_| sources::layer_index(&self.layout, blob, diff_id))
    }

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
