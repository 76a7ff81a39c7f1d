//! Before a version is executed: what has to be done so that its tree is there. Decided purely, done in one function.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::mount::{self, Upper};
use super::{Error, Stack, leftovers, stack, view};
use crate::digest::Digest;
use crate::disk::{self, Disk as _, Kind, RealDisk};
use crate::layout::Layout;

/// What is at a version's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Something is mounted.
    Mounted,
    /// A directory with something in it.
    Plain,
    /// An empty directory, or nothing.
    Empty,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// It is there, or lost for another reason than a mount.
    Nothing,
    /// The stack is to be mounted.
    Mount,
    /// The tree has to be made anew from its layers.
    Restore,
}

/// How a version's tree came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// There was nothing to do.
    Already,
    /// It was mounted.
    Mounted,
}

/// Decides. `stack` is whether there is a stack file, and whether it can be used. A plain tree counts although there is a stack:
/// it was restored because that could not be mounted, and the stack's file just did not go in time.
pub const fn decide(found: Found, stack: Option<bool>) -> Move {
    match (found, stack) {
        (Found::Mounted | Found::Plain, _) | (Found::Empty, None) => Move::Nothing,
        (Found::Empty, Some(true)) => Move::Mount,
        (Found::Empty, Some(false)) => Move::Restore,
    }
}

/// Sees to it that the tree of a version is there: mounts its stack if it has one that is not mounted. A plain tree costs one look.
///
/// Only for who keeps the supervisor's place: an upper directory must not be in use twice.
///
/// # Errors
/// It can't be mounted, so that it has to be restored.
pub fn ready(layout: &Layout, version: &Digest) -> Result<Ready, Error> {
    let stack = match stack(&RealDisk, layout, version) {
        Ok(None) => return Ok(Ready::Already),
        stack => stack,
    };
    let found = look(layout, version)?;
    match (decide(found, Some(stack.is_ok())), stack) {
        (Move::Nothing, _) => Ok(Ready::Already),
        (_, Ok(Some(stack))) => mount_to_run(layout, version, &stack).map(|()| Ready::Mounted),
        (_, Ok(None)) => Ok(Ready::Already),
        (_, Err(error)) => Err(error),
    }
}

pub(super) fn look(layout: &Layout, version: &Digest) -> Result<Found, Error> {
    let at = layout.tree(version);
    if mount::is_mounted(&at) {
        return Ok(Found::Mounted);
    }
    let empty = leftovers::is_empty(&at).map_err(Error::io("look at", &at))?;
    Ok(if empty { Found::Empty } else { Found::Plain })
}

fn mount_to_run(layout: &Layout, version: &Digest, stack: &Stack) -> Result<(), Error> {
    let (lower, at) = (stack.paths(layout), layout.tree(version));
    if mount::is_read_only(&layout.storage()).map_err(Error::io("look at", &layout.storage()))? {
        // An upper directory there can't be written to: what is on such a volume is run as it is.
        return view::mount_to_read(layout, version, stack, &at);
    }
    let writes = writes(layout, version, &lower)?;
    RealDisk.create_directories(&at).map_err(Error::io("make", &at))?;
    let (upper, work) = (writes.join("upper"), writes.join("work"));
    mount::overlay(&at, &lower, Some(Upper { upper: &upper, work: &work })).map_err(Error::mount(&at))
}

/// The directory of what the workload writes, made when it isn't there. It has its name only when it is complete.
pub(super) fn writes(layout: &Layout, version: &Digest, lower: &[PathBuf]) -> Result<PathBuf, Error> {
    let writes = layout.writes(version);
    if RealDisk.kind(&writes).map_err(Error::io("look at", &writes))? == Some(Kind::Directory) {
        return Ok(writes);
    }
    let growing = layout.all_writes().join(format!("tmp-{version}"));
    leftovers::remove(&growing)?;
    let make = |path: &Path| std::fs::DirBuilder::new().mode(0o755).recursive(true).create(path);
    let upper = growing.join("upper");
    for path in [&upper, &growing.join("work")] {
        make(path).map_err(Error::io("make", path))?;
    }
    if let Some(top) = lower.last() {
        mount::copy_root(top, &upper).map_err(Error::mount(top))?;
    }
    // I2: what a workload writes is never written into half of what it stands on.
    for path in [&upper, &growing] {
        RealDisk.sync_directory(path).map_err(Error::io("sync", path))?;
    }
    disk::rename_synced(&RealDisk, &growing, &writes).map_err(Error::io("rename", &writes))?;
    Ok(writes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_mounted_once_and_never_over_a_tree() {
        for (found, stack, expected) in [
            (Found::Mounted, None, Move::Nothing),
            (Found::Mounted, Some(true), Move::Nothing),
            (Found::Mounted, Some(false), Move::Nothing),
            (Found::Plain, None, Move::Nothing),
            (Found::Plain, Some(true), Move::Nothing),
            (Found::Plain, Some(false), Move::Nothing),
            (Found::Empty, None, Move::Nothing),
            (Found::Empty, Some(true), Move::Mount),
            (Found::Empty, Some(false), Move::Restore),
        ] {
            assert_eq!(decide(found, stack), expected, "{found:?} {stack:?}");
        }
    }
}
