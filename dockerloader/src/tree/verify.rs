//! Whether a tree is still what its seal says. Nothing is changed, nothing is followed, no FIFO or device is opened.

use std::collections::{BTreeSet, HashMap};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::attributes::{hash_xattrs, mtime_of};
use super::entry::OwnedXattr;
use super::facts::Facts;
use super::seal::{Record, RecordKind, Seal};
use super::stamps::Stamps;
use super::survey::{Look, survey};

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Depth {
    /// Names, kinds, sizes, owners, modes, link targets, and times of files: no contents are read.
    Quick,
    /// All of that, and the contents and extended attributes.
    Full,
}

/// A path that is not what the seal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Relative to the tree; empty for its root.
    pub path: Vec<u8>,
    /// What is wrong.
    pub problem: Problem,
}

/// How a path differs from its seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It is gone; what the seal has below it is not listed.
    #[error("is missing")]
    Missing,
    /// It was not extracted; what is below it is not listed.
    #[error("is not of the image")]
    Extra,
    /// It is something else: a folder instead of a file, another device.
    #[error("is of another kind")]
    Kind,
    /// Other permission bits.
    #[error("has another mode")]
    Mode,
    /// Another owner or group.
    #[error("has another owner")]
    Owner,
    /// Another size.
    #[error("has another size")]
    Size,
    /// A file that was written to since, or given another time.
    #[error("has another modification time")]
    Time,
    /// A symbolic link that points elsewhere.
    #[error("points elsewhere")]
    Target,
    /// Names of one file are now names of several.
    #[error("is no longer the same file as under its other names")]
    Links,
    /// Another change time: it was written to, linked, or given attributes, even if they are the old ones again.
    #[error("was written to or changed since it was extracted")]
    Written,
    /// Other contents.
    #[error("has other contents")]
    Contents,
    /// Other extended attributes.
    #[error("has other extended attributes")]
    Xattrs,
    /// The kernel would not show it: an error of the disk, or of permissions.
    #[error("cannot be read (error {0})")]
    Unreadable(i32),
}

/// A folder on the way to the current record.
struct Level {
    path: Vec<u8>,
    fd: OwnedFd,
    /// Names on the disk that no record had yet.
    names: BTreeSet<Box<[u8]>>,
}

/// Compares the tree in the directory `tree` with its seal. What a program changed on purpose is found as well: the caller
/// decides what matters.
pub fn verify(tree: &Path, seal: &Seal, depth: Depth) -> Vec<Finding> {
    let mut verifier = Verifier { depth, findings: Vec::new(), groups: HashMap::new(), buffer: Vec::new() };
    let mut levels: Vec<Level> = Vec::new();
    // A folder that could not be entered: its records are passed over.
    let mut closed: Option<Vec<u8>> = None;
    let mut records = seal.records();
    while let Some(record) = records.next() {
        if closed.as_ref().is_some_and(|folder| is_below(record.path, folder)) {
            continue;
        }
        closed = None;
        let entered = if record.path.is_empty() {
            verifier.root(tree, &record)
        } else {
            let (parent, name) = super::path::split(record.path);
            while let Some(done) = levels.pop_if(|level| level.path != parent) {
                verifier.leave(done);
            }
            // Records are in depth-first order: the parent was entered, or its records are passed over.
            let Some(level) = levels.last_mut() else { break };
            level.names.remove(name);
            verifier.name(&level.fd, name, &record)
        };
        match entered {
            Some(level) => levels.push(level),
            None if record.kind == RecordKind::Directory => closed = Some(record.path.to_vec()),
            None => {}
        }
    }
    while let Some(level) = levels.pop() {
        verifier.leave(level);
    }
    verifier.findings
}

/// Compares names, kinds, modes, owners and stamps: what [`Depth::Full`] sees of contents without reading any, as long as nobody
/// wrote to the disk past the file system.
pub fn verify_stamps(tree: &Path, seal: &Seal, stamps: &Stamps) -> Vec<Finding> {
    let Some(facts) = Facts::new(seal, Some(stamps.clone())) else { return verify(tree, seal, Depth::Full) };
    let survey = survey(tree, &facts, Look::Report, b"", &AtomicBool::new(false));
    let deviations = survey.deviations.iter();
    let mut findings: Vec<Finding> = deviations
        .map(|(&record, deviation)| Finding { path: facts.path(record).to_vec(), problem: deviation.problem })
        .collect();
    findings.extend(survey.extras.iter().map(|(directory, name)| Finding {
        path: super::path::join(facts.path(*directory), name),
        problem: Problem::Extra,
    }));
    findings
}

