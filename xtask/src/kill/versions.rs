//! The versions that are installed, and what their trees must hold: tiny, in four layers.

use std::collections::BTreeMap;
use std::fmt;

use fixtures::image::{BuiltImage, Compression, Image, Layer, noise};

/// A version of the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Version {
    V1,
    V2,
    /// Ends as soon as it starts.
    V3,
}

impl Version {
    pub(super) const ALL: [Self; 3] = [Self::V1, Self::V2, Self::V3];

    pub(super) const fn is_good(self) -> bool {
        !matches!(self, Self::V3)
    }

    const fn number(self) -> u64 {
        self as u64 + 1
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "v{}", self.number())
    }
}

/// What is at a path of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    File(Vec<u8>),
    Link(&'static str),
}

/// The variable that names the program of the example application, which lies outside so that the images stay small.
pub(super) const APP_VARIABLE: &str = "KILL_APP";

/// Starts the application with what the tree says of it.
const SCRIPT: &str = "#!/bin/sh\nexec \"$KILL_APP\"\n";

fn dotenv(version: Version) -> String {
    let mode = if version.is_good() { "good" } else { "fail" };
    format!("DOCKERLOADED_VERSION={version}\nDOCKERLOADED_MODE={mode}\n")
}

/// Files and links of a version's tree.
pub(super) fn contents(version: Version) -> BTreeMap<&'static str, Node> {
    let number = version.number();
    let mut nodes = BTreeMap::from([
        ("entrypoint", Node::File(SCRIPT.into())),
        ("etc/motd", Node::File(b"hello".to_vec())),
        ("etc/greeting", Node::Link("motd")),
        ("lib/large", Node::File(noise(7, 40_000))),
        ("lib/second-name", Node::File(noise(7, 40_000))),
        ("data/changes", Node::File(noise(number, 9000))),
        (".env", Node::File(dotenv(version).into())),
    ]);
    if version == Version::V1 {
        nodes.insert("lib/old", Node::File(b"goes with the first version".to_vec()));
    } else {
        nodes.insert("data/new", Node::File(noise(number + 10, 5000)));
    }
    nodes
}

/// The image of a version. The two lowest layers are those of every version.
pub(super) fn image(version: Version) -> BuiltImage {
    let number = version.number();
    let lowest = Layer::new()
        .file("entrypoint", 0o755, SCRIPT.as_bytes())
        .dir("etc", 0o755)
        .file("etc/motd", 0o644, b"hello")
        .symlink("etc/greeting", "motd");
    let second = Layer::new()
        .dir("lib", 0o755)
        .file("lib/large", 0o644, &noise(7, 40_000))
        .hardlink("lib/second-name", "lib/large")
        .file("lib/old", 0o600, b"goes with the first version")
        .compression(Compression::Zstd);
    let mut third = Layer::new().dir("data", 0o755).file("data/changes", 0o640, &noise(number, 9000));
    let mut top = Layer::new().file(".env", 0o644, dotenv(version).as_bytes());
    if version != Version::V1 {
        third = third.file("data/new", 0o644, &noise(number + 10, 5000));
        top = top.whiteout("lib/old");
    }
    Image::new().layer(lowest).layer(second).layer(third).layer(top.compression(Compression::Plain)).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_share_their_lowest_layers() {
        let layers =
            |version| image(version).layers.into_iter().map(|layer| layer.digest).collect::<Vec<_>>();
        let all = Version::ALL.map(layers);
        for layers in &all {
            assert_eq!(layers[..2], all[0][..2]);
        }
        assert!(all[0][2] != all[1][2] && all[1][2] != all[2][2] && all[0][3] != all[1][3]);
    }
}
