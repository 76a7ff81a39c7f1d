//! The image that every cell pulls.

use std::sync::LazyLock;

use fixtures::image::{BuiltImage, BuiltIndex, Image, Index, Layer, noise};

/// An index with the image for this machine, and one for another.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) index: BuiltIndex,
    pub(super) image: BuiltImage,
    /// What is in its layer: paths and bytes.
    pub(super) files: Vec<(&'static str, Vec<u8>)>,
}

/// The version that is pulled.
pub(super) static VERSION: LazyLock<Content> = LazyLock::new(|| Content::new("v1"));

/// The version that the tag moves to.
pub(super) static NEXT: LazyLock<Content> = LazyLock::new(|| Content::new("v2"));

/// Bytes of noise in the layer: as many when compressed.
const PAYLOAD: usize = 300 << 10;

impl Content {
    fn new(name: &str) -> Self {
        let script = format!(
            "#!/bin/sh\necho \"start {name}\"\n[ -e \"$DOCKERLOADER_DATA_DIR/crash\" ] && exit 5\n\
             \"$DOCKERLOADER_BINARY\" ready\nexec sleep 1000\n"
        );
        let files = vec![("entrypoint", script.into_bytes()), ("payload", noise(7, PAYLOAD))];
        let layer = files.iter().fold(Layer::new(), |layer, (path, bytes)| {
            layer.file(path, if *path == "entrypoint" { 0o755 } else { 0o644 }, bytes)
        });
        let image = Image::new().layer(layer).annotation("name", name).build();
        let other = foreign();
        Self { index: Index::new().image(&other).image(&image).build(), image, files }
    }

    /// The digest of the only layer.
    pub(super) fn layer(&self) -> &str {
        self.image.layers.first().map_or("", |layer| &layer.digest)
    }
}

/// An image for a machine that this one is not.
pub(super) fn foreign() -> BuiltImage {
    Image::with_entrypoint(b"#!/bin/sh\n").platform("linux", "s390x", "").build()
}

/// JSON of an index, manifest or config with more brackets in each other than any reader should follow.
pub(super) fn nested(media_type: &str) -> Vec<u8> {
    const DEPTH: usize = 100_000;
    let (open, close) = ("[".repeat(DEPTH), "]".repeat(DEPTH));
    format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}","token":{open}{close},"os":{open}{close}}}"#)
        .into_bytes()
}
