//! Where everything lies below the data directory: the contract's paths, in one place.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use crate::digest::Digest;

/// Before the digest in the name of a spare tree.
pub const SPARE: &str = "spare-";

/// The paths below `DOCKERLOADER_DATA_DIR`. See the crate's `design` page for the drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

/// One of the four links that name a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Slot {
    /// `entrypoint`: the current stable version.
    Current,
    /// `entrypoint-attempt`: staged, to be tried next.
    Attempt,
    /// `entrypoint-attempting`: being tried now.
    Attempting,
    /// `entrypoint-previous`: the last proven version, the way back.
    Previous,
}

impl Slot {
    /// All four, in the order of a version's life.
    pub const ALL: [Self; 4] = [Self::Attempt, Self::Attempting, Self::Current, Self::Previous];

    /// The file name of the link.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Current => "entrypoint",
            Self::Attempt => "entrypoint-attempt",
            Self::Attempting => "entrypoint-attempting",
            Self::Previous => "entrypoint-previous",
        }
    }
}

impl Layout {
    /// The layout below the data directory `data_dir`.
    pub fn new(data_dir: &Path) -> Self {
        Self { root: data_dir.join("dockerloader") }
    }

    /// `<data>/dockerloader`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The link of a slot.
    pub fn slot(&self, slot: Slot) -> PathBuf {
        self.root.join(slot.name())
    }

    /// `update-attempt`: the digest of the version whose attempt failed.
    pub fn update_attempt(&self) -> PathBuf {
        self.root.join("update-attempt")
    }

    /// `state.json`: verdicts, attempt counter and probation.
    pub fn state(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// Locked by the one supervisor of this directory for as long as it lives (I7).
    pub fn supervisor_lock(&self) -> PathBuf {
        self.root.join("supervisor.lock")
    }

    /// `reserve`: room for the files of the state, should the disk be full.
    pub fn reserve(&self) -> PathBuf {
        self.root.join("reserve")
    }

    /// `storage/v1`.
    pub fn storage(&self) -> PathBuf {
        self.root.join("storage/v1")
    }

    /// Locked by whoever changes the store: a pull, a repair or a clean-up.
    pub fn store_lock(&self) -> PathBuf {
        self.root.join("store.lock")
    }

    /// `storage/v1/blobs`: layers and configs, each named by its digest.
    pub fn blobs(&self) -> PathBuf {
        self.storage().join("blobs")
    }

    /// `storage/v1/images`: manifests, each named by its digest.
    pub fn images(&self) -> PathBuf {
        self.storage().join("images")
    }

    /// `storage/v1/extracted`: a file system for each extracted image, named by the manifest's digest.
    pub fn extracted(&self) -> PathBuf {
        self.storage().join("extracted")
    }

    /// `storage/v1/seals`: what was extracted into each tree, named by the manifest's digest.
    pub fn seals(&self) -> PathBuf {
        self.storage().join("seals")
    }

    /// `storage/v1/stamps`: inode and change time of each path of a tree, named by the manifest's digest.
    pub fn stamps_folder(&self) -> PathBuf {
        self.storage().join("stamps")
    }

    /// `storage/v1/indexes`: entries of layers without the contents, named by the digest of the layer's blob.
    pub fn layer_indexes(&self) -> PathBuf {
        self.storage().join("indexes")
    }

    /// The spare tree that a version became when no slot named it any more. Its name is no version's.
    pub fn spare(&self, digest: &Digest) -> PathBuf {
        self.extracted().join(format!("{SPARE}{digest}"))
    }

    /// `storage/v1/launch/sha256:<hex>`: how a version is started.
    pub fn launch(&self, digest: &Digest) -> PathBuf {
        self.launches().join(digest.to_string())
    }

    /// `storage/v1/launch`.
    pub fn launches(&self) -> PathBuf {
        self.storage().join("launch")
    }

    /// `storage/v1/resolved.json`: what the target's tag meant at the last look.
    pub fn resolved(&self) -> PathBuf {
        self.storage().join("resolved.json")
    }

    /// `storage/v1/volume.json`: what the data volume can do, found out at the last pull.
    pub fn volume(&self) -> PathBuf {
        self.storage().join("volume.json")
    }

    /// `storage/v1/health.json`: what the last look at each version came to.
    pub fn health(&self) -> PathBuf {
        self.storage().join("health.json")
    }

    /// `storage/v1/quarantine`: what was damaged and has been replaced.
    pub fn quarantine(&self) -> PathBuf {
        self.storage().join("quarantine")
    }

    /// `stopped`: there from an orderly end of the supervisor to its next start.
    pub fn stopped(&self) -> PathBuf {
        self.root.join("stopped")
    }

    /// `supervisor.json`: the live supervisor's process id and control address.
    pub fn supervisor_address(&self) -> PathBuf {
        self.root.join("supervisor.json")
    }

    /// One blob.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.to_string())
    }

