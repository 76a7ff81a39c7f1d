//! Media types of images (OCI image spec, media-types.md; Docker image manifest version 2, schema 2).

/// An OCI image index.
pub use oci_client::manifest::OCI_IMAGE_INDEX_MEDIA_TYPE as OCI_INDEX;

/// An OCI image manifest.
pub use oci_client::manifest::OCI_IMAGE_MEDIA_TYPE as OCI_MANIFEST;

/// A Docker manifest list.
pub use oci_client::manifest::IMAGE_MANIFEST_LIST_MEDIA_TYPE as DOCKER_LIST;

/// A Docker image manifest, schema 2.
pub use oci_client::manifest::IMAGE_MANIFEST_MEDIA_TYPE as DOCKER_MANIFEST;

/// What is accepted of a registry, as the value of `Accept`: without it, registries convert to schema 1.
pub const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// What a manifest document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A list of manifests.
    Index,
    /// One image.
    Image,
    /// Docker's schema 1.
    Schema1,
}

impl Kind {
    /// The kind of a manifest's media type; `None` for one that is no image.
    pub fn of(media_type: &str) -> Option<Self> {
        match media_type {
            OCI_INDEX | DOCKER_LIST => Some(Self::Index),
            OCI_MANIFEST | DOCKER_MANIFEST => Some(Self::Image),
            "application/vnd.docker.distribution.manifest.v1+json"
            | "application/vnd.docker.distribution.manifest.v1+prettyjws" => Some(Self::Schema1),
            _ => None,
        }
    }
}

/// How a layer says that it is compressed. A claim: extraction looks at the first bytes, since it is wrong at times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// A tar archive as it is.
    Plain,
    /// RFC 1952, in one member or several.
    Gzip,
    /// RFC 8878, in one frame or several.
    Zstd,
}

/// The compression that a layer's media type claims, and whether it is a foreign (nondistributable) layer, which may
/// be kept at the addresses in `urls` alone. `None` when it is no file system layer.
pub fn layer(media_type: &str) -> Option<(Compression, bool)> {
    let (rest, foreign) = if let Some(rest) =
        media_type.strip_prefix("application/vnd.oci.image.layer.nondistributable.v1.")
    {
        (rest, true)
    } else if let Some(rest) = media_type.strip_prefix("application/vnd.docker.image.rootfs.foreign.diff.") {
        (rest, true)
    } else if let Some(rest) = media_type.strip_prefix("application/vnd.oci.image.layer.v1.") {
        (rest, false)
    } else {
        (media_type.strip_prefix("application/vnd.docker.image.rootfs.diff.")?, false)
    };
    let compression = match rest {
        "tar" => Compression::Plain,
        "tar+gzip" | "tar.gzip" => Compression::Gzip,
        "tar+zstd" | "tar.zstd" => Compression::Zstd,
        _ => return None,
    };
    Some((compression, foreign))
}

/// Whether a media type is that of an image config.
pub fn is_config(media_type: &str) -> bool {
    matches!(
        media_type,
        "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json"
    )
}

/// The media type of a `Content-Type`, without parameters; `None` when it says nothing about manifests, as
/// `application/json` and what a plain file server sends.
pub fn of_header(content_type: &str) -> Option<String> {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let generic = matches!(
        essence.as_str(),
        "" | "application/json"
            | "text/json"
            | "text/plain"
            | "application/octet-stream"
            | "binary/octet-stream"
    );
    (!generic).then_some(essence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_claim_a_compression() {
        use Compression::{Gzip, Plain, Zstd};
        for (media_type, expected) in [
            ("application/vnd.oci.image.layer.v1.tar", Some((Plain, false))),
            ("application/vnd.oci.image.layer.v1.tar+gzip", Some((Gzip, false))),
            ("application/vnd.oci.image.layer.v1.tar+zstd", Some((Zstd, false))),
            ("application/vnd.oci.image.layer.nondistributable.v1.tar", Some((Plain, true))),
            ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Some((Gzip, true))),
            ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", Some((Zstd, true))),
            ("application/vnd.docker.image.rootfs.diff.tar", Some((Plain, false))),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", Some((Gzip, false))),
            ("application/vnd.docker.image.rootfs.diff.tar.zstd", Some((Zstd, false))),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Some((Gzip, true))),
            ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", None),
            ("application/vnd.in-toto+json", None),
            ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", None),
            ("", None),
        ] {
            assert_eq!(layer(media_type), expected, "{media_type}");
        }
    }

    #[test]
    fn accept_names_every_manifest_type() {
        for media_type in [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST] {
            assert!(ACCEPT.split(", ").any(|one| one == media_type), "{media_type}");
        }
    }
}
