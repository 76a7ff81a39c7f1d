//! Layers, one after the other, into an empty directory.

use std::io::{BufRead, Read};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::digest::Digest;
use crate::limits::Limits;

use super::archive::Body;
use super::assembly::{Assembly, Made, Sink};
use super::attributes::{Applier, Target, borrowed, failed};
use super::entry::{Entry, Kind};
use super::error::Error;
use super::index::{Content, Index, InodeId};
use super::layer::{self, Maker};
use super::layer_index::LayerIndex;
use super::seal::Seal;
use super::stamps::{self, Stamp, Stamps};
use super::warning::{Warning, WarningKind, Warnings};
use super::write::{self, Writer};

/// The extraction of one image: [`apply`](Self::apply) each layer in the manifest's order, then [`finish`](Self::finish).
///
/// After an error the tree is incomplete: drop this and remove the directory. Blocking code, for a thread of its own.
#[derive(Debug)]
pub struct Extraction<P> {
    assembly: Assembly,
    disk: Disk,
    progress: P,
}

/// What an extraction or an update made.
#[derive(Debug)]
pub struct Extracted {
    /// The tree's seal.
    pub seal: Seal,
    /// Inode and change time of each path, to tell later what was written to.
    pub stamps: Stamps,
    /// Where the tree is not what the image says, and why.
    pub warnings: Vec<Warning>,
    /// Files, folders, links and devices in the tree.
    pub entries: u64,
    /// Bytes of all files that were written, holes included, also of those that a later layer replaced.
    pub bytes: u64,
    /// What was done for it.
    pub work: Work,
}

/// What was done to get at a tree, in numbers of files, folders, links and devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Left as they were.
    pub kept: u64,
    /// Made from the contents of a layer, or without any.
    pub staged: u64,
    /// Copied from another tree, or from elsewhere in this one.
    pub copied: u64,
    /// The same, sharing the blocks (`ioctl_ficlone(2)`).
    pub shared: u64,
    /// Given other attributes alone.
    pub adjusted: u64,
    /// Names that were removed, without those below them.
    pub removed: u64,
}

impl<P: FnMut(u64)> Extraction<P> {
    /// An extraction into the directory `root`, which must exist and be empty. `progress` hears of bytes written to files.
    ///
    /// # Errors
    /// When `root` cannot be opened, or is not empty.
    pub fn new(root: &Path, limits: Limits, progress: P) -> Result<Self, Error> {
        let disk = Disk { writer: Writer::new(root)?, applier: Applier::default() };
        Ok(Self { assembly: Assembly::new(limits), disk, progress })
    }

    /// Applies one layer, plain or compressed with gzip or zstd. It is read to its end, so that a reader that verifies the
    /// blob's digest has seen all of it; `expected` is the config's `diff_id` of the layer. The index that is returned stands
    /// for the layer in later updates, once the blob's digest is known to be right.
    ///
    /// # Errors
    /// Of the reader, the archive or the disk; [`Error::DiffId`] when the bytes were others than expected.
    pub fn apply(
        &mut self,
        reader: impl Read + Send,
        expected: Option<&Digest>,
    ) -> Result<LayerIndex, Error> {
        let Self { assembly, disk, progress } = self;
        layer::apply(assembly, disk, reader, expected, progress)
    }

    /// Gives the directories their attributes, makes everything durable and returns the seal.
    ///
    /// # Errors
    /// Of the disk.
    pub fn finish(self) -> Result<Extracted, Error> {
        let Self {
            assembly: Assembly { mut index, bytes, .. }, disk: Disk { mut writer, mut applier }, ..
        } = self;
        writer.forget_all();
        finish_directory(&mut index, &mut applier, writer.root(), Index::ROOT)?;
        let (seal, stamps) = writer.sync_while(|_| {
            let seal = Seal::new(&index);
            let stamps = Stamps::new(&seal, Stamped::new(&index));
            (seal, stamps)
        })?;
        stamps::settle(writer.root(), Stamped::new(&index)).map_err(|errno| failed("look at", b"", errno))?;
        let entries = index.len();
        let work = Work { staged: entries, ..Work::default() };
        Ok(Extracted { seal, stamps, entries, bytes, warnings: applier.warnings.into_vec(), work })
    }
}

