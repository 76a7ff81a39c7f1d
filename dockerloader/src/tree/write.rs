//! The only file that changes an extracted tree on the disk: one name in one open directory at a time, nothing followed.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, ScopedJoinHandle};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::archive::Body;
use super::attributes::failed;
use super::error::Error;
use super::index::{Content, Index, InodeId};
use super::path::quote;
use super::sparse::Segment;
use super::writeback::Writeback;

/// Open directories kept between entries. Entries of a layer are mostly sorted, so a few would do.
const MAX_OPEN: usize = 64;

/// A directory as a starting point alone: nothing is read or written through it.
const DIRECTORY: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Mode of directories until all layers are applied: theirs may forbid to write.
const PRIVATE: Mode = Mode::RWXU;

/// The tree on the disk.
#[derive(Debug)]
pub(super) struct Writer {
    root: Arc<OwnedFd>,
    open: HashMap<InodeId, (Arc<OwnedFd>, u64)>,
    uses: u64,
    writeback: Writeback,
}

impl Writer {
    /// The empty directory at `root`.
    pub(super) fn new(root: &Path) -> Result<Self, Error> {
        let writer = Self::existing(root)?;
        let about = |errno: Errno| failed("list", b"", errno);
        for entry in Dir::read_from(&writer.root).map_err(about)? {
            if !matches!(entry.map_err(about)?.file_name().to_bytes(), b"." | b"..") {
                return Err(Error::NotEmpty);
            }
        }
        Ok(writer)
    }

