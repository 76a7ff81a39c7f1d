//! What the tag stands for can't be used. Each image is refused by name and reason; what runs goes on; the next image comes.

use fixtures::image::{BuiltImage, Compression, Image, Index, Layer, Publish, noise};
use fixtures::registry::{Fault, Kind, Rule};
use nix::sys::signal::Signal;

use crate::scene::{Ended, GOOD, Scene, Supervisor, good, program};

/// With v1 running.
pub(crate) fn scene_with_v1() -> (Scene, Supervisor) {
    let scene = Scene::new();
    scene.install(&good("v1"));
    let mut supervisor = scene.start();
    supervisor.line("ready v1");
    (scene, supervisor)
}

/// What was pushed is refused, twice in the same words; v1 runs on; v3 is staged after it.
pub(crate) fn refused_then_mended(
    scene: &Scene,
    supervisor: &mut Supervisor,
    code: i32,
    words: &[&str],
) -> Ended {
    let before = scene.place.slots();
    let blobs = scene.place.list("blobs");
    let refused = scene.run(&["check"]);
    assert_eq!(refused.code, Some(code), "{}", refused.all());
    refused.says(words);
    let again = scene.run(&["check"]);
    assert_eq!(again.code, Some(code), "{}", again.all());
    again.says(words);
    assert_eq!(scene.place.slots(), before);
    assert_eq!(scene.place.list("extracted").len(), 1, "{:?}", scene.place.list("extracted"));
    scene.place.assert_no_leftovers();
    assert_eq!(supervisor.starts(""), 1, "v1 runs on");
    supervisor.signal(Signal::SIGCONT);
    scene.registry.clear_faults();
    scene.push(&good("v3"));
    let staged = scene.run(&["check"]);
    assert_eq!(staged.code, Some(42), "{}", staged.all());
    assert!(scene.place.list("blobs").len() >= blobs.len(), "nothing of v1 was thrown away");
    assert_eq!(scene.run(&["verify", "--full"]).code, Some(0));
    refused
}

/// The same for an image.
pub(crate) fn refuse(content: &impl Publish, code: i32, words: &[&str]) {
    let (scene, mut supervisor) = scene_with_v1();
    scene.registry.put("app", "v", content);
    refused_then_mended(&scene, &mut supervisor, code, words);
}

/// An image with a program, and these bytes of a second layer, that no compression makes smaller.
fn with_noise(length: usize) -> BuiltImage {
    Image::with_entrypoint(program("v2", GOOD).as_bytes())
        .layer(Layer::new().file("data", 0o644, &noise(7, length)))
        .build()
}

#[test]
fn no_image_for_this_platform() {
    let other = Image::with_entrypoint(b"#!/bin/sh\n").platform("linux", "s390x", "").build();
    let arm = Image::with_entrypoint(b"#!/bin/sh\n").platform("linux", "arm", "v6").build();
    refuse(
        &Index::new().image(&other).image(&arm).build(),
        65,
        &["no image for the platform linux/", "linux/s390x", "linux/arm/v6", "DOCKERLOADER_PLATFORM"],
    );
    refuse(&other, 65, &["linux/s390x", "DOCKERLOADER_PLATFORM"]);
}

#[test]
fn no_entrypoint() {
    let image = Image::new().layer(Layer::new().file("etc/x", 0o644, b"x")).build();
    refuse(&image, 65, &["no /entrypoint", "neither Entrypoint nor Cmd", "add one"]);
}

#[test]
fn an_entrypoint_that_is_not_executable() {
    let image = Image::new().layer(Layer::new().file("entrypoint", 0o644, b"#!/bin/sh\n")).build();
    refuse(&image, 65, &["/entrypoint", "not executable", "0644", "chmod"]);
}

#[test]
fn an_entrypoint_that_is_not_found() {
    let image = Image::new()
        .layer(Layer::new().dir("bin", 0o755))
        .environment(&["PATH=/usr/bin:/bin"])
        .entrypoint(&["app", "--serve"])
        .build();
    refuse(&image, 65, &["\"app\"", "looked for usr/bin/app, bin/app"]);
}

#[test]
fn an_entrypoint_that_is_a_link_to_nowhere() {
    let image = Image::new().layer(Layer::new().symlink("entrypoint", "/bin/not-in-the-image")).build();
    refuse(&image, 65, &["/entrypoint", "symbolic link", "not-in-the-image"]);
}

#[test]
fn an_entrypoint_of_another_architecture() {
    let mut elf = std::fs::read(env!("CARGO_BIN_EXE_dockerloader")).unwrap();
    elf.truncate(64 << 10);
    // `e_machine` 22 is IBM S/390 (System V ABI, chapter 4).
    elf[18..20].copy_from_slice(&22u16.to_le_bytes());
    elf[5] = 1;
    let image = Image::with_entrypoint(&elf).build();
    refuse(&image, 65, &["/entrypoint", "is for", "build the image for"]);
}

#[test]
fn a_script_without_its_interpreter() {
    let image = Image::with_entrypoint(b"#!/usr/bin/no-such-python3\n").build();
    refuse(&image, 65, &["/entrypoint", "/usr/bin/no-such-python3", "not in this container", "statically"]);
}

#[test]
fn an_entrypoint_that_is_no_program() {
    let image = Image::with_entrypoint(b"echo hello\n").build();
    refuse(&image, 65, &["/entrypoint", "neither an ELF executable nor a script"]);
}

