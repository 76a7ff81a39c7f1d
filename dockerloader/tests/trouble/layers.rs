//! Layers that want out of their tree, or want all of the disk.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use fixtures::image::{Compression, EntryType, Image, Layer};

use crate::images::{refused_then_mended, scene_with_v1};
use crate::scene::{GOOD, Scene, Supervisor, program};

/// What lies outside of the store, and must stay as it is.
fn plant_canary(scene: &Scene) -> impl Fn() + use<> {
    let canary = scene.place.view.join("canary");
    fs::write(&canary, "alive").unwrap();
    let data = scene.place.view.clone();
    move || {
        assert_eq!(fs::read_to_string(&canary).unwrap(), "alive");
        let mut names: Vec<_> =
            fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["canary", "dockerloader"]);
        assert!(!Path::new("/trouble-escape").exists());
    }
}

/// A layer with a good program, and then this.
fn layer() -> Layer {
    Layer::new().file("entrypoint", 0o755, program("v2", GOOD).as_bytes())
}

fn refuse(hostile: Layer, words: &[&str]) {
    let (scene, mut supervisor) = scene_with_v1();
    let canary = plant_canary(&scene);
    scene.push(&Image::new().layer(hostile).build());
    refused_then_mended(&scene, &mut supervisor, 65, words);
    canary();
}

/// What is made harmless instead of refused: the version is staged, and nothing outside is touched.
fn neutralise(hostile: Layer) -> (Scene, Supervisor, String) {
    let (scene, supervisor) = scene_with_v1();
    let canary = plant_canary(&scene);
    let image = Image::new().layer(hostile).build();
    scene.push(&image);
    let staged = scene.run(&["check"]);
    assert_eq!(staged.code, Some(42), "{}", staged.all());
    canary();
    assert_eq!(supervisor.starts(""), 1);
    (scene, supervisor, image.digest)
}

#[test]
fn a_path_with_dots() {
    // From the tree up to the data directory: sha256:..., extracted, v1, storage, dockerloader.
    refuse(
        layer().literal(b"../../../../../canary", EntryType::Regular, b"", b"dead"),
        &["canary", "refused"],
    );
    refuse(
        layer().literal(b"a/../../../../../../canary", EntryType::Regular, b"", b"dead"),
        &["canary", "refused"],
    );
}

#[test]
fn an_absolute_path_stays_inside() {
    let hostile = layer().literal(b"/trouble-escape", EntryType::Regular, b"", b"dead");
    let (scene, _supervisor, digest) = neutralise(hostile);
    assert_eq!(fs::read(scene.place.tree(&digest).join("trouble-escape")).unwrap(), b"dead");
}

#[test]
fn a_link_out_of_the_tree_is_not_followed() {
    let (scene, mut supervisor) = scene_with_v1();
    let canary = plant_canary(&scene);
    let outside = scene.place.data.to_str().unwrap().to_owned();
    // A name for the data directory, and then a file through it.
    let hostile = layer().symlink("out", &outside).file("out/canary", 0o644, b"dead");
    scene.push(&Image::new().layer(hostile).build());
    let asked = scene.run(&["check"]);
    canary();
    assert_eq!(supervisor.starts(""), 1);
    if asked.code != Some(42) {
        refused_then_mended(&scene, &mut supervisor, 65, &["out/canary"]);
    }
    canary();
}

#[test]
fn a_hard_link_out_of_the_tree() {
    let (scene, mut supervisor) = scene_with_v1();
    let canary = plant_canary(&scene);
    let link = layer().literal(b"steal", EntryType::Link, b"../../../../../canary", b"");
    scene.push(&Image::new().layer(link).build());
    refused_then_mended(&scene, &mut supervisor, 65, &["steal", "refused"]);
    canary();
}

#[test]
fn a_hard_link_through_a_link() {
    let (scene, _supervisor) = scene_with_v1();
    let canary = plant_canary(&scene);
    let data = scene.place.data.to_str().unwrap().to_owned();
    let link = layer().symlink("out", &data).hardlink("steal", "out/canary").file("steal", 0o644, b"dead");
    scene.push(&Image::new().layer(link).build());
    let asked = scene.run(&["check"]);
    assert_eq!(asked.code, Some(65), "{}", asked.all());
    asked.says(&["steal"]);
    canary();
}

#[test]
fn a_device_is_no_program() {
    refuse(Layer::new().device("entrypoint", 1, 1), &["/entrypoint", "a special file"]);
    refuse(Layer::new().fifo("entrypoint"), &["/entrypoint", "a special file"]);
}

#[test]
fn a_device_is_not_written_through() {
    let (scene, _supervisor) = scene_with_v1();
    let canary = plant_canary(&scene);
    // What is written to it afterwards replaces it.
    let hostile = layer().device("null", 1, 3).file("null", 0o644, b"data");
    let image = Image::new().layer(hostile).build();
    scene.push(&image);
    let asked = scene.run(&["check"]);
    assert_eq!(asked.code, Some(42), "{}", asked.all());
    assert_eq!(fs::read(scene.place.tree(&image.digest).join("null")).unwrap(), b"data");
    canary();
}

/// 100 MiB of zeros, and what is left of them: a tenth of a megabyte.
fn bomb(compression: Compression) {
    let mut layer = layer().file("zeros", 0o644, &vec![0; 100 << 20]).compression(compression).build();
    if compression == Compression::Gzip {
        let plain = fixtures::image::gunzip(&layer.bytes).unwrap();
        let mut best = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        best.write_all(&plain).unwrap();
        layer.bytes = best.finish().unwrap().into();
        layer.digest = fixtures::sha256(&layer.bytes);
    }
    assert!(layer.bytes.len() < 400_000, "{}", layer.bytes.len());
    let (scene, mut supervisor) = scene_with_v1();
    scene.push(&Image::new().built_layer(layer).build());
    refused_then_mended(&scene, &mut supervisor, 65, &["inflate-ratio", "200", "over the limit"]);
}

#[test]
fn a_gzip_bomb() {
    bomb(Compression::Gzip);
}

#[test]
fn a_zstd_bomb() {
    bomb(Compression::Zstd);
}
