//! The image that every cell pulls.

use std::sync::LazyLock;

use fixtures::image::{Alter, BuiltImage, BuiltIndex, Compression, Image, Index, Layer, noise};

/// An index with the image for this machine, and one for another.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) index: BuiltIndex,
    pub(super) image: BuiltImage,
    /// What is in its layer: paths and bytes.
    pub(super) files: Vec<(String, Vec<u8>)>,
}

/// The version that is pulled.
pub(super) static VERSION: LazyLock<Content> = LazyLock::new(|| Content::new("v1"));

/// The version that the tag moves to.
pub(super) static NEXT: LazyLock<Content> = LazyLock::new(|| Content::new("v2"));

/// The version on disk, in the format zstd:chunked.
pub(super) static CHUNKED_OLD: LazyLock<Content> = LazyLock::new(|| Content::chunked(OLD_SEED, None));

/// The version after it.
pub(super) static CHUNKED_NEW: LazyLock<Content> = LazyLock::new(|| Content::chunked(2, None));

/// The version after it, with a table that lies.
pub(super) static CHUNKED_LYING: LazyLock<Content> =
    LazyLock::new(|| Content::chunked(2, Some(|entries| lie(entries))));

const OLD_SEED: u64 = 1;

/// Bytes of the file that changed.
const CHANGED: usize = 20 << 10;

/// Bytes of noise in the layer: as many when compressed.
const PAYLOAD: usize = 300 << 10;

impl Content {
    fn new(name: &str) -> Self {
        let script = format!(
            "#!/bin/sh\necho \"start {name}\"\n[ -e \"$DOCKERLOADER_DATA_DIR/crash\" ] && exit 5\n\
             \"$DOCKERLOADER_BINARY\" ready\nexec sleep 1000\n"
        );
        let files =
            vec![("entrypoint".to_owned(), script.into_bytes()), ("payload".to_owned(), noise(7, PAYLOAD))];
        let layer = layer(&files);
        Self::of(Image::new().layer(layer).annotation("name", name).build(), files)
    }

    /// A version of many files, in a layer that has a table of contents. The file `changed` is another one for each seed.
    fn chunked(seed: u64, alter: Option<Alter>) -> Self {
        let numbered = (0..40).map(|number| (format!("files/{number}"), noise(100 + number, 16 << 10)));
        let entrypoint = ("entrypoint".to_owned(), b"#!/bin/sh\nexec sleep 1000\n".to_vec());
        let files: Vec<_> =
            numbered.chain([entrypoint, ("changed".to_owned(), noise(seed, CHANGED))]).collect();
        let layer = layer(&files).compression(Compression::ZstdChunked);
        let layer = match alter {
            Some(alter) => layer.alter_table(alter),
            None => layer,
        };
        Self::of(Image::new().layer(layer).build(), files)
    }

    fn of(image: BuiltImage, files: Vec<(String, Vec<u8>)>) -> Self {
        Self { index: Index::new().image(&foreign()).image(&image).build(), image, files }
    }

    /// The digest of the only layer.
    pub(super) fn layer(&self) -> &str {
        self.image.layers.first().map_or("", |layer| &layer.digest)
    }
}

fn layer(files: &[(String, Vec<u8>)]) -> Layer {
    files.iter().fold(Layer::new(), |layer, (path, bytes)| {
        layer.file(path, if path == "entrypoint" { 0o755 } else { 0o644 }, bytes)
    })
}

/// Says of the file that changed that it is the one of the old version.
fn lie(entries: &mut [serde_json::Value]) {
    for entry in entries.iter_mut().filter(|entry| entry["name"] == "changed") {
        entry["digest"] = fixtures::sha256(&noise(OLD_SEED, CHANGED)).into();
    }
}

/// An image for a machine that this one is not.
pub(super) fn foreign() -> BuiltImage {
    Image::with_entrypoint(b"#!/bin/sh\n").platform("linux", "s390x", "").build()
}

/// JSON of an index, manifest or config with more brackets in each other than any reader should follow.
pub(super) fn nested(media_type: &str, depth: usize) -> Vec<u8> {
    let (open, close) = ("[".repeat(depth), "]".repeat(depth));
    format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}","token":{open}{close},"os":{open}{close}}}"#)
        .into_bytes()
}