fn is_below(path: &[u8], folder: &[u8]) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.first() == Some(&b'/'))
}

/// Opens without following, waiting, or changing the access time more than needed.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

struct Verifier {
    depth: Depth,
    findings: Vec<Finding>,
    /// Device and inode of the first name of each file with several.
    groups: HashMap<u32, (u64, u64)>,
    buffer: Vec<u8>,
}

impl Verifier {
    fn find(&mut self, path: &[u8], problem: Problem) {
        self.findings.push(Finding { path: path.to_vec(), problem });
    }

    fn fail(&mut self, path: &[u8], errno: Errno) {
        let problem = match errno {
            Errno::NOENT | Errno::NOTDIR => Problem::Missing,
            errno => Problem::Unreadable(errno.raw_os_error()),
        };
        self.find(path, problem);
    }

    fn root(&mut self, tree: &Path, record: &Record<'_>) -> Option<Level> {
        let opened = rustix::fs::open(tree, READ | OFlags::DIRECTORY, Mode::empty());
        let checked = opened.and_then(|fd| Ok((rustix::fs::fstat(&fd)?, fd)));
        match checked {
            Ok((stat, fd)) => {
                self.attributes(record, &stat);
                self.enter(fd, record)
            }
            Err(errno) => {
                self.fail(record.path, errno);
                None
            }
        }
    }

    /// Checks one name; a folder is entered.
    fn name(&mut self, parent: &OwnedFd, name: &[u8], record: &Record<'_>) -> Option<Level> {
        let result = self.try_name(parent, name, record);
        result.unwrap_or_else(|errno| {
            self.fail(record.path, errno);
            None
        })
    }

    fn try_name(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        record: &Record<'_>,
    ) -> Result<Option<Level>, Errno> {
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if !is_of_kind(record.kind, &stat) {
            self.find(record.path, Problem::Kind);
            return Ok(None);
        }
        self.attributes(record, &stat);
        match record.kind {
            RecordKind::Directory => {
                let fd = rustix::fs::openat(parent, name, READ | OFlags::DIRECTORY, Mode::empty());
                // Who may list names may still not be allowed to go through.
                let entered = fd.and_then(|fd| {
                    rustix::fs::openat(&fd, c".", READ | OFlags::DIRECTORY, Mode::empty())?;
                    Ok(fd)
                });
                return match entered {
                    Err(Errno::ACCESS) if is_closed(record, 0o500) => Ok(None),
                    fd => Ok(self.enter(fd?, record)),
                };
            }
            RecordKind::File { size, hash, group } => {
                if !self.is_same_file(group, &stat) {
                    self.find(record.path, Problem::Links);
                }
                if u64::try_from(stat.st_size) != Ok(size) {
                    self.find(record.path, Problem::Size);
                } else if self.depth == Depth::Full {
                    let fd = match rustix::fs::openat(parent, name, READ, Mode::empty()) {
                        Err(Errno::ACCESS) if is_closed(record, 0o400) => return Ok(None),
                        opened => opened?,
                    };
                    if hash_file(fd.as_fd(), &mut self.buffer)? != hash {
                        self.find(record.path, Problem::Contents);
                    }
                    self.xattrs(&fd, record)?;
                }
            }
            RecordKind::Symlink { target } => {
                if rustix::fs::readlinkat(parent, name, Vec::new())?.to_bytes() != target {
                    self.find(record.path, Problem::Target);
                }
            }
            RecordKind::CharDevice { .. } | RecordKind::BlockDevice { .. } | RecordKind::Fifo => {}
        }
        Ok(None)
    }

    fn enter(&mut self, fd: OwnedFd, record: &Record<'_>) -> Option<Level> {
        let result = self.list(&fd).and_then(|names| {
            if self.depth == Depth::Full {
                self.xattrs(&fd, record)?;
            }
            Ok(names)
        });
        match result {
            Ok(names) => Some(Level { path: record.path.to_vec(), fd, names }),
            Err(errno) => {
                self.fail(record.path, errno);
                None
            }
        }
    }

