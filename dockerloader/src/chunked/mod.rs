//! Less on the wire: a layer with a table of contents is put together from pieces of the blobs on disk, and ranges of
//! the registry for the rest.
//!
//! ```text
//! annotations -> place -> table of the new blob  \
//!                         tables of old blobs    -> plan: copy, fetch -> the blob, byte for byte -> its digest
//! ```
//!
//! Two formats have such a table: zstd:chunked (containers/storage, `containers-storage-zstd-chunked.md`) and eStargz
//! (stargz-snapshotter, `docs/estargz.md`). Both compress the payload of every file by itself, so that the same file is
//! the same bytes in every blob that the same program made.
//!
//! A table is only a hint. Nothing of it gets into a tree: it says which bytes are worth trying, and the blob's digest says
//! whether they were right. A table that lies costs requests, and at worst the download that would have been made anyway.

mod error;

mod place;

mod entry;

mod strings;

mod table;

mod read;

mod plan;

mod candidates;

mod source;

mod assemble;

pub use assemble::{Assembly, Origin};
pub use candidates::Candidate;
pub use entry::Key;
pub use error::Error;
pub use place::{Format, Located, Place};
pub use plan::{Piece, is_worth_it, plan};
pub use read::read;
pub use source::Source;
pub use table::Table;
