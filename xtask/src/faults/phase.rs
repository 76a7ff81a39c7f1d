//! The requests of a pull, in their order.

use std::fmt;

/// What a pull asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// A token, after the first 401.
    Token,
    /// What the tag stands for: a HEAD request.
    Tag,
    /// The index, by its digest.
    Index,
    /// The manifest of the platform, by its digest.
    Manifest,
    /// The image's config.
    Config,
    /// The layer.
    Blob,
}

impl Phase {
    pub(super) const ALL: [Self; 6] =
        [Self::Token, Self::Tag, Self::Index, Self::Manifest, Self::Config, Self::Blob];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Tag => "tag",
            Self::Index => "index",
            Self::Manifest => "manifest",
            Self::Config => "config",
            Self::Blob => "blob",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}
