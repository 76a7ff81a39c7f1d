//! The registry: Debian's `docker-registry`, and the tags that its repositories have.

use std::path::Path;

use fixtures::image::{BuiltImage, Publish as _};

use crate::bench::{Registry, Store};
use crate::failure::{Context as _, Result};

/// The tag that is followed in every repository.
const TAG: &str = "stable";

/// The registry, filled from outside.
#[derive(Debug)]
pub(super) struct Source {
    store: Store,
    registry: Registry,
}

impl Source {
    pub(super) fn start(directory: &Path) -> Result<Self> {
        let storage = directory.join("registry");
        std::fs::create_dir_all(&storage).context("make the registry's storage")?;
        Ok(Self { store: Store::new(&storage), registry: Registry::start(&storage, directory)? })
    }

    /// The reference that a repository is followed by.
    pub(super) fn reference(&self, repository: &str) -> String {
        format!("{}/{repository}:{TAG}", self.registry.address())
    }

    /// Moves a repository's tag to an image.
    pub(super) fn publish(&self, repository: &str, image: &BuiltImage) -> Result {
        let put = || -> std::io::Result<()> {
            for (_, bytes) in image.blobs() {
                self.store.link_blob(repository, &self.store.put(&bytes)?.hex)?;
            }
            for (_, _, bytes) in image.manifests() {
                self.store.link_manifest(repository, TAG, &self.store.put(&bytes)?.hex)?;
            }
            Ok(())
        };
        put().context(format_args!("fill the repository {repository}"))
    }
}
