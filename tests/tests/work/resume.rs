//! A pull after one that was killed.

use std::os::unix::fs::MetadataExt as _;

use fixtures::image::{Image, Layer, noise};
use tests::wait::eventually;

use crate::ceilings::hold;
use crate::scene::{Scene, succeed, was_killed};

#[test]
fn bytes_fetched_again_after_a_kill() {
    const SIZE: usize = 40 << 20;
    const ENOUGH: u64 = 14 << 20;
    let scene = Scene::new();
    let layer =
        Layer::new().file("entrypoint", 0o755, b"#!/bin/sh\n").file("large", 0o644, &noise(1, SIZE)).build();
    let whole = layer.bytes.len() as u64;
    scene.registry.put("app", "v1", &Image::new().built_layer(layer).build());
    // Slow enough to be met in the middle.
    scene.registry.throttle(16 << 20);
    let mut pull = scene.pull(None).spawn().expect("the program");
    // What is not on disk yet is a hole, or beyond the end.
    let there = || scene.partial()?.metadata().ok().map(|file| file.blocks() * 512);
    eventually("enough bytes on disk", || there().filter(|there| *there >= ENOUGH));
    pull.kill().expect("the pull runs");
    let ended = pull.wait().expect("a child");
    assert!(was_killed(ended), "the pull was over too soon: {ended}");
    let there = there().expect("what was downloaded");
    scene.registry.throttle(0);
    scene.registry.clear_requests();
    succeed(&mut scene.pull(None));
    let asked = scene.bytes_asked_for();
    assert!(asked + there >= whole, "{asked} bytes asked for and {there} there make less than {whole}");
    hold("bytes fetched again after a kill", (asked + there - whole) as f64);
}
