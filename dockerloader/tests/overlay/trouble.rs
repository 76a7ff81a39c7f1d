//! Volumes that can't carry an overlay, and versions that can't be mounted.
#![expect(clippy::disallowed_methods, reason = "the tests damage what is there")]

use std::fs;

use dockerloader::disk::RealDisk;
use dockerloader::layout::Slot;
use dockerloader::slots::{self, NextRun};
use dockerloader::volume::overlay::{self, Error};
use fixtures::image::Layer;

use crate::stage::{On, Stage, bytes, digest};

fn program() -> Vec<u8> {
    bytes(Layer::new().file("entrypoint", 0o755, b"#!/bin/sh\n").file("other", 0o644, b"x"))
}

#[test]
fn an_overlay_carries_no_overlay() {
    let Some(stage) = Stage::new(On::Overlay) else { return };
    let error = overlay::supported(&stage.layout).unwrap_err();
    assert!(error.reason.contains("can't carry an overlay"), "{error}");
    assert_eq!(stage.list(&stage.layout.storage()), Vec::<String>::new());
    assert_eq!(stage.mounts(), Vec::<String>::new());
}

#[test]
fn a_path_that_mount_would_misread_is_no_place_for_an_overlay() {
    let Some(stage) = Stage::new(On::Plain) else { return };
    let data = stage.layout.root().parent().unwrap().to_owned();
    for (name, works) in [("a:b", true), ("a,b", false), ("a\\b", false)] {
        let layout = dockerloader::layout::Layout::new(&data.join(name));
        fs::create_dir_all(layout.storage()).unwrap();
        assert_eq!(overlay::supported(&layout).is_ok(), works, "{name}: {:?}", overlay::supported(&layout));
    }
}

#[test]
fn a_version_that_is_not_mounted_counts_as_one_that_is_on_disk() {
    let Some(stage) = Stage::new(On::Plain) else { return };
    stage.whole(&digest('a'), &[&program()]);
    let link = stage.layout.slot(Slot::Current);
    std::os::unix::fs::symlink(stage.layout.tree(&digest('a')).join("entrypoint"), link).unwrap();
    let next = || slots::next_run(&slots::read(&RealDisk, &stage.layout).unwrap());
    assert!(matches!(next(), NextRun::Current(_)));
    overlay::unmount(&stage.layout, &digest('a')).unwrap();
    assert!(matches!(next(), NextRun::Current(_)));
    // A mounted version without its program is not.
    overlay::ready(&stage.layout, &digest('a')).unwrap();
    fs::remove_file(stage.layout.tree(&digest('a')).join("entrypoint")).unwrap();
    assert!(matches!(next(), NextRun::Missing(_)));
    overlay::unmount(&stage.layout, &digest('a')).unwrap();
    fs::remove_file(stage.layout.stack(&digest('a'))).unwrap();
    assert!(matches!(next(), NextRun::Missing(_)));
}

#[test]
fn what_can_not_be_mounted_is_told_apart() {
    let Some(stage) = Stage::new(On::Plain) else { return };
    stage.whole(&digest('a'), &[&program()]);
    overlay::unmount(&stage.layout, &digest('a')).unwrap();
    let good = fs::read(stage.layout.stack(&digest('a'))).unwrap();
    fs::write(stage.layout.stack(&digest('a')), &good[..good.len() / 2]).unwrap();
    let error = overlay::ready(&stage.layout, &digest('a')).unwrap_err();
    assert!(matches!(error, Error::Stack { .. }), "{error}");
    assert!(overlay::View::of(&stage.layout, &digest('a')).is_err());

    fs::write(stage.layout.stack(&digest('a')), &good).unwrap();
    fs::remove_dir_all(stage.layout.frozen()).unwrap();
    let error = overlay::ready(&stage.layout, &digest('a')).unwrap_err();
    assert!(error.to_string().contains("lost"), "{error}");
    assert_eq!(stage.mounts(), Vec::<String>::new());

    // A plain tree that was put there counts for more than the stack.
    fs::write(stage.layout.tree(&digest('a')).join("entrypoint"), "x").unwrap();
    overlay::ready(&stage.layout, &digest('a')).unwrap();
    assert_eq!(stage.mounts(), Vec::<String>::new());
}

#[test]
fn a_version_that_is_made_anew_forgets_what_was_written_over_it() {
    let Some(stage) = Stage::new(On::Plain) else { return };
    let layer = program();
    let seal = stage.whole(&digest('a'), &[&layer]);
    fs::write(stage.layout.tree(&digest('a')).join("entrypoint"), "damaged").unwrap();
    stage.whole(&digest('a'), &[&layer]);
    assert_eq!(stage.findings(&digest('a'), &seal), []);
    assert_eq!(stage.mounts().len(), 1);
    assert_eq!(stage.list(&stage.layout.frozen()).len(), 2, "the old one is left to the clean-up");
}

#[test]
fn what_was_frozen_for_nothing_gives_its_room_back() {
    let Some(stage) = Stage::new(On::Plain) else { return };
    let layer = program();
    stage.whole(&digest('a'), &[&layer]);
    let before = stage.list(&stage.layout.frozen());
    // What keeps the version from getting a stack, as a full disk does.
    fs::rename(stage.layout.all_writes(), stage.layout.all_writes().with_extension("away")).unwrap();
    fs::write(stage.layout.all_writes(), "").unwrap();
    for _ in 0..2 {
        let draft = overlay::whole(&stage.layout, &digest('b')).unwrap();
        let seal = crate::stage::extract(&draft.path(), &[&layer]);
        draft.freeze(&seal).unwrap_err();
        assert_eq!(stage.list(&stage.layout.frozen()), before);
    }
    // One that a stack names stays, whatever failed after that.
    fs::remove_file(stage.layout.all_writes()).unwrap();
    let draft = overlay::whole(&stage.layout, &digest('b')).unwrap();
    let seal = crate::stage::extract(&draft.path(), &[&layer]);
    fs::write(stage.layout.tree(&digest('b')), "in the way").unwrap();
    let frozen = draft.freeze(&seal);
    assert_eq!(stage.list(&stage.layout.frozen()).len(), before.len() + 1, "{frozen:?}");
}
