//! A version that is being made: a directory to be frozen, whole or over the stack of the version before.

use std::collections::HashSet;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::mount::{self, Upper};
use super::stack::{Frozen, Growth, Stack};
use super::{Error, leftovers, prepare, stack};
use crate::digest::Digest;
use crate::disk::{self, Disk as _, RealDisk};
use crate::layout::Layout;
use crate::tree::{RecordKind, Seal};

/// A tree under construction. What is written to [`path`](Self::path) becomes the version's top frozen directory. Dropped before
/// that, it leaves nothing behind.
#[derive(Debug)]
pub struct Draft {
    layout: Layout,
    version: Digest,
    /// Of the frozen directory to be.
    name: String,
    /// The stack below, and where it is mounted.
    over: Option<(Stack, PathBuf)>,
    done: bool,
}

/// An empty directory that becomes the only one of the version's stack.
///
/// The caller holds the store's lock.
///
/// # Errors
/// Of the file system.
pub fn whole(layout: &Layout, version: &Digest) -> Result<Draft, Error> {
    for folder in [layout.frozen(), layout.extracted()] {
        RealDisk.create_directories(&folder).map_err(Error::io("make", &folder))?;
    }
    let name = free_name(layout, version)?;
    let draft = Draft { layout: layout.clone(), version: *version, name, over: None, done: false };
    make(&draft.growing())?;
    Ok(draft)
}

/// An overlay over the stack of `current`, mounted where trees are made: it looks like the tree of `current` when that was
/// made, and can be changed at the cost of what is changed. `None` when `current` has no stack, or one that should grow no more:
/// then [`whole`] is the way.
///
/// The caller holds the store's lock.
///
/// # Errors
/// The stack of `current` is damaged, or the kernel or the file system refuses.
pub fn clone(layout: &Layout, current: &Digest, version: &Digest) -> Result<Option<Draft>, Error> {
    let below = stack(&RealDisk, layout, current)?;
    let Some(below) = below.filter(|below| below.growth() == Growth::OnTop) else { return Ok(None) };
    let mut draft = whole(layout, version)?;
    draft.mount(below)?;
    Ok(Some(draft))
}

impl Draft {
    fn mount(&mut self, below: Stack) -> Result<(), Error> {
        let lower = below.paths(&self.layout);
        let (upper, work) = (self.growing(), self.work());
        if let Some(top) = lower.last() {
            mount::copy_root(top, &upper).map_err(Error::mount(top))?;
        }
        make(&work)?;
        let at = self.layout.extracted().join(format!("tmp-{}", self.version));
        leftovers::remove(&at)?;
        make(&at)?;
        // From here on dropping it takes the mount away.
        self.over = Some((below, at.clone()));
        mount::overlay(&at, &lower, Some(Upper { upper: &upper, work: &work })).map_err(Error::mount(&at))
    }

    /// Where the tree is to be written.
    pub fn path(&self) -> PathBuf {
        self.over.as_ref().map_or_else(|| self.growing(), |(_, at)| at.clone())
    }

    /// Whether the tree of the version before is there to be changed; else the directory was empty.
    pub const fn is_clone(&self) -> bool {
        self.over.is_some()
    }

    /// Freezes what was written, and makes it the tree of the version: a stack and a mount point, not mounted yet. A version
    /// of the same digest that was there before, and what its workload wrote, is removed.
    ///
    /// What was written has to be durable. After a crash the version is as it was before, or not there, or complete.
    ///
    /// # Errors
    /// Of the file system, or when somebody uses the mount.
    pub fn freeze(mut self, seal: &Seal) -> Result<(), Error> {
        let below = match &self.over {
            Some((below, at)) => {
                mount::release(at).map_err(|source| Error::Unmount { path: at.clone(), source })?;
                leftovers::remove(at)?;
                leftovers::remove(&self.work())?;
                Some(below.clone())
            }
            None => None,
        };
        self.over = None;
        let tree_bytes = bytes_of_seal(seal);
        let growing = self.growing();
        let bytes = match &below {
            Some(_) => bytes_of_directory(&growing).map_err(Error::io("look at", &growing))?,
            None => tree_bytes,
        };
        let frozen = self.layout.frozen().join(&self.name);
        // I3: the stack that names it comes after it.
        disk::rename_synced(&RealDisk, &growing, &frozen)
            .inspect_err(|_| self.give_up(&frozen))
            .map_err(Error::io("rename", &frozen))?;
        self.done = true;
        let top = Frozen { name: self.name.clone(), bytes };
        let stack = match below {
            Some(below) => below.with(top, tree_bytes),
            None => Stack::new(tree_bytes, vec![top]),
        };
        adopt(&self.layout, &self.version, &stack).inspect_err(|_| self.give_up(&frozen))
    }

