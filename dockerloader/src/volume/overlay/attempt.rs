//! Whether the data volume can carry overlays: found out by making one and doing in it what an update does.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use super::error::in_words;
use super::leftovers;
use super::mount::{self, Upper};
use crate::disk::{self, Disk as _, RealDisk};
use crate::layout::Layout;
use crate::remedy::Remedy;

/// Where it is tried.
pub(super) const NAME: &str = "tmp-overlay";
/// The mount point in there.
pub(super) const MERGED: &str = "merged";

/// Why versions can't be overlays here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unsupported {
    /// In words.
    pub reason: String,
    /// The machine was in trouble, which says nothing about the volume: another attempt may come to something else.
    pub passing: bool,
}

impl Unsupported {
    /// What to do about it: another method, or other rights.
    pub const fn remedy(&self) -> Remedy {
        Remedy::Local
    }
}

/// Whether versions can be overlays on this data volume. Whatever was tried is gone afterwards.
///
/// # Errors
/// Why not.
pub fn supported(layout: &Layout) -> Result<(), Unsupported> {
    let directory = layout.storage().join(NAME);
    let tried = attempt(&directory);
    // What was found out counts for more than what is left, which the next attempt removes.
    let _ = clear(&directory);
    tried
}

/// An attempt that ended before anything was found out, or with what the kernel said.
fn failed(error: &io::Error, reason: String) -> Unsupported {
    Unsupported { reason, passing: disk::is_passing(error) }
}

/// The attempt came to an end, and to the wrong one.
fn wrong(reason: &str) -> Unsupported {
    Unsupported { reason: reason.to_owned(), passing: false }
}

fn clear(directory: &Path) -> Result<(), super::Error> {
    leftovers::remove(&directory.join(MERGED))?;
    leftovers::remove(directory)
}

fn attempt(directory: &Path) -> Result<(), Unsupported> {
    clear(directory)
        .map_err(|error| Unsupported { passing: error.is_passing(), reason: error.to_string() })?;
    let path = |name: &str| directory.join(name);
    let plain = |error: io::Error| failed(&error, error.to_string());
    let mounting = |error: io::Error| failed(&error, in_words(&error));
    let told = |what: &'static str| move |error: io::Error| failed(&error, format!("{what}: {error}"));
    for name in ["lower/directory", "other", "upper", "work", MERGED] {
        RealDisk.create_directories(&path(name)).map_err(plain)?;
    }
    for name in ["lower/file", "lower/kept", "lower/directory/inside"] {
        File::create_new(path(name)).map_err(plain)?;
    }
    let (merged, upper, work) = (path(MERGED), path("upper"), path("work"));
    let lower = [path("lower"), path("other")];
    mount::overlay(&merged, &lower, Some(Upper { upper: &upper, work: &work })).map_err(mounting)?;
    change(&merged).map_err(told("the overlay can't be changed"))?;
    mount::release(&merged).map_err(told("the overlay can't be unmounted"))?;
    look(&upper).map_err(told("the overlay does not keep what was changed"))?;
    // As a version that is looked at: two layers, one of them with what was changed.
    mount::overlay(&merged, &[path("lower"), upper], None).map_err(mounting)?;
    let seen = RealDisk.list(&merged.join("directory")).map_err(plain)?;
    if seen.is_empty() && !merged.join("file").exists() && merged.join("renamed").exists() {
        Ok(())
    } else {
        Err(wrong("a frozen overlay shows something else than what was written"))
    }
}

/// What an update does: removes, replaces a directory, renames into place.
fn change(merged: &Path) -> io::Result<()> {
    RealDisk.remove_file(&merged.join("file"))?;
    RealDisk.remove_tree(&merged.join("directory"))?;
    RealDisk.create_directories(&merged.join("directory"))?;
    File::create_new(merged.join("new"))?;
    RealDisk.rename(&merged.join("new"), &merged.join("renamed"))?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
    std::fs::set_permissions(merged.join("kept"), mode)
}

/// Whether whiteouts are there, and directories are marked as new.
fn look(upper: &Path) -> io::Result<()> {
    let file = std::fs::symlink_metadata(upper.join("file"))?;
    let mark = mount::xattr(&upper.join("directory"), OsStr::new("trusted.overlay.opaque"))?;
    if file.file_type().is_char_device() && file.rdev() == 0 && mark.as_deref() == Some(b"y") {
        Ok(())
    } else {
        Err(io::Error::other("no whiteout, or no mark on a directory that was made anew"))
    }
}
