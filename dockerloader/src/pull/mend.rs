//! Putting right what is damaged of a version that is there: its manifest and blobs from the registry, its seal, and single paths of its
//! tree from its layers. What is not damaged stays, data of the workload included.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::blobs::Blobs;
use crate::config::RegistrySettings;
use crate::digest::Digest;
use crate::disk::{self, Disk as _, RealDisk};
use crate::layout::Layout;
use crate::limits::Limits;
use crate::lock::StoreLock;
use crate::manifest::Descriptor;
use crate::progress::Progress;
use crate::reference::Reference;
use crate::registry::Client;
use crate::tree::{self, Scope, Seal, Stamps};

use super::content::{self, Content};
use super::download::Downloader;
use super::{Error, extract, install, platform, program};

/// The config and the layers that a version's manifest names, each once; the config first.
///
/// # Errors
/// [`Error::Blob`] when the manifest is missing or damaged.
pub fn layers_of(layout: &Layout, version: &Digest) -> Result<Vec<Descriptor>, Error> {
    let content = Content::read(layout, version, &Limits::default())?;
    let mut seen = BTreeSet::new();
    let layers = content.image.layers.into_iter().map(|layer| layer.descriptor);
    Ok([content.image.config].into_iter().chain(layers).filter(|blob| seen.insert(blob.digest)).collect())
}

/// Fetches what is missing of a version's manifest, config and layers. `reference` names the version by its digest.
///
/// The caller holds the store's lock.
///
/// # Errors
/// Of the registry, or of the disk.
pub async fn complete(
    reference: &Reference,
    version: &Digest,
    settings: &RegistrySettings,
    layout: &Layout,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let limits = Limits::default();
    let client = Client::new(settings, limits)?;
    let content = match Content::read(layout, version, &limits) {
        Ok(content) => content,
        Err(_) => {
            let selected = client.select(reference, version, &platform(settings)?).await?;
            content::write(layout, version, &selected.bytes)?;
            Content::read(layout, version, &limits)?
        }
    };
    let blobs = Blobs::new(layout);
    let fetched = AtomicU64::new(0);
    let downloader = Downloader {
        client: &client,
        reference,
        blobs: &blobs,
        progress,
        fetched: &fetched,
        limits: &limits,
        candidates: Vec::new(),
    };
    for blob in content.missing(&blobs) {
        downloader.fetch(blob).await?;
    }
    Ok(())
}

/// What a version's tree is made of again.
fn job(
    version: &Digest,
    layout: &Layout,
    lock: &Arc<StoreLock>,
    progress: &Arc<dyn Progress>,
) -> Result<(Content, crate::manifest::ImageConfig, extract::Job), Error> {
    let limits = Limits::default();
    let content = Content::read(layout, version, &limits)?;
    let blobs = Blobs::new(layout);
    let config = content.config(&blobs, &limits)?;
    if let Some(missing) = content.missing(&blobs).next() {
        return Err(crate::blobs::Error::Absent { digest: missing.digest }.into());
    }
    let (progress, lock) = (Arc::clone(progress), Arc::clone(lock));
    let job = extract::Job::new(layout, &content, &config, limits, progress, lock)?;
    Ok((content, config, job))
}

/// Puts these paths of a version's tree right, from its layers on disk; then its launch file. All else in the tree stays as it is.
/// Nobody may run in the tree.
///
/// Blocks its thread. The caller holds the store's lock.
///
/// # Errors
/// [`Error::Blob`] when a blob is missing or damaged, which is removed then; of the disk. The tree is no worse than before, and what is
/// left of the attempt is removed by the next one.
pub fn mend(
    version: &Digest,
    (seal, stamps): (&Seal, Option<&Stamps>),
    paths: BTreeSet<Vec<u8>>,
    settings: &RegistrySettings,
    layout: &Layout,
    lock: &Arc<StoreLock>,
    progress: &Arc<dyn Progress>,
) -> Result<(), Error> {
    let tree = layout.tree(version);
    let (content, config, job) = job(version, layout, lock, progress)?;
    remove_staging(&tree, seal)?;
    let base = tree::Base {
        seal: seal.clone(),
        stamps: stamps.cloned(),
        frozen: false,
        scope: Scope::Only(Arc::new(paths)),
    };
    let ready = content.image.layers.iter().map(|layer| layer.descriptor.digest).collect();
    let made = extract::run(job.mending(base), &ready, &std::sync::mpsc::channel().1, &tree);
    let made = made.inspect_err(|_| {
        // The error that led here is the one to report.
        let _ = remove_staging(&tree, seal);
    })?;
    let path = layout.stamps(version);
    disk::replace_cache(&RealDisk, &path, made.extracted.stamps.as_bytes())
        .map_err(Error::io("write", path))?;
    write_seal(layout, version, &made.extracted.seal)?;
    let launch = program::launch(&tree, &config, &platform(settings)?, Path::exists)?;
    install::write_launch(layout, version, &launch)
}

/// Makes the seal of a version anew: from a second extraction of its layers, which is thrown away. Its tree is not looked at.
///
/// Blocks its thread. The caller holds the store's lock.
///
/// # Errors
/// As [`mend`].
pub fn reseal(
    version: &Digest,
    layout: &Layout,
    lock: &Arc<StoreLock>,
    progress: &Arc<dyn Progress>,
) -> Result<Seal, Error> {
    let (content, _, job) = job(version, layout, lock, progress)?;
    install::remove_leftovers(layout)?;
    let tree = install::Temporary::new(layout, version, None)?;
    let ready = content.image.layers.iter().map(|layer| layer.descriptor.digest).collect();
    let made = extract::run(job, &ready, &std::sync::mpsc::channel().1, tree.path())?;
    write_seal(layout, version, &made.extracted.seal)?;
    Ok(made.extracted.seal)
}

fn write_seal(layout: &Layout, version: &Digest, seal: &Seal) -> Result<(), Error> {
    let path = layout.seal(version);
    RealDisk
        .create_directories(&layout.seals())
        .and_then(|()| disk::replace_file(&RealDisk, &path, seal.as_bytes()))
        .map_err(Error::io("write", path))
}

/// Removes what a repair that was cut off left in the root of a tree.
fn remove_staging(tree: &Path, seal: &Seal) -> Result<(), Error> {
    let mut known = BTreeSet::new();
    let mut records = seal.records();
    while let Some(record) = records.next() {
        if tree::is_staging(record.path) {
            known.insert(record.path.to_vec());
        }
    }
    for name in RealDisk.list(tree).map_err(Error::io("list", tree.to_owned()))? {
        let bytes = name.as_encoded_bytes();
        if tree::is_staging(bytes) && !known.contains(bytes) {
            let path = tree.join(&name);
            RealDisk.remove_tree(&path).map_err(Error::io("remove", path))?;
        }
    }
    Ok(())
}