    fn list(&self, fd: &OwnedFd) -> Result<BTreeSet<Box<[u8]>>, Errno> {
        let mut names = BTreeSet::new();
        for entry in Dir::read_from(fd)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.insert(name.into());
            }
        }
        Ok(names)
    }

    /// What no record was for has come later.
    fn leave(&mut self, level: Level) {
        for name in level.names {
            let mut path = level.path.clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&name);
            self.find(&path, Problem::Extra);
        }
    }

    fn attributes(&mut self, record: &Record<'_>, stat: &Stat) {
        let sealed = record.attributes;
        if stat.st_mode & 0o7777 != sealed.mode {
            self.find(record.path, Problem::Mode);
        }
        if (stat.st_uid, stat.st_gid) != (sealed.uid, sealed.gid) {
            self.find(record.path, Problem::Owner);
        }
        // A folder's time changes with each name in it. File systems with whole seconds cut the rest off.
        let found = mtime_of(stat);
        let same = found.seconds == sealed.mtime.seconds
            && (found.nanoseconds == sealed.mtime.nanoseconds || found.nanoseconds == 0);
        if matches!(record.kind, RecordKind::File { .. }) && !same {
            self.find(record.path, Problem::Time);
        }
    }

    fn is_same_file(&mut self, group: u32, stat: &Stat) -> bool {
        let identity = (stat.st_dev, stat.st_ino);
        group == 0 || *self.groups.entry(group).or_insert(identity) == identity
    }

    fn xattrs(&mut self, fd: &OwnedFd, record: &Record<'_>) -> Result<(), Errno> {
        let found = match list_xattrs(fd.as_fd()) {
            Err(Errno::OPNOTSUPP) => Vec::new(),
            other => other?,
        };
        if hash_xattrs(&found).as_deref() != record.xattrs.as_ref() {
            self.find(record.path, Problem::Xattrs);
        }
        Ok(())
    }
}

/// Whether the image itself closes this to its owner: nobody but root can look into it then, and nothing is wrong with it.
const fn is_closed(record: &Record<'_>, needed: u32) -> bool {
    record.attributes.mode & needed != needed
}

fn is_of_kind(kind: RecordKind<'_>, stat: &Stat) -> bool {
    let found = FileType::from_raw_mode(stat.st_mode);
    let is_device = |major, minor| stat.st_rdev == rustix::fs::makedev(major, minor);
    match kind {
        RecordKind::Directory => found == FileType::Directory,
        RecordKind::File { .. } => found == FileType::RegularFile,
        RecordKind::Symlink { .. } => found == FileType::Symlink,
        RecordKind::Fifo => found == FileType::Fifo,
        RecordKind::CharDevice { major, minor } => {
            found == FileType::CharacterDevice && is_device(major, minor)
        }
        RecordKind::BlockDevice { major, minor } => found == FileType::BlockDevice && is_device(major, minor),
    }
}

/// BLAKE3 of what an open file holds.
pub(super) fn hash_file(fd: BorrowedFd<'_>, buffer: &mut Vec<u8>) -> Result<[u8; 32], Errno> {
    buffer.resize(256 << 10, 0);
    let mut hasher = blake3::Hasher::new();
    loop {
        match rustix::io::read(fd, &mut *buffer) {
            Ok(0) => return Ok(*hasher.finalize().as_bytes()),
            Ok(count) => {
                hasher.update(buffer.get(..count).unwrap_or_default());
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Names and values, sorted by name.
pub(super) fn list_xattrs(fd: BorrowedFd<'_>) -> Result<Vec<OwnedXattr>, Errno> {
    let mut names = vec![0; rustix::fs::flistxattr_query(fd)?];
    let length = rustix::fs::flistxattr(fd, &mut names[..])?;
    names.truncate(length);
    let mut pairs = Vec::new();
    // XFS lists access lists a second time, under names of its own.
    let counts = |name: &&[u8]| !name.is_empty() && !name.starts_with(b"trusted.SGI_ACL_");
    for name in names.split(|&byte| byte == 0).filter(counts) {
        let mut value = vec![0; rustix::fs::fgetxattr_query(fd, name)?];
        let length = rustix::fs::fgetxattr(fd, name, &mut value[..])?;
        value.truncate(length);
        pairs.push((name.into(), value.into_boxed_slice()));
    }
    pairs.sort();
    Ok(pairs)
}
