//! The versions that are installed, updated to and rolled back from: images of five small layers, the upper two their own.

use fixtures::image::{BuiltImage, BuiltLayer, Image, Layer, noise};

/// How many there are.
pub(super) const COUNT: usize = 5;

/// The third one fails in its trial; all others work.
pub(super) const BAD: usize = 2;

/// What is at `/entrypoint`: says what it is, asks for the commit when it is on trial, and stays.
const PROGRAM: &str = r#"#!/bin/sh
read -r version < "$DOCKERLOADER_IMAGE_ROOT/etc/version"
echo "begin $version ${DOCKERLOADER_TRIAL:-0}"
if [ "$version" = v3 ]; then echo "this version is broken"; exit 3; fi
if [ -n "$DOCKERLOADER_TRIAL" ]; then "$DOCKERLOADER_BINARY" ready > /dev/null || exit 4; fi
echo "up $version"
exec sleep 1000
"#;

/// All versions, and what they have in common.
#[derive(Debug)]
pub(super) struct Versions {
    pub(super) images: Vec<BuiltImage>,
}

impl Versions {
    pub(super) fn build() -> Self {
        let common = [
            Layer::new()
                .dir("lib", 0o755)
                .file("lib/base", 0o644, &noise(1, 300))
                .dir("etc", 0o755)
                .dir("empty", 0o700),
            Layer::new()
                .file("lib/shared", 0o640, &noise(2, 500))
                .hardlink("lib/again", "lib/shared")
                .symlink("lib/link", "shared"),
            Layer::new().dir("share", 0o755).file("share/one", 0o644, &noise(3, 200)).file(
                "share/two",
                0o444,
                b"two\n",
            ),
        ]
        .map(Layer::build);
        Self { images: (1..=COUNT).map(|number| image(&common, number)).collect() }
    }

    /// The version with this number, from 0.
    pub(super) fn digest(&self, version: usize) -> &str {
        &self.images[version].digest
    }

    /// The number of the version with this digest.
    pub(super) fn find(&self, digest: &str) -> Option<usize> {
        self.images.iter().position(|image| image.digest == digest)
    }

    /// The bytes that belong to a digest: of a manifest, a config or a layer.
    pub(super) fn bytes(&self, digest: &str) -> Option<&[u8]> {
        self.images.iter().find_map(|image| {
            let blobs = image.layers.iter().map(|layer: &BuiltLayer| (&layer.digest, &layer.bytes));
            let mut all =
                blobs.chain([(&image.config_digest, &image.config), (&image.digest, &image.manifest)]);
            all.find(|(name, _)| *name == digest).map(|(_, bytes)| &**bytes)
        })
    }

    /// The blobs of a version: config and layers.
    pub(super) fn blobs(&self, version: usize) -> impl Iterator<Item = &str> {
        let image = &self.images[version];
        image.layers.iter().map(|layer| layer.digest.as_str()).chain([image.config_digest.as_str()])
    }

    /// Text with the names of versions and blobs in the place of their digests.
    pub(super) fn named(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (number, image) in self.images.iter().enumerate() {
            text = text.replace(&image.digest, &format!("<v{}>", number + 1));
            text = text.replace(&image.config_digest, "<config>");
            for layer in &image.layers {
                text = text.replace(&layer.digest, "<layer>");
            }
        }
        text
    }
}

fn image(common: &[BuiltLayer], number: usize) -> BuiltImage {
    let image = common.iter().cloned().fold(Image::new(), Image::built_layer);
    let seed = number as u64;
    let image = image.layer(
        Layer::new()
            .file("etc/version", 0o644, format!("v{number}\n").as_bytes())
            .whiteout("share/one")
            .file("share/three", 0o644, &noise(10 + seed, 150)),
    );
    let own = format!("etc/only-in-{number}");
    image.layer(Layer::new().file("entrypoint", 0o755, PROGRAM.as_bytes()).file(&own, 0o600, b"x")).build()
}
