//! Where a tree on the disk is not what it was when it was sealed. Nothing is changed and nothing followed; several threads
//! look, each at one directory at a time.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, Stat};
use rustix::io::Errno;

use super::attributes::{hash_xattrs, mtime_of};
use super::entry::Attributes;
use super::facts::{Fact, FactKind, Facts};
use super::pax::Timestamp;
use super::stamps::Stamp;
use super::verify::{Problem, hash_file, list_xattrs};

/// Threads that look. The entries are in memory or they are not: more would not help against the disk.
const THREADS: usize = 2;

/// Directories that a thread takes at a time.
const STEP: usize = 16;

/// Bytes of names that the kernel hands out at a time.
const LISTING: usize = 32 << 10;

/// What to do about a path whose stamp is another, or that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// To say so.
    Report,
    /// To look at its contents and attributes.
    Closer,
}

/// A path that is not as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deviation {
    pub(super) problem: Problem,
    pub(super) state: State,
}

/// What is there instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing.
    Missing,
    /// Something of which nothing can be used.
    Other,
    /// The same, with these attributes and this hash over the extended ones.
    Altered { attributes: Attributes, xattrs: Option<[u8; 32]>, stamp: Stamp },
    /// The same, with another stamp.
    Same(Stamp),
}

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// By the number of the record; nothing is listed below what is missing or something else.
    pub(super) deviations: BTreeMap<usize, Deviation>,
    /// Names that the seal does not have, with the record of their directory.
    pub(super) extras: Vec<(usize, Box<[u8]>)>,
}

/// What one thread found.
#[derive(Debug, Default)]
struct Found {
    deviations: Vec<(usize, Deviation)>,
    extras: Vec<(usize, Box<[u8]>)>,
    /// Names of one file whose contents are right: group, record, inode, and names that the inode has.
    links: Vec<(u32, usize, u64, u64)>,
    buffer: Vec<u8>,
}

