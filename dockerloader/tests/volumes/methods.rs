//! What is found out about a volume, chosen, remembered and told.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use dockerloader::disk::RealDisk;
use dockerloader::layout::Layout;
use dockerloader::remedy::Remedy;
use dockerloader::status::Status;
use dockerloader::volume::{self, Method, Wanted, recall, subvolume};

use crate::images;
use crate::scene::{Scene, digest};
use crate::volume::{ALL, BTRFS, EXT4, Volume, XFS};

/// In a mount namespace of the test's own, nothing hinders overlays: what is asked of the others is asked without them.
fn without_overlay(layout: &Layout, wanted: Wanted) -> Option<Method> {
    let chosen = volume::probe(layout, wanted).unwrap();
    if chosen != Some(Method::Overlay) {
        return chosen;
    }
    let probe = recall(&RealDisk, layout).unwrap().trees.probe;
    Method::ALL.into_iter().skip(1).find(|method| probe.can(*method))
}

#[test]
fn each_file_system_is_found_to_do_what_it_can() {
    for kind in ALL {
        let Some(volume) = Volume::new(kind) else { continue };
        let layout = Layout::new(&volume.path());
        let chosen = without_overlay(&layout, Wanted::Auto);
        assert_eq!(chosen.map(Method::name), Some(kind.method), "{}", kind.name);
        let names: Vec<_> = fs::read_dir(layout.storage())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names, ["volume.json"], "the attempts leave nothing on {}", kind.name);
        // What btrfs can, it can by reflink as well; nobody is kept from copying.
        for (wanted, can) in
            [(Method::Snapshot, kind == BTRFS), (Method::Reflink, kind != EXT4), (Method::Copy, true)]
        {
            match volume::probe(&layout, Wanted::Only(wanted)) {
                Ok(chosen) => assert!(can && chosen == Some(wanted), "{wanted} on {}", kind.name),
                Err(error) => {
                    assert!(!can, "{wanted} on {}: {error}", kind.name);
                    assert_eq!(error.remedy(), Remedy::Local);
                    assert!(error.to_string().contains(kind.name) || kind == XFS, "{error}");
                }
            }
        }
        assert_eq!(volume::probe(&layout, Wanted::Extract).unwrap(), None);
    }
}

#[test]
fn the_attempts_are_made_once() {
    let Some(volume) = Volume::new(EXT4) else { return };
    let layout = Layout::new(&volume.path());
    volume::probe(&layout, Wanted::Auto).unwrap();
    let inode = || fs::metadata(layout.volume()).unwrap().ino();
    let (before, changed) = (inode(), fs::metadata(layout.storage()).unwrap().mtime_nsec());
    volume::probe(&layout, Wanted::Auto).unwrap();
    assert_eq!(inode(), before, "the same is not written again");
    assert_eq!(fs::metadata(layout.storage()).unwrap().mtime_nsec(), changed, "and nothing was tried");
    // Elsewhere it has to be found out anew.
    let mut memory = recall(&RealDisk, &layout).unwrap();
    memory.circumstances.boot = "another".into();
    memory.trees.probe.cannot.insert(Method::Copy, "nonsense".into());
    fs::write(layout.volume(), serde_json::to_vec(&memory).unwrap()).unwrap();
    volume::probe(&layout, Wanted::Auto).unwrap();
    assert!(recall(&RealDisk, &layout).unwrap().trees.probe.can(Method::Copy));
    fs::write(layout.volume(), "{").unwrap();
    volume::probe(&layout, Wanted::Auto).unwrap();
    assert!(recall(&RealDisk, &layout).is_some(), "a damaged memory is replaced");
}

#[test]
fn attempts_that_were_cut_off_are_cleaned_up() {
    let Some(volume) = Volume::new(BTRFS) else { return };
    let layout = Layout::new(&volume.path());
    let directory = layout.storage().join("tmp-probe");
    fs::create_dir_all(&directory).unwrap();
    subvolume::create(&directory.join("subvolume")).unwrap();
    fs::write(directory.join("subvolume/file"), "x").unwrap();
    subvolume::snapshot(&directory.join("subvolume"), &directory.join("snapshot")).unwrap();
    assert_eq!(without_overlay(&layout, Wanted::Auto), Some(Method::Snapshot));
    assert!(!directory.exists());
}

#[test]
fn a_method_that_does_not_work_here_is_an_error_that_says_why_and_nothing_is_lost() {
    let Some(volume) = Volume::new(EXT4) else { return };
    let mut scene = Scene::new(&volume, Wanted::Only(Method::Copy));
    let first = images::image(1, 1);
    scene.update(&first);
    scene.wanted = Wanted::Only(Method::Snapshot);
    let error = scene.pull(&images::image(1, 2)).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("DOCKERLOADER_TREE_METHOD is snapshot") && text.contains("ext4 can't"), "{text}");
    assert_eq!(error.remedy(), Remedy::Local);
    scene.assert_whole(&first);
    assert_eq!(scene.ground.read_slot("entrypoint").as_deref(), Some(&*first.digest));
    assert_eq!(scene.ground.read_slot("entrypoint-attempt"), None);
    // The status has it.
    let trees = recall(&RealDisk, &scene.layout).unwrap().trees;
    assert!(trees.problem.unwrap().contains("ext4 can't"));
    scene.wanted = Wanted::Only(Method::Copy);
    scene.update(&images::image(1, 2));
    assert_eq!(recall(&RealDisk, &scene.layout).unwrap().trees.problem, None);
}

#[test]
fn what_the_status_says_is_read_again_from_json() {
    let Some(volume) = Volume::new(EXT4) else { return };
    let scene = Scene::new(&volume, Wanted::Only(Method::Copy));
    scene.update(&images::image(1, 1));
    let trees = recall(&RealDisk, &scene.layout).map(|memory| memory.trees);
    let status = Status { trees, ..Status::default() };
    let text = serde_json::to_string(&status).unwrap();
    assert!(text.contains(r#""reflink":"ext4 can't""#), "{text}");
    assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
}

#[test]
fn trees_are_subvolumes_from_the_first_version_on() {
    let Some(volume) = Volume::new(BTRFS) else { return };
    let scene = Scene::new(&volume, Wanted::Only(Method::Snapshot));
    let image = images::image(1, 1);
    scene.update(&image);
    let tree = scene.layout.tree(&digest(&image.digest));
    assert!(subvolume::is_subvolume(&tree));
    assert!(!subvolume::is_subvolume(&tree.join("lib")));
    assert!(!subvolume::is_subvolume(&scene.layout.extracted()));
}
