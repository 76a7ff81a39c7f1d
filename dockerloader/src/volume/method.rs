//! The ways to a new version's tree, and what the operator says about them. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the tree of a new version is made from what is there, the cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// An overlay mount over the frozen directories of the current version.
    Overlay,
    /// The spare tree, or a snapshot of the current version's subvolume (btrfs).
    Snapshot,
    /// The spare tree, or an empty one; files share their blocks with those of the current version (`FICLONE`).
    Reflink,
    /// The spare tree, or an empty one; files are copied from the current version.
    Copy,
}

impl Method {
    /// All of them, the cheapest first.
    pub const ALL: [Self; 4] = [Self::Overlay, Self::Snapshot, Self::Reflink, Self::Copy];

    /// As in the setting, in lines and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::Snapshot => "snapshot",
            Self::Reflink => "reflink",
            Self::Copy => "copy",
        }
    }

    /// Whether a spare tree is of use: an overlay has a base for nothing.
    pub const fn uses_spare(self) -> bool {
        !matches!(self, Self::Overlay)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `DOCKERLOADER_TREE_METHOD`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wanted {
    /// The cheapest that works here.
    #[default]
    Auto,
    /// This one; where it does not work, a pull fails and says why.
    Only(Method),
    /// None: every tree is extracted from its layers, and no spare tree is kept.
    Extract,
}
