//! Owner, extended attributes, mode and times of one inode, in the order that keeps them: `chown` clears setuid and drops
//! `security.capability`, and every change but the last one would touch the times.

use std::borrow::Cow;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::entry::{Attributes, OwnedXattr, Xattr};
use super::error::Error;
use super::path::quote;
use super::pax::Timestamp;
use super::warning::{WarningKind, Warnings};

/// What the attributes are set on.
pub(super) enum Target<'a> {
    /// A regular file that was just created with the permission bits it is to have.
    Created(BorrowedFd<'a>),
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
    /// What `stat(2)` says after the last change.
    pub(super) stat: Stat,
}

/// Sets attributes; remembers what is not permitted here.
#[derive(Debug, Default)]
pub(super) struct Applier {
    pub(super) warnings: Warnings,
    /// `chown` was refused once: it is tried no more.
    owners_kept: bool,
    /// What new files get by themselves here.
    creation: Creation,
}

/// What the kernel makes of a new file before anything is set on it: learned from the files that were made, since it
/// depends on the umask, on setgid directories, default ACLs and mount options. It only tells which calls are worth leaving
/// out; whether a file has become what it should is looked at for each one.
#[derive(Debug, Default)]
struct Creation {
    /// Owner and group of the last one.
    owner: Option<(u32, u32)>,
    /// Permission bits that were asked for and not given.
    withheld: u32,
}

impl Creation {
    /// Learns from a file that was created with `mode`.
    fn learn(&mut self, stat: &Stat, mode: u32) {
        self.owner = Some((stat.st_uid, stat.st_gid));
        self.withheld |= mode & 0o777 & !stat.st_mode;
    }

    fn gives_owner(&self, wanted: Attributes) -> bool {
        self.owner == Some((wanted.uid, wanted.gid))
    }

    /// Creation gives permissions alone: setuid, setgid and sticky are for the right owner to have.
    const fn gives_mode(&self, wanted: Attributes) -> bool {
        wanted.mode & (0o7000 | self.withheld) == 0
    }
}