/// Looks at the tree in `root`; the name `ignored` in it does not count. Gives up when told to `stop`.
pub(super) fn survey(root: &Path, facts: &Facts, look: Look, ignored: &[u8], stop: &AtomicBool) -> Survey {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = match rustix::fs::open(root, flags, Mode::empty()) {
        Ok(root) => root,
        Err(errno) => {
            let deviations = BTreeMap::from([(0, failed(errno))]);
            return Survey { deviations, extras: Vec::new() };
        }
    };
    let directories: Vec<usize> =
        (0..facts.len()).filter(|&at| facts.get(at).is_some_and(|fact| fact.is_directory())).collect();
    let looker = Looker { root: &root, facts, look, ignored };
    let next = AtomicUsize::new(0);
    let work = || {
        let mut found = Found::default();
        while !stop.load(Ordering::Relaxed) {
            let start = next.fetch_add(STEP, Ordering::Relaxed);
            let Some(mine) = directories.get(start..) else { break };
            if mine.is_empty() {
                break;
            }
            mine.iter().take(STEP).for_each(|&directory| looker.directory(directory, &mut found));
        }
        found
    };
    let all: Vec<Found> = thread::scope(|scope| {
        let spawn = || thread::Builder::new().name("look".to_owned()).spawn_scoped(scope, work).ok();
        // Fewer threads than wished for see the same.
        let others: Vec<_> = (1..THREADS).filter_map(|_| spawn()).collect();
        let mut all = vec![work()];
        for other in others {
            match other.join() {
                Ok(found) => all.push(found),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    merge(facts, all)
}

fn merge(facts: &Facts, all: Vec<Found>) -> Survey {
    let mut survey = Survey::default();
    let mut groups: BTreeMap<u32, Vec<(usize, u64, u64)>> = BTreeMap::new();
    for found in all {
        survey.deviations.extend(found.deviations);
        survey.extras.extend(found.extras);
        for (group, record, inode, names) in found.links {
            groups.entry(group).or_default().push((record, inode, names));
        }
    }
    for mut names in groups.into_values() {
        names.sort_unstable();
        let first = names.first().map(|&(_, inode, _)| inode);
        let same = names.iter().filter(|&&(_, inode, _)| Some(inode) == first).count();
        for (record, inode, links) in names {
            // A name that is counted, but not in the tree, is one by which somebody else may write to the file.
            if Some(inode) != first || links != same as u64 {
                survey.deviations.insert(record, Deviation { problem: Problem::Links, state: State::Other });
            }
        }
    }
    let mut end = 0;
    survey.deviations.retain(|&record, deviation| {
        if record < end {
            return false;
        }
        if matches!(deviation.state, State::Missing | State::Other) {
            end = facts.end(record);
        }
        true
    });
    survey.extras.sort_unstable();
    survey
}

const fn failed(errno: Errno) -> Deviation {
    match errno {
        Errno::NOENT => Deviation { problem: Problem::Missing, state: State::Missing },
        Errno::NOTDIR | Errno::LOOP => Deviation { problem: Problem::Kind, state: State::Other },
        errno => Deviation { problem: Problem::Unreadable(errno.raw_os_error()), state: State::Other },
    }
}

struct Looker<'t> {
    root: &'t OwnedFd,
    facts: &'t Facts,
    look: Look,
    ignored: &'t [u8],
}

/// A directory as a starting point.
const PLACE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens without following or waiting.
pub(super) const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

impl Looker<'_> {
    /// A directory itself, its names, and all in it that are no directories.
    fn directory(&self, directory: usize, found: &mut Found) {
        if let Err(errno) = self.try_directory(directory, found) {
            found.deviations.push((directory, failed(errno)));
        }
    }

    fn try_directory(&self, directory: usize, found: &mut Found) -> Result<(), Errno> {
        let Some(fact) = self.facts.get(directory) else { return Ok(()) };
        let fd = open_beneath(self.root.as_fd(), self.facts.path(directory), PLACE)?;
        let stat = rustix::fs::fstat(&fd)?;
        let stamp = self.facts.stamp(directory);
        let same = stamp.is_known() && stamp == Stamp::of(&stat);
        if !same {
            // What is in it may have another name now; the time of the root is nobody's.
            let readable = rustix::fs::openat(&fd, c".", READ | OFlags::DIRECTORY, Mode::empty())?;
            self.names(directory, readable.as_fd(), found)?;
            if self.look == Look::Closer {
                let xattrs = hash_xattrs(&xattrs_of(&readable)?).map(|hash| *hash);
                found.note_attributes(directory, &fact, &stat, xattrs);
            }
        }
        if self.look == Look::Report
            && let Some(problem) = changed(&fact, &stat, false)
        {
            found.report(directory, problem);
        }
        for child in self.facts.children(directory) {
            let Some(fact) = self.facts.get(child).filter(|fact| !fact.is_directory()) else { continue };
            if let Err(errno) = self.child(fd.as_fd(), child, &fact, found) {
                found.deviations.push((child, failed(errno)));
            }
        }
        Ok(())
    }

    /// Finds names that the seal does not have.
    fn names(&self, directory: usize, fd: BorrowedFd<'_>, found: &mut Found) -> Result<(), Errno> {
        let known: Vec<&[u8]> = self.facts.children(directory).map(|child| self.facts.name(child)).collect();
        let mut buffer = Vec::with_capacity(LISTING);
        let mut entries = RawDir::new(fd, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            let ignored = matches!(name, b"." | b"..") || (directory == 0 && name == self.ignored);
            if !ignored && known.binary_search(&name).is_err() {
                found.extras.push((directory, name.into()));
            }
        }
        Ok(())
    }

    fn child(
        &self,
        parent: BorrowedFd<'_>,
        record: usize,
        fact: &Fact<'_>,
        found: &mut Found,
    ) -> Result<(), Errno> {
        let name = self.facts.name(record);
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let stamp = self.facts.stamp(record);
        if stamp.is_known() && stamp == Stamp::of(&stat) && is_whole(fact, &stat) {
            return Ok(());
        }
        if let Some(problem) = self.problem(parent, name, fact, &stat)? {
            found.deviations.push((record, Deviation { problem, state: State::Other }));
            return Ok(());
        }
        match (self.look, fact.kind) {
            (Look::Report, _) => {
                let problem = changed(fact, &stat, true);
                if stamp.is_known() || problem.is_some() {
                    found.report(record, problem.unwrap_or(Problem::Written));
                }
            }
            (Look::Closer, FactKind::File { group, .. }) => {
                self.file(parent, record, fact, &stat, group, found)?;
            }
            // Made anew rather than looked at: they have no contents, and their attributes can't all be read.
            (Look::Closer, _) if stamp.is_known() || changed(fact, &stat, true).is_some() => {
                let state = State::Other;
                found.deviations.push((record, Deviation { problem: Problem::Written, state }));
            }
            (Look::Closer, _) => found.same(record, &stat),
        }
        Ok(())
    }

    /// What can be seen from outside.
    fn problem(
        &self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        fact: &Fact<'_>,
        stat: &Stat,
    ) -> Result<Option<Problem>, Errno> {
        if !is_of_kind(fact.kind, stat) {
            return Ok(Some(Problem::Kind));
        }
        Ok(match fact.kind {
            FactKind::File { size, .. } if u64::try_from(stat.st_size) != Ok(size) => Some(Problem::Size),
            FactKind::Symlink { target } => {
                let found = rustix::fs::readlinkat(parent, name, Vec::new())?;
                (found.to_bytes() != target).then_some(Problem::Target)
            }
            _ => None,
        })
    }

    fn file(
        &self,
        parent: BorrowedFd<'_>,
        record: usize,
        fact: &Fact<'_>,
        stat: &Stat,
        group: u32,
        found: &mut Found,
    ) -> Result<(), Errno> {
        let FactKind::File { hash, .. } = fact.kind else { return Ok(()) };
        // Its type depends on the architecture.
        let names: u64 = stat.st_nlink as _;
        let fd = rustix::fs::openat(parent, self.facts.name(record), READ, Mode::empty())?;
        let problem = if names > self.facts.names(group) {
            Some(Problem::Links)
        } else if hash_file(fd.as_fd(), &mut found.buffer)? != hash {
            Some(Problem::Contents)
        } else {
            None
        };
        if let Some(problem) = problem {
            found.deviations.push((record, Deviation { problem, state: State::Other }));
            return Ok(());
        }
        if group != 0 {
            found.links.push((group, record, stat.st_ino, names));
        }
        let xattrs = hash_xattrs(&xattrs_of(&fd)?).map(|hash| *hash);
        found.note_attributes(record, fact, stat, xattrs);
        Ok(())
    }
}

/// Whether all that can be seen of an inode from outside is as it was. After a loss of power a file may have its times and not its
/// bytes: file systems write the inode first, and its size when they write the data (`ext4(5)`, "delalloc").
fn is_whole(fact: &Fact, stat: &Stat) -> bool {
    let same = match fact.kind {
        FactKind::File { size, .. } => {
            u64::try_from(stat.st_size) == Ok(size) && changed(fact, stat, true).is_none()
        }
        _ => true,
    };
    same && is_of_kind(fact.kind, stat)
}

/// Opens a path of the tree, following no link and leaving no mount.
pub(super) fn open_beneath(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b"." } else { path };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
        // An old kernel, or a filter of system calls that does not know it.
        Err(Errno::NOSYS | Errno::PERM) => {}
        other => return other,
    }
    let (parent, name) = super::path::split(path);
    let mut fd = rustix::fs::openat(root, c".", PLACE, Mode::empty())?;
    for name in super::path::components(parent) {
        fd = rustix::fs::openat(&fd, name, PLACE, Mode::empty())?;
    }
    rustix::fs::openat(&fd, name, flags | OFlags::NOFOLLOW, Mode::empty())
}

