//! Why an entry of a layer is refused.

use crate::limits::OverLimit;

use super::path::quote;

/// One entry of a layer breaks a rule: the whole layer is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry \"{entry}\" of the layer is refused: {rule}")]
pub struct Refusal {
    /// The entry's path as the archive has it, escaped and shortened.
    pub entry: String,
    /// The rule it breaks.
    pub rule: Rule,
}

impl Refusal {
    /// The refusal of the entry with these path bytes.
    pub(super) fn new(path: &[u8], rule: Rule) -> Self {
        Self { entry: quote(path), rule }
    }
}

/// The rules for entries. Each text completes "entry X is refused: ...".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rule {
    /// A cap was exceeded.
    #[error(transparent)]
    Limit(#[from] OverLimit),
    /// The header's checksum is wrong: no tar header, or a damaged one.
    #[error("the header's checksum is wrong: this is no tar header")]
    Checksum,
    /// A numeric field of the header is no number, or too large.
    #[error("the header field {0} is no number that fits")]
    Number(&'static str),
    /// A PAX record is not of the form `LENGTH KEY=VALUE\n`.
    #[error("a PAX record is malformed")]
    Pax,
    /// The value of a PAX record is not what its key asks for.
    #[error("the value of the PAX record {0} is malformed")]
    PaxValue(&'static str),
    /// Two extension headers of one type for one entry.
    #[error("two extension headers of type {0:?} for one entry")]
    DuplicateExtension(char),
    /// A PAX and a GNU header name the entry differently: readers disagree on which one wins.
    #[error("a PAX and a GNU header give different values for one name")]
    ConflictingNames,
    /// A global PAX header that would change what later entries are.
    #[error("a global PAX header sets {0}, which image layers cannot use")]
    GlobalPax(String),
    /// Extension headers without an entry after them.
    #[error("extension headers are followed by no entry")]
    Orphan,
    /// A type that image layers do not have.
    #[error("type {0:?} is not one of file, link, folder, device or FIFO")]
    Type(char),
    /// A sole zero block with a header after it.
    #[error("one zero block, but no second: the archive is damaged")]
    SingleZeroBlock,
    /// A link or folder with contents, by PAX `size`.
    #[error("an entry without contents announces {0} bytes")]
    Contents(u64),
    /// A sparse map that is malformed, unordered, overlapping or not of the announced size.
    #[error("the sparse map is invalid: {0}")]
    Sparse(&'static str),
    /// No path at all.
    #[error("the path is empty")]
    Empty,
    /// A path with `..` in it.
    #[error("the path leads upwards with \"..\"")]
    ParentComponent,
    /// A NUL byte in a path, link target or attribute name.
    #[error("a NUL byte in a name")]
    Nul,
    /// A name too long for any file system.
    #[error("a name of {0} bytes; file systems hold 255")]
    LongComponent(usize),
    /// A link without a target.
    #[error("the link has no target")]
    NoTarget,
    /// `.wh.`, `.wh..` or `.wh...`: the whiteout of nothing, of the folder itself or of its parent.
    #[error("a whiteout that names no file of its folder")]
    Whiteout,
    /// The root as something else than a folder.
    #[error("the root of the image can only be a folder")]
    Root,
    /// An owner that the kernel cannot represent.
    #[error("owner or group {0} does not fit into 32 bits")]
    Owner(u64),
    /// A device number that the kernel cannot represent.
    #[error("the device number is too large")]
    Device,
    /// Something on the way to the entry is no folder.
    #[error("a part of the path is a file, not a folder")]
    NotADirectory,
    /// Too many symbolic links on the way.
    #[error("more than 40 symbolic links on the way")]
    Links,
    /// The target of a hard link does not exist, yet or at all.
    #[error("the hard link's target \"{0}\" does not exist in the image")]
    HardlinkTarget(String),
    /// The target of a hard link is a folder.
    #[error("the hard link's target \"{0}\" is a folder")]
    HardlinkToDirectory(String),
}
