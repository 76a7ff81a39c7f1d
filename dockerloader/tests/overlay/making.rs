//! Versions that are made, one over the other.
#![expect(clippy::disallowed_methods, reason = "the tests do what workloads do")]

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use dockerloader::tree::{Depth, verify};
use dockerloader::volume::overlay::{self, Ready};
use fixtures::image::{Attributes, Layer};
use rustix::fs::StatVfsMountFlags as Flags;

use crate::stage::{On, Stage, bytes, digest, is_intact, run};

const EVERYWHERE: [On; 5] =
    [On::Plain, On::Memory, On::Made("mkfs.ext4"), On::Made("mkfs.xfs"), On::Made("mkfs.btrfs")];

/// A layer with one of each kind.
fn base() -> Vec<u8> {
    let odd = Attributes { mode: 0o4751, uid: 12, gid: 34, mtime: 1_000_000_000 };
    bytes(
        Layer::new()
            .entry(
                "./",
                fixtures::image::EntryType::Directory,
                Attributes { mode: 0o711, uid: 5, gid: 6, mtime: 9 },
                "",
                &[],
            )
            .file("entrypoint", 0o755, b"#!/bin/sh\nexit 42\n")
            .file_with("odd", odd, &[7; 70_000])
            .dir("kept", 0o750)
            .file("kept/a", 0o644, b"a")
            .dir("gone", 0o755)
            .file("gone/b", 0o644, b"b")
            .dir("renewed", 0o755)
            .file("renewed/old", 0o644, b"old")
            .file("linked/one", 0o644, b"one file")
            .hardlink("linked/two", "linked/one")
            .hardlink("linked/three", "linked/one")
            .file("also/one", 0o644, b"another")
            .hardlink("also/two", "also/one")
            .symlink("link", "kept/a")
            .fifo("fifo")
            .device("null", 1, 3)
            .pax(&[("SCHILY.xattr.trusted.mark", b"1")])
            .file("marked", 0o644, b"x"),
    )
}

/// What changes all of that a little.
fn change() -> Vec<u8> {
    bytes(
        Layer::new()
            .whiteout("gone")
            .opaque("renewed")
            .file("renewed/new", 0o600, b"new")
            .file("kept/a", 0o644, b"other")
            .file("linked/one", 0o644, b"changed")
            .hardlink("linked/two", "linked/one")
            .hardlink("linked/three", "linked/one")
            .symlink("link", "renewed/new"),
    )
}

#[test]
fn an_update_is_what_an_extraction_would_make_and_costs_what_changed() {
    for on in EVERYWHERE {
        let Some(stage) = Stage::new(on) else { continue };
        overlay::supported(&stage.layout).unwrap_or_else(|error| panic!("{on:?}: {error}"));
        assert_eq!(stage.list(&stage.layout.storage()), Vec::<String>::new(), "{on:?}");
        let (base, change) = (base(), change());
        let (old, new) = (digest('a'), digest('b'));
        let old_seal = stage.whole(&old, &[&base]);
        assert_eq!(stage.findings(&old, &old_seal), [], "{on:?}");
        let before = stage.frozen();

        let (expected, new_seal) = stage.expected("expected", &[&base, &change]);
        let draft = stage.over(&old, &new);
        assert_eq!(verify(&draft.path(), &old_seal, Depth::Full), [], "it begins as the version before");
        run(&format!(
            "cd {}; rm -r gone renewed link kept/a linked; \
             cp -a --reflink=never {expected}/renewed {expected}/link {expected}/linked .; cp -a {expected}/kept/a kept/a",
            draft.path().display(),
            expected = expected.display()
        ));
        draft.freeze(&new_seal).unwrap();
        assert_eq!(overlay::ready(&stage.layout, &new).unwrap(), Ready::Mounted);
        assert_eq!(overlay::ready(&stage.layout, &new).unwrap(), Ready::Already);
        assert_eq!(stage.findings(&new, &new_seal), [], "{on:?}");
        assert_eq!(stage.findings(&old, &old_seal), [], "{on:?}: the version before is as it was");
        assert_eq!(stage.mounts().len(), 2, "{:?}", stage.mounts());

        // What was frozen before is as it was, to the last change of an inode; on top is only what changed.
        let after = stage.frozen();
        let folder = stage.layout.frozen();
        for (path, text) in before.iter().filter(|(path, _)| **path != folder) {
            assert_eq!(after.get(path), Some(text), "{on:?}: {}", path.display());
        }
        let stack = overlay::stack(&dockerloader::disk::RealDisk, &stage.layout, &new).unwrap().unwrap();
        let top = &stack.frozen()[1];
        assert!(top.bytes < 100 && stack.frozen()[0].bytes > 70_000, "{on:?}: {stack:?}");
        assert!(!folder.join(&top.name).join("odd").exists(), "{on:?}");
        assert!(stage.list(&folder).iter().all(|name| !name.starts_with("tmp-")), "{on:?}");
    }
}