    /// Gives back the room of a frozen directory that no stack names: a disk on which that failed may fail it again and again. The
    /// error that led here is the one to report; a stack that can't be read may name it.
    fn give_up(&self, frozen: &Path) {
        let is_named = match stack(&RealDisk, &self.layout, &self.version) {
            Ok(None) => false,
            Ok(Some(found)) => found.frozen().iter().any(|directory| directory.name == self.name),
            Err(_) => true,
        };
        if !is_named {
            let _ = leftovers::remove(frozen);
        }
    }

    fn growing(&self) -> PathBuf {
        self.layout.frozen().join(format!("tmp-{}", self.name))
    }

    fn work(&self) -> PathBuf {
        self.layout.frozen().join(format!("tmp-{}-work", self.name))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // The error that led here is the one to report; the next pull removes what is left.
        if let Some((_, at)) = &self.over {
            let _ = leftovers::remove(at);
            let _ = leftovers::remove(&self.work());
        }
        if !self.done {
            let _ = leftovers::remove(&self.growing());
        }
    }
}

/// Gives the version this stack, in an order that a crash can't hurt: what its workload wrote over another stack goes first, since
/// it means nothing over this one; the stack comes before a plain tree goes, since that counts as long as it is there.
fn adopt(layout: &Layout, version: &Digest, stack: &Stack) -> Result<(), Error> {
    let at = layout.tree(version);
    leftovers::unmount(layout, version)?;
    leftovers::remove_aside(&layout.writes(version))?;
    // Now, so that it costs the supervisor no more than a mount when the version is about to start.
    prepare::writes(layout, version, &stack.paths(layout))?;
    stack.write(layout, version)?;
    if !leftovers::is_empty(&at).map_err(Error::io("look at", &at))? {
        leftovers::remove_aside(&at)?;
    }
    RealDisk.create_directories(&at).map_err(Error::io("make", &at))
}

/// `<first digits of the version>-<number>`: short, since `mount(2)` has one page for all paths, and never one that is there.
fn free_name(layout: &Layout, version: &Digest) -> Result<String, Error> {
    for number in 1_u32.. {
        let name = format!("{}-{number}", version.short());
        let path = layout.frozen().join(&name);
        if RealDisk.kind(&path).map_err(Error::io("look at", &path))?.is_none() {
            return Ok(name);
        }
    }
    Err(Error::io("name", &layout.frozen())(io::ErrorKind::AlreadyExists.into()))
}

/// An empty directory, in place of whatever an earlier process left there.
fn make(path: &Path) -> Result<(), Error> {
    leftovers::remove(path)?;
    std::fs::DirBuilder::new().mode(0o755).create(path).map_err(Error::io("make", path))
}

/// Bytes of all files of a tree, each counted once.
fn bytes_of_seal(seal: &Seal) -> u64 {
    let (mut sum, mut seen) = (0_u64, HashSet::new());
    let mut records = seal.records();
    while let Some(record) = records.next() {
        if let RecordKind::File { size, group, .. } = record.kind
            && (group == 0 || seen.insert(group))
        {
            sum = sum.saturating_add(size);
        }
    }
    sum
}

/// Bytes of all files in a directory, each counted once: those of one update, so that this costs what changed.
fn bytes_of_directory(directory: &Path) -> io::Result<u64> {
    let (mut sum, mut seen) = (0_u64, HashSet::new());
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let found = entry.metadata()?;
            if found.is_dir() {
                open.push(entry.path());
            } else if found.is_file() && (found.nlink() == 1 || seen.insert(found.ino())) {
                sum = sum.saturating_add(found.len());
            }
        }
    }
    Ok(sum)
}
