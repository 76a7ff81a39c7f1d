//! The vocabulary of change: each step is one durable operation, and its text is the dry run's line and the log's.

use std::fmt;

use super::memory::Memory;
use super::state::Named;
use crate::digest::Digest;
use crate::layout::Slot;

/// One durable change of the data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Replace `state.json`.
    Remember(Box<Memory>),
    /// Write a digest to `update-attempt`.
    MarkAttempt(Digest),
    /// Remove `update-attempt`.
    UnmarkAttempt,
    /// Rename one slot's link over another's.
    Move {
        /// The link that goes.
        from: Slot,
        /// The link that it replaces.
        to: Slot,
    },
    /// Point a slot's link to a version.
    Point {
        /// The slot.
        slot: Slot,
        /// The version.
        version: Named,
    },
    /// Remove a slot's link.
    Clear(Slot),
    /// Rename what is at a slot's path, and not ours, to `foreign-<name>`.
    SetAside(Slot),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remember(_) => write!(f, "write state.json"),
            Self::MarkAttempt(digest) => write!(f, "write {digest} to update-attempt"),
            Self::UnmarkAttempt => write!(f, "remove update-attempt"),
            Self::Move { from, to } => write!(f, "rename {} to {}", from.name(), to.name()),
            Self::Point { slot, version } => {
                write!(f, "point {} to {} of {}", slot.name(), version.program, version.digest)
            }
            Self::Clear(slot) => write!(f, "remove {}", slot.name()),
            Self::SetAside(slot) => write!(f, "rename {0} to foreign-{0}", slot.name()),
        }
    }
}
