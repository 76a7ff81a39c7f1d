//! What is wrong with a tree, and whose doing it is: for a repair that leaves to the workload what is the workload's.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use rustix::fs::{AtFlags, Mode, OFlags, Stat};

use super::attributes::mtime_of;
use super::cause::{Cause, Seen};
use super::facts::{Fact, FactKind, Facts};
use super::seal::Seal;
use super::stamps::{Stamp, Stamps};
use super::survey::{Deviation, Look, READ, State, is_same_time, open_beneath, survey};
use super::verify::{Depth, Finding, Problem, hash_file, verify};

/// Bytes that are looked at a time to see whether there is anything but zeros.
const BUFFER: usize = 64 << 10;

/// A path that is not what the seal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Relative to the tree; empty for its root.
    pub path: Vec<u8>,
    /// How it differs.
    pub problem: Problem,
    /// Whose doing it is.
    pub cause: Cause,
    /// Whether something that is executed is concerned, as far as that can be seen: not for data of the workload.
    pub executable: bool,
}

/// Compares a tree with its seal. With [`Depth::Quick`], contents are read of the files alone that no longer have their stamp, or whose
/// stamps are lost; with [`Depth::Full`] of all.
///
/// Nothing is changed, nothing followed, no FIFO or device opened.
pub fn examine(tree: &Path, seal: &Seal, stamps: Option<&Stamps>, depth: Depth) -> Vec<Difference> {
    let trusted = stamps.filter(|_| depth == Depth::Quick).cloned();
    let Some(facts) = Facts::new(seal, trusted) else {
        // A tree with more paths than can be counted has no seal of ours.
        return vec![Difference {
            path: Vec::new(),
            problem: Problem::Missing,
            cause: Cause::Damage,
            executable: true,
        }];
    };
    let survey = survey(tree, &facts, Look::Closer, b"", &AtomicBool::new(false));
    let root = rustix::fs::open(tree, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok();
    let judge = Judge { root, facts: &facts, stamps };
    let mut found: Vec<Difference> = survey
        .deviations
        .iter()
        .filter_map(|(&record, deviation)| judge.difference(record, *deviation))
        .collect();
    found.extend(survey.extras.iter().map(|(directory, name)| Difference {
        path: super::path::join(facts.path(*directory), name),
        problem: Problem::Extra,
        cause: Cause::Added,
        executable: false,
    }));
    found
}

/// The same for a tree that is an overlay, whose inodes are not those that were sealed: a file with the size and the time that it was
/// sealed with is believed, since nobody can have written to the frozen directory that it is in.
pub fn examine_stacked(tree: &Path, seal: &Seal) -> Vec<Difference> {
    let Some(facts) = Facts::new(seal, None) else { return Vec::new() };
    let root = rustix::fs::open(tree, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok();
    let judge = Judge { root, facts: &facts, stamps: None };
    let differences = verify(tree, seal, Depth::Quick).into_iter().filter_map(|finding| {
        let Finding { path, problem } = finding;
        if problem == Problem::Extra {
            return Some(Difference { path, problem, cause: Cause::Added, executable: false });
        }
        let record = facts.find(&path, 0)?;
        let problem = match problem {
            // Written to, or only touched.
            Problem::Time if judge.has_contents(record) => return None,
            Problem::Time => Problem::Contents,
            other => other,
        };
        judge.difference(record, Deviation { problem, state: State::Other })
    });
    differences.collect()
}

struct Judge<'j> {
    root: Option<OwnedFd>,
    facts: &'j Facts,
    stamps: Option<&'j Stamps>,
}

impl Judge<'_> {
    fn difference(&self, record: usize, deviation: Deviation) -> Option<Difference> {
        let fact = self.facts.get(record)?;
        let problem = match deviation.state {
            // Only its stamp is another.
            State::Same(_) => return None,
            // A link or a device whose stamp is another was not looked at any closer: what it is, it is still.
            State::Other if deviation.problem == Problem::Written => return None,
            _ => deviation.problem,
        };
        let seen = self.seen(record, &fact, problem);
        let path = self.facts.path(record).to_vec();
        let executable = seen.executable || !matches!(fact.kind, FactKind::File { .. });
        Some(Difference { path, problem, cause: seen.cause(), executable })
    }

    fn seen(&self, record: usize, fact: &Fact, problem: Problem) -> Seen {
        let stat = self.stat(record);
        let stamp = self.stamps.map_or(Stamp::UNKNOWN, |stamps| stamps.get(record));
        let is_file = matches!(fact.kind, FactKind::File { .. });
        let mut seen = Seen {
            problem,
            stamped: stat.is_some_and(|stat| stamp.is_known() && stamp == Stamp::of(&stat)),
            same_time: stat.is_some_and(|stat| is_same_time(mtime_of(&stat), fact.attributes.mtime)),
            executable: is_file && fact.attributes.mode & 0o111 != 0,
            emptied: false,
            half_mended: fact.kind == FactKind::Directory
                && stat.is_some_and(|stat| stat.st_mode & 0o7777 == 0o700),
        };
        let looks_inside = matches!(problem, Problem::Size | Problem::Contents | Problem::Links);
        if let (FactKind::File { size, .. }, true) = (fact.kind, looks_inside) {
            let (head, emptied) = self.contents(record);
            seen.executable |= head.starts_with(b"\x7fELF") || head.starts_with(b"#!");
            seen.emptied = emptied && size > 0;
        }
        seen
    }

    /// Whether a file has the contents that were sealed.
    fn has_contents(&self, record: usize) -> bool {
        let sealed = match self.facts.get(record).map(|fact| fact.kind) {
            Some(FactKind::File { hash, .. }) => hash,
            _ => return false,
        };
        let open = |root: &OwnedFd| open_beneath(root.as_fd(), self.facts.path(record), READ).ok();
        let file = self.root.as_ref().and_then(open);
        file.is_some_and(|file| hash_file(file.as_fd(), &mut Vec::new()) == Ok(sealed))
    }

    fn stat(&self, record: usize) -> Option<Stat> {
        // What is on the way was found to be directories; where it isn't any more, the path can't be reached.
        let path = self.facts.path(record);
        let (parent, name) = super::path::split(path);
        let root = self.root.as_ref()?.as_fd();
        if path.is_empty() {
            return rustix::fs::fstat(root).ok();
        }
        let parent = open_beneath(root, parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC).ok()?;
        rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).ok()
    }

    /// The first bytes of a file, and whether there is nothing but zeros in it.
    fn contents(&self, record: usize) -> (Vec<u8>, bool) {
        let open = |root: &OwnedFd| open_beneath(root.as_fd(), self.facts.path(record), READ).ok();
        let Some(file) = self.root.as_ref().and_then(open) else { return (Vec::new(), false) };
        let (mut head, mut buffer) = (None, vec![0; BUFFER]);
        loop {
            match rustix::io::read(&file, &mut buffer[..]) {
                Ok(0) => return (head.unwrap_or_default(), true),
                Ok(count) => {
                    let read = buffer.get(..count).unwrap_or_default();
                    head.get_or_insert_with(|| read.get(..4).unwrap_or(read).to_vec());
                    if read.iter().any(|&byte| byte != 0) {
                        return (head.unwrap_or_default(), false);
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return (head.unwrap_or_default(), false),
            }
        }
    }
}