#[test]
fn what_a_workload_writes_is_its_own() {
    let Some(stage) = Stage::new(On::Plain) else { return };
    let base = base();
    let (one, two) = (digest('a'), digest('b'));
    let seal = stage.whole(&one, &[&base]);
    let draft = stage.over(&one, &two);
    draft.freeze(&seal).unwrap();
    overlay::ready(&stage.layout, &two).unwrap();
    let frozen = stage.frozen();
    let tree = stage.layout.tree(&one);
    fs::write(tree.join("entrypoint"), "changed").unwrap();
    fs::remove_dir_all(tree.join("kept")).unwrap();
    fs::write(tree.join("added"), "x").unwrap();
    fs::set_permissions(tree.join("odd"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(stage.frozen(), frozen);
    assert_eq!(stage.findings(&two, &seal), []);
    assert!(!is_intact(&stage.findings(&one, &seal)));

    // It is still there after the mounts are gone, as after a restart of the container.
    assert!(overlay::unmount(&stage.layout, &one).unwrap());
    assert!(!is_intact(&stage.findings(&one, &seal)), "a view shows what was written");
    assert_eq!(stage.mounts().len(), 1, "a view is gone with its last use: {:?}", stage.mounts());
    overlay::ready(&stage.layout, &one).unwrap();
    assert_eq!(fs::read(tree.join("added")).unwrap(), b"x");

    // A version over it begins as it was made, not as it was left.
    let draft = stage.over(&one, &digest('c'));
    assert_eq!(verify(&draft.path(), &seal, Depth::Full), []);
}

#[test]
fn names_of_one_file_are_one_file_across_layers() {
    for on in EVERYWHERE {
        let Some(stage) = Stage::new(on) else { continue };
        let base = base();
        let (one, two) = (digest('a'), digest('b'));
        let seal = stage.whole(&one, &[&base]);
        let draft = stage.over(&one, &two);
        fs::write(draft.path().join("new"), "new").unwrap();
        fs::hard_link(draft.path().join("new"), draft.path().join("newer")).unwrap();
        draft.freeze(&seal).unwrap();
        overlay::ready(&stage.layout, &two).unwrap();
        let id = |name: &str| {
            let found = fs::symlink_metadata(stage.layout.tree(&two).join(name)).unwrap();
            (found.dev(), found.ino())
        };
        assert_eq!(id("linked/one"), id("linked/three"), "{on:?}: below");
        assert_eq!(id("new"), id("newer"), "{on:?}: on top");
        assert_ne!(id("new"), id("linked/one"), "{on:?}");
        // A write to one name leaves the others what they were: the kernel copies that one name up.
        fs::write(stage.layout.tree(&two).join("linked/one"), "apart").unwrap();
        assert_eq!(fs::read(stage.layout.tree(&two).join("linked/two")).unwrap(), b"one file");
    }
}

#[test]
fn a_stack_that_is_deep_is_not_built_upon() {
    let Some(stage) = Stage::new(On::Plain) else { return };
    let base = base();
    let seal = stage.whole(&digest('0'), &[&base]);
    let mut current = digest('0');
    for (number, letter) in "123456789".chars().enumerate() {
        let version = digest(letter);
        let draft = overlay::clone(&stage.layout, &current, &version).unwrap();
        assert_eq!(draft.is_some(), number < 7, "{number}");
        let Some(draft) = draft else { return };
        fs::write(draft.path().join(format!("added-{number}")), "x").unwrap();
        draft.freeze(&seal).unwrap();
        overlay::ready(&stage.layout, &version).unwrap();
        let tree = stage.layout.tree(&version);
        assert!((0..=number).all(|number| tree.join(format!("added-{number}")).exists()), "{number}");
        current = version;
    }
    panic!("it was built upon for ever");
}

#[test]
fn a_mount_allows_what_the_volume_allows() {
    let Some(stage) = Stage::new(On::Memory) else { return };
    let base = base();
    let seal = stage.whole(&digest('a'), &[&base]);
    assert_eq!(stage.findings(&digest('a'), &seal), []);
    overlay::unmount(&stage.layout, &digest('a')).unwrap();
    let data = stage.layout.root().parent().unwrap();
    run(&format!("mount -o remount,nosuid,noexec,nodev {}", data.display()));
    overlay::ready(&stage.layout, &digest('a')).unwrap();
    let flags = rustix::fs::statvfs(stage.layout.tree(&digest('a'))).unwrap().f_flag;
    assert!(flags.contains(Flags::NOSUID | Flags::NOEXEC | Flags::NODEV), "{flags:?}");
}

#[test]
fn a_draft_is_frozen_once_nobody_can_write_to_it() {
    let Some(stage) = Stage::new(On::Plain) else { return };
    let base = base();
    let seal = stage.whole(&digest('a'), &[&base]);
    let draft = stage.over(&digest('a'), &digest('b'));
    let writer = fs::File::create(draft.path().join("open")).unwrap();
    let error = draft.freeze(&seal).unwrap_err();
    assert!(error.to_string().contains("cannot unmount"), "{error}");
    assert_eq!(stage.list(&stage.layout.stacks()), [digest('a').to_string()]);
    drop(writer);
    overlay::remove_leftovers(&stage.layout).unwrap();

    let draft = stage.over(&digest('a'), &digest('b'));
    let looker = fs::File::open(draft.path().join("kept")).unwrap();
    draft.freeze(&seal).unwrap();
    overlay::ready(&stage.layout, &digest('b')).unwrap();
    assert_eq!(stage.findings(&digest('b'), &seal), []);
    assert_eq!(stage.mounts().len(), 2, "{:?}", stage.mounts());
    drop(looker);
}

#[test]
fn what_is_on_a_read_only_volume_runs_as_it_is() {
    let Some(stage) = Stage::new(On::Memory) else { return };
    let base = base();
    let seal = stage.whole(&digest('a'), &[&base]);
    fs::write(stage.layout.tree(&digest('a')).join("written"), "x").unwrap();
    overlay::unmount(&stage.layout, &digest('a')).unwrap();
    run(&format!("mount -o remount,ro {}", stage.layout.root().parent().unwrap().display()));
    assert_eq!(overlay::ready(&stage.layout, &digest('a')).unwrap(), Ready::Mounted);
    assert!(is_intact(&stage.findings(&digest('a'), &seal)));
    let tree = stage.layout.tree(&digest('a'));
    assert!(tree.join("written").exists());
    assert!(fs::write(tree.join("more"), "x").is_err());
}

/// What an image could smuggle into a frozen directory to make the kernel show something else than was extracted.
#[test]
fn marks_of_overlays_in_an_image_mean_nothing() {
    let Some(stage) = Stage::new(On::Plain) else { return };
    let layer = bytes(
        Layer::new()
            .file("entrypoint", 0o755, b"x")
            .device("nothing", 0, 0)
            .pax(&[("SCHILY.xattr.trusted.overlay.opaque", b"y")])
            .dir("folder", 0o755)
            .file("folder/file", 0o644, b"y")
            .pax(&[("SCHILY.xattr.trusted.overlay.redirect", b"/folder")])
            .dir("other", 0o755)
            .pax(&[("SCHILY.xattr.trusted.overlay.metacopy", b"")])
            .file("empty", 0o644, b"z"),
    );
    let seal = stage.whole(&digest('a'), &[&layer]);
    assert_eq!(stage.findings(&digest('a'), &seal), []);
    let draft = stage.over(&digest('a'), &digest('b'));
    fs::write(draft.path().join("other/mine"), "x").unwrap();
    draft.freeze(&seal).unwrap();
    overlay::ready(&stage.layout, &digest('b')).unwrap();
    let tree = stage.layout.tree(&digest('b'));
    assert_eq!(fs::read(tree.join("empty")).unwrap(), b"z");
    assert!(tree.join("folder/file").exists() && !tree.join("other/file").exists());
}
