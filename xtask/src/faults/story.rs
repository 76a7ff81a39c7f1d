//! Stories: more than one host, or more than one pull, goes wrong in a way that happened to others.

use std::path::Path;
use std::time::{Duration, Instant};

use fixtures::registry::{Fault as Answer, Kind, Refusing, Registry, Rule, Silent};
use serde_json::json;

use super::cell::Outcome;
use super::content::{CHUNKED_LYING, CHUNKED_NEW, CHUNKED_OLD, Content, NEXT, VERSION};
use super::expected::Remedy::{Later, Local, Refuse};
use super::expected::{Ceiling, Expected};
use super::judge::judge;
use super::observe;
use super::phase::Phase;
use super::program::Program;
use super::world::{Shape, World};
use crate::failure::{Context as _, Failure, Result};

/// One story: what happens, and what is expected of the pull at its end.
pub(super) struct Story {
    pub(super) name: &'static str,
    /// What happens.
    pub(super) what: &'static str,
    pub(super) expected: Expected,
    /// Bytes of blobs that the pull may cost, in tenths of the layer.
    tenths: u64,
    content: fn() -> &'static Content,
    set: fn(&mut World, &Path) -> Result,
}

const fn right(requests: usize) -> Expected {
    Expected::Right(Ceiling { requests, seconds: 55 })
}

const fn refused(
    remedy: super::expected::Remedy,
    says: &'static [&'static str],
    requests: usize,
) -> Expected {
    Expected::Refused(remedy, says, Ceiling { requests, seconds: 30 })
}

fn version() -> &'static Content {
    &VERSION
}

/// Half of the layer is on disk, its first half being right or wrong.
fn leave_half(world: &World, change: impl FnOnce(&mut Vec<u8>)) -> Result {
    let layer = VERSION.image.layers.first().ok_or_else(|| Failure::new("no layer"))?;
    let mut bytes = layer.bytes.slice(..layer.bytes.len() / 2).to_vec();
    change(&mut bytes);
    let folder = world.data().join("dockerloader/storage/v1/blobs");
    std::fs::create_dir_all(&folder).context("make a folder")?;
    std::fs::write(folder.join(format!("partial-{}", layer.digest)), bytes).context("write half a layer")
}

/// The second host is a mirror of the registry.
fn mirror(world: &mut World) {
    let pair = format!("{}={}", world.registry.host(), world.second.host());
    world.environment.insert("DOCKERLOADER_MIRRORS", pair);
}

fn layer() -> Rule {
    World::rule(Phase::Blob)
}

/// All requests for layers and configs.
fn blobs() -> Rule {
    Rule::on(Kind::Blob)
}

