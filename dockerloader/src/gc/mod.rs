//! Clean-up of the store: what no slot names, no process runs and no target needs goes (I3).
//!
//! [`plan`] decides, purely; [`collect`] lists, plans and removes, with the store's lock held.

mod plan;

mod listing;

pub use listing::{Keep, Listing};
pub use plan::{Delete, Folder, Plan, Present, References, Stacks, choose_spare, plan, plan_frozen};

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::disk::{Disk, Kind};
use crate::layout::Layout;
use crate::limits::Limits;
use crate::lock::StoreLock;
use crate::remedy::Remedy;
use crate::volume::{overlay, spare};

/// Why a clean-up stopped. What was removed before stays removed, and everything that is needed is there.
#[derive(Debug, thiserror::Error)]
#[error("clean-up of the store: cannot {action} {path}: {source}")]
pub struct Error {
    /// What was tried.
    pub action: &'static str,
    /// On what.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl Error {
    /// What to do about it.
    pub fn remedy(&self) -> Remedy {
        Remedy::of_io(&self.source)
    }
}

/// What a clean-up did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What was removed, in this order.
    pub deleted: Vec<Delete>,
    /// The tree that is kept as the spare one.
    pub spare: Option<Digest>,
    /// What was left alone though nobody knows it, and why other things were kept.
    pub findings: Vec<String>,
}

/// Removes what is not needed: keeps every version that one of the four slots names, those in `keep` (what runs, what is
/// about to be staged), and the last resolved target unless it is in `rejected`. With `spare`, one tree that is not needed
/// stays as the spare one, if there is plenty of room.
///
/// # Errors
/// Of the first operation that failed.
pub fn collect(
    _lock: &StoreLock,
    disk: &(impl Disk + ?Sized),
    layout: &Layout,
    keep: &BTreeSet<Digest>,
    rejected: &BTreeSet<Digest>,
    spare: bool,
) -> Result<Report, Error> {
    spare::recover(disk, layout).map_err(failed("rename the spare tree in", &layout.extracted()))?;
    let listing = Listing::read(disk, layout, keep, rejected, &Limits::default())?;
    let plan = listing.plan(spare);
    // Not synced: a name that comes back after a crash is garbage again, and no slot named it.
    for delete in &plan.deletes {
        remove(disk, layout, delete)?;
    }
    let kept = plan.spare.map(|digest| keep_spare(disk, layout, &digest)).transpose()?.flatten();
    let mut findings = listing.findings;
    findings.extend(plan.findings);
    Ok(Report { deleted: plan.deletes, spare: kept, findings })
}

/// Makes a tree the spare one, or removes it where it would take room that is needed.
fn keep_spare(
    disk: &(impl Disk + ?Sized),
    layout: &Layout,
    digest: &Digest,
) -> Result<Option<Digest>, Error> {
    let path = layout.spare(digest);
    spare::keep(disk, layout, digest).map_err(failed("rename", &path))?;
    if spare::fits(layout, digest) {
        return Ok(Some(*digest));
    }
    spare::remove(disk, layout).map_err(failed("remove", &path))?;
    Ok(None)
}

/// Removes one thing. A tree loses its name first: a crash never leaves half a tree under a version's name.
fn remove(disk: &(impl Disk + ?Sized), layout: &Layout, delete: &Delete) -> Result<(), Error> {
    let folder = delete.folder.path(layout);
    let path = folder.join(&delete.name);
    unmount(&path)?;
    let doomed = match disk.kind(&path).map_err(failed("look at", &path))? {
        None => return Ok(()),
        Some(Kind::Directory) if !plan::is_leftover(&delete.name) => {
            let aside = folder.join(removing(&delete.name));
            remove_any(disk, &aside)?;
            disk.rename(&path, &aside).map_err(failed("rename", &path))?;
            // I2: were the name to come back, half a tree would stand under it.
            disk.sync_directory(&folder).map_err(failed("sync", &folder))?;
            aside
        }
        Some(_) => path,
    };
    remove_any(disk, &doomed)
}

/// Takes a mount away from a version that nothing needs: its directory can have no other name before, and nothing may be removed
/// through it.
fn unmount(path: &Path) -> Result<(), Error> {
    overlay::detach(path).map(drop).map_err(failed("unmount", path))
}

fn remove_any(disk: &(impl Disk + ?Sized), path: &Path) -> Result<(), Error> {
    unmount(path)?;
    match disk.kind(path).map_err(failed("look at", path))? {
        None => Ok(()),
        Some(Kind::Directory) => disk.remove_tree(path).map_err(failed("remove", path)),
        Some(_) => disk.remove_file(path).map_err(failed("remove", path)),
    }
}

fn removing(name: &OsStr) -> std::ffi::OsString {
    let mut aside = std::ffi::OsString::from(plan::REMOVING);
    aside.push(name);
    aside
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
