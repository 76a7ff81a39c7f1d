//! What the data volume can do to make a new version's tree out of one that is there, and which of it is used.
//!
//! ```text
//! attempts on the volume -> Probe (what can't be done, and why) + setting -> Method       remembered in volume.json
//! ```
//!
//! The puller probes, since it is the one that makes trees; every process may read what it remembered.

mod method;

mod probe;

mod memory;

mod made;

#[cfg(feature = "loader")]
mod attempt;

#[cfg(feature = "loader")]
pub mod subvolume;

#[cfg(feature = "loader")]
pub mod overlay;

#[cfg(feature = "loader")]
pub mod spare;

pub use made::{Made, Origin};
pub use method::{Method, Wanted};
pub use probe::{Probe, Unsupported};

#[cfg(feature = "loader")]
pub use attempt::{Error, probe};
pub use memory::{Circumstances, Memory, recall};