    /// The directory at `root`, whatever is in it.
    pub(super) fn existing(root: &Path) -> Result<Self, Error> {
        let about = |errno: Errno| Error::Disk {
            operation: "open",
            path: root.display().to_string(),
            source: errno.into(),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::open(root, flags, Mode::empty()).map_err(about)?;
        let writeback = Writeback::new(fd.as_fd());
        Ok(Self { root: Arc::new(fd), open: HashMap::new(), uses: 0, writeback })
    }

    /// The directory, opened name by name from the nearest one that is open.
    pub(super) fn directory(&mut self, index: &Index, id: InodeId) -> Result<Arc<OwnedFd>, Error> {
        self.uses += 1;
        let mut missing = Vec::new();
        let mut at = id;
        let mut fd = loop {
            if at == Index::ROOT {
                break Arc::clone(&self.root);
            }
            if let Some((fd, used)) = self.open.get_mut(&at) {
                *used = self.uses;
                break Arc::clone(fd);
            }
            let Some(directory) = index.directory(at) else { break Arc::clone(&self.root) };
            missing.push((at, &directory.name));
            at = directory.parent;
        };
        for (id, name) in missing.into_iter().rev() {
            let opened = rustix::fs::openat(&fd, &**name, DIRECTORY, Mode::empty());
            fd = Arc::new(opened.map_err(|errno| failed("open", &index.path(id, b""), errno))?);
            self.keep(id, Arc::clone(&fd));
        }
        Ok(fd)
    }

    fn keep(&mut self, id: InodeId, fd: Arc<OwnedFd>) {
        if self.open.len() >= MAX_OPEN
            && let Some(oldest) = self.open.iter().min_by_key(|(_, (_, used))| *used).map(|(&id, _)| id)
        {
            self.open.remove(&oldest);
        }
        self.open.insert(id, (fd, self.uses));
    }

    /// The directory is gone, its number may mean another one soon.
    pub(super) fn forget(&mut self, id: InodeId) {
        self.open.remove(&id);
    }

    /// Closes all but the root.
    pub(super) fn forget_all(&mut self) {
        self.open.clear();
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Removes what the index has at this name, and all below it.
    pub(super) fn remove(&mut self, index: &Index, parent: InodeId, name: &[u8]) -> Result<(), Error> {
        let Some(child) = index.child(parent, name) else { return Ok(()) };
        let fd = self.directory(index, parent)?;
        remove(index, fd.as_fd(), name, child.inode)
            .map_err(|errno| failed("remove", &index.path(parent, name), errno))
    }

    /// Writes the contents of a file and returns their BLAKE3, in one pass. They are on their way to the disk before
    /// [`sync`](Self::sync) asks for it.
    pub(super) fn fill(
        &mut self,
        file: &mut File,
        body: &mut Body<'_, impl std::io::BufRead>,
        sparse: Option<(&[Segment], u64)>,
        path: &[u8],
        progress: &mut impl FnMut(u64),
    ) -> Result<[u8; 32], Error> {
        let writeback = &mut self.writeback;
        fill(file, body, sparse, path, &mut |bytes| {
            writeback.add(bytes);
            progress(bytes);
        })
    }

    /// Makes all changes of the tree's file system durable, at once instead of file by file: what gets a version's name after that is
    /// whole, and so are the blobs (I2, I8). Meanwhile `work` is done, which must not change anything in the tree; what it gives counts
    /// for nothing where the sync fails.
    pub(super) fn sync_while<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> Result<T, Error> {
        self.writeback.end();
        let root = Arc::clone(&self.root);
        let sync = move || rustix::fs::syncfs(&root);
        thread::scope(|scope| {
            let started = thread::Builder::new().name("sync".to_owned()).spawn_scoped(scope, sync.clone());
            let result = work(self);
            let synced = match started.map(ScopedJoinHandle::join) {
                Ok(Ok(synced)) => synced,
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                Err(_) => sync(),
            };
            synced.map_err(|errno| failed("sync", b"", errno))?;
            Ok(result)
        })
    }
}

/// Depth first; the depth of the index is capped.
fn remove(index: &Index, parent: BorrowedFd<'_>, name: &[u8], id: InodeId) -> Result<(), Errno> {
    let Some(directory) = index.directory(id) else {
        return rustix::fs::unlinkat(parent, name, AtFlags::empty());
    };
    if !directory.children.is_empty() {
        let fd = rustix::fs::openat(parent, name, DIRECTORY, Mode::empty())?;
        for (name, child) in &directory.children {
            remove(index, fd.as_fd(), name, child.inode)?;
        }
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
}

/// A new directory, open to nobody else until it gets its own mode.
pub(super) fn make_directory(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    rustix::fs::mkdirat(parent, name, PRIVATE)
}

/// A new, empty file with the permission bits of `mode`, as far as the umask lets it have them; an error when there is
/// anything of this name. Its directory is private still: nobody sees it before it has its owner.
pub(super) fn make_file(parent: BorrowedFd<'_>, name: &[u8], mode: u32) -> Result<File, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(mode & 0o777))?.into())
}

/// A symbolic link, FIFO or device; `None` for content that is none of them.
pub(super) fn make_node(parent: BorrowedFd<'_>, name: &[u8], content: &Content) -> Option<Result<(), Errno>> {
    let (kind, device) = match *content {
        Content::Symlink { ref target } => return Some(rustix::fs::symlinkat(&**target, parent, name)),
        Content::Fifo => (FileType::Fifo, 0),
        Content::CharDevice { major, minor } => {
            (FileType::CharacterDevice, rustix::fs::makedev(major, minor))
        }
        Content::BlockDevice { major, minor } => (FileType::BlockDevice, rustix::fs::makedev(major, minor)),
        Content::Directory(_) | Content::File { .. } | Content::Free => return None,
    };
    Some(rustix::fs::mknodat(parent, name, kind, Mode::RUSR | Mode::WUSR, device))
}

/// Another name for what `from` names; a symbolic link is linked itself.
pub(super) fn make_link(from: (BorrowedFd<'_>, &[u8]), to: (BorrowedFd<'_>, &[u8])) -> Result<(), Errno> {
    rustix::fs::linkat(from.0, from.1, to.0, to.1, AtFlags::empty())
}

/// Writes the contents and returns their BLAKE3, in one pass.
pub(super) fn fill(
    file: &mut File,
    body: &mut Body<'_, impl std::io::BufRead>,
    sparse: Option<(&[Segment], u64)>,
    path: &[u8],
    progress: &mut impl FnMut(u64),
) -> Result<[u8; 32], Error> {
    let about = |source| Error::Disk { operation: "write", path: quote(path), source };
    let mut hasher = blake3::Hasher::new();
    let Some((map, size)) = sparse else {
        body.read(u64::MAX, |bytes| {
            hasher.update(bytes);
            progress(bytes.len() as u64);
            file.write_all(bytes).map_err(about)
        })?;
        return Ok(*hasher.finalize().as_bytes());
    };
    // Everything that is not written stays a hole.
    file.set_len(size).map_err(about)?;
    let mut end = 0;
    for segment in map {
        hash_zeros(&mut hasher, segment.offset - end);
        end = segment.offset;
        body.read(segment.length, |bytes| {
            hasher.update(bytes);
            progress(bytes.len() as u64);
            file.write_all_at(bytes, end).map_err(about)?;
            end += bytes.len() as u64;
            Ok(())
        })?;
    }
    hash_zeros(&mut hasher, size - end);
    Ok(*hasher.finalize().as_bytes())
}

fn hash_zeros(hasher: &mut blake3::Hasher, mut count: u64) {
    const ZEROS: &[u8] = &[0; 64 << 10];
    while count > 0 {
        let step = count.min(ZEROS.len() as u64);
        hasher.update(ZEROS.get(..usize::try_from(step).unwrap_or(0)).unwrap_or_default());
        count -= step;
    }
}
