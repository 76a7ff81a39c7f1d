//! A plan, step by step, on the disk. Never is an existing file written to: what is new is made apart and renamed.

use std::collections::HashSet;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::attributes::{Target, borrowed, failed};
use super::base::Surveyed;
use super::contents::{Contents, Copied, copy};
use super::differences::{Operation, Place, Plan};
use super::entry::OwnedXattr;
use super::error::Error;
use super::extraction::{Extracted, Work};
use super::index::{Content, Index, InodeId};
use super::path::quote;
use super::seal::Seal;
use super::stager::Stager;
use super::staging::{Staged, open_up};
use super::stamps::{self, Stamp, Stamps};
use super::survey::{READ, open_beneath};
use super::verify::list_xattrs;
use super::write::{self, Writer};

/// What the steps need.
pub(super) struct CarryOut {
    writer: Writer,
    index: Index,
    stager: Stager,
    work: Work,
    /// Directories that names can be changed in.
    writable: HashSet<InodeId>,
    cleared: bool,
}

impl CarryOut {
    pub(super) fn new(root: &Path, index: Index, stager: Stager) -> Result<Self, Error> {
        let writer = Writer::existing(root)?;
        let (work, writable) = (Work::default(), HashSet::new());
        Ok(Self { writer, index, stager, work, writable, cleared: false })
    }

    /// Takes all steps, and makes the result durable.
    pub(super) fn run(
        mut self,
        plan: Plan,
        contents: &dyn Contents,
        progress: &mut impl FnMut(u64),
    ) -> Result<Extracted, Error> {
        let Plan { operations, origins, kept } = plan;
        self.work.kept = kept;
        self.work.staged = self.stager.staged.len() as u64;
        let root = self.index.directory(Index::ROOT);
        let taken = |name: &[u8]| root.is_some_and(|root| root.children.contains_key(name));
        self.stager.staging.avoid(taken)?;
        for operation in operations {
            self.step(operation, contents, progress)?;
        }
        let Self { mut writer, index, stager, work, .. } = self;
        let entries = index.len();
        let (seal, stamps, bytes, warnings) = writer.sync_while(|writer| {
            let stamps = stamps_of(writer, &index, &stager.base, &origins)?;
            // Nothing asks for the base any more: the new seal takes its room.
            drop(origins);
            let (bytes, warnings) = stager.end();
            let seal = Seal::new(&index);
            drop(index);
            Ok::<_, Error>((seal, stamps, bytes, warnings))
        })??;
        let latest = stamps::settle(writer.root(), stamps.iter().copied());
        latest.map_err(|errno| failed("look at", b"", errno))?;
        let stamps = Stamps::new(&seal, stamps.into_iter());
        Ok(Extracted { seal, stamps, entries, bytes, warnings, work })
    }

    fn step(
        &mut self,
        operation: Operation,
        contents: &dyn Contents,
        progress: &mut impl FnMut(u64),
    ) -> Result<(), Error> {
        match operation {
            Operation::Salvage { inode, from } => self.salvage(inode, from, progress),
            Operation::Remove { place } => {
                self.work.removed += 1;
                let fd = self.change(place.0)?;
                let removed = self.stager.staging.remove(fd.as_fd(), &place.1);
                removed.map_err(|errno| self.failed("remove", &place, errno))
            }
            Operation::MakeDirectory { place } => {
                self.work.staged += 1;
                let staged = self.stager.staging.directory();
                let staged = staged.map_err(|errno| self.failed("create", &place, errno))?;
                self.put(staged, &place)
            }
            Operation::Make { place, inode } => self.make(&place, inode, contents, progress),
            Operation::Link { from, place } => {
                self.work.staged += 1;
                let fd = self.writer.directory(&self.index, from.0)?;
                let staged = self.stager.staging.reserve();
                let to = (self.stager.staging.fd(), staged.name());
                write::make_link((fd.as_fd(), &from.1), (to.0, to.1.as_bytes()))
                    .map_err(|errno| self.failed("link", &place, errno))?;
                self.put(staged, &place)
            }
            Operation::Adjust { place, inode, reset_xattrs } => {
                self.work.adjusted += 1;
                let fd = self.writer.directory(&self.index, place.0)?;
                let open = open_for_change(fd.as_fd(), &place.1);
                let open = open.map_err(|errno| self.failed("open", &place, errno))?;
                let xattrs = self.stager.xattrs.remove(&inode).unwrap_or_default();
                self.set_attributes(open.as_fd(), inode, &xattrs, reset_xattrs, &place)
            }
            Operation::Finish { inode, reset_xattrs } => self.finish(inode, reset_xattrs),
        }
    }

