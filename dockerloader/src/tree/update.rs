//! From a tree that is there to the one of another image, at the cost of what differs.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use crate::digest::Digest;
use crate::limits::Limits;

use super::assembly::Assembly;
use super::attributes::{borrowed, failed};
use super::base::{Base, Surveyed};
use super::carry_out::CarryOut;
use super::contents::Contents;
use super::differences::differences;
use super::error::Error;
use super::extraction::Extracted;
use super::facts::Facts;
use super::index::Content;
use super::layer;
use super::layer_index::LayerIndex;
use super::replay::replay;
use super::stager::{Stager, expected_hash};
use super::staging::Staging;

/// The update of one tree: [`replay`](Self::replay) or [`apply`](Self::apply) each layer of the new image in the manifest's
/// order, then [`finish`](Self::finish). The result is the tree that an [`Extraction`](super::Extraction) of the same layers makes.
///
/// The tree must be nobody's: a program that runs in it would see it change. After an error it is of no use: drop this and
/// remove the directory. Blocking code, for a thread of its own.
#[derive(Debug)]
pub struct Update<P> {
    root: PathBuf,
    assembly: Assembly,
    stager: Stager,
    progress: P,
}

impl<P: FnMut(u64)> Update<P> {
    /// An update of the tree in the directory `root`. A thread begins to look whether it still is what `base` says.
    /// `progress` hears of bytes written to files.
    ///
    /// # Errors
    /// When `root` cannot be opened or written to.
    pub fn new(root: &Path, base: Base, limits: Limits, progress: P) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::open(root, flags, Mode::empty()).map_err(|errno| Error::Disk {
            operation: "open",
            path: root.display().to_string(),
            source: errno.into(),
        })?;
        let Base { seal, stamps, frozen, scope } = base;
        let facts = Facts::new(&seal, stamps).ok_or_else(|| failed("read the seal of", b"", LARGE))?;
        let staging = Staging::new(fd, |name| facts.children(0).any(|child| facts.name(child) == name))?;
        let ignored = staging.name().to_vec();
        let base = Surveyed::new(root.to_owned(), Arc::new(facts), frozen, scope, ignored);
        let stager = Stager::new(staging, base);
        Ok(Self { root: root.to_owned(), assembly: Assembly::new(limits), stager, progress })
    }

    /// Applies a layer that was extracted before, from its index.
    ///
    /// # Errors
    /// When the layer breaks a rule: after other layers than before, or under lower limits.
    pub fn replay(&mut self, layer: &LayerIndex) -> Result<(), Error> {
        replay(&mut self.assembly, &mut self.stager, layer)?;
        self.stager.applier.warnings.merge(layer.warnings());
        Ok(())
    }

    /// Applies a layer from its blob, as [`Extraction::apply`](super::Extraction::apply) does. Only contents that the base does
    /// not have are written.
    ///
    /// # Errors
    /// As for an extraction.
    pub fn apply(
        &mut self,
        reader: impl Read + Send,
        expected: Option<&Digest>,
    ) -> Result<LayerIndex, Error> {
        let Self { assembly, stager, progress, .. } = self;
        layer::apply(assembly, stager, reader, expected, progress)
    }

    /// Makes the tree what the layers say, and durable. `contents` are asked for what neither the base nor a layer that was
    /// read has.
    ///
    /// # Errors
    /// Of the disk; [`Error::ContentsMissing`] when nobody has the contents of a file.
    pub fn finish(self, contents: &dyn Contents) -> Result<Extracted, Error> {
        let Self { root, mut assembly, mut stager, mut progress } = self;
        settle_directories(&mut assembly, &mut stager);
        let facts = Arc::clone(&stager.base.facts);
        let staged = &stager.staged;
        let plan = {
            let is_staged = |inode| staged.contains_key(&inode);
            differences(&facts, &stager.base.known().survey, &assembly.index, &is_staged)
        };
        CarryOut::new(&root, assembly.index, stager)?.run(plan, contents, &mut progress)
    }
}

/// The tree is larger than can be counted.
const LARGE: rustix::io::Errno = rustix::io::Errno::OVERFLOW;

/// Directories get their attributes at the end: what these will be is needed to see whether they differ.
fn settle_directories(assembly: &mut Assembly, stager: &mut Stager) {
    let index = &mut assembly.index;
    for id in index.ids() {
        let path = if stager.staging.keeps_owner() { index.path(id, b"") } else { Vec::new() };
        let Some(inode) = index.get_mut(id) else { continue };
        if let Content::Directory(directory) = &inode.content {
            let pending = borrowed(&directory.pending_xattrs);
            inode.xattrs = expected_hash(pending.iter().map(|(name, value)| (&name[..], &value[..])));
            inode.attributes = stager.settle(inode.attributes, &path);
        }
    }
}
