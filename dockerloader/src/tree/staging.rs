//! A private directory inside the tree, where everything new is made complete before it is renamed to its place. It has
//! neither a default access list nor a group of its own that new files would inherit.

use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::attributes::failed;
use super::entry::Attributes;
use super::error::Error;
use super::write;

/// How the directory begins to be called.
const NAME: &str = ".dockerloader-new";

/// Whether a name in the root of a tree is that of what an update makes things in: one that was cut off leaves it.
pub fn is_staging(name: &[u8]) -> bool {
    name.starts_with(NAME.as_bytes())
}

/// Names that are tried.
const TRIES: u32 = 1000;

/// How deep something may be that is removed where it is; what is deeper is moved up first.
const MAX_DEPTH: usize = 64;

const PLACE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const LIST: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Something in the directory: its name there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Staged(u64);

impl Staged {
    pub(super) fn name(self) -> String {
        self.0.to_string()
    }
}

/// The directory.
#[derive(Debug)]
pub(super) struct Staging {
    root: OwnedFd,
    fd: OwnedFd,
    name: String,
    next: u64,
    /// Owner and group of what is made here, when they can't be given to others.
    owner: Option<(u32, u32)>,
}

impl Staging {
    /// Makes the directory in `root` under a name that nothing has, and for which `avoid` does not hold.
    pub(super) fn new(root: OwnedFd, avoid: impl Fn(&[u8]) -> bool) -> Result<Self, Error> {
        let about = |errno| failed("make a directory in", b"", errno);
        let stat = rustix::fs::fstat(&root).map_err(about)?;
        if stat.st_mode & 0o700 != 0o700 {
            // The root gets its own mode at the end.
            rustix::fs::fchmod(&root, Mode::from_raw_mode(stat.st_mode & 0o7777 | 0o700)).map_err(about)?;
        }
        for name in names().filter(|name| !avoid(name.as_bytes())) {
            match rustix::fs::mkdirat(&root, &name, Mode::RWXU) {
                Ok(()) => {}
                Err(Errno::EXIST) => continue,
                Err(errno) => return Err(about(errno)),
            }
            let fd = rustix::fs::openat(&root, &name, LIST, Mode::empty()).map_err(about)?;
            for inherited in [c"system.posix_acl_default", c"system.posix_acl_access"] {
                // There is none, almost always.
                let _ = rustix::fs::fremovexattr(&fd, inherited);
            }
            rustix::fs::fchmod(&fd, Mode::RWXU).map_err(about)?;
            let mut staging = Self { root, fd, name, next: 0, owner: None };
            staging.owner = staging.find_owner().map_err(about)?;
            return Ok(staging);
        }
        Err(about(Errno::EXIST))
    }

    /// Whether files can be given away here, tried once.
    fn find_owner(&self) -> Result<Option<(u32, u32)>, Errno> {
        if rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let stat = rustix::fs::fstat(&self.fd)?;
        match rustix::fs::fchown(&self.fd, Some(Uid::ROOT), Some(Gid::ROOT)) {
            Ok(()) => rustix::fs::fchown(
                &self.fd,
                Some(Uid::from_raw(stat.st_uid)),
                Some(Gid::from_raw(stat.st_gid)),
            )
            .map(|()| None),
            Err(_) => Ok(Some((stat.st_uid, stat.st_gid))),
        }
    }

    /// What becomes of attributes here, as far as it can be told without trying; and whether the owner is another one.
    pub(super) fn settle(&self, wanted: Attributes) -> (Attributes, bool) {
        let Some((uid, gid)) = self.owner else { return (wanted, false) };
        let mut settled = Attributes { uid, gid, ..wanted };
        // As for extracted files: no program acts for another user than the one it was made for.
        if uid != wanted.uid {
            settled.mode &= !0o4000;
        }
        if gid != wanted.gid {
            settled.mode &= !0o2000;
        }
        (settled, (uid, gid) != (wanted.uid, wanted.gid))
    }

    /// Whether files can't be given to others here.
    pub(super) const fn keeps_owner(&self) -> bool {
        self.owner.is_some()
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Its name in the root.
    pub(super) fn name(&self) -> &[u8] {
        self.name.as_bytes()
    }

    /// A name that is free here.
    pub(super) fn reserve(&mut self) -> Staged {
        self.next += 1;
        Staged(self.next)
    }

    /// A new, empty file.
    pub(super) fn file(&mut self) -> Result<(Staged, File), Errno> {
        let staged = self.reserve();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.fd, staged.name(), flags, Mode::RUSR | Mode::WUSR)?;
        Ok((staged, file.into()))
    }

