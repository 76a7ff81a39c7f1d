//! Registries that fail, downloads that were interrupted, and blobs on disk that are not what they were.

use super::*;

#[test]
fn a_registry_that_ignores_ranges_sends_the_whole() {
    for format in FORMATS {
        let scene = Scene::after(&image(format, |_| false));
        let new = image(format, |n| n == 33);
        scene.registry.fault(Rule::on(Kind::Blob), Fault::IgnoreRange);
        assert_eq!(scene.pull(&new).unwrap(), staged(&new), "{format:?}");
        scene.check(&new, &format!("{format:?}"));
        assert_eq!(scene.assembled(), None);
        assert_eq!(scene.asked(&new).0, 2, "{format:?}: for the table, and for all");
    }
}

#[test]
fn ranges_that_break_off_are_asked_for_again() {
    for format in FORMATS {
        let new = image(format, |n| n % 100 == 33);
        for (skip, fault) in [
            (0, Fault::Truncate { after: 1000 }),
            (1, Fault::status(503)),
            (2, Fault::EndEarly { after: 1000 }),
        ] {
            let scene = Scene::after(&image(format, |_| false));
            let rule = Rule::on(Kind::Blob).path(&new.layers[0].digest).skip(skip).times(1);
            scene.registry.fault(rule, fault.clone());
            assert_eq!(scene.pull(&new).unwrap(), staged(&new), "{format:?} {fault:?}");
            scene.check(&new, &format!("{format:?} {fault:?}"));
            let (fetched, copied) = scene.assembled().unwrap();
            let is_all = fetched + copied >= new.layers[0].bytes.len() as u64;
            assert!(fetched < copied && is_all, "{format:?} {fault:?}: {fetched} {copied}");
        }
    }
}

#[test]
fn wrong_bytes_of_a_range_lead_to_a_download_of_the_whole() {
    for format in FORMATS {
        let new = image(format, |n| n % 100 == 33);
        let size = new.layers[0].bytes.len() as u64;
        let scene = Scene::after(&image(format, |_| false));
        // In a changed file, near the end of the large one's neighbours.
        let rule = Rule::on(Kind::Blob).path(&new.layers[0].digest).skip(2).times(1);
        let scene_bytes = new.layers[0].bytes.clone();
        scene
            .registry
            .fault(rule, Fault::Replace(scene_bytes.iter().map(|byte| !byte).collect::<Vec<_>>().into()));
        assert_eq!(scene.pull(&new).unwrap(), staged(&new), "{format:?}");
        scene.check(&new, &format!("{format:?}"));
        assert_eq!(scene.assembled(), None, "it was downloaded in the end");
        assert!(scene.asked(&new).1 > size);
    }
}

#[test]
fn a_damaged_blob_on_disk_is_found_out() {
    for format in FORMATS {
        let (old, new) = (image(format, |_| false), image(format, |n| n == 33));
        let path = |scene: &Scene| scene.layout.blob(&digest(&old.layers[0].digest));
        let whole = fs::read(path(&Scene::after(&old))).unwrap();
        let (size, middle) = (whole.len(), whole.len() / 2);
        // Contents that are copied, the table, the footer; a shorter file, and none.
        for at in [middle, size - 1000, size - 30, usize::MAX, usize::MAX - 1] {
            let scene = Scene::after(&old);
            let mut bytes = whole.clone();
            match at {
                usize::MAX => bytes.truncate(middle),
                at if at < size => bytes[at] ^= 1,
                _ => bytes.clear(),
            }
            fs::write(path(&scene), bytes).unwrap();
            assert_eq!(scene.pull(&new).unwrap(), staged(&new), "{format:?} {at}");
            scene.check_blob(&new, &format!("{format:?} {at}"));
        }
    }
}

#[test]
fn an_interrupted_download_is_gone_on_with() {
    for format in FORMATS {
        let new = image(format, |n| n % 100 == 33);
        let bytes = &new.layers[0].bytes;
        for done in [1, bytes.len() / 3, bytes.len() - 300_000, bytes.len() - 100, bytes.len()] {
            let scene = Scene::after(&image(format, |_| false));
            let partial = scene.layout.blobs().join(format!("partial-{}", new.layers[0].digest));
            fs::write(&partial, &bytes[..done]).unwrap();
            assert_eq!(scene.pull(&new).unwrap(), staged(&new), "{format:?} {done}");
            scene.check_blob(&new, &format!("{format:?} {done}"));
            let (_, asked) = scene.asked(&new);
            assert!(asked < 400_000, "{format:?} {done}: {asked}");
        }
        // A wrong beginning is found out at the end.
        let scene = Scene::after(&image(format, |_| false));
        let partial = scene.layout.blobs().join(format!("partial-{}", new.layers[0].digest));
        fs::write(&partial, vec![7; bytes.len() / 3]).unwrap();
        assert_eq!(scene.pull(&new).unwrap(), staged(&new), "{format:?}");
        scene.check(&new, &format!("{format:?}"));
    }
}
