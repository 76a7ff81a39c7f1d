//! A pull that finds a version from which little differs.

use fixtures::image::{Layer, noise};
use fixtures::registry::Kind;

use crate::ceilings::hold;
use crate::scene::{Scene, changed_files, files, succeed, written_by};
use crate::strace;

#[test]
fn requests_when_nothing_changed() {
    let scene = Scene::with(files(10, 1_000));
    scene.install();
    scene.registry.clear_requests();
    succeed(&mut scene.pull(None));
    let requests = scene.registry.requests();
    assert_eq!(scene.registry.count("HEAD", Kind::Manifest), requests.len(), "{requests:?}");
    hold("requests of a pull that finds nothing new", requests.len() as f64);
}

#[test]
fn requests_and_bytes_when_the_top_layer_changed() {
    const SIZE: usize = 100_000;
    let scene = Scene::new();
    let publish = |build: u64| {
        let top = Layer::new().file("app/program", 0o755, &noise(1_000 + build, SIZE));
        scene.publish(vec![files(50, 20_000), top]);
    };
    publish(1);
    scene.install();
    publish(2);
    scene.registry.clear_requests();
    succeed(&mut scene.pull(None));
    hold("requests of an update whose top layer changed", scene.registry.requests().len() as f64);
    let asked = scene.bytes_asked_for();
    assert!(asked >= SIZE as u64, "only {asked} bytes were asked for");
    hold("bytes fetched by that update, for each byte of the new layer", asked as f64 / SIZE as f64);
}

/// Three versions went before, as on a machine that has been updated for a while.
#[test]
fn bytes_written_for_each_byte_that_changed() {
    const FILES: u64 = 400;
    const CHANGED: u64 = 4;
    const LENGTH: usize = 40_000;
    let scene = Scene::new();
    for build in 0..3 {
        scene.publish(vec![changed_files(FILES, LENGTH, CHANGED, build)]);
        scene.install();
    }
    scene.publish(vec![changed_files(FILES, LENGTH, CHANGED, 3)]);
    scene.registry.clear_requests();
    let written = written_by(&mut scene.pull(None));
    // Blobs are kept, so they have to be written.
    let rest = written as f64 - scene.bytes_asked_for() as f64;
    let changed = (CHANGED * LENGTH as u64) as f64;
    hold("bytes written by an update of 1 % of a layer, for each byte that changed", rest / changed);
}

/// Nothing is opened that needn't be: a thousand files more that stay cost a thousand looks.
#[test]
fn system_calls_for_each_file_that_stays() {
    let count = |number: u64| {
        let scene = Scene::new();
        let publish = |build: u64| {
            let top = Layer::new().file("app/program", 0o755, &noise(1_000_000 + build, 10_000));
            scene.publish(vec![files(number, 100), top]);
        };
        for build in 0..3 {
            publish(build);
            scene.install();
        }
        publish(3);
        let summary = scene.ground.data().join("strace");
        succeed(&mut scene.pull(Some(strace::counting(&summary)?)));
        Some(strace::total(&std::fs::read_to_string(summary).expect("strace's summary")))
    };
    let (Some(few), Some(many)) = (count(500), count(1_500)) else { return };
    hold("system calls of an update for each file that stays as it is", (many as f64 - few as f64) / 1_000.0);
}
