//! Why a manifest, an index or an image config is refused.

use crate::digest::DigestError;
use crate::limits::OverLimit;
use crate::remedy::Remedy;

/// Why a manifest, an index or an image config can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not JSON of the form that the specification gives.
    #[error("the {what} is malformed: {problem}")]
    Malformed {
        /// `manifest` or `image config`.
        what: &'static str,
        /// What is wrong and where.
        problem: String,
    },
    /// A value goes over its cap.
    #[error("the {what} is refused: {source}")]
    OverLimit {
        /// What was measured.
        what: String,
        /// The cap and the value.
        source: OverLimit,
    },
    /// Docker's old manifest format, which has no content digests for its config.
    #[error(
        "the manifest has Docker's schema 1, which was retired in 2019; push the image again with a current tool"
    )]
    Schema1,
    /// The document can be read as an index and as an image (GHSA-mc8v-mgrf-8f4m).
    #[error(
        "the manifest has both `manifests` and `layers` or `config`, so that it could be read in two ways"
    )]
    Ambiguous,
    /// The media type inside differs from the one that the registry or the descriptor names.
    #[error("the manifest says that its media type is {inside}, but the registry says {outside}")]
    MediaTypeMismatch {
        /// The field `mediaType`, or what the fields of the document make of it.
        inside: String,
        /// The header `Content-Type`.
        outside: String,
    },
    /// A media type that is no image.
    #[error("the {what} has the media type {media_type}; expected {expected}")]
    MediaType {
        /// Which part.
        what: String,
        /// What it is.
        media_type: String,
        /// What can be used.
        expected: &'static str,
    },
    /// A digest that the store can't hold.
    #[error("the {what}: {source}")]
    Digest {
        /// Which part.
        what: String,
        /// What is wrong with the digest.
        source: DigestError,
    },
    /// No image of the index runs on this platform.
    #[error(
        "no image for the platform {wanted}; this reference offers {}; push one for {wanted} or set \
         DOCKERLOADER_PLATFORM", list(.offered)
    )]
    NoImageForPlatform {
        /// What was asked for.
        wanted: String,
        /// The platforms that there are.
        offered: Vec<String>,
    },
    /// An index inside an index inside an index.
    #[error("the image index is nested more than {limit} level deep")]
    NestedTooDeep {
        /// How many levels are followed.
        limit: usize,
    },
    /// A text that is no platform.
    #[error("{text:?} is no platform; expected os/architecture or os/architecture/variant, as linux/arm/v7")]
    Platform {
        /// The text, cut if it is long.
        text: String,
    },
    /// Manifest and config disagree on the number of layers.
    #[error("the manifest has {layers} layers, but the image config has {diff_ids} rootfs.diff_ids")]
    LayerCount {
        /// Layers of the manifest.
        layers: usize,
        /// Entries of `rootfs.diff_ids`.
        diff_ids: usize,
    },
    /// The image names no program.
    #[error("the image has no /entrypoint, and its config has neither Entrypoint nor Cmd; add one of them")]
    NoProgram,
    /// The program that the image names is not in it.
    #[error(
        "the image has no /entrypoint, and the program {program:?} of its config is not in it as an executable \
         file; looked for {}", list(.candidates)
    )]
    ProgramNotFound {
        /// As it stands in the config.
        program: String,
        /// Paths inside the tree that were tried.
        candidates: Vec<String>,
    },
}

impl Error {
    /// What to do about it: the bytes are what their digest says, so only another image helps.
    pub const fn remedy(&self) -> Remedy {
        match self {
            // A header is not covered by the digest: another try, or another mirror, may say it right.
            Self::MediaTypeMismatch { .. } => Remedy::Later,
            Self::Platform { .. } => Remedy::Local,
            _ => Remedy::Refuse,
        }
    }
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}
