//! A version's manifest and config, as they are on disk.

use crate::blobs::{self, Blobs, digest_of_bytes};
use crate::digest::Digest;
use crate::disk::{self, Disk as _, RealDisk};
use crate::layout::Layout;
use crate::limits::Limits;
use crate::manifest::{self, Descriptor, Document, Image, ImageConfig};

use super::Error;

/// A version and what it is made of.
#[derive(Debug, Clone)]
pub(super) struct Content {
    /// The version.
    pub(super) digest: Digest,
    /// Its manifest.
    pub(super) image: Image,
}

impl Content {
    /// Reads a version's manifest, which is hashed.
    pub(super) fn read(layout: &Layout, digest: &Digest, limits: &Limits) -> Result<Self, Error> {
        let path = layout.image(digest);
        let bytes = match RealDisk.read(&path, limits.manifest_bytes.max) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::Blob(blobs::Error::Absent { digest: *digest }));
            }
            read => read.map_err(Error::io("read", path))?,
        };
        let found = digest_of_bytes(&bytes);
        if found != *digest {
            let problem = format!("the manifest on disk has the digest {found}");
            return Err(Error::Blob(blobs::Error::Corrupt { digest: *digest, problem }));
        }
        match manifest::parse(&bytes, None, limits).map_err(Error::Manifest)? {
            Document::Image(image) => Ok(Self { digest: *digest, image }),
            Document::Index(_) => {
                let problem = "an index stands in the place of a manifest".to_owned();
                Err(Error::Blob(blobs::Error::Corrupt { digest: *digest, problem }))
            }
        }
    }

    /// Reads the version's config out of the store.
    pub(super) fn config(&self, blobs: &Blobs, limits: &Limits) -> Result<ImageConfig, Error> {
        let bytes = blobs.read(&self.image.config.digest, self.image.config.size)?;
        let config = ImageConfig::parse(&bytes, limits).map_err(Error::Manifest)?;
        config.check_layers(&self.image).map_err(Error::Manifest)?;
        Ok(config)
    }

    /// The blobs that are not in the store, each once, in the order in which they are needed.
    pub(super) fn missing<'c>(&'c self, blobs: &Blobs) -> impl Iterator<Item = &'c Descriptor> {
        let mut seen = std::collections::BTreeSet::new();
        let layers = self.image.layers.iter().map(|layer| &layer.descriptor);
        [&self.image.config]
            .into_iter()
            .chain(layers)
            .filter(move |blob| seen.insert(blob.digest) && !blobs.has(&blob.digest, blob.size))
    }
}

/// Puts a manifest in the store. Its digest was verified.
pub(super) fn write(layout: &Layout, digest: &Digest, bytes: &[u8]) -> Result<(), Error> {
    let path = layout.image(digest);
    RealDisk
        .create_directories(&layout.images())
        .and_then(|()| disk::replace_file(&RealDisk, &path, bytes))
        .map_err(Error::io("write", path))
}