/// Owner, attributes, mode and time of directories, the deepest first: their contents need no more changes then. What is
/// linked to or unlinked later has another change time than when it was made, and is looked at again.
fn finish_directory(
    index: &mut Index,
    applier: &mut Applier,
    fd: BorrowedFd<'_>,
    id: InodeId,
) -> Result<(), Error> {
    let children = index.directory(id).map(|directory| directory.children.values().map(|child| child.inode));
    let below: Vec<InodeId> = children.into_iter().flatten().filter(|&id| index.is_directory(id)).collect();
    for child in below {
        let name = index.directory(child).map(|directory| directory.name.clone()).unwrap_or_default();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(fd, &*name, flags, Mode::empty());
        let opened = opened.map_err(|errno| failed("open", &index.path(child, b""), errno))?;
        finish_directory(index, applier, opened.as_fd(), child)?;
    }
    stamp_children(index, fd, id)?;
    let path = index.path(id, b"");
    let Some(inode) = index.get_mut(id) else { return Ok(()) };
    let xattrs = match &inode.content {
        Content::Directory(directory) => borrowed(&directory.pending_xattrs),
        _ => Vec::new(),
    };
    let outcome = applier.apply(&Target::Open(fd), inode.attributes, &xattrs, &path)?;
    inode.attributes = outcome.attributes;
    inode.xattrs = outcome.xattrs;
    if id != Index::ROOT {
        inode.stamp = Stamp::of(&outcome.stat);
    }
    Ok(())
}

fn stamp_children(index: &mut Index, fd: BorrowedFd<'_>, id: InodeId) -> Result<(), Error> {
    let mut stamps = Vec::new();
    for (name, child) in index.directory(id).into_iter().flat_map(|directory| &directory.children) {
        let unknown = index
            .get(child.inode)
            .filter(|inode| !inode.stamp.is_known() && !matches!(inode.content, Content::Directory(_)));
        if unknown.is_some() {
            let stat = rustix::fs::statat(fd, &**name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|errno| failed("look at", &index.path(id, name), errno))?;
            stamps.push((child.inode, Stamp::of(&stat)));
        }
    }
    for (id, stamp) in stamps {
        if let Some(inode) = index.get_mut(id) {
            inode.stamp = stamp;
        }
    }
    Ok(())
}

/// The stamps of an index in the order of its seal.
pub(super) struct Stamped<'i> {
    index: &'i Index,
    /// The next ones last.
    pending: Vec<InodeId>,
}

impl<'i> Stamped<'i> {
    pub(super) fn new(index: &'i Index) -> Self {
        Self { index, pending: vec![Index::ROOT] }
    }
}

impl Iterator for Stamped<'_> {
    type Item = Stamp;

    fn next(&mut self) -> Option<Stamp> {
        let inode = self.index.get(self.pending.pop()?)?;
        if let Content::Directory(directory) = &inode.content {
            self.pending.extend(directory.children.values().rev().map(|child| child.inode));
        }
        Some(inode.stamp)
    }
}

/// Makes everything at its place at once.
#[derive(Debug)]
struct Disk {
    writer: Writer,
    applier: Applier,
}

impl Sink for Disk {
    fn make_directory(
        &mut self,
        index: &Index,
        parent: InodeId,
        name: &[u8],
        entry: &[u8],
    ) -> Result<(), Error> {
        let fd = self.writer.directory(index, parent)?;
        write::make_directory(fd.as_fd(), name).map_err(|errno| failed("create", entry, errno))
    }