    /// A new directory.
    pub(super) fn directory(&mut self) -> Result<Staged, Errno> {
        let staged = self.reserve();
        write::make_directory(self.fd.as_fd(), staged.name().as_bytes())?;
        Ok(staged)
    }

    /// Renames something to its place, instead of whatever is there.
    pub(super) fn place(&self, staged: Staged, to: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
        rustix::fs::renameat(&self.fd, staged.name(), to, name)
    }

    /// Not needed after all.
    pub(super) fn drop(&self, staged: Staged) -> Result<(), Errno> {
        rustix::fs::unlinkat(&self.fd, staged.name(), AtFlags::empty())
    }

    /// Takes another name, if `taken` holds for the present one.
    pub(super) fn avoid(&mut self, taken: impl Fn(&[u8]) -> bool) -> Result<(), Error> {
        if !taken(self.name.as_bytes()) {
            return Ok(());
        }
        let about = |errno| failed("rename a directory in", b"", errno);
        let is_free = |name: &String| {
            let found = rustix::fs::statat(&self.root, name, AtFlags::SYMLINK_NOFOLLOW);
            !taken(name.as_bytes()) && found.err() == Some(Errno::NOENT)
        };
        let name = names().find(is_free).ok_or_else(|| about(Errno::EXIST))?;
        rustix::fs::renameat(&self.root, &self.name, &self.root, &name).map_err(about)?;
        self.name = name;
        Ok(())
    }

    /// Removes a name with all below it, wherever it comes from; fine when there is nothing.
    pub(super) fn remove(&mut self, parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
        let mut deep = Vec::new();
        self.remove_at(parent, name, 0, &mut deep)?;
        while let Some(staged) = deep.pop() {
            let fd = self.fd.try_clone().map_err(|_| Errno::MFILE)?;
            self.remove_at(fd.as_fd(), staged.name().as_bytes(), 0, &mut deep)?;
        }
        Ok(())
    }

    fn remove_at(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        depth: usize,
        deep: &mut Vec<Staged>,
    ) -> Result<(), Errno> {
        match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
            Err(Errno::ISDIR) => {}
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(errno),
        }
        if rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR).is_ok() {
            return Ok(());
        }
        let fd = open_directory(parent, name)?;
        if depth >= MAX_DEPTH {
            // Only who wrote into the tree makes such a thing. It is then removed from the top again.
            let staged = self.reserve();
            rustix::fs::renameat(parent, name, &self.fd, staged.name())?;
            deep.push(staged);
            return Ok(());
        }
        for name in list(&fd)? {
            self.remove_at(fd.as_fd(), &name, depth + 1, deep)?;
        }
        rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
    }

    /// Removes the directory and what was not needed of its contents.
    pub(super) fn clear(&mut self) -> Result<(), Error> {
        let about = |errno| failed("remove", self.name.as_bytes(), errno);
        let root = self.root.try_clone().map_err(|_| about(Errno::MFILE))?;
        let name = self.name.clone();
        for left in list(&self.fd).map_err(about)? {
            let fd = self.fd.try_clone().map_err(|_| failed("remove", name.as_bytes(), Errno::MFILE))?;
            self.remove(fd.as_fd(), &left).map_err(|errno| failed("remove", name.as_bytes(), errno))?;
        }
        rustix::fs::unlinkat(&root, &name, AtFlags::REMOVEDIR)
            .map_err(|errno| failed("remove", name.as_bytes(), errno))
    }
}

fn names() -> impl Iterator<Item = String> {
    (0..TRIES).map(|number| if number == 0 { NAME.to_owned() } else { format!("{NAME}-{number}") })
}

/// Opens a directory to remove what is in it; its owner gets the right to.
fn open_directory(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let place = rustix::fs::openat(parent, name, PLACE, Mode::empty())?;
    open_up(place.as_fd(), 0o700)?;
    rustix::fs::openat(parent, name, LIST, Mode::empty())
}

/// Gives the owner of a directory or file rights to it that its mode does not.
pub(super) fn open_up(place: BorrowedFd<'_>, rights: u32) -> Result<(), Errno> {
    let mode = rustix::fs::fstat(place)?.st_mode & 0o7777;
    if mode & rights == rights {
        return Ok(());
    }
    rustix::fs::chmod(super::attributes::magic_link(place), Mode::from_raw_mode(mode | rights))
}

fn list(fd: &OwnedFd) -> Result<Vec<Box<[u8]>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(fd)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(name.into());
        }
    }
    Ok(names)
}
