//! Layers, one after the other, into a directory.

use std::io::Read;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::digest::Digest;
use crate::limits::Limits;

use super::archive::{Archive, Body};
use super::attributes::{Applier, Target, borrowed, failed};
use super::entry::{AUFS, Attributes, Entry, Kind};
use super::error::Error;
use super::index::{Content, Index, InodeId, Step, Walk};
use super::overlay::{self, Hidden};
use super::path::{RelativePath, quote};
use super::pipeline::{self, Stream};
use super::refusal::{Refusal, Rule};
use super::seal::Seal;
use super::warning::{Warning, WarningKind};
use super::write::{self, Writer};

/// The extraction of one image: [`apply`](Self::apply) each layer in the manifest's order, then [`finish`](Self::finish).
///
/// After an error the tree is incomplete: drop this and remove the directory. Blocking code, for a thread of its own.
#[derive(Debug)]
pub struct Extraction<P> {
    tree: Tree,
    layer: u32,
    progress: P,
}

/// What an extraction made.
#[derive(Debug)]
pub struct Extracted {
    /// The tree's seal.
    pub seal: Seal,
    /// Where the tree is not what the image says, and why.
    pub warnings: Vec<Warning>,
    /// Files, folders, links and devices in the tree.
    pub entries: u64,
    /// Bytes of all files that were written, holes included, also of those that a later layer replaced.
    pub bytes: u64,
}

impl<P: FnMut(u64)> Extraction<P> {
    /// An extraction into the directory `root`, which must exist and be empty. `progress` hears of bytes written to files.
    ///
    /// # Errors
    /// When `root` cannot be opened, or is not empty.
    pub fn new(root: &Path, limits: Limits, progress: P) -> Result<Self, Error> {
        let tree = Tree {
            writer: Writer::new(root)?,
            index: Index::new(&limits),
            applier: Applier::default(),
            limits,
            bytes: 0,
        };
        Ok(Self { tree, layer: 0, progress })
    }

    /// Applies one layer, plain or compressed with gzip or zstd. It is read to its end, so that a reader that verifies the
    /// blob's digest has seen all of it; `expected` is the config's `diff_id` of the layer.
    ///
    /// # Errors
    /// Of the reader, the archive or the disk; [`Error::DiffId`] when the bytes were others than expected.
    pub fn apply(&mut self, reader: impl Read + Send, expected: Option<&Digest>) -> Result<(), Error> {
        let Self { tree, layer, progress } = self;
        let limits = tree.limits;
        let ((), found) =
            pipeline::run(reader, &limits, |stream| tree.apply_layer(stream, *layer, progress))?;
        if let Some(&expected) = expected.filter(|&&expected| expected != found) {
            return Err(Error::DiffId { expected, found });
        }
        *layer += 1;
        Ok(())
    }

    /// Gives the directories their attributes, makes everything durable and returns the seal.
    ///
    /// # Errors
    /// Of the disk.
    pub fn finish(self) -> Result<Extracted, Error> {
        let Self { mut tree, .. } = self;
        tree.writer.forget_all();
        let Tree { writer, index, applier, .. } = &mut tree;
        finish_directory(index, applier, writer.root(), Index::ROOT)?;
        writer.sync()?;
        Ok(Extracted {
            seal: Seal::new(&tree.index),
            entries: tree.index.len(),
            bytes: tree.bytes,
            warnings: tree.applier.warnings.into_vec(),
        })
    }
}

/// Owner, attributes, mode and time of directories, the deepest first: their contents need no more changes then.
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
    let path = index.path(id, b"");
    let Some(inode) = index.get_mut(id) else { return Ok(()) };
    let xattrs = match &inode.content {
        Content::Directory(directory) => borrowed(&directory.pending_xattrs),
        _ => Vec::new(),
    };
    let outcome = applier.apply(&Target::Open(fd), inode.attributes, &xattrs, &path)?;
    inode.attributes = outcome.attributes;
    inode.xattrs = outcome.xattrs;
    Ok(())
}

/// The tree under construction: on the disk and in memory.
#[derive(Debug)]
struct Tree {
    writer: Writer,
    index: Index,
    applier: Applier,
    limits: Limits,
    bytes: u64,
}

impl Tree {
    fn apply_layer(
        &mut self,
        stream: &mut Stream,
        layer: u32,
        progress: &mut impl FnMut(u64),
    ) -> Result<(), Error> {
        let mut archive = Archive::new(stream, &self.limits);
        while let Some((entry, mut body)) = archive.next()? {
            self.apply_entry(&entry, &mut body, layer, progress)?;
        }
        if has_data(archive.source())? {
            self.applier.warnings.add(WarningKind::TrailingData, b"");
        }
        self.remove_aufs_folders()
    }