impl Survey {
    /// For each record whether there is something usable of it.
    pub(super) fn usable(&self, facts: &Facts) -> Vec<bool> {
        let mut usable = vec![true; facts.len()];
        for (&record, deviation) in &self.deviations {
            if matches!(deviation.state, State::Missing | State::Other) {
                let end = facts.end(record);
                usable.get_mut(record..end).unwrap_or_default().fill(false);
            }
        }
        usable
    }
}

impl Found {
    fn report(&mut self, record: usize, problem: Problem) {
        self.deviations.push((record, Deviation { problem, state: State::Same(Stamp::UNKNOWN) }));
    }

    fn same(&mut self, record: usize, stat: &Stat) {
        let state = State::Same(Stamp::of(stat));
        self.deviations.push((record, Deviation { problem: Problem::Written, state }));
    }

    fn note_attributes(&mut self, record: usize, fact: &Fact<'_>, stat: &Stat, xattrs: Option<[u8; 32]>) {
        let stamp = Stamp::of(stat);
        let problem = if xattrs == fact.xattrs { changed(fact, stat, true) } else { Some(Problem::Xattrs) };
        let Some(problem) = problem else { return self.same(record, stat) };
        let attributes = Attributes {
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: mtime_of(stat),
        };
        let state = State::Altered { attributes, xattrs, stamp };
        self.deviations.push((record, Deviation { problem, state }));
    }
}

fn xattrs_of(fd: &OwnedFd) -> Result<Vec<super::entry::OwnedXattr>, Errno> {
    match list_xattrs(fd.as_fd()) {
        Err(Errno::OPNOTSUPP) => Ok(Vec::new()),
        other => other,
    }
}

/// An attribute that is another; the time only if asked for.
fn changed(fact: &Fact<'_>, stat: &Stat, time: bool) -> Option<Problem> {
    let sealed = fact.attributes;
    if stat.st_mode & 0o7777 != sealed.mode {
        Some(Problem::Mode)
    } else if (stat.st_uid, stat.st_gid) != (sealed.uid, sealed.gid) {
        Some(Problem::Owner)
    } else if time && !is_same_time(mtime_of(stat), sealed.mtime) {
        Some(Problem::Time)
    } else {
        None
    }
}

/// File systems with whole seconds cut the rest off.
pub(super) fn is_same_time(found: Timestamp, sealed: Timestamp) -> bool {
    found.seconds == sealed.seconds && (found.nanoseconds == sealed.nanoseconds || found.nanoseconds == 0)
}

fn is_of_kind(kind: FactKind<'_>, stat: &Stat) -> bool {
    let found = FileType::from_raw_mode(stat.st_mode);
    let is_device = |major, minor| stat.st_rdev == rustix::fs::makedev(major, minor);
    match kind {
        FactKind::Directory => found == FileType::Directory,
        FactKind::File { .. } => found == FileType::RegularFile,
        FactKind::Symlink { .. } => found == FileType::Symlink,
        FactKind::Fifo => found == FileType::Fifo,
        FactKind::CharDevice { major, minor } => {
            found == FileType::CharacterDevice && is_device(major, minor)
        }
        FactKind::BlockDevice { major, minor } => found == FileType::BlockDevice && is_device(major, minor),
    }
}
