//! Owner, extended attributes, mode and times of one inode, in the order that keeps them: `chown` clears setuid and drops
//! `security.capability`, and every change but the last one would touch the times.

use std::borrow::Cow;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::entry::{Attributes, OwnedXattr, Xattr};
use super::error::Error;
use super::path::quote;
use super::pax::Timestamp;
use super::warning::{WarningKind, Warnings};

/// What the attributes are set on.
pub(super) enum Target<'a> {
    /// An open file or directory.
    Open(BorrowedFd<'a>),
    /// A symbolic link in an open directory: it cannot be opened, and has no mode.
    Link(BorrowedFd<'a>, &'a [u8]),
    /// A FIFO or device in an open directory: it must not be opened.
    Node(BorrowedFd<'a>, &'a [u8]),
}

/// What is on the disk afterwards.
pub(super) struct Outcome {
    pub(super) attributes: Attributes,
    pub(super) xattrs: Option<Box<[u8; 32]>>,
}

/// Sets attributes; remembers what is not permitted here.
#[derive(Debug, Default)]
pub(super) struct Applier {
    pub(super) warnings: Warnings,
    /// `chown` was refused once: it is tried no more.
    owners_kept: bool,
}

impl Applier {
    pub(super) fn apply(
        &mut self,
        target: &Target<'_>,
        wanted: Attributes,
        xattrs: &[Xattr<'_>],
        path: &[u8],
    ) -> Result<Outcome, Error> {
        let mut attributes = wanted;
        if !self.chown(target, wanted, path)? {
            let stat = target.stat().map_err(|errno| failed("look at", path, errno))?;
            (attributes.uid, attributes.gid) = (stat.st_uid, stat.st_gid);
            // A program must not act for another user than the one it was made for.
            if attributes.uid != wanted.uid {
                attributes.mode &= !0o4000;
            }
            if attributes.gid != wanted.gid {
                attributes.mode &= !0o2000;
            }
        }
        let xattrs = self.set_xattrs(target, xattrs, path)?;
        match target {
            Target::Link(..) => attributes.mode = 0o777,
            _ => target.chmod(attributes.mode).map_err(|errno| failed("set the mode of", path, errno))?,
        }
        target.set_mtime(attributes.mtime).map_err(|errno| failed("set the time of", path, errno))?;
        if !(0..=i64::from(i32::MAX)).contains(&attributes.mtime.seconds) {
            // File systems clamp what they cannot hold: the seal has to know what is there.
            let stat = target.stat().map_err(|errno| failed("look at", path, errno))?;
            attributes.mtime = mtime_of(&stat);
        }
        Ok(Outcome { attributes, xattrs })
    }

    /// Whether the owner is now the wanted one.
    fn chown(&mut self, target: &Target<'_>, wanted: Attributes, path: &[u8]) -> Result<bool, Error> {
        if !self.owners_kept {
            match target.chown(wanted.uid, wanted.gid) {
                Ok(()) => return Ok(true),
                // EINVAL: an owner that this user namespace does not have.
                Err(Errno::PERM | Errno::INVAL) => {}
                Err(errno) => return Err(failed("set the owner of", path, errno)),
            }
            self.owners_kept = !rustix::process::geteuid().is_root();
        }
        let stat = target.stat().map_err(|errno| failed("look at", path, errno))?;
        let same = (stat.st_uid, stat.st_gid) == (wanted.uid, wanted.gid);
        if !same {
            self.warnings.add(WarningKind::OwnerKept, path);
        }
        Ok(same)
    }

    fn set_xattrs(
        &mut self,
        target: &Target<'_>,
        xattrs: &[Xattr<'_>],
        path: &[u8],
    ) -> Result<Option<Box<[u8; 32]>>, Error> {
        let mut set: Vec<(&[u8], &[u8])> = Vec::new();
        for (name, value) in xattrs {
            if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") {
                self.warnings.add(WarningKind::OverlayMarker, path);
                continue;
            }
            match target.set_xattr(name, value) {
                Ok(()) => set.push((name, value)),
                // Labels and capabilities need rights, user attributes a file system and a file that can have them.
                Err(
                    Errno::PERM
                    | Errno::OPNOTSUPP
                    | Errno::ACCESS
                    | Errno::INVAL
                    | Errno::NODATA
                    | Errno::NOENT,
                ) => {
                    self.warnings.add(WarningKind::XattrRefused, path);
                }
                Err(errno) => return Err(failed("set an extended attribute of", path, errno)),
            }
        }
        Ok(hash_xattrs(&set))
    }
}

/// BLAKE3 over names and values with their lengths, sorted by name; the label of SELinux belongs to the machine, not to
/// the image, and does not count.
pub(super) fn hash_xattrs(sorted: &[(impl AsRef<[u8]>, impl AsRef<[u8]>)]) -> Option<Box<[u8; 32]>> {
    let mut hasher = blake3::Hasher::new();
    let mut any = false;
    for (name, value) in sorted {
        if name.as_ref() == b"security.selinux" {
            continue;
        }
        any = true;
        for part in [name.as_ref(), value.as_ref()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    any.then(|| Box::new(*hasher.finalize().as_bytes()))
}

/// The modification time in a `stat`.
pub(super) fn mtime_of(stat: &rustix::fs::Stat) -> Timestamp {
    Timestamp { seconds: stat.st_mtime, nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or(0) }
}

/// A failed operation on a path of the image.
pub(super) fn failed(operation: &'static str, path: &[u8], errno: Errno) -> Error {
    Error::Disk { operation, path: quote(path), source: errno.into() }
}

impl Target<'_> {
    fn stat(&self) -> Result<rustix::fs::Stat, Errno> {
        match self {
            Self::Open(fd) => rustix::fs::fstat(fd),
            Self::Link(directory, name) | Self::Node(directory, name) => {
                rustix::fs::statat(directory, *name, AtFlags::SYMLINK_NOFOLLOW)
            }
        }
    }

    fn chown(&self, uid: u32, gid: u32) -> Result<(), Errno> {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        match self {
            Self::Open(fd) => rustix::fs::fchown(fd, uid, gid),
            Self::Link(directory, name) | Self::Node(directory, name) => {
                rustix::fs::chownat(directory, *name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            }
        }
    }

    fn chmod(&self, mode: u32) -> Result<(), Errno> {
        match self {
            Self::Open(fd) => rustix::fs::fchmod(fd, Mode::from_raw_mode(mode)),
            Self::Link(..) => Ok(()),
            Self::Node(directory, name) => {
                // Opening the node itself could hang or wake hardware, and chmod by name follows links: O_PATH does neither.
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let node = rustix::fs::openat(directory, *name, flags, Mode::empty())?;
                rustix::fs::chmod(magic_link(node.as_fd()), Mode::from_raw_mode(mode))
            }
        }
    }

    fn set_xattr(&self, name: &[u8], value: &[u8]) -> Result<(), Errno> {
        match self {
            Self::Open(fd) => rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty()),
            Self::Link(directory, leaf) | Self::Node(directory, leaf) => {
                // There is no lsetxattrat: the open directory's magic link, then one name that is not followed.
                let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
                path.extend_from_slice(leaf);
                rustix::fs::lsetxattr(&path, name, value, XattrFlags::empty())
            }
        }
    }

    fn set_mtime(&self, mtime: Timestamp) -> Result<(), Errno> {
        let time = Timespec { tv_sec: mtime.seconds, tv_nsec: i64::from(mtime.nanoseconds) };
        let times = Timestamps { last_access: time, last_modification: time };
        match self {
            Self::Open(fd) => rustix::fs::futimens(fd, &times),
            Self::Link(directory, name) | Self::Node(directory, name) => {
                rustix::fs::utimensat(directory, *name, &times, AtFlags::SYMLINK_NOFOLLOW)
            }
        }
    }
}

/// Borrows the stored attributes of a directory as those of an entry.
pub(super) fn borrowed(xattrs: &[OwnedXattr]) -> Vec<Xattr<'_>> {
    xattrs.iter().map(|(name, value)| (Cow::Borrowed(&**name), Cow::Borrowed(&**value))).collect()
}

/// The name by which the kernel knows an open file of this process.
pub(super) fn magic_link(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}