    fn remove(&mut self, index: &Index, parent: InodeId, name: &[u8]) -> Result<(), Error> {
        self.writer.remove(index, parent, name)
    }

    fn forget(&mut self, inode: InodeId) {
        self.writer.forget(inode);
    }

    fn link(
        &mut self,
        index: &Index,
        from: (InodeId, &[u8]),
        to: (InodeId, &[u8]),
        entry: &[u8],
    ) -> Result<(), Error> {
        let fd = self.writer.directory(index, to.0)?;
        let target = self.writer.directory(index, from.0)?;
        write::make_link((target.as_fd(), from.1), (fd.as_fd(), to.1))
            .map_err(|errno| failed("link", entry, errno))
    }
}

impl Maker for Disk {
    fn create(
        &mut self,
        index: &Index,
        (parent, name): (InodeId, &[u8]),
        entry: &Entry<'_>,
        body: &mut Body<'_, impl BufRead>,
        progress: &mut impl FnMut(u64),
    ) -> Result<Option<Made>, Error> {
        let path = entry.path.as_bytes();
        let fd = self.writer.directory(index, parent)?;
        let fd = fd.as_fd();
        if let Kind::File { size } = entry.kind {
            // Who may not write to a file may not give it extended attributes either; the mode follows them.
            let writable = if entry.xattrs.is_empty() { 0 } else { 0o600 };
            let mut file = write::make_file(fd, name, entry.attributes.mode | writable)
                .map_err(|errno| failed("create", path, errno))?;
            let sparse = entry.sparse.map(|map| (map, size));
            let hash = self.writer.fill(&mut file, body, sparse, path, progress)?;
            let target = Target::Created(file.as_fd());
            let outcome = self.applier.apply(&target, entry.attributes, &entry.xattrs, path)?;
            return Ok(Some(Made {
                content: Content::File { size, hash },
                attributes: outcome.attributes,
                xattrs: outcome.xattrs,
                stamp: Stamp::of(&outcome.stat),
            }));
        }
        make_node(&mut self.applier, fd, name, entry)
    }

    fn created(&mut self, _: InodeId, _: &Entry<'_>) {}

    fn warnings(&mut self) -> &mut Warnings {
        &mut self.applier.warnings
    }
}

/// Makes a symbolic link, device or FIFO with its attributes.
fn make_node(
    applier: &mut Applier,
    fd: BorrowedFd<'_>,
    name: &[u8],
    entry: &Entry<'_>,
) -> Result<Option<Made>, Error> {
    let path = entry.path.as_bytes();
    let content = match entry.kind {
        Kind::Symlink { target } => Content::Symlink { target: target.into() },
        Kind::Fifo => Content::Fifo,
        Kind::CharDevice { major: 0, minor: 0 } => {
            // Overlay file systems take such a node for a whiteout.
            applier.warnings.add(WarningKind::OverlayMarker, path);
            return Ok(None);
        }
        Kind::CharDevice { major, minor } => Content::CharDevice { major, minor },
        Kind::BlockDevice { major, minor } => Content::BlockDevice { major, minor },
        _ => return Ok(None),
    };
    match write::make_node(fd, name, &content) {
        Some(Err(Errno::PERM)) if !matches!(content, Content::Symlink { .. } | Content::Fifo) => {
            applier.warnings.add(WarningKind::DeviceSkipped, path);
            return Ok(None);
        }
        Some(Err(errno)) => return Err(failed("create", path, errno)),
        Some(Ok(())) | None => {}
    }
    let target = match content {
        Content::Symlink { .. } => Target::Link(fd, name),
        _ => Target::Node(fd, name),
    };
    let outcome = applier.apply(&target, entry.attributes, &entry.xattrs, path)?;
    let (attributes, xattrs) = (outcome.attributes, outcome.xattrs);
    Ok(Some(Made { content, attributes, xattrs, stamp: Stamp::of(&outcome.stat) }))
}
