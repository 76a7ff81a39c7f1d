//! The storage of a registry (CNCF distribution, `filesystem` driver), filled from outside: layers that many versions share
//! are there once, and nothing has to be pushed.

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::layer::Sum;

/// The tag that moves from version to version.
pub(in crate::bench) const TAG: &str = "latest";

/// The directory `docker/registry/v2`.
#[derive(Debug)]
pub(crate) struct Store {
    root: PathBuf,
}

impl Store {
    pub(crate) fn new(storage: &Path) -> Self {
        Self { root: storage.join("docker/registry/v2") }
    }

    /// Where a blob is.
    pub(super) fn blob(&self, hex: &str) -> PathBuf {
        let start = hex.get(..2).unwrap_or_default();
        self.root.join("blobs/sha256").join(start).join(hex).join("data")
    }

    /// Moves a finished file to where its blob belongs.
    pub(super) fn adopt(&self, file: &Path, blob: &Sum) -> io::Result<()> {
        let place = self.blob(&blob.hex);
        place.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::rename(file, place)
    }

    /// Keeps a small document.
    pub(crate) fn put(&self, document: &[u8]) -> io::Result<Sum> {
        let hex = Sha256::digest(document).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let place = self.blob(&hex);
        place.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(place, document)?;
        Ok(Sum { hex, length: document.len() as u64 })
    }

    /// Makes a layer or a config part of a repository.
    pub(crate) fn link_blob(&self, repository: &str, hex: &str) -> io::Result<()> {
        self.link(repository, &format!("_layers/sha256/{hex}/link"), hex)
    }

    /// Makes a manifest part of a repository, under a tag.
    pub(crate) fn link_manifest(&self, repository: &str, tag: &str, hex: &str) -> io::Result<()> {
        self.link(repository, &format!("_manifests/revisions/sha256/{hex}/link"), hex)?;
        self.link(repository, &format!("_manifests/tags/{tag}/index/sha256/{hex}/link"), hex)?;
        self.link(repository, &format!("_manifests/tags/{tag}/current/link"), hex)
    }

    /// What a tag points to.
    pub(super) fn tag(&self, repository: &str, tag: &str) -> Option<String> {
        let link = self.repository(repository).join(format!("_manifests/tags/{tag}/current/link"));
        let text = std::fs::read_to_string(link).ok()?;
        text.trim().strip_prefix("sha256:").map(str::to_owned)
    }

    fn repository(&self, name: &str) -> PathBuf {
        self.root.join("repositories").join(name)
    }

    fn link(&self, repository: &str, path: &str, hex: &str) -> io::Result<()> {
        let link = self.repository(repository).join(path);
        link.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(link, format!("sha256:{hex}"))
    }
}
