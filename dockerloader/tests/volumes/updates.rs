//! From one version to the next: what is fetched and written, and that the tree is as if it had been extracted.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use dockerloader::volume::{Method, Origin, Wanted};
use fixtures::registry::Kind as Asked;

use crate::images::{self, FILES};
use crate::scene::{Scene, digest, picture};
use crate::volume::{ALL, BTRFS, Kind, Volume, XFS};

/// The method of a file system, asked for by name: where the tests run, overlays may be better still.
fn wanted(kind: Kind) -> Wanted {
    let method = Method::ALL.into_iter().find(|method| method.name() == kind.method);
    Wanted::Only(method.unwrap())
}

fn each(test: impl Fn(&Scene, Method, &Volume)) {
    for kind in ALL {
        let Some(volume) = Volume::new(kind) else { continue };
        eprintln!("on {}", kind.name);
        let Wanted::Only(method) = wanted(kind) else { unreachable!() };
        test(&Scene::new(&volume, Wanted::Only(method)), method, &volume);
    }
}

#[test]
fn a_changed_top_layer_costs_what_is_in_it() {
    each(|scene, method, _| {
        let first = scene.update(&images::image(1, 1));
        assert_eq!((first.method, first.layers, first.layers_unchanged), (None, 2, 0));
        assert!(first.files > FILES && first.files_written == first.files, "{first:?}");
        let blobs = |made: &dockerloader::volume::Made| {
            assert_eq!(made.method, Some(method), "{made:?}");
            assert_eq!((made.layers, made.layers_unchanged), (2, 1), "{made:?}");
            assert_eq!(scene.registry.count("GET", Asked::Blob), 2, "the config and the layer");
            assert!(made.fetched < 150_000, "{made:?}");
        };
        // Nothing to begin with yet but the files of the version that runs.
        let second = images::image(1, 2);
        let made = scene.update(&second);
        blobs(&made);
        let from = if method == Method::Snapshot { Origin::Current } else { Origin::Empty };
        assert_eq!(made.base, from);
        scene.assert_as_extracted(&second);
        // From here on a spare tree is there.
        scene.update(&images::image(1, 3));
        for edition in 4..7 {
            let image = images::image(1, edition);
            let made = scene.update(&image);
            blobs(&made);
            assert_eq!(made.base, Origin::Spare);
            assert!(made.files_written < 12, "{made:?}");
            assert!(made.written < 200_000, "{made:?}");
            scene.assert_as_extracted(&image);
        }
        assert!(scene.others().len() <= 1, "{:?}", scene.others());
    });
}

#[test]
fn a_layer_built_anew_costs_the_files_that_are_others() {
    each(|scene, method, _| {
        for edition in 1..4 {
            scene.update(&images::image(edition, 1));
        }
        let image = images::image(4, 1);
        let made = scene.update(&image);
        assert_eq!((made.method, made.layers_unchanged), (Some(method), 1), "{made:?}");
        assert!(made.files_written < FILES / 10, "{made:?}");
        assert!(made.written < 1_000_000, "{made:?}");
        scene.assert_as_extracted(&image);
    });
}

#[test]
fn everything_may_change() {
    each(|scene, _, _| {
        for edition in 1..4 {
            scene.update(&images::image(edition, edition));
        }
        let other = images::other();
        scene.update(&other);
        scene.assert_as_extracted(&other);
        let back = images::image(9, 9);
        scene.update(&back);
        scene.assert_as_extracted(&back);
        // An old version is a new one once its tree is gone.
        let old = images::image(1, 1);
        scene.update(&old);
        scene.assert_as_extracted(&old);
    });
}

#[test]
fn the_running_tree_is_never_touched_and_what_it_wrote_goes_nowhere() {
    each(|scene, _, _| {
        for edition in 1..4 {
            let image = images::image(1, edition);
            scene.update(&image);
            // The workload writes into its tree, in all the ways there are.
            let tree = scene.layout.tree(&digest(&image.digest));
            let same_size =
                vec![0; usize::try_from(fs::metadata(tree.join("lib/4/4")).unwrap().len()).unwrap()];
            let times = fs::metadata(tree.join("lib/4/4")).unwrap().modified().unwrap();
            fs::write(tree.join("lib/4/4"), same_size).unwrap();
            let file = fs::File::options().write(true).open(tree.join("lib/4/4")).unwrap();
            file.set_modified(times).unwrap();
            fs::OpenOptions::new()
                .append(true)
                .open(tree.join("lib/6/6"))
                .unwrap()
                .write_all(b"more")
                .unwrap();
            fs::remove_file(tree.join("lib/8/8")).unwrap();
            fs::rename(tree.join("lib/9/9"), tree.join("lib/9/moved")).unwrap();
            fs::create_dir_all(tree.join("var/log")).unwrap();
            fs::write(tree.join("var/log/new"), b"log").unwrap();
            fs::set_permissions(tree.join("lib/10/10"), fs::Permissions::from_mode(0o777)).unwrap();
            fs::remove_file(tree.join("lib/link")).unwrap();
            fs::create_dir(tree.join("lib/link")).unwrap();
            let before = picture(&tree);
            let next = images::image(1, edition + 10);
            scene.pull(&next).unwrap();
            assert_eq!(picture(&tree), before, "edition {edition}");
            scene.assert_as_extracted(&next);
        }
    });
}

