//! Stories of one registry: a pull that is broken off again and again, or led in circles.

use std::path::Path;
use std::time::{Duration, Instant};

use fixtures::registry::{Fault as Answer, Rule};
use serde_json::json;

use super::content::VERSION;
use super::expected::Remedy::{Local, Refuse};
use super::observe;
use super::phase::Phase;
use super::program::Program;
use super::story::{HALF, Story, layer, refused, right, version};
use super::world::World;
use crate::failure::{Context as _, Failure, Result};

/// What happens at one registry.
pub(super) const STORIES: &[Story] = &[
    Story {
        name: "slow-but-steady",
        what: "A body at 20 KB/s: slow is no fault.",
        expected: right(8),
        tenths: 11,
        content: version,
        set: |world, _| {
            let pause = Duration::from_millis(200);
            world.registry.fault(layer(), Answer::Drip { bytes: 4096, pause });
            Ok(())
        },
    },
    Story {
        name: "dropped-bytes",
        what: "Every connection is dropped after 64 KiB: no byte comes twice.",
        expected: right(13),
        tenths: 11,
        content: version,
        set: |world, _| {
            world.registry.fault(layer(), Answer::Truncate { after: 64 << 10 });
            Ok(())
        },
    },
    Story {
        name: "range-ignored-bytes",
        what: "The body breaks off in the middle, and the registry knows no ranges: the whole comes once more, once.",
        expected: right(9),
        tenths: 17,
        content: version,
        set: |world, _| {
            world.registry.fault(layer().times(1), Answer::Truncate { after: HALF });
            world.registry.fault(layer(), Answer::IgnoreRange);
            Ok(())
        },
    },
    Story {
        name: "gone-then-back",
        what: "The layer breaks off and is 404 then: the next pull goes on where it was.",
        expected: right(8),
        tenths: 6,
        content: version,
        set: |world, binary| {
            world.registry.fault(layer().times(1), Answer::Truncate { after: HALF });
            world.registry.fault(layer(), Answer::status(404));
            let seen = observe::pull(binary, world, &VERSION)?;
            world.registry.clear_faults();
            if seen.code == Some(69) {
                Ok(())
            } else {
                Err(Failure::new(format!("the first pull: {seen:?}")))
            }
        },
    },
    Story {
        name: "killed",
        what: "The pull is killed at the config and at 0, 1, 50 and 99 % of the layer: the next one fetches the rest.",
        expected: right(8),
        tenths: 1,
        content: version,
        set: |world, binary| {
            let size = VERSION.image.layers.first().map_or(0, |layer| layer.bytes.len() as u64);
            kill_at(world, binary, World::rule(Phase::Config), 0, 0)?;
            kill_at(world, binary, layer(), 0, 0)?;
            for percent in [1, 50, 99] {
                let (there, until) = (on_disk(world), size / 100 * percent);
                kill_at(world, binary, layer(), until.saturating_sub(there), until)?;
            }
            Ok(())
        },
    },
    Story {
        name: "ten-terabytes",
        what: "The manifest names a layer of 10 TB: it is refused before a byte of it is asked for.",
        expected: refused(Refuse, &["over the limit layer-bytes", "10995116277760"], 6),
        tenths: 0,
        content: version,
        set: |world, _| {
            let image = &VERSION.image;
            let mut manifest: serde_json::Value =
                serde_json::from_slice(&image.manifest).context("read the manifest")?;
            manifest["layers"][0]["size"] = json!(10u64 << 40);
            let manifest = manifest.to_string();
            let digest = fixtures::sha256(manifest.as_bytes());
            world.registry.put_manifest("app", "v", &digest, &image.media_type, manifest);
            Ok(())
        },
    },
    Story {
        name: "redirect-and-back",
        what: "A redirect to another host, which leads back to the registry: the credentials stay away for good.",
        expected: refused(Local, &["not authorized to pull app"], 13),
        tenths: 10,
        content: version,
        set: |world, _| {
            let there = format!("{}{{path}}", world.second.origin());
            let back = format!("{}{{path}}", world.registry.origin());
            world.registry.fault(layer(), Answer::Redirect(there));
            world.second.fault(layer(), Answer::Redirect(back));
            Ok(())
        },
    },
];

/// Starts a pull, and kills it when an answer has sent so many bytes and so many of the layer are on disk.
fn kill_at(world: &World, binary: &Path, rule: Rule, bytes: u64, on_disk_then: u64) -> Result {
    let gate = world.registry.gate(rule, bytes);
    let pull = Program::start(binary, &["pull", "--stage"], world)?;
    gate.wait_reached();
    let deadline = Instant::now() + Duration::from_secs(30);
    while on_disk(world) < on_disk_then {
        if Instant::now() > deadline {
            return Err(Failure::new(format!("{} bytes are on disk, not {on_disk_then}", on_disk(world))));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(pull);
    gate.release();
    world.registry.clear_faults();
    Ok(())
}

/// Bytes of the layer that are on disk.
fn on_disk(world: &World) -> u64 {
    let path = world.data().join(format!("dockerloader/storage/v1/blobs/partial-{}", VERSION.layer()));
    path.metadata().map_or(0, |data| data.len())
}
