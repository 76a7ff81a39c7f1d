//! Updates where mounting is permitted: each version over the one before.

use std::fs;

use dockerloader::volume::overlay::{self, Ready};
use dockerloader::volume::{Method, Origin, Wanted};

use crate::images;
use crate::scene::{Scene, digest};
use crate::volume::{ALL, EXT4, Volume};

#[test]
fn an_update_writes_what_changed_and_the_result_is_what_an_extraction_makes() {
    for kind in ALL {
        let Some(volume) = Volume::new(kind) else { continue };
        let scene = Scene::new(&volume, Wanted::Only(Method::Overlay));
        scene.update(&images::image(1, 1));
        assert_eq!(scene.made().base, Origin::Empty);
        for (library, program) in [(1, 2), (2, 2), (1, 3)] {
            let image = images::image(library, program);
            // The version before runs meanwhile, and writes.
            let current = digest(&scene.ground.read_slot("entrypoint").unwrap());
            overlay::ready(&scene.layout, &current).unwrap();
            fs::write(scene.layout.tree(&current).join("lib/4/4"), "changed").unwrap();
            let made = scene.update(&image);
            assert_eq!((made.method, made.base), (Some(Method::Overlay), Origin::Current), "{made:?}");
            assert!(made.files_written < images::FILES / 4, "{}: {made:?}", kind.name);
            scene.assert_as_extracted(&image);
            let names = scene.ground.list("frozen");
            assert!(names.iter().all(|name| !name.starts_with("tmp-")), "{names:?}");
        }
        // Back to a version that another one stands on.
        scene.update(&images::other());
        scene.assert_as_extracted(&images::other());
        overlay::remove_leftovers(&scene.layout).unwrap();
        assert_eq!(scene.others(), Vec::<String>::new());
        scene.unmount();
    }
}

#[test]
fn a_stack_that_is_deep_is_made_whole_from_the_files_that_are_there() {
    let Some(volume) = Volume::new(EXT4) else { return };
    let scene = Scene::new(&volume, Wanted::Only(Method::Overlay));
    let mut whole = 0;
    for edition in 1..14 {
        let image = images::image(1, edition);
        if let Some(current) = scene.ground.read_slot("entrypoint") {
            overlay::ready(&scene.layout, &digest(&current)).unwrap();
        }
        let made = scene.update(&image);
        whole += u32::from(made.base == Origin::Empty);
        assert!(edition == 1 || made.layers_unchanged == 1, "{edition}: {made:?}");
        scene.assert_whole(&image);
        assert!(scene.ground.list("frozen").len() <= 10, "{:?}", scene.ground.list("frozen"));
    }
    assert_eq!(whole, 2, "the first one, and one in between");
    scene.assert_as_extracted(&images::image(1, 13));
    scene.unmount();
}

#[test]
fn a_plain_version_is_where_overlays_begin_and_a_stack_is_where_they_end() {
    let Some(volume) = Volume::new(EXT4) else { return };
    let mut scene = Scene::new(&volume, Wanted::Only(Method::Copy));
    scene.update(&images::image(1, 1));
    scene.wanted = Wanted::Only(Method::Overlay);
    let made = scene.update(&images::image(1, 2));
    assert_eq!((made.base, made.layers_unchanged), (Origin::Empty, 1), "{made:?}");
    scene.assert_as_extracted(&images::image(1, 2));
    let current = digest(&images::image(1, 2).digest);
    assert_eq!(overlay::ready(&scene.layout, &current).unwrap(), Ready::Mounted);
    scene.wanted = Wanted::Only(Method::Copy);
    for edition in 3..6 {
        scene.update(&images::image(1, edition));
        scene.assert_as_extracted(&images::image(1, edition));
    }
    for folder in ["frozen", "stacks", "writes"] {
        assert_eq!(scene.ground.list(folder), Vec::<String>::new(), "{folder}");
    }
}
