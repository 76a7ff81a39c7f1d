//! The labels by which things of ours are found again. Names are for people.

/// The container of the document; on a network or volume its name in the document.
pub const ID: &str = "deviced.id";
/// Whose it is: several deviceds may share an engine, each with its own `DEVICED_INSTANCE`. What is another's is nobody's of ours.
pub const INSTANCE: &str = "deviced.instance";
/// The operation that made it.
pub const OPERATION: &str = "deviced.operation";
/// The digest of the version's manifest.
pub const DIGEST: &str = "deviced.digest";
/// The tag, or the digest again, under which the version was found.
pub const VERSION: &str = "deviced.version";
/// The hash of the spec.
pub const SPEC: &str = "deviced.spec";
/// What every label of ours begins with: documents can't set such labels.
pub const PREFIX: &str = "deviced.";
