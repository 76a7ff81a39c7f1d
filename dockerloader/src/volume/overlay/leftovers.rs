//! Taking away: mounts before directories, so that nothing is ever removed through a mount.

use std::io;
use std::path::{Path, PathBuf};

use super::{Error, mount};
use crate::digest::Digest;
use crate::disk::{self, Disk as _, Kind, RealDisk};
use crate::layout::Layout;

/// Before the name of something that is being written, or removed.
const LEFTOVER: [&[u8]; 2] = [b"tmp-", b"removing-"];

/// Takes away what earlier pulls left: mounts where trees are made, directories that were not frozen yet, and attempts at what the
/// volume can do.
///
/// The caller holds the store's lock.
///
/// # Errors
/// Of the first operation that failed.
pub fn remove_leftovers(layout: &Layout) -> Result<(), Error> {
    // In an attempt it is a directory deeper that is mounted.
    mount::detach(&layout.storage().join(super::attempt::NAME).join(super::attempt::MERGED))
        .map_err(|source| Error::Unmount { path: layout.storage(), source })?;
    for folder in [layout.storage(), layout.extracted(), layout.frozen(), layout.all_writes()] {
        let names = match RealDisk.list(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            names => names.map_err(Error::io("list", &folder))?,
        };
        for name in names {
            let bytes = name.as_encoded_bytes();
            if LEFTOVER.iter().any(|prefix| bytes.starts_with(prefix)) {
                remove(&folder.join(name))?;
            }
        }
    }
    Ok(())
}

/// Unmounts the tree of a version from its name; says whether it was mounted. Processes that run in it keep what they see.
///
/// # Errors
/// Of `umount2(2)`.
pub fn unmount(layout: &Layout, version: &Digest) -> Result<bool, Error> {
    let path = layout.tree(version);
    mount::detach(&path).map_err(|source| Error::Unmount { path, source })
}

/// The version has a plain tree now: its stack goes, and what was written over it. The frozen directories are left to the clean-up,
/// since other versions may stand on them.
///
/// The caller holds the store's lock.
///
/// # Errors
/// Of the file system.
pub fn forget(layout: &Layout, version: &Digest) -> Result<(), Error> {
    let stack = layout.stack(version);
    if RealDisk.kind(&stack).map_err(Error::io("look at", &stack))?.is_some() {
        disk::remove_file_synced(&RealDisk, &stack).map_err(Error::io("remove", &stack))?;
    }
    remove_aside(&layout.writes(version))
}

/// Removes a directory with all in it. What is mounted there is unmounted first: its layers stay as they are.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    mount::detach(path).map_err(|source| Error::Unmount { path: path.to_owned(), source })?;
    let removed = match RealDisk.kind(path) {
        Ok(None) => Ok(()),
        Ok(Some(Kind::Directory)) => RealDisk.remove_tree(path),
        Ok(Some(_)) => RealDisk.remove_file(path),
        Err(error) => Err(error),
    };
    removed.map_err(Error::io("remove", path))
}

/// Removes a directory that has a name of its own, which it loses first: half of it never looks like all of it.
pub(super) fn remove_aside(path: &Path) -> Result<(), Error> {
    if RealDisk.kind(path).map_err(Error::io("look at", path))?.is_none() {
        return Ok(());
    }
    let aside = aside(path);
    remove(&aside)?;
    // I2, by the sync: were the name to come back, half of it would look like all of it.
    disk::rename_synced(&RealDisk, path, &aside).map_err(Error::io("rename", path))?;
    remove(&aside)
}

fn aside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from("removing-");
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

/// Whether a directory is empty or not there: that of a version whose tree is a mount point.
pub(super) fn is_empty(path: &Path) -> io::Result<bool> {
    match std::fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}