    fn apply_entry(
        &mut self,
        entry: &Entry<'_>,
        body: &mut Body<'_, impl std::io::BufRead>,
        layer: u32,
        progress: &mut impl FnMut(u64),
    ) -> Result<(), Error> {
        let path = entry.path.as_bytes();
        let refuse = |rule| Error::from(Refusal::new(path, rule));
        let Some((parent, name)) = entry.path.split_last() else {
            if matches!(entry.kind, Kind::Directory) {
                self.describe_directory(Index::ROOT, entry);
            }
            return Ok(());
        };
        match entry.kind {
            Kind::Skip(_) => return Ok(()),
            Kind::Whiteout { name } => {
                if let Some(directory) = self.find(parent).map_err(refuse)? {
                    let hidden = overlay::whiteout(&self.index, directory, name, layer);
                    self.hide(hidden)?;
                }
                return Ok(());
            }
            Kind::Opaque => {
                if let Some(directory) = self.find(parent).map_err(refuse)? {
                    let hidden = overlay::opaque(&self.index, directory, layer);
                    self.hide(hidden)?;
                }
                return Ok(());
            }
            _ => {}
        }
        let parent = self.find_or_make(parent, layer, path)?;
        let present = self.index.child(parent, name);
        if let Kind::Directory = entry.kind
            && let Some(present) = present.filter(|child| self.index.is_directory(child.inode))
        {
            // Both are folders: the contents stay, the attributes are those of the entry.
            self.describe_directory(present.inode, entry);
            self.index.touch(parent, name, layer);
            return Ok(());
        }
        // The size is checked before anything is thrown away for it.
        if let Kind::File { size } = entry.kind {
            self.bytes = self
                .limits
                .tree_bytes
                .check(self.bytes.saturating_add(size))
                .map_err(|o| refuse(o.into()))?;
        }
        if let Kind::Hardlink { target } = entry.kind {
            self.find_hardlink_target(target).map_err(refuse)?;
        }
        if present.is_some() {
            self.remove(parent, name)?;
        }
        self.create(entry, body, (parent, name), layer, progress)
    }

    /// Makes what the entry describes; the name is free.
    fn create(
        &mut self,
        entry: &Entry<'_>,
        body: &mut Body<'_, impl std::io::BufRead>,
        (parent, name): (InodeId, &[u8]),
        layer: u32,
        progress: &mut impl FnMut(u64),
    ) -> Result<(), Error> {
        let path = entry.path.as_bytes();
        let fd = self.writer.directory(&self.index, parent)?;
        let fd = fd.as_fd();
        let content = match entry.kind {
            Kind::Directory => {
                self.make_directory(fd, parent, name, layer, path)?;
                if let Some(child) = self.index.child(parent, name) {
                    self.describe_directory(child.inode, entry);
                }
                return Ok(());
            }
            Kind::Hardlink { target } => {
                return self.create_hardlink(target, (fd, parent, name), layer, path);
            }
            Kind::File { size } => {
                let mut file = write::make_file(fd, name, entry.attributes.mode)
                    .map_err(|errno| failed("create", path, errno))?;
                let sparse = entry.sparse.map(|map| (map, size));
                let hash = self.writer.fill(&mut file, body, sparse, path, progress)?;
                let target = Target::Created(file.as_fd());
                let outcome = self.applier.apply(&target, entry.attributes, &entry.xattrs, path)?;
                let content = Content::File { size, hash };
                let id = self.index.insert(parent, name, layer, outcome.attributes, content);
                self.set_xattr_hash(id, outcome.xattrs);
                return Ok(());
            }
            Kind::Symlink { target } => Content::Symlink { target: target.into() },
            Kind::Fifo => Content::Fifo,
            Kind::CharDevice { major: 0, minor: 0 } => {
                // Overlay file systems take such a node for a whiteout.
                self.applier.warnings.add(WarningKind::OverlayMarker, path);
                return Ok(());
            }
            Kind::CharDevice { major, minor } => Content::CharDevice { major, minor },
            Kind::BlockDevice { major, minor } => Content::BlockDevice { major, minor },
            Kind::Whiteout { .. } | Kind::Opaque | Kind::Skip(_) => return Ok(()),
        };
        match write::make_node(fd, name, &content) {
            Some(Err(Errno::PERM)) if !matches!(content, Content::Symlink { .. } | Content::Fifo) => {
                self.applier.warnings.add(WarningKind::DeviceSkipped, path);
                return Ok(());
            }
            Some(Err(errno)) => return Err(failed("create", path, errno)),
            Some(Ok(())) | None => {}
        }
        let target = if matches!(content, Content::Symlink { .. }) {
            Target::Link(fd, name)
        } else {
            Target::Node(fd, name)
        };
        let outcome = self.applier.apply(&target, entry.attributes, &entry.xattrs, path)?;
        let id = self.index.insert(parent, name, layer, outcome.attributes, content);
        self.set_xattr_hash(id, outcome.xattrs);
        Ok(())
    }