/// Half of the layer, for a connection to break there.
const HALF: u64 = 150 << 10;

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
    Story {
        name: "mirror-wrong-bytes",
        what: "A mirror has wrong bytes of the layer: they come from the registry.",
        expected: right(10),
        tenths: 21,
        content: version,
        set: |world, _| {
            mirror(world);
            world.second.fault(layer(), Answer::WrongByte { at: 1000 });
            Ok(())
        },
    },
    Story {
        name: "mirrors-wrong-bytes",
        what: "Two mirrors have wrong bytes of everything: it comes from the registry.",
        expected: right(15),
        tenths: 22,
        content: version,
        set: |world, _| {
            let third = Registry::start();
            third.put("app", "v", &VERSION.index);
            let (own, second) = (world.registry.host(), world.second.host());
            let pairs = format!("{own}={second},{own}={}", third.host());
            world.environment.insert("DOCKERLOADER_MIRRORS", pairs);
            for host in [&world.second, &third] {
                host.fault(Rule::on(Kind::Manifest), Answer::WrongByte { at: 10 });
                host.fault(blobs(), Answer::WrongByte { at: 10 });
            }
            world.kept.push(Box::new(third));
            Ok(())
        },
    },
    Story {
        name: "mirror-wrong-after-wrong-half",
        what: "Half of the layer is on disk and wrong, and the mirror has wrong bytes too: nobody else is blamed.",
        expected: right(11),
        tenths: 26,
        content: version,
        set: |world, _| {
            mirror(world);
            world.second.fault(layer(), Answer::WrongByte { at: 200 << 10 });
            leave_half(world, |bytes| bytes.iter_mut().take(1).for_each(|byte| *byte = !*byte))
        },
    },
    Story {
        name: "mirror-blamed-for-another",
        what: "A mirror sends a wrong half and breaks off for good, the registry sends the rest: all of it comes from the registry.",
        expected: right(14),
        tenths: 21,
        content: version,
        set: |world, _| {
            mirror(world);
            world.second.put_blob("app", VERSION.layer(), {
                let mut bytes =
                    VERSION.image.layers.first().map(|layer| layer.bytes.to_vec()).unwrap_or_default();
                bytes.iter_mut().skip(5000).take(1).for_each(|byte| *byte = !*byte);
                bytes
            });
            world.second.fault(layer().times(1), Answer::Truncate { after: HALF });
            world.second.fault(layer(), Answer::status(404));
            Ok(())
        },
    },
    Story {
        name: "mirror-refused",
        what: "A mirror refuses connections.",
        expected: right(8),
        tenths: 11,
        content: version,
        set: |world, _| {
            let host = Refusing::new().context("bind a port")?;
            let pair = format!("{}={}", world.registry.host(), host.host());
            world.environment.insert("DOCKERLOADER_MIRRORS", pair);
            world.kept.push(Box::new(host));
            Ok(())
        },
    },
    Story {
        name: "mirror-silent",
        what: "A mirror takes connections and never says a word: it is waited for once.",
        expected: right(8),
        tenths: 11,
        content: version,
        set: |world, _| {
            let host = Silent::new().context("listen")?;
            let pair = format!("{}={}", world.registry.host(), host.host());
            world.environment.insert("DOCKERLOADER_MIRRORS", pair);
            world.kept.push(Box::new(host));
            Ok(())
        },
    },
    Story {
        name: "mirror-denies",
        what: "A mirror answers 403 to everything.",
        expected: right(13),
        tenths: 11,
        content: version,
        set: |world, _| {
            mirror(world);
            world.second.fault(Rule::on(Kind::Manifest).any_method(), Answer::status(403));
            world.second.fault(blobs(), Answer::status(403));
            Ok(())
        },
    },
    Story {
        name: "mirror-fails",
        what: "A mirror answers 500 to everything: the registry is asked at once.",
        expected: right(13),
        tenths: 11,
        content: version,
        set: |world, _| {
            mirror(world);
            world.second.fault(Rule::on(Kind::Manifest).any_method(), Answer::status(500));
            world.second.fault(blobs(), Answer::status(500));
            Ok(())
        },
    },
    Story {
        name: "mirror-stalls",
        what: "A mirror's bodies stop after a few bytes: after the second one the registry is asked.",
        expected: right(15),
        tenths: 11,
        content: version,
        set: |world, _| {
            mirror(world);
            let gate = fixtures::registry::Gate::new();
            world.second.fault(blobs(), Answer::Hold { after: 100, gate });
            Ok(())
        },
    },
    Story {
        name: "mirror-cuts",
        what: "A mirror's bodies end after a few bytes: after the second one the registry is asked.",
        expected: right(15),
        tenths: 11,
        content: version,
        set: |world, _| {
            mirror(world);
            world.second.fault(blobs(), Answer::Truncate { after: 100 });
            Ok(())
        },
    },
    Story {
        name: "mirror-trickles",
        what: "A mirror's bodies come byte by byte: after the second one the registry is asked.",
        expected: right(15),
        tenths: 11,
        content: version,
        set: |world, _| {
            mirror(world);
            let pause = Duration::from_millis(200);
            world.second.fault(blobs(), Answer::Drip { bytes: 1, pause });
            Ok(())
        },
    },
    Story {
        name: "mirror-flips",
        what: "A mirror drops connections every 64 KiB, then loses the layer: the registry sends the rest, and no byte comes twice.",
        expected: right(12),
        tenths: 11,
        content: version,
        set: |world, _| {
            mirror(world);
            world.second.fault(layer().times(2), Answer::Truncate { after: 64 << 10 });
            world.second.fault(layer(), Answer::status(404));
            Ok(())
        },
    },
    Story {
        name: "mirror-other-tag",
        what: "A mirror has another version under the tag than the registry: mirrors are believed about tags, and its version comes whole.",
        expected: right(8),
        tenths: 11,
        content: version,
        set: |world, _| {
            mirror(world);
            world.registry.put("app", "v", &NEXT.index);
            Ok(())
        },
    },
    Story {
        name: "mirror-invents-tag",
        what: "A mirror says a digest for the tag that nobody has: nothing else is taken in its place.",
        expected: refused(Later, &["not found"], 8),
        tenths: 0,
        content: version,
        set: |world, _| {
            mirror(world);
            let digest = fixtures::sha256(b"nothing");
            let rule = Rule::on(Kind::Manifest).method("HEAD");
            world.second.fault(rule, Answer::digest_header(Some(&digest)));
            Ok(())
        },
    },
    Story {
        name: "chunked",
        what: "An update of a layer with a table of contents: a part of it is fetched.",
        expected: right(12),
        tenths: 3,
        content: || &CHUNKED_NEW,
        set: |world, binary| update_from(world, binary, &CHUNKED_NEW),
    },
    Story {
        name: "chunked-lie",
        what: "The table of contents says that the file that changed did not: the layer comes whole.",
        expected: right(14),
        tenths: 15,
        content: || &CHUNKED_LYING,
        set: |world, binary| update_from(world, binary, &CHUNKED_LYING),
    },
    Story {
        name: "chunked-no-ranges",
        what: "The request for the table is answered with 200 and all of the layer: it comes whole, and what was on its way is lost.",
        expected: right(14),
        tenths: 21,
        content: || &CHUNKED_NEW,
        set: |world, binary| {
            update_from(world, binary, &CHUNKED_NEW)?;
            world.registry.fault(blobs(), Answer::IgnoreRange);
            Ok(())
        },
    },
    Story {
        name: "chunked-breaks-off",
        what: "Connections break off in the table and in the parts: they are made again.",
        expected: right(20),
        tenths: 12,
        content: || &CHUNKED_NEW,
        set: |world, binary| {
            update_from(world, binary, &CHUNKED_NEW)?;
            let digest = CHUNKED_NEW.layer();
            world.registry.fault(blobs().path(digest).times(2), Answer::Truncate { after: 500 });
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

/// Installs the old version of the layer with a table of contents, and points the tag to another.
fn update_from(world: &World, binary: &Path, to: &Content) -> Result {
    world.registry.put("app", "v", &CHUNKED_OLD.index);
    let seen = observe::pull(binary, world, &CHUNKED_OLD)?;
    if !seen.is_complete {
        return Err(Failure::new(format!("the old version: {seen:?}")));
    }
    promote(world)?;
    world.registry.put("app", "v", &to.index);
    Ok(())
}

/// Makes what is staged the current version.
pub(super) fn promote(world: &World) -> Result {
    let root = world.data().join("dockerloader");
    std::fs::rename(root.join("entrypoint-attempt"), root.join("entrypoint")).context("promote a version")
}

impl Story {
    pub(super) fn run(&self, binary: &Path) -> Result<Outcome> {
        let mut world = World::new(&Shape::default())?;
        (self.set)(&mut world, binary)?;
        let second = world.second.host();
        world.at_fault.push(second);
        let content = (self.content)();
        let seen = observe::pull(binary, &world, content)?;
        let mut bad = judge(self.expected, &seen, &content.image.digest, &world.at_fault);
        let size = content.image.layers.first().map_or(0, |layer| layer.bytes.len() as u64);
        let most = size * self.tenths / 10;
        if seen.sent > most && self.tenths > 0 {
            bad.push(format!("{} bytes were sent, expected {most} at most", seen.sent));
        }
        Ok(Outcome { bad, seen, runs: 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_every_story_is_told() {
        let mut names: Vec<_> = STORIES.iter().map(|story| story.name).collect();
        assert!(STORIES.iter().all(|story| story.what.ends_with('.')));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), STORIES.len());
    }
}
