//! A version as a stack of frozen directories: an update costs what changed, and nothing is walked or copied.
//!
//! ```text
//! storage/v1/frozen/<name>                 never written to again once it has its name; what one pull brought
//! storage/v1/stacks/sha256:<version>       the frozen directories of the version, lowest first
//! storage/v1/writes/sha256:<version>/      upper: what the workload wrote, work: the kernel's
//! storage/v1/extracted/sha256:<version>    the mount point: upper over the stack
//! ```
//!
//! A pull makes a [`Draft`]: the first version is extracted into a frozen directory; a later one is written into an overlay over the
//! stack of the version before ([`clone`]), and what that leaves in its upper directory becomes the next frozen directory. No pull
//! mounts a version for running: that is for the supervisor ([`ready`]), so that no upper directory is ever in use twice. Whoever
//! only wants to look takes a [`View`].
//!
//! Mounts are gone when a container or the machine starts again. A version that can't be mounted then is restored from its layers
//! as a plain tree, like a tree that is lost.

mod stack;

mod mount;

mod error;

mod draft;

mod prepare;

mod view;

mod attempt;

mod leftovers;

pub use attempt::{Unsupported, supported};
pub use draft::{Draft, clone, whole};
pub use error::Error;
pub use leftovers::{forget, remove_leftovers, unmount};
pub use mount::{detach, is_mounted};
pub use prepare::{Found, Move, Ready, decide, ready};
pub use stack::{Frozen, Growth, Stack, StackError, stack};
pub use view::{View, view_in_place};
