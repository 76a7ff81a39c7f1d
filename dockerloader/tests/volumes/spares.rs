//! The spare tree: when there is one, what may be in it, and when it has to go.

use std::fs;

use dockerloader::volume::{Method, Origin, Wanted};
use fixtures::registry::{Fault, Kind as Asked, Rule};

use crate::images;
use crate::scene::{Scene, digest};
use crate::volume::{EXT4, Volume};

fn scene_on(volume: &Volume) -> Scene {
    Scene::new(volume, Wanted::Only(Method::Copy))
}

/// Three versions one after the other: the first is the spare tree then.
fn with_spare(volume: &Volume) -> Scene {
    let scene = scene_on(volume);
    let first = images::image(1, 1);
    for edition in 1..4 {
        scene.update(&images::image(1, edition));
    }
    assert_eq!(scene.others(), [format!("spare-{}", first.digest)]);
    scene
}

#[test]
fn one_is_kept_and_takes_part_in_nothing() {
    let Some(volume) = Volume::new(EXT4) else { return };
    let scene = with_spare(&volume);
    let first = images::image(1, 1);
    assert_eq!(scene.ground.list("launch").len(), 2);
    assert_eq!(scene.ground.list("images").len(), 2);
    assert_eq!(scene.ground.list("seals").len(), 3);
    assert_eq!(scene.ground.list("stamps").len(), 3);
    assert!(!scene.ground.list("blobs").contains(&first.layers[1].digest), "its layer is nobody's");
    assert_eq!(scene.collect().deleted, [], "it stays");
    // Its version is no longer there, and comes as any other.
    let made = scene.update(&first);
    assert_eq!(made.base, Origin::Spare);
    assert!(made.fetched > 100_000, "{made:?}");
    scene.assert_as_extracted(&first);
}

#[test]
fn one_that_a_killed_pull_had_begun_to_change_is_used_again() {
    let Some(volume) = Volume::new(EXT4) else { return };
    let scene = with_spare(&volume);
    let first = images::image(1, 1);
    let (spare, taken) = (scene.layout.spare(&digest(&first.digest)), format!("tmp-spare-{}", first.digest));
    let taken = scene.layout.extracted().join(taken);
    // As it is when the process dies: some files are new ones, some are gone, and what is made lies in the root.
    let kill = || {
        fs::rename(&spare, &taken).unwrap();
        fs::remove_file(taken.join("lib/4/4")).unwrap();
        fs::create_dir_all(taken.join(".dockerloader-new-0")).unwrap();
        fs::write(taken.join(".dockerloader-new-0/7"), b"half").unwrap();
    };
    kill();
    assert_eq!(scene.collect().deleted, [], "a clean-up keeps it");
    assert_eq!(scene.others(), [format!("spare-{}", first.digest)]);
    kill_again(&spare, &taken);
    let image = images::image(1, 4);
    assert_eq!(scene.update(&image).base, Origin::Spare);
    scene.assert_as_extracted(&image);
}

fn kill_again(spare: &std::path::Path, taken: &std::path::Path) {
    fs::rename(spare, taken).unwrap();
    fs::write(taken.join("lib/5/5"), b"half").unwrap();
}

#[test]
fn whatever_was_done_to_it_is_put_right() {
    let Some(volume) = Volume::new(EXT4) else { return };
    let scene = with_spare(&volume);
    let spare = scene.layout.extracted().join(scene.others().pop().unwrap());
    let file = fs::metadata(spare.join("lib/4/4")).unwrap();
    fs::write(spare.join("lib/4/4"), vec![7; usize::try_from(file.len()).unwrap()]).unwrap();
    fs::File::options()
        .write(true)
        .open(spare.join("lib/4/4"))
        .unwrap()
        .set_modified(file.modified().unwrap())
        .unwrap();
    fs::write(spare.join("lib/6/6"), b"").unwrap();
    fs::remove_dir_all(spare.join("lib/12")).unwrap();
    fs::create_dir_all(spare.join("lib/more/and/more")).unwrap();
    fs::write(spare.join("lib/more/file"), b"more").unwrap();
    fs::remove_file(spare.join("entrypoint")).unwrap();
    fs::create_dir(spare.join("entrypoint")).unwrap();
    std::os::unix::fs::symlink("/etc", spare.join("lib/5/out")).unwrap();
    let image = images::image(1, 4);
    let made = scene.update(&image);
    assert_eq!((made.base, made.layers_unchanged), (Origin::Spare, 1), "{made:?}");
    scene.assert_as_extracted(&image);
}

