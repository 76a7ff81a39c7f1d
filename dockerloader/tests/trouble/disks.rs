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
