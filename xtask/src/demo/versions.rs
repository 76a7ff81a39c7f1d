//! The versions that the registry offers one after the other, and the images made of them.

use std::fmt;

use fixtures::image::{BuiltImage, BuiltLayer, Compression, Image, Layer, noise};
use fixtures::sha256;

/// How many there are.
pub(super) const COUNT: usize = 5;

/// One of the demo's versions; displayed as `v1`, `v2` and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    V1,
    V2,
    V3,
    V4,
    V5,
}

impl Version {
    pub(super) const ALL: [Self; COUNT] = [Self::V1, Self::V2, Self::V3, Self::V4, Self::V5];

    /// Its place in tables that have a column for each version.
    pub(super) const fn index(self) -> usize {
        self as usize
    }

    /// The modes of the example application (`dockerloaded/src/main.rs`).
    const fn mode(self) -> &'static str {
        match self {
            Self::V1 | Self::V2 | Self::V5 => "good",
            Self::V3 => "fail",
            Self::V4 => "hang",
        }
    }

    pub(super) const fn nature(self) -> &'static str {
        match self {
            Self::V1 => "works",
            Self::V2 => "works",
            Self::V3 => "crashes as it starts",
            Self::V4 => "hangs as it starts",
            Self::V5 => "works: the fix",
        }
    }

    /// The image's `.env`, which the application loads.
    pub(super) fn dotenv(self) -> String {
        format!("DOCKERLOADED_VERSION={self}\nDOCKERLOADED_MODE={}\n", self.mode())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "v{}", self.index() + 1)
    }
}

/// Bytes of what each version brings along besides the program, so that a download takes a moment.
const ASSETS: usize = 4 << 20;

/// Everything that is packed.
#[derive(Debug)]
pub(super) struct Release {
    /// Digest of the program's own bytes.
    pub(super) program: String,
    /// In the order of [`Version::ALL`].
    images: [BuiltImage; COUNT],
}

impl Release {
    /// Packs the program into an image for each version: a layer with the program, which all share, and one of its own.
    pub(super) fn pack(program: &[u8]) -> Self {
        let shared = Layer::new().file("entrypoint", 0o755, program).build();
        Self { program: sha256(program), images: Version::ALL.map(|version| image(version, &shared)) }
    }

    pub(super) fn image(&self, version: Version) -> &BuiltImage {
        &self.images[version.index()]
    }

    /// The version of a manifest's digest.
    pub(super) fn version(&self, digest: &str) -> Option<Version> {
        Version::ALL.into_iter().find(|version| self.image(*version).digest == digest)
    }

    /// The layer with the program.
    pub(super) fn shared_layer(&self) -> &BuiltLayer {
        &self.image(Version::V1).layers[0]
    }

    /// The layer that no other version has.
    pub(super) fn own_layer(&self, version: Version) -> &BuiltLayer {
        &self.image(version).layers[1]
    }
}

fn image(version: Version, shared: &BuiltLayer) -> BuiltImage {
    let own = Layer::new()
        .file(".env", 0o644, version.dotenv().as_bytes())
        .file("assets", 0o644, &noise(version as u64, ASSETS))
        .compression(Compression::Zstd);
    Image::new().built_layer(shared.clone()).layer(own).build()
}
