//! Self-healing: what is damaged of a version is found, put aside, made again from what is on disk or else from the registry, and told.
//!
//! ```text
//! how did the last supervisor end? (supervisor::session)  ->  inspect: manifest, blobs, seal, tree, launch file  ->  findings
//!                                                                  |
//!                      quarantine  <-  repair: blobs from the registry, paths of the tree from blobs  ->  record, for status
//! ```
//!
//! It is a child process of the supervisor that does this, never process 1 itself. After a loss of power the version that is to be started
//! is looked at before it is executed, quickly; all of all versions is read after that, in the background.

mod inspect;

mod quarantine;

mod repair;

pub use inspect::{Found, Inspection, Part, inspect, inspect_store};
pub use quarantine::{MAX_BYTES as QUARANTINE_BYTES, MAX_FILES as QUARANTINE_FILES};

pub use repair::{Options, Report, heal};

use crate::tree::Depth;

/// What is looked at of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// How closely its tree is looked at.
    pub tree: Depth,
    /// Whether its manifest, config and layers are hashed as well: they are needed for a repair, and not to run.
    pub store: bool,
}