#[test]
fn a_corrupt_blob() {
    let (scene, mut supervisor) = scene_with_v1();
    let image = with_noise(300_000);
    scene.push(&image);
    let layer = &image.layers[1].digest;
    scene.registry.fault(Rule::on(Kind::Blob).path(layer), Fault::WrongByte { at: 1000 });
    refused_then_mended(&scene, &mut supervisor, 65, &[layer, "corrupt"]);
    assert!(!scene.place.list("blobs").iter().any(|name| name.contains(&**layer)), "it is not kept");
}

#[test]
fn a_blob_that_is_corrupt_once() {
    let (scene, _supervisor) = scene_with_v1();
    let image = with_noise(300_000);
    scene.push(&image);
    let layer = &image.layers[1].digest;
    scene.registry.fault(Rule::on(Kind::Blob).path(layer).times(1), Fault::WrongByte { at: 1000 });
    let asked = scene.run(&["check"]);
    assert_eq!(asked.code, Some(42), "{}", asked.all());
}

#[test]
fn a_truncated_blob() {
    let (scene, mut supervisor) = scene_with_v1();
    let image = with_noise(300_000);
    scene.push(&image);
    let layer = &image.layers[1].digest;
    // Cut off where there is no progress any more, it is given up after a few tries, and gone on with later.
    scene.registry.fault(Rule::on(Kind::Blob).path(layer), Fault::Truncate { after: 0 });
    let refused = scene.run(&["check"]);
    assert_eq!(refused.code, Some(75), "{}", refused.all());
    refused.says(&[&scene.registry.host()]);
    scene.place.assert_no_leftovers();
    assert_eq!(supervisor.starts(""), 1);
    scene.registry.clear_faults();
    scene.registry.fault(Rule::on(Kind::Blob).path(layer).times(2), Fault::Truncate { after: 100_000 });
    let asked = scene.run(&["check"]);
    assert_eq!(asked.code, Some(42), "{}", asked.all());
    supervisor.event("checked");
}

#[test]
fn an_oversized_blob() {
    for fault in [Fault::Oversize { extra: 10 }, Fault::OversizeChunked { extra: 10 }] {
        let (scene, mut supervisor) = scene_with_v1();
        let image = with_noise(100_000);
        scene.push(&image);
        let layer = &image.layers[1].digest;
        scene.registry.fault(Rule::on(Kind::Blob).path(layer), fault);
        refused_then_mended(&scene, &mut supervisor, 65, &[layer, "bytes", "expected"]);
    }
}

#[test]
fn a_missing_blob() {
    let (scene, mut supervisor) = scene_with_v1();
    let image = with_noise(1000);
    scene.push(&image);
    let layer = &image.layers[1].digest;
    scene.registry.remove("app", layer);
    refused_then_mended(&scene, &mut supervisor, 69, &[&scene.registry.host(), layer, "not found"]);
}

#[test]
fn a_manifest_with_a_wrong_digest() {
    let (scene, mut supervisor) = scene_with_v1();
    let image = with_noise(1000);
    scene.push(&image);
    let false_name = fixtures::sha256(b"another");
    scene.registry.put_manifest("app", "v", &false_name, &image.media_type, image.manifest.clone());
    refused_then_mended(
        &scene,
        &mut supervisor,
        65,
        &[&scene.registry.host(), "has the digest", &image.digest, "expected", &false_name],
    );
}

#[test]
fn an_unknown_media_type() {
    let layer = Layer::new().file("entrypoint", 0o755, b"#!/bin/sh\n").media_type("application/x-rar");
    refuse(&Image::new().layer(layer).build(), 65, &["application/x-rar", "expected"]);
    let (scene, mut supervisor) = scene_with_v1();
    scene.push(&good("v2"));
    let page = Fault::Header("Content-Type".to_owned(), Some("text/html".to_owned()));
    scene.registry.fault(Rule::on(Kind::Manifest).any_method(), page);
    refused_then_mended(
        &scene,
        &mut supervisor,
        69,
        &["text/html", "application/vnd.oci.image.manifest.v1+json"],
    );
}

#[test]
fn a_manifest_that_is_no_json() {
    let (scene, mut supervisor) = scene_with_v1();
    let text = b"{\"schemaVersion\":2,";
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    scene.registry.put_manifest("app", "v", &fixtures::sha256(text), media_type, &text[..]);
    refused_then_mended(&scene, &mut supervisor, 65, &[&scene.registry.reference("app", "v"), "malformed"]);
}

#[test]
fn a_tag_that_is_gone() {
    let (scene, mut supervisor) = scene_with_v1();
    scene.registry.remove("app", "v");
    refused_then_mended(&scene, &mut supervisor, 69, &[&scene.registry.host(), "app", "not found"]);
}

#[test]
fn a_layer_in_every_compression_is_damaged_inside() {
    // The blob is what its digest says: it is the builder's mistake, and fetching it again does not help.
    for compression in [Compression::Gzip, Compression::Zstd] {
        let whole = Layer::new()
            .file("entrypoint", 0o755, b"#!/bin/sh\n")
            .file("data", 0o644, &noise(9, 50_000))
            .compression(compression)
            .build();
        let mut cut = whole.clone();
        cut.bytes = whole.bytes.slice(..whole.bytes.len() / 2);
        cut.digest = fixtures::sha256(&cut.bytes);
        let (scene, mut supervisor) = scene_with_v1();
        scene.push(&Image::new().built_layer(cut.clone()).build());
        refused_then_mended(&scene, &mut supervisor, 65, &[&cut.digest, "ends in the middle"]);
    }
}
