//! Performs steps: the only place that moves slots.

use std::io;
use std::path::Path;

use super::check::{Objection, check};
use super::decide::{Event, Policy, decide};
use super::listing::read;
use super::state::Slots;
use super::step::Step;
use crate::disk::{self, Disk, Kind};
use crate::layout::Layout;
use crate::reserve;

/// Why a decision was not carried out whole.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The directory can't be read.
    #[error("can't read {path}: {source}")]
    Read {
        /// The directory.
        path: std::path::PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A step failed; the steps before it are done, and the next start goes on from there.
    #[error("can't {step}: {source}")]
    Step {
        /// The step, as it stands in the log.
        step: String,
        /// What the system said.
        source: io::Error,
    },
    /// The second opinion refused the decision; nothing was done.
    #[error(transparent)]
    Objection(#[from] Objection),
}

/// Reads the slots, decides on the event, has the decision checked, and performs it. Returns the slots as they are then.
///
/// # Errors
/// [`ApplyError`]; whatever it is, the directory is in a state from which [`Event::Start`] goes on.
pub fn act(
    disk: &(impl Disk + ?Sized),
    layout: &Layout,
    event: &Event,
    policy: &Policy,
) -> Result<Slots, ApplyError> {
    let unreadable = |source| ApplyError::Read { path: layout.root().to_owned(), source };
    let before = read(disk, layout).map_err(unreadable)?;
    let steps = decide(&before, event, policy);
    check(&before, &steps)?;
    if steps.is_empty() {
        return Ok(before);
    }
    for step in &steps {
        tracing::debug!(event = "step", "{step}");
        // Each step may be done again, also when it was done in part.
        reserve::with_room(disk, layout, || apply(disk, layout, step))
            .map_err(|source| ApplyError::Step { step: step.to_string(), source })?;
    }
    read(disk, layout).map_err(unreadable)
}

/// Performs one step durably: when it returns, a crash can't undo it. So the steps stay in their order: an attempt is counted before it
/// is made (I5), a verdict stands before the trial's link goes (I4), the way back is laid before it is forgotten (I3).
fn apply(disk: &(impl Disk + ?Sized), layout: &Layout, step: &Step) -> io::Result<()> {
    match step {
        Step::Remember(memory) => write(disk, layout, &layout.state(), &memory.to_bytes()),
        Step::MarkAttempt(digest) => {
            write(disk, layout, &layout.update_attempt(), digest.to_string().as_bytes())
        }
        Step::UnmarkAttempt => {
            clear_directory(disk, layout, &layout.update_attempt())?;
            disk::remove_file_synced(disk, &layout.update_attempt())
        }
        Step::Move { from, to } => disk::rename_synced(disk, &layout.slot(*from), &layout.slot(*to)),
        Step::Point { slot, version } => {
            let target = layout.tree(&version.digest).join(&version.program);
            disk::replace_symlink(disk, &target, &layout.slot(*slot))
        }
        Step::Clear(slot) => disk::remove_file_synced(disk, &layout.slot(*slot)),
        Step::SetAside(slot) => set_aside(disk, layout, &layout.slot(*slot)),
    }
}

fn write(disk: &(impl Disk + ?Sized), layout: &Layout, path: &Path, bytes: &[u8]) -> io::Result<()> {
    clear_directory(disk, layout, path)?;
    disk::replace_file(disk, path, bytes)
}

/// A rename replaces any file or link, but not a directory.
fn clear_directory(disk: &(impl Disk + ?Sized), layout: &Layout, path: &Path) -> io::Result<()> {
    if disk.kind(path)? == Some(Kind::Directory) { set_aside(disk, layout, path) } else { Ok(()) }
}

/// Foreign things are kept for a person to look at, under the first free of a few names.
fn set_aside(disk: &(impl Disk + ?Sized), layout: &Layout, path: &Path) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    for number in 0..100u32 {
        let suffix = if number == 0 { String::new() } else { format!("-{number}") };
        let to = layout.root().join(format!("foreign-{name}{suffix}"));
        if disk.kind(&to)?.is_none() {
            return disk::rename_synced(disk, path, &to);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        "a hundred foreign things were set aside before; remove them",
    ))
}