    /// One manifest.
    pub fn image(&self, digest: &Digest) -> PathBuf {
        self.images().join(digest.to_string())
    }

    /// One extracted file system.
    pub fn tree(&self, digest: &Digest) -> PathBuf {
        self.extracted().join(digest.to_string())
    }

    /// The seal of one extracted file system.
    pub fn seal(&self, digest: &Digest) -> PathBuf {
        self.seals().join(digest.to_string())
    }

    /// `storage/v1/stacks`: of which frozen directories a version's tree is made, named by the manifest's digest.
    pub fn stacks(&self) -> PathBuf {
        self.storage().join("stacks")
    }

    /// The stack of one version; a version without is a plain tree.
    pub fn stack(&self, digest: &Digest) -> PathBuf {
        self.stacks().join(digest.to_string())
    }

    /// `storage/v1/frozen`: directories that are never written to again, of which stacks are made.
    pub fn frozen(&self) -> PathBuf {
        self.storage().join("frozen")
    }

    /// `storage/v1/writes`: what workloads wrote over their stacks, named by the manifest's digest.
    pub fn all_writes(&self) -> PathBuf {
        self.storage().join("writes")
    }

    /// What one version's workload wrote over its stack.
    pub fn writes(&self, digest: &Digest) -> PathBuf {
        self.all_writes().join(digest.to_string())
    }

    /// The stamps of one extracted file system.
    pub fn stamps(&self, digest: &Digest) -> PathBuf {
        self.stamps_folder().join(digest.to_string())
    }

    /// The index of the layer with this blob.
    pub fn layer_index(&self, digest: &Digest) -> PathBuf {
        self.layer_indexes().join(digest.to_string())
    }

    /// The digest of the version that a path inside `extracted` belongs to, and the path inside its tree. `None` for
    /// any path that is not strictly below a digest's folder of this layout.
    pub fn version_of<'p>(&self, path: &'p Path) -> Option<(Digest, &'p Path)> {
        let inside = path.strip_prefix(self.extracted()).ok()?;
        let mut components = inside.components();
        let Some(Component::Normal(first)) = components.next() else { return None };
        let digest = first.to_str()?.parse().ok()?;
        let rest = components.as_path();
        let plain = rest.components().all(|part| matches!(part, Component::Normal(_)));
        (plain && rest.as_os_str() != OsStr::new("")).then_some((digest, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_known_by_its_path() {
        let layout = Layout::new(Path::new("/data"));
        let digest: Digest = format!("sha256:{}", "ab".repeat(32)).parse().unwrap();
        let path = layout.tree(&digest).join("usr/bin/app");
        assert_eq!(layout.version_of(&path), Some((digest, Path::new("usr/bin/app"))));
        assert_eq!(layout.version_of(&layout.tree(&digest)), None);
        assert_eq!(layout.version_of(&layout.tree(&digest).join("../x")), None);
        assert_eq!(layout.version_of(Path::new("/bin/sh")), None);
        assert_eq!(layout.version_of(&layout.extracted().join("tmp-1/entrypoint")), None);
    }
}
