//! The disk is full: before a pull, in the middle of it, at the commit, at the roll-back.

use std::fs;

use fixtures::image::{Image, Layer, noise};
use fixtures::registry::{Kind, Registry};
use nix::sys::signal::Signal;

use crate::mounts::{Mounts, fill, free};
use crate::scene::{GOOD, Place, Scene, good, program, script};

/// A scene on a file system of so many MiB.
fn small(size: u32) -> (Scene, Mounts) {
    let mount_point = tempfile::tempdir().unwrap().keep();
    let data = mount_point.display().to_string();
    let mounts = Mounts::new(&format!("mount -t tmpfs -o size={size}m,mode=755 tmpfs {data}"));
    let scene = Scene::with(Registry::start(), Place::mounted(&mount_point, &mounts.view(&mount_point)));
    let words = mounts.wrapper();
    let scene = scene.wrapped(&words.iter().map(String::as_str).collect::<Vec<_>>());
    // Nothing is mounted there outside; it goes with the test.
    (scene, mounts)
}

struct RemoveAtEnd(std::path::PathBuf);

impl Drop for RemoveAtEnd {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn full_before_the_pull() {
    let (scene, _mounts) = small(8);
    let _remove = RemoveAtEnd(scene.place.data.clone());
    scene.install(&good("v1"));
    let mut supervisor = scene.start();
    supervisor.line("ready v1");
    let before = (scene.place.slots(), scene.place.list("blobs"), scene.place.list("images"));
    let v2 = Image::with_entrypoint(program("v2", GOOD).as_bytes())
        .layer(Layer::new().file("data", 0o644, &noise(1, 1 << 20)))
        .build();
    scene.push(&v2);
    fill(&scene.place.view);
    for _ in 0..2 {
        let asked = scene.run(&["check"]);
        assert_eq!(asked.code, Some(69), "{}", asked.all());
        asked.says(&[
            "no room on the file system of",
            scene.place.data.to_str().unwrap(),
            "free",
            "larger volume",
        ]);
    }
    let after = (scene.place.slots(), scene.place.list("blobs"), scene.place.list("images"));
    assert_eq!(after, before);
    scene.place.assert_no_leftovers();
    assert_eq!(supervisor.starts(""), 1);
    free(&scene.place.view);
    let staged = scene.run(&["check"]);
    assert_eq!(staged.code, Some(42), "{}", staged.all());
}

#[test]
fn full_during_the_extraction() {
    let (scene, mounts) = small(8);
    let _remove = RemoveAtEnd(scene.place.data.clone());
    scene.install(&good("v1"));
    let mut supervisor = scene.start();
    supervisor.line("ready v1");
    let blobs = scene.place.list("blobs");
    // A small download that becomes 20 MiB: nobody can know before.
    let v2 = Image::with_entrypoint(program("v2", GOOD).as_bytes())
        .layer(Layer::new().file("data", 0o644, &b"all the same ".repeat(1_600_000)))
        .build();
    scene.push(&v2);
    let asked = scene.run(&["check"]);
    assert_eq!(asked.code, Some(69), "{}", asked.all());
    asked.says(&["no room on the file system of", "larger volume"]);
    assert_eq!(scene.place.list("blobs"), blobs, "the space is given back");
    assert_eq!(scene.place.list("extracted").len(), 1);
    scene.place.assert_no_leftovers();
    assert_eq!(supervisor.starts(""), 1);
    // It isn't downloaded again for nothing.
    let downloads = scene.registry.count("GET", Kind::Blob);
    assert_eq!(scene.run(&["check"]).code, Some(69));
    assert_eq!(scene.registry.count("GET", Kind::Blob), downloads);
    // A larger volume, and it comes by itself.
    mounts.run(&format!("mount -o remount,size=64m {}", scene.place.data.display()));
    let staged = scene.run(&["check"]);
    assert_eq!(staged.code, Some(42), "{}", staged.all());
    assert_eq!(scene.run(&["verify", "--full"]).code, Some(0));
}

/// A scene on a file system that has room for a reserve, with these options of tmpfs.
fn roomy(options: &str) -> (Scene, Mounts) {
    let mount_point = tempfile::tempdir().unwrap().keep();
    let data = mount_point.display().to_string();
    let mounts = Mounts::new(&format!("mount -t tmpfs -o {options},mode=755 tmpfs {data}"));
    let scene = Scene::with(Registry::start(), Place::mounted(&mount_point, &mounts.view(&mount_point)));
    let words = mounts.wrapper();
    (scene.wrapped(&words.iter().map(String::as_str).collect::<Vec<_>>()), mounts)
}

/// Takes all files that can still be made.
fn fill_files(scene: &Scene) {
    let folder = scene.place.view.join("ballast");
    fs::create_dir(&folder).unwrap();
    let mut number = 0;
    while fs::File::create(folder.join(number.to_string())).is_ok() {
        number += 1;
    }
    assert!(number > 0);
}

fn reserve(scene: &Scene) -> usize {
    fs::read_dir(scene.place.root().join("reserve")).map_or(0, Iterator::count)
}

/// How a disk is filled.
type Fill = fn(&Scene);

#[test]
fn a_commit_and_a_verdict_are_written_on_a_full_disk_by_the_reserve() {
    let fills: [(&str, &str, Fill); 2] = [
        ("size=24m", "no bytes", |scene| fill(&scene.place.view)),
        ("size=24m,nr_inodes=300", "no files", fill_files),
    ];
    for (options, row, fill_it) in fills {
        let (scene, _mounts) = roomy(options);
        let _remove = RemoveAtEnd(scene.place.data.clone());
        let v1 = good("v1");
        scene.install(&v1);
        assert_eq!(reserve(&scene), 4, "{row}");
        let (v2, go_on) = waits(&scene, "v2", GOOD);
        scene.push(&v2);
        scene.pull();
        let mut supervisor = scene.start();
        supervisor.line("start v2");
        fill_it(&scene);
        fs::write(&go_on, "").unwrap();
        supervisor.event("reserve_used");
        supervisor.event("commit");
        supervisor.line("ready v2");
        assert_eq!(supervisor.events("commit_incomplete"), 0, "{row}");
        assert!(reserve(&scene) < 4, "{row}");
        // All of it is on the disk: the way back, and that a trial was passed.
        assert_eq!(
            scene.place.slots(),
            [Some(v2.digest.clone()), Some(v1.digest.clone()), None, None],
            "{row}"
        );
        assert_eq!(scene.place.state()["probation"]["digest"], v2.digest, "{row}");
        // It stays so through a restart on the full disk, and through a kill.
        supervisor.signal(Signal::SIGKILL);
        supervisor.wait();
        let mut supervisor = scene.start();
        supervisor.line("ready v2");
        assert_eq!(supervisor.events("try"), 0, "{row}");
        supervisor.stop();
        // There is room again: the next clean-up makes the reserve again.
        let ballast = scene.place.view.join("ballast");
        if ballast.is_dir() {
            fs::remove_dir_all(&ballast).unwrap()
        } else {
            fs::remove_file(&ballast).unwrap()
        }
        assert_eq!(scene.run(&["gc"]).code, Some(0));
        assert_eq!(reserve(&scene), 4, "{row}");
    }
}

#[test]
fn a_bad_version_is_tried_once_on_a_full_disk() {
    let (scene, _mounts) = roomy("size=24m");
    let _remove = RemoveAtEnd(scene.place.data.clone());
    let v1 = good("v1");
    scene.install(&v1);
    let (v2, go_on) = waits(&scene, "v2", "exit 3");
    scene.push(&v2);
    scene.pull();
    let mut supervisor = scene.start();
    supervisor.line("start v2");
    fill(&scene.place.view);
    fs::write(go_on, "").unwrap();
    supervisor.line("ready v1");
    supervisor.signal(Signal::SIGKILL);
    supervisor.wait();
    assert_eq!(scene.place.state()["verdicts"][0]["kind"], "app");
    for _ in 0..2 {
        let mut supervisor = scene.start();
        supervisor.line("ready v1");
        assert_eq!(supervisor.starts("v2"), 0);
        supervisor.stop();
    }
}

#[test]
fn a_layer_that_no_disk_holds_is_refused_before_its_first_byte() {
    for (size, words) in [
        (10_u64 << 40, &["limit layer-bytes"][..]),
        (60 << 30, &["no room on the file system of", "bytes are needed", "are free", "larger volume"][..]),
    ] {
        let (scene, _mounts) = small(8);
        let _remove = RemoveAtEnd(scene.place.data.clone());
        scene.install(&good("v1"));
        let mut supervisor = scene.start();
        supervisor.line("ready v1");
        let image = good("v2");
        let mut manifest: serde_json::Value = serde_json::from_slice(&image.manifest).unwrap();
        manifest["layers"][0]["size"] = size.into();
        let bytes = manifest.to_string().into_bytes();
        scene.push(&image);
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        scene.registry.put_manifest("app", "v", &fixtures::sha256(&bytes), media_type, bytes);
        scene.registry.clear_requests();
        let asked = scene.run(&["check"]);
        asked.says(words);
        assert_ne!(asked.code, Some(0), "{}", asked.all());
        assert_eq!(scene.registry.count("GET", Kind::Blob), 0);
        assert_eq!(supervisor.starts(""), 1);
    }
}

#[test]
fn old_versions_make_room_before_a_pull_gives_up() {
    let (scene, _mounts) = small(12);
    let _remove = RemoveAtEnd(scene.place.data.clone());
    let sized = |name: &str, seed| {
        Image::with_entrypoint(program(name, GOOD).as_bytes())
            .layer(Layer::new().file("data", 0o644, &noise(seed, 1_500_000)))
            .build()
    };
    let versions: Vec<_> = (1..4).map(|number| sized(&format!("v{number}"), number)).collect();
    // The first one is nobody's by now; nothing was cleaned up.
    for image in &versions[..2] {
        scene.install(image);
    }
    let mut supervisor = scene.start();
    supervisor.line("ready v2");
    assert_eq!(scene.place.list("extracted").len(), 2);
    fs::write(scene.place.view.join("mine"), noise(9, 4_200_000)).unwrap();
    scene.push(&versions[2]);
    let staged = scene.run(&["check"]);
    assert_eq!(staged.code, Some(42), "{}\n{:?}", staged.all(), supervisor.lines());
    supervisor.event("room_made");
    let mut expected = vec![versions[1].digest.clone(), versions[2].digest.clone()];
    expected.sort();
    assert_eq!(scene.place.list("extracted"), expected, "what runs and what is staged stay");
    assert_eq!(scene.run(&["verify", "--full"]).code, Some(0));
}

#[test]
fn a_version_that_filled_the_disk_waits_for_room_also_after_a_restart() {
    let (scene, _mounts) = roomy("size=16m");
    let _remove = RemoveAtEnd(scene.place.data.clone());
    scene.install(&good("v1"));
    let v2 = Image::with_entrypoint(program("v2", GOOD).as_bytes())
        .layer(Layer::new().file("data", 0o644, &b"all the same ".repeat(1_600_000)))
        .build();
    scene.push(&v2);
    let mut supervisor = scene.start();
    supervisor.line("ready v1");
    assert_eq!(scene.run(&["check"]).code, Some(69));
    let downloads = scene.registry.count("GET", Kind::Blob);
    for _ in 0..2 {
        supervisor.stop();
        supervisor = scene.start();
        supervisor.line("ready v1");
        let parked = scene.run(&["check"]);
        assert_eq!(parked.code, Some(69), "{}", parked.all());
        assert_eq!(scene.registry.count("GET", Kind::Blob), downloads, "parked");
    }
    // Another version fits, and is not held up.
    scene.push(&good("v3"));
    let staged = scene.run(&["check"]);
    assert_eq!(staged.code, Some(42), "{}", staged.all());
}

#[test]
fn the_version_before_tells_what_the_next_one_will_take() {
    let (scene, _mounts) = roomy("size=24m");
    let scene = scene.set("DOCKERLOADER_TREE_METHOD", "extract");
    let _remove = RemoveAtEnd(scene.place.data.clone());
    // Half noise, half zeros: twice as large on the disk as on the wire.
    let sized = |name: &str, seed, half: usize| {
        let data = [noise(seed, half), vec![0; half]].concat();
        Image::with_entrypoint(program(name, GOOD).as_bytes())
            .layer(Layer::new().file("data", 0o644, &data))
            .build()
    };
    scene.install(&sized("v1", 1, 2_000_000));
    let mut supervisor = scene.start();
    supervisor.line("ready v1");
    // 7 MB on the wire; with 14 MB on the disk that is more than there is, and the largest layer alone is not.
    scene.push(&sized("v2", 2, 7_000_000));
    scene.registry.clear_requests();
    fs::write(scene.place.view.join("mine"), noise(9, 2_000_000)).unwrap();
    let asked = scene.run(&["check"]);
    assert_eq!(asked.code, Some(69), "{}", asked.all());
    asked.says(&["no room on the file system of", "larger volume"]);
    assert_eq!(scene.registry.count("GET", Kind::Blob), 0);
}

/// A version that does this when it is told to go on.
fn waits(scene: &Scene, name: &str, then: &str) -> (fixtures::image::BuiltImage, std::path::PathBuf) {
    let flag = scene.scratch.path().join("go-on");
    let wait = format!("while [ ! -e {} ]; do sleep 0.02; done\n{then}", flag.display());
    (script(name, &wait), flag)
}

#[test]
fn full_at_the_commit() {
    let (scene, _mounts) = small(8);
    let _remove = RemoveAtEnd(scene.place.data.clone());
    let v1 = good("v1");
    scene.install(&v1);
    let (v2, go_on) = waits(&scene, "v2", GOOD);
    scene.push(&v2);
    scene.pull();
    let mut supervisor = scene.start();
    supervisor.line("start v2");
    fill(&scene.place.view);
    fs::write(go_on, "").unwrap();
    // The link needs no room. What can't be written is what was remembered, and that is said.
    let warned = supervisor.event("commit_incomplete")["message"].as_str().unwrap().to_owned();
    assert!(warned.contains("No space left on device"), "{warned}");
    supervisor.event("commit");
    supervisor.line("ready v2");
    assert_eq!(scene.place.slot("entrypoint"), Some(v2.digest.clone()));
    let status = scene.run(&["status", "--json"]).result();
    assert_eq!(status["supervisor"]["phase"], "running", "the trial is over: {status}");
    assert!(scene.place.tree(&v1.digest).exists(), "the way back stays");
    supervisor.stop();
    // Full still, and then not.
    let mut supervisor = scene.start();
    supervisor.line("ready v2");
    free(&scene.place.view);
    supervisor.stop();
    let mut supervisor = scene.start();
    supervisor.line("ready v2");
    assert_eq!(scene.place.slots(), [Some(v2.digest), Some(v1.digest), None, None]);
    assert_eq!(supervisor.events("try"), 0);
}

#[test]
fn full_at_the_roll_back() {
    let (scene, _mounts) = small(8);
    let _remove = RemoveAtEnd(scene.place.data.clone());
    let v1 = good("v1");
    scene.install(&v1);
    let (v2, go_on) = waits(&scene, "v2", "exit 3");
    scene.push(&v2);
    scene.pull();
    let mut supervisor = scene.start();
    supervisor.line("start v2");
    fill(&scene.place.view);
    fs::write(go_on, "").unwrap();
    supervisor.line("ready v1");
    assert_eq!(scene.place.slot("entrypoint"), Some(v1.digest.clone()));
    supervisor.signal(Signal::SIGTERM);
    supervisor.wait();
    // While nothing can be written, no trial is begun: it could not be counted.
    for _ in 0..3 {
        let mut supervisor = scene.start();
        supervisor.line("ready v1");
        assert_eq!(supervisor.starts("v2"), 0);
    }
    free(&scene.place.view);
    // The verdict was lost, so it is tried once more, and then never again.
    let mut starts = 0;
    for _ in 0..3 {
        let mut supervisor = scene.start();
        supervisor.line("ready v1");
        starts += supervisor.starts("v2");
        supervisor.stop();
    }
    assert_eq!(starts, 1);
    assert_eq!(scene.place.slots(), [Some(v1.digest), None, None, None]);
    assert_eq!(scene.place.state()["verdicts"][0]["kind"], "app");
}
