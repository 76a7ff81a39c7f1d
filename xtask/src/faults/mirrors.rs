//! Stories of mirrors: whatever they do, the image is the one of its digest, and comes from the registry in the end.

use std::time::Duration;

use fixtures::registry::{Fault as Answer, Kind, Refusing, Registry, Rule, Silent};

use super::content::{NEXT, VERSION};
use super::expected::Remedy::Later;
use super::story::{HALF, Story, blobs, layer, refused, right, version};
use super::world::World;
use crate::failure::{Context as _, Failure, Result};

/// What mirrors do.
pub(super) const MIRRORS: &[Story] = &[
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
];

/// The second host is a mirror of the registry.
fn mirror(world: &mut World) {
    let pair = format!("{}={}", world.registry.host(), world.second.host());
    world.environment.insert("DOCKERLOADER_MIRRORS", pair);
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
