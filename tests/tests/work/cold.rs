//! A pull into an empty place.

use std::time::Duration;

use fixtures::registry::{Fault, Kind, Rule};

use crate::ceilings::hold;
use crate::scene::{Scene, files, succeed};
use crate::strace;

/// A thousand files more cost a thousand times one file.
#[test]
fn system_calls_for_each_file() {
    let count = |number: u64| {
        let scene = Scene::with(files(number, 1_000));
        let summary = scene.ground.data().join("strace");
        succeed(&mut scene.pull(Some(strace::counting(&summary)?)));
        let text = std::fs::read_to_string(summary).expect("strace's summary");
        Some(strace::total(&text))
    };
    let (Some(few), Some(many)) = (count(1_000), count(2_000)) else { return };
    hold("system calls for each file of a cold pull", (many as f64 - few as f64) / 1_000.0);
}

/// On a slow line there is nothing to do most of the time.
#[test]
fn looks_for_each_piece_of_a_slow_blob() {
    const PIECES: u64 = 32;
    let scene = Scene::with(files(32, 16 << 10));
    let bytes = 16 << 10;
    scene.registry.fault(Rule::on(Kind::Blob), Fault::Drip { bytes, pause: Duration::from_millis(10) });
    let summary = scene.ground.data().join("strace");
    let Some(strace) = strace::counting(&summary) else { return };
    succeed(&mut scene.pull(Some(strace)));
    let text = std::fs::read_to_string(summary).expect("strace's summary");
    hold(
        "looks at sockets for each piece of a slow blob",
        strace::looks_at_sockets(&text) as f64 / PIECES as f64,
    );
}