#[test]
fn contents_that_no_tree_has_come_from_the_layers_that_are_there() {
    each(|scene, method, _| {
        for edition in 1..4 {
            scene.update(&images::image(1, edition));
        }
        let image = images::image_that_uncovers();
        let made = scene.update(&image);
        assert_eq!((made.method, made.layers_unchanged), (Some(method), 0), "{made:?}");
        assert!(made.files_written < 12 && made.fetched < 10_000, "{made:?}");
        scene.assert_as_extracted(&image);
    });
}

#[test]
fn a_lost_index_costs_time_and_nothing_else() {
    each(|scene, _, _| {
        for edition in 1..4 {
            scene.update(&images::image(1, edition));
        }
        for (edition, damage) in [(10, "lost"), (11, "torn"), (12, "foreign")] {
            for name in scene.ground.list("indexes") {
                let path = scene.layout.layer_indexes().join(name);
                match damage {
                    "lost" => fs::remove_file(path).unwrap(),
                    "torn" => fs::File::options().write(true).open(path).unwrap().set_len(1000).unwrap(),
                    _ => fs::write(path, "foreign").unwrap(),
                }
            }
            let image = images::image(1, edition);
            let made = scene.update(&image);
            assert_eq!(made.layers_unchanged, 0, "{damage}: {made:?}");
            assert_eq!(scene.registry.count("GET", Asked::Blob), 2, "the blob is there all the same");
            scene.assert_as_extracted(&image);
        }
        let made = scene.update(&images::image(1, 13));
        assert_eq!(made.layers_unchanged, 1, "the index is written again: {made:?}");
    });
}

#[test]
fn without_stamps_or_seal_what_is_there_is_no_base() {
    each(|scene, method, _| {
        for (edition, folder) in [(1, "stamps"), (2, "seals")] {
            scene.update(&images::image(1, edition));
            for name in scene.ground.list(folder) {
                fs::write(scene.ground.root().join("storage/v1").join(folder).join(name), "torn").unwrap();
            }
            let next = images::image(1, edition + 10);
            scene.pull(&next).unwrap();
            // Its files may be read all the same: they are hashed.
            let made = scene.made();
            assert_eq!((made.method, made.base), (Some(method), Origin::Empty));
            scene.assert_as_extracted(&next);
        }
    });
}

#[test]
fn a_tree_is_used_up_in_one_step_and_a_crash_leaves_what_the_next_pull_removes() {
    each(|scene, _, _| {
        for edition in 1..4 {
            scene.update(&images::image(1, edition));
        }
        let next = images::image(1, 4);
        // As after a crash in the middle of an update.
        let half = scene.layout.extracted().join(format!("tmp-{}", next.digest));
        let spare = scene.layout.extracted().join(scene.others().pop().unwrap());
        fs::rename(spare, &half).unwrap();
        fs::remove_dir_all(half.join("lib/5")).unwrap();
        fs::write(half.join("lib/6/6"), "half").unwrap();
        scene.update(&next);
        scene.assert_as_extracted(&next);
        assert!(scene.others().iter().all(|name| name.starts_with("spare-")), "{:?}", scene.others());
    });
}

#[test]
fn updates_hold_when_the_volume_is_mounted_anew() {
    each(|scene, method, volume| {
        for edition in 1..4 {
            scene.update(&images::image(1, edition));
            volume.remount();
        }
        let image = images::image(1, 4);
        let made = scene.update(&image);
        assert_eq!((made.method, made.layers_unchanged), (Some(method), 1), "{made:?}");
        assert!(made.files_written < 12, "stamps hold over a mount: {made:?}");
        volume.remount();
        scene.assert_as_extracted(&image);
    });
}

#[test]
fn btrfs_can_go_by_reflink_and_every_file_system_by_copy() {
    for (kind, method) in [(BTRFS, Method::Reflink), (BTRFS, Method::Copy), (XFS, Method::Copy)] {
        let Some(volume) = Volume::new(kind) else { continue };
        let scene = Scene::new(&volume, Wanted::Only(method));
        for edition in 1..5 {
            let image = images::image(1, edition);
            let made = scene.update(&image);
            assert_eq!(made.method, Some(method).filter(|_| edition > 1));
            scene.assert_as_extracted(&image);
        }
    }
}

#[test]
fn a_change_of_the_method_is_an_update_like_any_other() {
    let Some(volume) = Volume::new(BTRFS) else { return };
    let mut scene = Scene::new(&volume, Wanted::Extract);
    let methods =
        [Method::Copy, Method::Snapshot, Method::Snapshot, Method::Reflink, Method::Copy, Method::Snapshot];
    scene.update(&images::image(1, 1));
    for (edition, method) in (2..).zip(methods) {
        scene.wanted = Wanted::Only(method);
        let image = images::image(1, edition);
        scene.update(&image);
        scene.assert_as_extracted(&image);
    }
}
