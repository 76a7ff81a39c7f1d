//! Removing: mounts first, and nothing through them.
#![expect(clippy::disallowed_methods, reason = "the tests make what is then removed")]

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use dockerloader::digest::Digest;
use dockerloader::disk::RealDisk;
use dockerloader::gc;
use dockerloader::lock::StoreLock;
use dockerloader::tree::Seal;
use dockerloader::volume::overlay;
use fixtures::image::Layer;

use crate::stage::{On, Stage, bytes, digest};

/// `a`, `b` over it, `c` over that, all mounted; the seals are those of `a`, `b` and `c`.
fn three(stage: &Stage) -> [Seal; 3] {
    let layer = |name: &str| bytes(Layer::new().file(name, 0o644, name.as_bytes()));
    let layers = [layer("one"), layer("two"), layer("three")];
    let upto = |count: usize| layers[..count].iter().map(Vec::as_slice).collect::<Vec<_>>();
    let first = stage.whole(&digest('a'), &upto(1));
    let mut seals = vec![first];
    for (count, current, version, name) in [(2, 'a', 'b', "two"), (3, 'b', 'c', "three")] {
        let (expected, seal) = stage.expected(&format!("expected-{count}"), &upto(count));
        let draft = stage.over(&digest(current), &digest(version));
        crate::stage::run(&format!("cp -a {}/{name} {}", expected.display(), draft.path().display()));
        draft.freeze(&seal).unwrap();
        overlay::ready(&stage.layout, &digest(version)).unwrap();
        seals.push(seal);
    }
    seals.try_into().unwrap()
}

fn collect(stage: &Stage, keep: &[Digest]) -> gc::Report {
    let lock = StoreLock::take(&stage.layout, "gc", Duration::ZERO, |_| {}).unwrap();
    let keep: BTreeSet<_> = keep.iter().copied().collect();
    gc::collect(&lock, &RealDisk, &stage.layout, &keep, &BTreeSet::new(), true).unwrap()
}

#[test]
fn an_attempt_that_was_cut_off_goes_with_its_mount() {
    let Some(stage) = Stage::new(On::Plain) else { return };
    let storage = stage.layout.storage();
    let attempt = storage.join("tmp-overlay");
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir_all(attempt.join(name)).unwrap();
    }
    fs::write(attempt.join("lower/file"), "x").unwrap();
    fs::create_dir(storage.join("tmp-probe")).unwrap();
    fs::write(storage.join("tmp-volume.json"), "{").unwrap();
    fs::write(storage.join("volume.json"), "{}").unwrap();
    crate::stage::run(&format!(
        "mount -t overlay -o lowerdir={0}/lower,upperdir={0}/upper,workdir={0}/work overlay {0}/merged",
        attempt.display()
    ));
    overlay::remove_leftovers(&stage.layout).unwrap();
    assert_eq!(stage.mounts(), Vec::<String>::new());
    let tmp = |name: &String| name.starts_with("tmp-");
    assert!(!stage.list(&storage).iter().any(tmp), "{:?}", stage.list(&storage));
    assert!(storage.join("volume.json").exists());
}

#[test]
fn a_version_goes_with_its_mount_and_takes_nothing_that_others_stand_on() {
    let Some(stage) = Stage::new(On::Plain) else { return };
    let [_, _, seal] = three(&stage);
    // Whoever removed through a mount would remove these as well, for everyone.
    fs::write(stage.layout.tree(&digest('a')).join("written"), "x").unwrap();
    collect(&stage, &[digest('c')]);
    assert_eq!(stage.findings(&digest('c'), &seal), []);
    assert_eq!(stage.mounts(), [format!("storage/v1/extracted/{}", digest('c'))]);
    assert_eq!(stage.list(&stage.layout.extracted()), [digest('c').to_string()]);
    assert_eq!(stage.list(&stage.layout.all_writes()), [digest('c').to_string()]);
    assert_eq!(stage.list(&stage.layout.stacks()), [digest('c').to_string()]);
    assert_eq!(stage.list(&stage.layout.frozen()).len(), 3, "c stands on all three");

    collect(&stage, &[]);
    for folder in
        [stage.layout.extracted(), stage.layout.all_writes(), stage.layout.frozen(), stage.layout.stacks()]
    {
        assert_eq!(stage.list(&folder), Vec::<String>::new(), "{}", folder.display());
    }
    assert_eq!(stage.mounts(), Vec::<String>::new());
}

#[test]
fn what_only_later_versions_stood_on_goes_with_them() {
    let Some(stage) = Stage::new(On::Plain) else { return };
    let [seal, ..] = three(&stage);
    collect(&stage, &[digest('a')]);
    assert_eq!(stage.findings(&digest('a'), &seal), []);
    assert_eq!(stage.list(&stage.layout.frozen()).len(), 1);
}

#[test]
fn a_damaged_stack_keeps_every_frozen_directory() {
    let Some(stage) = Stage::new(On::Plain) else { return };
    three(&stage);
    fs::write(stage.layout.stack(&digest('b')), "{").unwrap();
    let report = collect(&stage, &[digest('b')]);
    assert_eq!(stage.list(&stage.layout.frozen()).len(), 3);
    assert!(report.findings.iter().any(|finding| finding.contains("frozen")), "{report:?}");
}

#[test]
fn what_a_killed_pull_left_goes_and_the_versions_stay() {
    let Some(stage) = Stage::new(On::Plain) else { return };
    let [_, _, seal] = three(&stage);
    let draft = stage.over(&digest('c'), &digest('d'));
    fs::remove_file(draft.path().join("one")).unwrap();
    // As if the process had been killed.
    std::mem::forget(draft);
    std::mem::forget(overlay::whole(&stage.layout, &digest('e')).unwrap());
    overlay::unmount(&stage.layout, &digest('c')).unwrap();
    std::mem::forget(overlay::View::of(&stage.layout, &digest('c')).unwrap());
    fs::create_dir(stage.layout.all_writes().join("removing-x")).unwrap();
    assert_eq!(stage.mounts().len(), 4, "{:?}", stage.mounts());
    for collector in [true, false] {
        if collector {
            overlay::remove_leftovers(&stage.layout).unwrap();
        } else {
            collect(&stage, &["a", "b", "c"].map(|name| digest(name.chars().next().unwrap())));
        }
        assert_eq!(stage.mounts().len(), 2, "{:?}", stage.mounts());
        assert_eq!(stage.list(&stage.layout.frozen()).len(), 3);
        assert_eq!(stage.list(&stage.layout.extracted()).len(), 3);
        assert_eq!(stage.findings(&digest('c'), &seal), []);
    }
    // A pull that ends by itself leaves nothing either.
    drop(stage.over(&digest('c'), &digest('d')));
    assert_eq!((stage.mounts().len(), stage.list(&stage.layout.frozen()).len()), (2, 3));
}
