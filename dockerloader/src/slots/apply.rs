//! Performs steps: the only place that moves slots.

use std::io;
use std::path::Path;

use super::check::{Objection, check};
use super::decide::{Event, Policy, decide, is_uncounted, unfinished};
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

/// Where decisions are carried out: a disk, or the model of one.
pub(crate) trait Place {
    /// The slots as they are.
    ///
    /// # Errors
    /// [`ApplyError::Read`].
    fn read(&mut self) -> Result<Slots, ApplyError>;
    /// Performs one step durably: when it returns, a crash can't undo it.
    ///
    /// # Errors
    /// [`ApplyError::Step`].
    fn perform(&mut self, step: &Step) -> Result<(), ApplyError>;
}

/// `decide`, or a wrong one in a test.
pub(crate) type Decide = fn(&Slots, &Event, &Policy) -> Vec<Step>;

/// Times that a start is decided on anew because somebody staged another version meanwhile.
const STARTS: usize = 3;

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
    carry_out(&mut OnDisk { disk, layout }, event, policy, decide)
}

/// Likewise, wherever and by whatever rules.
///
/// # Errors
/// Of the place, or [`ApplyError::Objection`].
pub(crate) fn carry_out(
    place: &mut impl Place,
    event: &Event,
    policy: &Policy,
    decide: Decide,
) -> Result<Slots, ApplyError> {
    let mut slots = place.read()?;
    let unfinished = unfinished(&slots, policy);
    slots = take(place, slots, &unfinished)?;
    let steps = decide(&slots, event, policy);
    slots = take(place, slots, &steps)?;
    for _ in 1..STARTS {
        if *event != Event::Start || !is_uncounted(&slots) {
            break;
        }
        let steps = decide(&slots, event, policy);
        slots = take(place, slots, &steps)?;
    }
    Ok(slots)
}

/// Checks and performs steps.
fn take(place: &mut impl Place, before: Slots, steps: &[Step]) -> Result<Slots, ApplyError> {
    check(&before, steps)?;
    if steps.is_empty() {
        return Ok(before);
    }
    for step in steps {
        place.perform(step)?;
    }
    place.read()
}

/// A data directory.
struct OnDisk<'a, D: ?Sized> {
    disk: &'a D,
    layout: &'a Layout,
}

impl<D: Disk + ?Sized> Place for OnDisk<'_, D> {
    fn read(&mut self) -> Result<Slots, ApplyError> {
        read(self.disk, self.layout)
            .map_err(|source| ApplyError::Read { path: self.layout.root().to_owned(), source })
    }

    fn perform(&mut self, step: &Step) -> Result<(), ApplyError> {
        tracing::debug!(event = "step", "{step}");
        // Each step may be done again, also when it was done in part.
        reserve::with_room(self.disk, self.layout, || apply(self.disk, self.layout, step))
            .map_err(|source| ApplyError::Step { step: step.to_string(), source })
    }
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
