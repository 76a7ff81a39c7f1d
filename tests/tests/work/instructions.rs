//! The hot loops: one more entry, one more byte. Everything runs in software here: the processor that valgrind shows has
//! no instructions for SHA-256.

use fixtures::image::{Layer, noise};

use crate::callgrind::{self, Counts};
use crate::ceilings::hold;
use crate::scene::{Scene, files, succeed};

fn count(layer: Layer) -> Option<Counts> {
    let scene = Scene::with(layer);
    let profile = scene.ground.data().join("profile");
    succeed(&mut scene.pull(Some(callgrind::counting(&profile)?)));
    let counts = callgrind::read(&std::fs::read_to_string(profile).expect("a profile"));
    assert!(counts.instructions > 1_000_000 && counts.allocations > 1_000, "{counts:?}");
    Some(counts)
}

#[test]
fn for_each_entry() {
    let (Some(few), Some(many)) = (count(files(200, 0)), count(files(700, 0))) else { return };
    let each = |of: fn(&Counts) -> u64| (of(&many) as f64 - of(&few) as f64) / 500.0;
    hold("instructions for each entry of an archive, debug build", each(|counts| counts.instructions));
    hold("allocations for each entry of an archive", each(|counts| counts.allocations));
}

#[test]
fn for_each_byte() {
    // Half of it compresses well.
    let layer = |length: usize| {
        let pieces = (0..).flat_map(|seed| [noise(seed, 1_000), vec![b'x'; 1_000]]).flatten();
        Layer::new().file("large", 0o644, &pieces.take(length).collect::<Vec<_>>())
    };
    let (Some(short), Some(long)) = (count(layer(1_000_000)), count(layer(3_000_000))) else { return };
    let each = (long.instructions as f64 - short.instructions as f64) / 2e6;
    hold("instructions for each byte of an archive, debug build", each);
}