    fn failed(&self, operation: &'static str, place: &Place, errno: Errno) -> Error {
        failed(operation, &self.index.path(place.0, &place.1), errno)
    }

    /// A directory in which names can be changed; it gets its mode when all is done.
    fn change(&mut self, directory: InodeId) -> Result<Arc<OwnedFd>, Error> {
        let fd = self.writer.directory(&self.index, directory)?;
        if self.writable.insert(directory) {
            open_up(fd.as_fd(), 0o700)
                .map_err(|errno| failed("open", &self.index.path(directory, b""), errno))?;
        }
        Ok(fd)
    }

    /// Renames something complete to its place.
    fn put(&mut self, staged: Staged, place: &Place) -> Result<(), Error> {
        let fd = self.change(place.0)?;
        let placed = self.stager.staging.place(staged, fd.as_fd(), &place.1);
        placed.map_err(|errno| self.failed("rename", place, errno))
    }

    /// Contents that are about to lose their place.
    fn salvage(&mut self, inode: InodeId, from: usize, progress: &mut impl FnMut(u64)) -> Result<(), Error> {
        let facts = Arc::clone(&self.stager.base.facts);
        let path = facts.path(from);
        // What can't be read may be had elsewhere.
        let Ok(file) = open_beneath(self.writer.root(), path, READ) else { return Ok(()) };
        self.bring(inode, &file.into(), path, progress).map(drop)
    }

    /// Copies contents for an inode; whether they were the right ones.
    fn bring(
        &mut self,
        inode: InodeId,
        from: &std::fs::File,
        path: &[u8],
        progress: &mut impl FnMut(u64),
    ) -> Result<bool, Error> {
        let Some(&Content::File { size, hash }) = self.index.get(inode).map(|inode| &inode.content) else {
            return Ok(false);
        };
        let (staged, file) = self.stager.staging.file().map_err(|errno| failed("create", path, errno))?;
        let copied = copy(from, &file, size, &hash).map_err(|source| Error::Disk {
            operation: "copy",
            path: quote(path),
            source,
        })?;
        match copied {
            Copied::Wrong => {
                self.stager.staging.drop(staged).map_err(|errno| failed("remove", path, errno))?;
                return Ok(false);
            }
            Copied::Shared => self.work.shared += 1,
            Copied::Written => {
                self.work.copied += 1;
                self.stager.bytes += size;
            }
        }
        progress(size);
        let xattrs = self.stager.xattrs.remove(&inode).unwrap_or_default();
        self.set(&Target::Open(file.as_fd()), inode, &xattrs, path)?;
        self.stager.staged.insert(inode, staged);
        Ok(true)
    }

    fn make(
        &mut self,
        place: &Place,
        inode: InodeId,
        contents: &dyn Contents,
        progress: &mut impl FnMut(u64),
    ) -> Result<(), Error> {
        let Some(wanted) = self.index.get(inode) else { return Ok(()) };
        if let Content::File { size, hash } = wanted.content {
            if !self.stager.staged.contains_key(&inode) {
                let path = self.index.path(place.0, &place.1);
                let missing = || Error::ContentsMissing { path: quote(&path) };
                let file = contents.open(&path, size, &hash).ok_or_else(missing)?;
                if !self.bring(inode, &file, &path, progress)? {
                    return Err(missing());
                }
            }
            let Some(staged) = self.stager.staged.remove(&inode) else { return Ok(()) };
            return self.put(staged, place);
        }
        self.work.staged += 1;
        let staged = self.stager.staging.reserve();
        let name = staged.name();
        let fd = self.stager.staging.fd().try_clone_to_owned();
        let fd = fd.map_err(|_| self.failed("create", place, Errno::MFILE))?;
        let made = write::make_node(fd.as_fd(), name.as_bytes(), &wanted.content);
        if let Some(Err(errno)) = made {
            return Err(self.failed("create", place, errno));
        }
        let target = match wanted.content {
            Content::Symlink { .. } => Target::Link(fd.as_fd(), name.as_bytes()),
            _ => Target::Node(fd.as_fd(), name.as_bytes()),
        };
        let xattrs = self.stager.xattrs.get(&inode).cloned().unwrap_or_default();
        let path = self.index.path(place.0, &place.1);
        self.set(&target, inode, &xattrs, &path)?;
        self.put(staged, place)
    }

