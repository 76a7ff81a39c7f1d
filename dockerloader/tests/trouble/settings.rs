//! What the operator set is wrong, or missing.

use crate::scene::{Place, Scene, good};

#[test]
fn no_target_and_nothing_on_disk() {
    let scene = Scene::new().unset("DOCKERLOADER_TARGET");
    let ended = scene.supervise();
    assert_eq!(ended.code, Some(78));
    ended.says(&[
        "nothing is installed",
        "DOCKERLOADER_TARGET is not set",
        "for example registry.example/app:stable",
    ]);
    assert!(scene.registry.requests().is_empty());
}

#[test]
fn no_target_but_a_version_on_disk() {
    let scene = Scene::new();
    scene.install(&good("v1"));
    scene.registry.clear_requests();
    let scene = scene.unset("DOCKERLOADER_TARGET");
    let mut supervisor = scene.start();
    supervisor.line("ready v1");
    let asked = scene.run(&["check"]);
    assert_eq!(asked.code, Some(1));
    asked.says(&["DOCKERLOADER_TARGET is not set"]);
    assert!(scene.registry.requests().is_empty());
}

#[test]
fn a_malformed_reference() {
    for (target, words) in [
        ("registry.example/App:v1", &["DOCKERLOADER_TARGET", "registry.example/App:v1", "reference"][..]),
        ("registry.example/app@sha256:abc", &["DOCKERLOADER_TARGET", "sha256:abc"]),
        ("registry.example/app:", &["DOCKERLOADER_TARGET"]),
    ] {
        let scene = Scene::new().set("DOCKERLOADER_TARGET", target);
        for arguments in [&[][..], &["pull", "--stage", "--json"], &["status"]] {
            let ended = scene.run(arguments);
            assert_eq!(ended.code, Some(78), "{target} {arguments:?}: {}", ended.all());
            ended.says(words);
        }
        assert!(!scene.place.root().exists(), "nothing was made");
    }
}

#[test]
fn a_reference_with_a_password_is_refused_without_showing_it() {
    for target in [
        "https://user:hunter2@registry.example/app:v1",
        "user:hunter2@registry.example/app:v1",
        "registry.example/app:v1?token=hunter2",
    ] {
        let ended = Scene::new().set("DOCKERLOADER_TARGET", target).supervise();
        assert_eq!(ended.code, Some(78), "{}", ended.all());
        ended.says(&["DOCKERLOADER_TARGET", "reference"]);
        assert!(!ended.all().contains("hunter2"), "{}", ended.all());
    }
    let ended = Scene::new().set("DOCKERLOADER_MIRRORS", "docker.io=https://u:hunter2@mirror/x").supervise();
    assert_eq!(ended.code, Some(78));
    ended.says(&["DOCKERLOADER_MIRRORS", "registry=mirror"]);
    assert!(!ended.all().contains("hunter2"), "{}", ended.all());
}

#[test]
fn two_supervisors_on_one_directory() {
    let first = Scene::new();
    first.install(&good("v1"));
    let mut running = first.start();
    running.line("ready v1");
    let before = first.place.slots();

    let second = Scene::with(
        fixtures::registry::Registry::start(),
        Place::mounted(&first.place.data, &first.place.view),
    );
    let ended = second.supervise();
    assert_eq!(ended.code, Some(75), "{}", ended.all());
    ended.says(&["another supervisor holds", "supervisor.lock", "DOCKERLOADER_DATA_DIR"]);
    assert_eq!(first.place.slots(), before);
    assert_eq!(running.starts("v1"), 1);
    // The first can still be asked: the second has not taken its address away.
    let status = first.run(&["status", "--json"]).result();
    assert_eq!(status["supervisor"]["pid"], running.pid().as_raw());

    // However the first dies, its place is free at once.
    drop(running);
    let mut third = first.start();
    third.line("ready v1");
}
