//! Looking at a version's tree without using its upper directory: that belongs to whoever supervises.

use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;

use super::prepare::look;
use super::{Error, Found, Stack, leftovers, mount, stack};
use crate::digest::Digest;
use crate::disk::{Disk as _, Kind, RealDisk};
use crate::layout::Layout;

/// A version's tree, to be read: the tree itself, or an overlay that is mounted beside it and taken away when this is dropped.
#[derive(Debug)]
pub struct View {
    path: PathBuf,
    mounted: bool,
}

impl View {
    /// The tree of a version, whether it is mounted or not.
    ///
    /// # Errors
    /// It has a stack, and that is damaged or can't be mounted here.
    pub fn of(layout: &Layout, version: &Digest) -> Result<Self, Error> {
        let there = Self { path: layout.tree(version), mounted: false };
        if look(layout, version)? != Found::Empty {
            return Ok(there);
        }
        let Some(stack) = stack(&RealDisk, layout, version)? else { return Ok(there) };
        let at = layout.extracted().join(format!("tmp-view-{}-{}", std::process::id(), version.short()));
        leftovers::remove(&at)?;
        RealDisk.create_directories(&at).map_err(Error::io("make", &at))?;
        let view = Self { path: at, mounted: true };
        mount_to_read(layout, version, &stack, &view.path)?;
        Ok(view)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if self.mounted {
            // The next pull removes what is left.
            let _ = leftovers::remove(&self.path);
        }
    }
}

/// Makes a version's tree readable at its own place, for this process and its children alone, and until they end: for a program
/// that is executed in place of this one. Nothing is done when the tree is there.
///
/// # Errors
/// It has a stack, and that is damaged or can't be mounted here.
pub fn view_in_place(layout: &Layout, version: &Digest) -> Result<(), Error> {
    let Some(stack) = stack(&RealDisk, layout, version)? else { return Ok(()) };
    if look(layout, version)? != Found::Empty {
        return Ok(());
    }
    let at = layout.tree(version);
    let private = || {
        use nix::mount::MsFlags;
        nix::sched::unshare(CloneFlags::CLONE_NEWNS)?;
        nix::mount::mount(
            None::<&str>,
            "/",
            None::<&str>,
            MsFlags::MS_REC | MsFlags::MS_PRIVATE,
            None::<&str>,
        )
    };
    private().map_err(|errno| Error::mount(&at)(errno.into()))?;
    RealDisk.create_directories(&at).map_err(Error::io("make", &at))?;
    mount_to_read(layout, version, &stack, &at)
}

/// What the workload wrote is the topmost of the layers that are read. Without it, the empty mount point takes its place: an
/// overlay that can only be read needs two layers.
pub(super) fn mount_to_read(
    layout: &Layout,
    version: &Digest,
    stack: &Stack,
    at: &Path,
) -> Result<(), Error> {
    let mut lower = stack.paths(layout);
    let upper = layout.writes(version).join("upper");
    let written = RealDisk.kind(&upper).map_err(Error::io("look at", &upper))? == Some(Kind::Directory);
    if !written && let Some(top) = lower.last() {
        mount::copy_root(top, at).map_err(Error::mount(top))?;
    }
    lower.push(if written { upper } else { at.to_owned() });
    mount::overlay(at, &lower, None).map_err(Error::mount(at))
}
