//! A pull into an empty place.

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
