//! Images of which most of one is in the next.

use fixtures::image::{BuiltImage, Compression, Image, Layer, noise};

/// Files in the lower layer.
pub(crate) const FILES: u64 = 400;

/// The lower layer. One file in a hundred depends on `edition`.
fn library(edition: u64) -> Layer {
    let mut layer = Layer::new().file("entrypoint", 0o755, b"#!/bin/sh\nexit 0\n").dir("lib", 0o755);
    for number in 0..FILES {
        let folder = number % 20;
        if number < 20 {
            layer = layer.dir(&format!("lib/{folder}"), if folder == 3 { 0o711 } else { 0o755 });
        }
        let seed = if number % 100 == 7 { number + 1000 * edition } else { number };
        let size = usize::try_from(1000 + seed * 7919 % 30_000).unwrap();
        let mode = if number % 7 == 0 { 0o755 } else { 0o644 };
        layer = layer.file(&format!("lib/{folder}/{number}"), mode, &noise(seed, size));
    }
    layer
        .file("lib/empty", 0o600, b"")
        .hardlink("lib/also-5", "lib/5/5")
        .symlink("lib/link", "5/5")
        .symlink("lib/edition", &format!("{edition}"))
        .fifo("lib/fifo")
}

/// The upper layer: all of it depends on `edition`.
fn program(edition: u64) -> Layer {
    Layer::new()
        .file("app/program", 0o755, &noise(5000 + edition, 100_000))
        .file("app/version", 0o644, edition.to_string().as_bytes())
        .file("lib/2/2", 0o640, &noise(6000 + edition, 20_000))
        .whiteout("lib/1/21")
}

/// The lower layer of one edition, the upper one of another.
pub(crate) fn image(library_edition: u64, program_edition: u64) -> BuiltImage {
    Image::new().layer(library(library_edition)).layer(program(program_edition)).build()
}

/// As [`image`], but one file less is hidden by the upper layer: it may be in no tree, though its layer is known.
pub(crate) fn image_that_uncovers() -> BuiltImage {
    let top = Layer::new().file("app/version", 0o644, b"uncovered");
    Image::new().layer(library(1)).layer(top).build()
}

/// Nothing of [`image`] is in it but the program.
pub(crate) fn other() -> BuiltImage {
    let mut layer = Layer::new().file("entrypoint", 0o755, b"#!/bin/sh\nexit 1\n");
    for number in 0..100 {
        layer = layer.file(&format!("other/{number}"), 0o644, &noise(9000 + number, 20_000));
    }
    // What was a folder is a file, and the other way round.
    layer = layer.file("lib", 0o644, b"a file").file("app/version/now", 0o644, b"a folder");
    Image::new().layer(layer).build()
}

/// Small as a blob, 7 MB as files, of which nothing is in [`image`].
pub(crate) fn image_of_blanks() -> BuiltImage {
    let layer =
        Layer::new().file("entrypoint", 0o755, b"#!/bin/sh\n").file("blanks", 0o644, &[b' '; 7_000_000]);
    Image::new().layer(layer.compression(Compression::Gzip)).build()
}
