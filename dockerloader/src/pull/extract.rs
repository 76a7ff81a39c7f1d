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
use crate::tree::{self, Extracted, Extraction, LayerIndex, NoContents, Update};

use crate::volume::{Made, Method, Origin};

use super::Error;
use super::base::{Base, Plan};
use super::content::Content;
use super::donor::Donor;
use super::download::Downloader;
use super::sources::{self, Sealed, Sources};

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
    /// What the tree begins as, and a version whose files may be read for it; `None` to extract into an empty directory.
    update: Option<(tree::Base, Option<Digest>)>,
    /// The thread may outlive a pull that was given up.
    _lock: Arc<StoreLock>,
}

/// What makes the tree.
enum Engine<P> {
    Extraction(Extraction<P>),
    Update(Update<P>),
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

    /// Makes the tree by this plan.
    pub(super) fn by(mut self, plan: Plan, sources: &Sources) -> Self {
        let sealed = |sealed: &Option<Sealed>| {
            sealed.as_ref().map(|sealed| tree::Base {
                seal: sealed.seal.clone(),
                stamps: sealed.stamps.clone(),
                frozen: sealed.stamps.is_none(),
            })
        };
        self.update = match plan {
            Plan::Extract => None,
            Plan::Update { base, contents } => {
                let base = match base {
                    Base::Empty => Some(tree::Base::empty()),
                    Base::Spare(_) => sealed(&sources.spare),
                    Base::Current(_) => sealed(&sources.base),
                };
                base.map(|base| (base, contents))
            }
        };
        self
    }
}

/// Makes the tree in the directory `root`. Layers that are known are not read. Those of the others whose blobs are not in `ready` are waited for; `wait` says when they
/// are there, and ends when they won't be.
pub(super) fn run(
    job: &Job,
    mut ready: BTreeSet<Digest>,
    wait: &mpsc::Receiver<Digest>,
    root: &Path,
) -> Result<Tree, Error> {
    let mut digest = Digest::from_bytes([0; 32]);
    let at = |digest: Digest| move |source| explain(digest, source);
    let silent = |_| {};
    let mut engine = match &job.update {
        None => Engine::Extraction(Extraction::new(root, job.limits, silent).map_err(at(digest))?),
        Some((base, _)) => {
            Engine::Update(Update::new(root, base.clone(), job.limits, silent).map_err(at(digest))?)
        }
    };
    let mut indexes = Vec::new();
    for (layer, diff_id) in &job.layers {
        digest = layer.digest;
        if let Engine::Update(update) = &mut engine
            && ready.contains(&digest)
            && let Some(index) = sources::layer_index(&job.layout, &digest, diff_id)
        {
            update.replay(&index).map_err(at(digest))?;
            continue;
        }
        while !ready.contains(&digest) {
            let gone =
                |_| Error::io("extract", root.to_owned())(io::Error::other("the download was given up"));
            ready.insert(wait.recv().map_err(gone)?);
        }
        let file = job.blobs.open(&digest, layer.size)?;
        let reader = Counted { file, layer, progress: &*job.progress, done: 0, told: 0 };
        job.progress.event(Event::Extracting { digest, done: 0, total: layer.size });
        let applied = match &mut engine {
            Engine::Extraction(extraction) => extraction.apply(reader, Some(diff_id)),
            Engine::Update(update) => update.apply(reader, Some(diff_id)),
        };
        let index = applied.map_err(|error| job.blame(layer, error))?;
        indexes.push((digest, index));
        job.progress.event(Event::Extracting { digest, done: layer.size, total: layer.size });
    }
    let finished = match engine {
        Engine::Extraction(extraction) => extraction.finish(),
        Engine::Update(update) => {
            let version = job.update.as_ref().and_then(|(_, contents)| *contents);
            match version.and_then(|version| Donor::new(&job.layout.tree(&version))) {
                Some(donor) => update.finish(&donor),
                None => update.finish(&NoContents),
            }
        }
    };
    let extracted = finished.map_err(at(digest))?;
    Ok(Tree { extracted, indexes })
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
) -> Result<Tree, Error> {
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
