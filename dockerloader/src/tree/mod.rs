//! From layers to a file system, and from a file system to the certainty that it is still the same.
//!
//! ```text
//! blob -> decompress -> (pipeline: SHA-256) -> archive -> entry | refusal     pure from here down to the overlay
//!                                                  |
//!                     index (the tree in memory) + overlay (whiteouts)
//!                                                  |
//!                     write, attributes (the disk, by open directories)  ->  seal  ->  verify
//! ```
//!
//! Nothing is ever written outside the tree. Paths are resolved in memory, in the tree that was extracted so far; the
//! kernel only ever sees one name in one open directory, and is told to follow nothing.
//!
//! Why the archive is not read by a crate: `tar` does not know the sparse files of PAX, does not apply global headers, passes over
//! a `size` record that stands behind a malformed one, and has no limit on extension headers; `tar-core` has limits, but
//! refuses times before 1970, takes a record without a proper length for the end of the header, and lets numbers in base 256
//! wrap around. Both are fine for writing archives. The details are in `docs/dependencies.md`.

mod path;

mod refusal;

mod header;

mod pax;

mod sparse;

mod entry;

mod archive;

mod decompress;

mod pipeline;

mod encoding;

mod index;

mod overlay;

mod assembly;

mod warning;

mod attributes;

mod writeback;

mod write;

mod extractor;

mod layer_index;

mod layer;

mod extraction;

mod seal;

mod stamps;

mod facts;

mod survey;

mod differences;

mod replay;

mod contents;

mod staging;

mod base;

mod stager;

mod carry_out;

mod update;

mod verify;

mod cause;

mod examine;

mod error;

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;

pub use self::base::{Base, Scope};
pub use self::cause::Cause;
pub use self::contents::{Contents, NoContents};
pub use self::entry::{Attributes, Entry, Kind, Skip, Xattr};
pub use self::error::Error;
pub use self::examine::{Difference, examine, examine_stacked};
pub use self::extraction::{Extracted, Extraction, Work};
pub use self::layer_index::{LayerIndex, LayerIndexError};
pub use self::path::RelativePath;
pub use self::pax::Timestamp;
pub use self::refusal::{Refusal, Rule};
pub use self::seal::{RecordKind, Seal, SealError};
pub use self::sparse::Segment;
pub use self::staging::is_staging;
pub use self::stamps::{Stamps, StampsError};
pub use self::update::Update;
pub use self::verify::{Depth, Finding, Problem, verify, verify_stamps};
pub use self::warning::{Warning, WarningKind};
