//! The trees that are there and what is known of them, read from the disk.

use crate::blobs::Blobs;
use crate::blobs::space::Need;
use crate::digest::Digest;
use crate::disk::{Disk as _, Kind, RealDisk};
use crate::layout::Layout;
use crate::limits::Limits;
use crate::manifest::Descriptor;
use crate::tree::{self, LayerIndex, Seal, Stamps};
use crate::volume::overlay::{self, Growth};
use crate::volume::{Method, spare, subvolume};

use super::base::{Base, Facts, Known, LayerFacts, Plan, choose};
use super::budget::History;
use super::content::Content;

/// A tree with its seal, and with its stamps unless nobody can have written to it.
#[derive(Debug, Clone)]
pub(super) struct Sealed {
    pub(super) digest: Digest,
    pub(super) seal: Seal,
    pub(super) stamps: Option<Stamps>,
}

impl Sealed {
    /// Reads both; `None` when one is missing, damaged, or not of the other.
    fn read(layout: &Layout, digest: Digest) -> Option<Self> {
        let seal = seal(layout, &digest)?;
        let stamps = RealDisk.read(&layout.stamps(&digest), Stamps::MAX_BYTES).ok()?;
        let stamps = Stamps::parse(stamps, &seal).ok()?;
        Some(Self { digest, seal, stamps: Some(stamps) })
    }

    /// A version that is a stack of frozen directories, and may be built upon; `None` for any other.
    fn stacked(layout: &Layout, digest: Digest) -> Option<Self> {
        let stack = overlay::stack(&RealDisk, layout, &digest).ok()??;
        (stack.growth() == Growth::OnTop).then_some(())?;
        Some(Self { digest, seal: seal(layout, &digest)?, stamps: None })
    }

    fn known(&self) -> Known {
        Known { digest: self.digest, bytes: spare::size(&self.seal).bytes }
    }
}

/// What a new tree can be made from.
#[derive(Debug, Clone, Default)]
pub(super) struct Sources {
    pub(super) method: Option<Method>,
    pub(super) spare: Option<Sealed>,
    pub(super) current: Option<Digest>,
    /// The current version's tree, where a snapshot can be taken of it, or it is a stack.
    pub(super) base: Option<Sealed>,
}

impl Sources {
    /// Looks for the spare tree, if the method uses one, and for that of `current`, which runs or would run, unless that is
    /// the version to be made. What can't be used is as if it were not there.
    pub(super) fn read(
        layout: &Layout,
        method: Option<Method>,
        version: &Digest,
        current: Option<Digest>,
    ) -> Self {
        let Some(used) = method else { return Self::default() };
        let spare =
            if used.uses_spare() { spare::list(&RealDisk, layout).unwrap_or_default() } else { Vec::new() };
        let is_tree = |path: &std::path::Path| matches!(RealDisk.kind(path), Ok(Some(Kind::Directory)));
        let spare = spare
            .into_iter()
            .filter(|digest| is_tree(&layout.spare(digest)))
            .find_map(|digest| Sealed::read(layout, digest));
        let current = current.filter(|current| current != version && is_tree(&layout.tree(current)));
        let is_subvolume = |digest: &Digest| subvolume::is_subvolume(&layout.tree(digest));
        Self {
            method,
            current,
            base: current.and_then(|digest| match used {
                // A spare tree that is there is used rather.
                Method::Snapshot if spare.is_none() && is_subvolume(&digest) => Sealed::read(layout, digest),
                Method::Overlay => Sealed::stacked(layout, digest),
                _ => None,
            }),
            spare,
        }
    }

    /// Hands out the tree that a plan begins with: what is known of it has megabytes, which nothing else is to keep in memory.
    pub(super) fn take(&mut self, base: Base) -> Option<tree::Base> {
        let sealed = match base {
            Base::Empty => return Some(tree::Base::empty()),
            Base::Spare(_) => self.spare.take(),
            Base::Current(_) => self.base.take(),
        };
        sealed.map(|Sealed { seal, stamps, .. }| {
            let frozen = stamps.is_none();
            tree::Base { seal, stamps, frozen, scope: tree::Scope::All }
        })
    }

    /// How the tree is to be made.
    pub(super) fn plan(&self, layout: &Layout, content: &Content, blobs: &Blobs) -> Plan {
        let layers = content.image.layers.iter().map(|layer| LayerFacts {
            size: layer.descriptor.size,
            index: index_bytes(layout, blobs, &layer.descriptor),
        });
        choose(&Facts {
            method: self.method,
            spare: self.spare.as_ref().map(Sealed::known),
            current: self.current,
            current_base: self.base.as_ref().map(Sealed::known),
            layers: layers.collect(),
        })
    }
}

/// What the blobs of a version that is there became; `None` when that can't be known.
pub(super) fn history(layout: &Layout, version: Option<Digest>) -> Option<History> {
    let version = version?;
    let content = Content::read(layout, &version, &Limits::default()).ok()?;
    let blobs = content.image.layers.iter().map(|layer| layer.descriptor.size).sum();
    Some(History { blobs, tree: spare::size(&seal(layout, &version)?) })
}

/// What the layer with this blob becomes, if it was extracted before.
pub(super) fn becomes(layout: &Layout, blob: &Digest) -> Option<Need> {
    let bytes = RealDisk.read(&layout.layer_index(blob), LayerIndex::MAX_BYTES).ok()?;
    Some(LayerIndex::parse(bytes).ok()?.size())
}

fn seal(layout: &Layout, digest: &Digest) -> Option<Seal> {
    Seal::parse(RealDisk.read(&layout.seal(digest), Seal::MAX_BYTES).ok()?).ok()
}

/// Bytes of a layer's index, if that and the layer's blob are there.
pub(super) fn index_bytes(layout: &Layout, blobs: &Blobs, layer: &Descriptor) -> Option<u64> {
    let index = std::fs::symlink_metadata(layout.layer_index(&layer.digest)).ok()?;
    (index.is_file() && blobs.has(&layer.digest, layer.size)).then_some(index.len())
}

/// What the layer with this blob does to a tree, if it is on disk as this process would find it by reading the blob.
pub(super) fn layer_index(layout: &Layout, blob: &Digest, diff_id: &Digest) -> Option<LayerIndex> {
    let bytes = RealDisk.read(&layout.layer_index(blob), LayerIndex::MAX_BYTES).ok()?;
    LayerIndex::parse(bytes).ok().filter(|index| index.diff_id() == *diff_id)
}