#[test]
fn one_that_lost_too_much_is_not_the_end() {
    let Some(volume) = Volume::new(EXT4) else { return };
    let scene = with_spare(&volume);
    let spare = scene.layout.extracted().join(scene.others().pop().unwrap());
    fs::remove_dir_all(spare.join("lib")).unwrap();
    // Nor does the version that runs have all of the files.
    let current = digest(&scene.ground.read_slot("entrypoint").unwrap());
    fs::remove_dir_all(scene.layout.tree(&current).join("lib/7")).unwrap();
    let image = images::image(1, 4);
    let made = scene.update(&image);
    assert_eq!((made.base, made.layers_unchanged), (Origin::Spare, 0), "all layers are read: {made:?}");
    assert_eq!(scene.registry.count("GET", Asked::Blob), 2, "nothing is fetched twice");
    scene.assert_as_extracted(&image);
}

#[test]
fn a_pull_that_fails_gives_it_back() {
    let Some(volume) = Volume::new(EXT4) else { return };
    let scene = with_spare(&volume);
    let (spare, image) = (scene.others(), images::image(1, 4));
    scene.registry.fault(Rule::on(Asked::Blob).path(&image.layers[1].digest), Fault::status(404));
    scene.pull(&image).unwrap_err();
    assert_eq!(scene.others(), spare);
    scene.registry.clear_faults();
    let made = scene.update(&image);
    assert_eq!(made.base, Origin::Spare);
    scene.assert_as_extracted(&image);
}

#[test]
fn it_goes_when_its_room_is_needed() {
    let Some(volume) = Volume::of_size(EXT4, 100 << 20) else { return };
    let scene = with_spare(&volume);
    // There is room for what changed, though not for the whole tree.
    volume.fill(1 << 20);
    let image = images::image(1, 4);
    scene.pull(&image).unwrap();
    assert_eq!(scene.made().base, Origin::Spare);
    scene.assert_whole(&image);
    // And then there is not: it is given up before anything is asked for.
    volume.empty();
    scene.commit(&image);
    assert_eq!(scene.others().len(), 1);
    volume.fill(1 << 20);
    let image = images::other();
    scene.pull(&image).unwrap();
    assert_eq!(scene.made().method, None);
    assert_eq!(scene.others(), Vec::<String>::new());
    scene.assert_whole(&image);
    volume.empty();
    scene.assert_as_extracted(&image);
}

#[test]
fn it_goes_when_the_disk_is_full_in_the_middle() {
    let Some(volume) = Volume::of_size(EXT4, 100 << 20) else { return };
    let scene = with_spare(&volume);
    // By the sizes of the blobs there is room enough.
    let image = images::image_of_blanks();
    volume.fill(4 << 20);
    scene.pull(&image).unwrap();
    scene.assert_whole(&image);
    assert_eq!(scene.others(), Vec::<String>::new());
    volume.empty();
    scene.assert_as_extracted(&image);
}

#[test]
fn none_is_kept_where_there_is_little_room() {
    let Some(volume) = Volume::of_size(EXT4, 100 << 20) else { return };
    let scene = scene_on(&volume);
    scene.update(&images::image(1, 1));
    scene.update(&images::image(1, 2));
    volume.fill(14 << 20);
    scene.update(&images::image(1, 3));
    assert_eq!(scene.others(), Vec::<String>::new());
    assert_eq!(scene.ground.list("seals").len(), 2);
    assert_eq!(scene.ground.list("stamps").len(), 2);
}

#[test]
fn none_is_kept_by_methods_without_a_use_for_it() {
    let Some(volume) = Volume::new(EXT4) else { return };
    let mut scene = with_spare(&volume);
    scene.wanted = Wanted::Extract;
    scene.update(&images::image(1, 4));
    assert_eq!(scene.others(), Vec::<String>::new());
}