    /// The attributes of the link's entry are not applied: they would change the file under its other names.
    fn create_hardlink(
        &mut self,
        target: RelativePath<'_>,
        (fd, parent, name): (BorrowedFd<'_>, InodeId, &[u8]),
        layer: u32,
        path: &[u8],
    ) -> Result<(), Error> {
        // Looked up again: what was in the way of the link may have been, or have held, its target.
        let found = self.find_hardlink_target(target).map_err(|rule| Refusal::new(path, rule))?;
        let (target_parent, target_name, inode) = found;
        let target_fd = self.writer.directory(&self.index, target_parent)?;
        write::make_link((target_fd.as_fd(), target_name), (fd, name))
            .map_err(|errno| failed("link", path, errno))?;
        self.index.link(parent, name, layer, inode);
        Ok(())
    }

    fn find_hardlink_target<'t>(
        &self,
        target: RelativePath<'t>,
    ) -> Result<(InodeId, &'t [u8], InodeId), Rule> {
        let quoted = || quote(target.as_bytes());
        let (parent, name) = target.split_last().ok_or_else(|| Rule::HardlinkToDirectory(quoted()))?;
        let found = self.find(parent)?.and_then(|parent| Some((parent, self.index.child(parent, name)?)));
        match found {
            None => Err(Rule::HardlinkTarget(quoted())),
            Some((_, child)) if self.index.is_directory(child.inode) => {
                Err(Rule::HardlinkToDirectory(quoted()))
            }
            Some((parent, child)) => Ok((parent, name, child.inode)),
        }
    }

    /// The directory at `path`, if there is one.
    fn find(&self, path: RelativePath<'_>) -> Result<Option<InodeId>, Rule> {
        match self.index.walk(&mut Walk::new(path.as_bytes()))? {
            Step::Arrived(directory) => Ok(Some(directory)),
            Step::Missing(..) => Ok(None),
        }
    }

    /// The directory at `path`; what is missing on the way is made, as if it were described by [`Attributes::IMPLIED`].
    fn find_or_make(&mut self, path: RelativePath<'_>, layer: u32, entry: &[u8]) -> Result<InodeId, Error> {
        let mut walk = Walk::new(path.as_bytes());
        loop {
            match self.index.walk(&mut walk).map_err(|rule| Refusal::new(entry, rule))? {
                Step::Arrived(directory) => return Ok(directory),
                Step::Missing(parent, name) => {
                    let fd = self.writer.directory(&self.index, parent)?;
                    self.make_directory(fd.as_fd(), parent, &name, layer, entry)?;
                }
            }
        }
    }

    fn make_directory(
        &mut self,
        fd: BorrowedFd<'_>,
        parent: InodeId,
        name: &[u8],
        layer: u32,
        entry: &[u8],
    ) -> Result<(), Error> {
        // A link's target may have names that no path of an entry could have.
        self.index.check_depth(parent).map_err(|rule| Refusal::new(entry, rule))?;
        write::make_directory(fd, name).map_err(|errno| failed("create", entry, errno))?;
        self.index.insert(parent, name, layer, Attributes::IMPLIED, Index::new_directory());
        Ok(())
    }

    /// Notes what a directory is to become when all layers are applied.
    fn describe_directory(&mut self, id: InodeId, entry: &Entry<'_>) {
        if let Some(inode) = self.index.get_mut(id) {
            inode.attributes = entry.attributes;
            if let Content::Directory(directory) = &mut inode.content {
                let owned = entry.xattrs.iter().map(|(name, value)| (name[..].into(), value[..].into()));
                directory.pending_xattrs = owned.collect();
            }
        }
    }

    fn set_xattr_hash(&mut self, id: InodeId, hash: Option<Box<[u8; 32]>>) {
        if let Some(inode) = self.index.get_mut(id) {
            inode.xattrs = hash;
        }
    }

    fn remove(&mut self, parent: InodeId, name: &[u8]) -> Result<(), Error> {
        self.writer.remove(&self.index, parent, name)?;
        let Self { index, writer, .. } = self;
        index.remove(parent, name, &mut |id| writer.forget(id));
        Ok(())
    }

    fn hide(&mut self, hidden: Hidden) -> Result<(), Error> {
        for (parent, name) in &hidden.removed {
            self.remove(*parent, name)?;
        }
        for (parent, name) in &hidden.renewed {
            let child = self.index.child(*parent, name);
            if let Some(inode) = child.and_then(|child| self.index.get_mut(child.inode)) {
                inode.attributes = Attributes::IMPLIED;
                if let Content::Directory(directory) = &mut inode.content {
                    directory.pending_xattrs.clear();
                }
            }
        }
        Ok(())
    }

    /// The folders of aufs at the root: hard links of the layer pointed into them, the image has no such folders.
    fn remove_aufs_folders(&mut self) -> Result<(), Error> {
        let root = self.index.directory(Index::ROOT);
        let names = root.into_iter().flat_map(|root| root.children.keys());
        let aufs: Vec<_> = names.filter(|name| name.starts_with(AUFS)).cloned().collect();
        aufs.iter().try_for_each(|name| self.remove(Index::ROOT, name))
    }
}

/// Whether anything but zeros, which pad archives to some block size, is left of the stream.
fn has_data(stream: &mut impl std::io::BufRead) -> Result<bool, Error> {
    loop {
        let available = stream.fill_buf().map_err(Error::from_stream)?;
        if available.is_empty() {
            return Ok(false);
        }
        if available.iter().any(|&byte| byte != 0) {
            return Ok(true);
        }
        let count = available.len();
        stream.consume(count);
    }
}
