//! The slots: which version is current, staged, on trial and the way back; what to do when something happens; doing it.
//!
//! `listing` reads the directory, `state` parses it, `decide` (pure) turns it and an event into steps, `check` (pure) is a
//! second opinion on them, `apply` performs them one by one. Every prefix of a decision's steps is a state from which
//! [`Event::Start`] goes on, so the directory itself is the journal.

mod apply;
mod check;
mod decide;
mod listing;
mod memory;
mod state;
mod step;
mod verdict;

pub use apply::{ApplyError, act};
#[cfg(test)]
pub(crate) use apply::{Decide, Place, carry_out};
pub use check::Objection;
#[cfg(test)]
pub(crate) use decide::perform;
pub use decide::{Event, NextRun, Policy, decide, next_run};
pub use listing::read;
pub use memory::{Crashes, Memory, Trial};
pub use state::{Link, Listing, Named, RawLink, Slots};
pub use step::Step;
pub use verdict::{Verdict, VerdictKind};

#[cfg(test)]
mod tests;