    /// Sets attributes on the disk, and notes what is there then.
    fn set(
        &mut self,
        target: &Target<'_>,
        inode: InodeId,
        xattrs: &[OwnedXattr],
        path: &[u8],
    ) -> Result<(), Error> {
        let Some(wanted) = self.index.get_mut(inode) else { return Ok(()) };
        let outcome = self.stager.applier.apply(target, wanted.attributes, &borrowed(xattrs), path)?;
        wanted.attributes = outcome.attributes;
        wanted.xattrs = outcome.xattrs;
        Ok(())
    }

    /// Of something that was there before.
    fn set_attributes(
        &mut self,
        fd: BorrowedFd<'_>,
        inode: InodeId,
        xattrs: &[OwnedXattr],
        reset_xattrs: bool,
        place: &Place,
    ) -> Result<(), Error> {
        let path = self.index.path(place.0, &place.1);
        let about = |errno| failed("set an extended attribute of", &path, errno);
        if reset_xattrs || !xattrs.is_empty() {
            // Who may not write may not set them either; the mode follows.
            open_up(fd, 0o600).map_err(about)?;
        }
        if reset_xattrs {
            remove_xattrs(fd, xattrs).map_err(about)?;
        }
        self.set(&Target::Open(fd), inode, xattrs, &path)
    }

    fn finish(&mut self, inode: InodeId, reset_xattrs: bool) -> Result<(), Error> {
        if !self.cleared {
            self.cleared = true;
            self.stager.staging.clear()?;
        }
        let Some(directory) = self.index.directory_mut(inode) else { return Ok(()) };
        let xattrs = std::mem::take(&mut directory.pending_xattrs);
        let place = (directory.parent, directory.name.clone());
        if inode == Index::ROOT {
            let fd = self.writer.root().try_clone_to_owned();
            let fd = fd.map_err(|_| failed("open", b"", Errno::MFILE))?;
            return self.set_attributes(fd.as_fd(), inode, &xattrs, reset_xattrs, &place);
        }
        let fd = self.writer.directory(&self.index, place.0)?;
        let open = open_for_change(fd.as_fd(), &place.1);
        let open = open.map_err(|errno| self.failed("open", &place, errno))?;
        // Its own mode may forbid to go through it later.
        self.writer.forget(inode);
        self.set_attributes(open.as_fd(), inode, &xattrs, reset_xattrs, &place)
    }
}

/// The stamps of the new tree, in the order of its seal. What was changed is looked at; all the rest has the stamp it had.
fn stamps_of(
    writer: &mut Writer,
    index: &Index,
    base: &Surveyed,
    origins: &[Option<usize>],
) -> Result<Vec<Stamp>, Error> {
    let mut stamps = Vec::with_capacity(origins.len());
    let mut pending = vec![(Index::ROOT, None::<(InodeId, &[u8])>)];
    let mut origins = origins.iter();
    let known = base.known();
    while let Some((inode, place)) = pending.pop() {
        let origin = origins.next().copied().flatten();
        stamps.push(match (origin, place) {
            (Some(record), _) => known.stamp(&base.facts, record),
            (None, None) => Stamp::UNKNOWN,
            (None, Some((parent, name))) => {
                let fd = writer.directory(index, parent)?;
                let stat = rustix::fs::statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(|errno| failed("look at", &index.path(parent, name), errno))?;
                Stamp::of(&stat)
            }
        });
        if let Some(directory) = index.directory(inode) {
            let children = directory.children.iter().rev();
            pending.extend(children.map(|(name, child)| (child.inode, Some((inode, &**name)))));
        }
    }
    Ok(stamps)
}

/// Opens a file or directory that is there, to set its attributes; its owner may always do that.
fn open_for_change(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    match rustix::fs::openat(parent, name, READ, Mode::empty()) {
        Err(Errno::ACCESS) => {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let place = rustix::fs::openat(parent, name, flags, Mode::empty())?;
            open_up(place.as_fd(), 0o400)?;
            rustix::fs::openat(parent, name, READ, Mode::empty())
        }
        other => other,
    }
}

/// Removes extended attributes that are not wanted. The label of SELinux belongs to the machine.
fn remove_xattrs(fd: BorrowedFd<'_>, wanted: &[OwnedXattr]) -> Result<(), Errno> {
    let found = match list_xattrs(fd) {
        Err(Errno::OPNOTSUPP) => return Ok(()),
        other => other?,
    };
    for (name, _) in found {
        if &*name != b"security.selinux" && !wanted.iter().any(|(wanted, _)| *wanted == name) {
            rustix::fs::fremovexattr(fd, &*name)?;
        }
    }
    Ok(())
}
