//! Updates where there is little memory: what the base is and what the new version will be have to fit beside each other.

use std::process::Command;

use fixtures::image::{BuiltImage, Compression, Image, Layer, noise};
use fixtures::registry::Registry;
use tests::group::Group;
use tests::programs::{built, skip};
use tests::supervised::Stage;

use crate::pulls::{ALLOWED, assert_within, kilobytes, watch};

const FILES: u64 = 60_000;

struct Scene {
    registry: Registry,
    stage: Stage,
    method: &'static str,
}

impl Scene {
    fn new(method: &'static str) -> Self {
        Self { registry: Registry::start(), stage: Stage::new(), method }
    }

    fn surround(&self, command: &mut Command) {
        self.stage.surround(command);
        command.env("DOCKERLOADER_TREE_METHOD", self.method);
        command.env("DOCKERLOADER_TARGET", self.registry.reference("app", "v1"));
    }

    fn pull(&self, image: &BuiltImage, mut command: Command) -> Result<u64, String> {
        self.registry.put("app", "v1", image);
        self.surround(command.args(["pull", "--stage"]));
        let (peak, output) = watch(command);
        if output.status.success() {
            return Ok(peak);
        }
        Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
    }

    /// Pulls, and has the trial succeed.
    fn install(&self, image: &BuiltImage) -> Result<(), String> {
        self.pull(image, Command::new(built("dockerloader")))?;
        let ground = &self.stage.ground;
        if let Some(current) = ground.read_slot("entrypoint") {
            ground.link("entrypoint-previous", &current);
        }
        ground.link("entrypoint", &image.digest);
        std::fs::remove_file(ground.root().join("entrypoint-attempt")).expect("the staged version's link");
        let mut gc = Command::new(built("dockerloader"));
        self.surround(gc.arg("gc"));
        assert!(gc.status().expect("the program").success(), "gc");
        Ok(())
    }

    /// Pulls in a group that has little memory.
    fn pull_with_little(&self, image: &BuiltImage) {
        let Some(group) = Group::new(ALLOWED) else { return };
        let peak = self.pull(image, group.command(&built("dockerloader"))).expect("an update");
        let with_cache = group.peak().map_or_else(|| "an unknown amount".to_owned(), kilobytes);
        println!("{}: at most {} resident, {with_cache} with page cache", self.method, kilobytes(peak));
        assert_within(peak, FILES + FILES / 100);
    }
}

/// Many files below a layer that depends on `build`.
fn image(build: u64) -> BuiltImage {
    let files = (0..FILES).fold(Layer::new(), |layer, number| {
        let directory = format!("opt/part{:03}", number / 100);
        let layer = if number.is_multiple_of(100) { layer.dir(&directory, 0o755) } else { layer };
        layer.file(&format!("{directory}/file-{number:05}"), 0o644, &noise(number, 100))
    });
    let top = Layer::new().file("app/program", 0o755, &noise(1_000_000 + build, 100_000));
    let files = files.compression(Compression::Gzip);
    Image::with_entrypoint(b"#!/bin/sh\n").layer(files).layer(top).build()
}

#[test]
fn many_files_over_a_spare_tree() {
    let scene = Scene::new("copy");
    let between = Image::with_entrypoint(b"#!/bin/sh\nexit 1\n").build();
    for image in [&image(1), &between, &image(2)] {
        scene.install(image).expect("an update");
    }
    scene.pull_with_little(&image(3));
}

#[test]
fn many_files_over_frozen_ones() {
    let scene = Scene::new("overlay");
    if let Err(why) = scene.install(&image(1)) {
        assert!(why.contains("DOCKERLOADER_TREE_METHOD is overlay"), "{why}");
        return skip("no overlay can be mounted here");
    }
    scene.pull_with_little(&image(2));
}