impl Applier {
    /// Makes `target` what `wanted` and `xattrs` say, as far as that is permitted.
    pub(super) fn apply(
        &mut self,
        target: &Target<'_>,
        wanted: Attributes,
        xattrs: &[Xattr<'_>],
        path: &[u8],
    ) -> Result<Outcome, Error> {
        let look = |target: &Target<'_>| target.stat().map_err(|errno| failed("look at", path, errno));
        let created = matches!(target, Target::Created(_)) && xattrs.is_empty();
        if created && self.creation.owner.is_none() {
            self.creation.learn(&look(target)?, wanted.mode);
        }
        let owner_given = created && self.creation.gives_owner(wanted);
        let mut attributes = wanted;
        if !owner_given && !self.chown(target, wanted, path)? {
            let stat = look(target)?;
            (attributes.uid, attributes.gid) = (stat.st_uid, stat.st_gid);
            // A program must not act for another user than the one it was made for.
            if attributes.uid != wanted.uid {
                attributes.mode &= !0o4000;
            }
            if attributes.gid != wanted.gid {
                attributes.mode &= !0o2000;
            }
        }
        let xattrs_hash = self.set_xattrs(target, xattrs, path)?;
        let mode_given = created && self.creation.gives_mode(wanted);
        match target {
            Target::Link(..) => attributes.mode = 0o777,
            _ if mode_given => {}
            _ => target.chmod(attributes.mode).map_err(|errno| failed("set the mode of", path, errno))?,
        }
        target.set_mtime(attributes.mtime).map_err(|errno| failed("set the time of", path, errno))?;
        let stat = look(target)?;
        if let Target::Created(file) = *target
            && (owner_given || mode_given)
            && !has(&stat, attributes)
        {
            self.creation.learn(&stat, wanted.mode);
            return self.apply(&Target::Open(file), wanted, xattrs, path);
        }
        // File systems clamp what they cannot hold: the seal has to know what is there.
        attributes.mtime = mtime_of(&stat);
        Ok(Outcome { attributes, xattrs: xattrs_hash, stat })
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
                // Labels and capabilities need rights, user attributes a file system and a file that can have them, and no
                // kernel takes more than 64 KiB.
                Err(
                    Errno::PERM
                    | Errno::OPNOTSUPP
                    | Errno::ACCESS
                    | Errno::INVAL
                    | Errno::NODATA
                    | Errno::NOENT
                    | Errno::TOOBIG,
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

/// Whether owner and mode are as they should be.
const fn has(stat: &Stat, attributes: Attributes) -> bool {
    stat.st_mode & 0o7777 == attributes.mode && stat.st_uid == attributes.uid && stat.st_gid == attributes.gid
}

/// The modification time in a `stat`.
pub(super) fn mtime_of(stat: &Stat) -> Timestamp {
    Timestamp { seconds: stat.st_mtime, nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or(0) }
}

/// A failed operation on a path of the image.
pub(super) fn failed(operation: &'static str, path: &[u8], errno: Errno) -> Error {
    Error::Disk { operation, path: quote(path), source: errno.into() }
}

impl Target<'_> {
    fn stat(&self) -> Result<Stat, Errno> {
        match self {
            Self::Created(fd) | Self::Open(fd) => rustix::fs::fstat(fd),
            Self::Link(directory, name) | Self::Node(directory, name) => {
                rustix::fs::statat(directory, *name, AtFlags::SYMLINK_NOFOLLOW)
            }
        }
    }

    fn chown(&self, uid: u32, gid: u32) -> Result<(), Errno> {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        match self {
            Self::Created(fd) | Self::Open(fd) => rustix::fs::fchown(fd, uid, gid),
            Self::Link(directory, name) | Self::Node(directory, name) => {
                rustix::fs::chownat(directory, *name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            }
        }
    }

    fn chmod(&self, mode: u32) -> Result<(), Errno> {
        match self {
            Self::Created(fd) | Self::Open(fd) => rustix::fs::fchmod(fd, Mode::from_raw_mode(mode)),
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
            Self::Created(fd) | Self::Open(fd) => rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty()),
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
            Self::Created(fd) | Self::Open(fd) => rustix::fs::futimens(fd, &times),
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd as _;

    use super::*;
    use crate::tree::write::make_file;

    /// Makes a file with permissions that may be others than those asked for, as the kernel does, and applies attributes.
    fn create(
        applier: &mut Applier,
        directory: &File,
        name: &str,
        (made, wanted): (u32, Attributes),
    ) -> Outcome {
        let file = make_file(directory.as_fd(), name.as_bytes(), made).unwrap();
        let outcome = applier.apply(&Target::Created(file.as_fd()), wanted, &[], b"file").unwrap();
        let stat = rustix::fs::fstat(&file).unwrap();
        assert!(has(&stat, wanted), "{name}: {:o} {}:{}", stat.st_mode, stat.st_uid, stat.st_gid);
        assert_eq!((mtime_of(&stat), outcome.attributes), (wanted.mtime, wanted), "{name}");
        assert_eq!((outcome.stat.st_ino, outcome.stat.st_ctime_nsec), (stat.st_ino, stat.st_ctime_nsec));
        outcome
    }

    #[test]
    fn what_creation_withholds_is_noticed_and_given() {
        let directory = tempfile::tempdir().unwrap();
        let directory = File::open(directory.path()).unwrap();
        let wanted = |mode| Attributes {
            mode,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            mtime: Timestamp { seconds: 1_000_000_000, nanoseconds: 5 },
        };
        let mut applier = Applier::default();
        create(&mut applier, &directory, "all given", (0o600, wanted(0o600)));
        assert_eq!(applier.creation.withheld, 0);
        assert!(applier.creation.gives_mode(wanted(0o600)) && applier.creation.gives_owner(wanted(0)));
        // As if a umask had just become 027.
        create(&mut applier, &directory, "less", (0o640, wanted(0o666)));
        assert_eq!(applier.creation.withheld, 0o026);
        assert!(!applier.creation.gives_mode(wanted(0o660)) && applier.creation.gives_mode(wanted(0o641)));
        create(&mut applier, &directory, "known", (0o640, wanted(0o664)));
        assert!([0o4600, 0o2600, 0o1600].iter().all(|&mode| !applier.creation.gives_mode(wanted(mode))));
        create(&mut applier, &directory, "special", (0o600, wanted(0o6600)));
        assert!(applier.warnings.into_vec().is_empty());
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "a test that can't run says so")]
    fn an_owner_that_creation_does_not_give_any_more_is_set() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not run: needs root");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let directory = File::open(directory.path()).unwrap();
        let wanted = |gid| Attributes { mode: 0o644, uid: 0, gid, mtime: Timestamp::default() };
        let mut applier = Applier::default();
        let own = rustix::process::getegid().as_raw();
        create(&mut applier, &directory, "own", (0o644, wanted(own)));
        assert!(applier.creation.gives_owner(wanted(own)));
        // As if the directory handed down its group from now on.
        let setgid = (Some(Uid::ROOT), Some(Gid::from_raw(4321)));
        rustix::fs::fchown(&directory, setgid.0, setgid.1).unwrap();
        rustix::fs::fchmod(&directory, Mode::from_raw_mode(0o2700)).unwrap();
        create(&mut applier, &directory, "other", (0o644, wanted(own)));
        assert!(applier.creation.gives_owner(wanted(4321)) && !applier.creation.gives_owner(wanted(own)));
        create(&mut applier, &directory, "given", (0o644, wanted(4321)));
        create(&mut applier, &directory, "another", (0o644, wanted(1000)));
    }
}
