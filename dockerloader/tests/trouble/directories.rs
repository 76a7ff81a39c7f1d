//! The data directory is read-only, missing, a file, or somebody else's.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use fixtures::registry::Registry;

use crate::mounts::Mounts;
use crate::scene::{Place, Scene, good};

/// A scene with v1 as the current version, whose directory is then made read-only for the program.
fn read_only(prepare: impl Fn(&Scene)) -> (Scene, Mounts) {
    let scene = Scene::new();
    scene.install(&good("v1"));
    prepare(&scene);
    let data = scene.place.data.display().to_string();
    let mounts = Mounts::new(&format!("mount --bind {data} {data}; mount -o remount,bind,ro {data}"));
    let words = mounts.wrapper();
    let scene = scene.wrapped(&words.iter().map(String::as_str).collect::<Vec<_>>());
    (scene, mounts)
}

#[test]
fn a_read_only_directory_with_a_version_in_it() {
    for had_supervisor in [true, false] {
        let (scene, _mounts) = read_only(|scene| {
            if had_supervisor {
                let mut supervisor = scene.start();
                supervisor.line("ready v1");
            } else {
                fs::remove_file(scene.place.root().join("store.lock")).unwrap();
            }
        });
        let before = scene.place.slots();
        let mut supervisor = scene.start();
        supervisor.line("ready v1");
        // Two on one directory are told apart there as well.
        let second = scene.supervise();
        assert_eq!(second.code, Some(75), "{}", second.all());
        second.says(&["another supervisor holds"]);
        assert_eq!(scene.place.slots(), before);
        let pull = scene.pull();
        assert_eq!(pull.code, Some(77), "{}", pull.all());
        assert_eq!(pull.result()["remedy"], "local");
        pull.says(&[scene.place.data.to_str().unwrap(), "Read-only file system"]);
        let (time, code) = supervisor.stop();
        assert_eq!(code, Some(143));
        assert!(time < Duration::from_secs(2), "{time:?}");
    }
}

#[test]
fn a_read_only_directory_with_a_version_staged_or_on_trial() {
    for slot in ["entrypoint-attempt", "entrypoint-attempting"] {
        let (scene, _mounts) = read_only(|scene| {
            scene.push(&crate::scene::bad("v2"));
            scene.pull();
            let root = scene.place.root();
            if slot != "entrypoint-attempt" {
                fs::rename(root.join("entrypoint-attempt"), root.join(slot)).unwrap();
            }
        });
        // A trial that can't be counted isn't made.
        let mut supervisor = scene.start();
        supervisor.line("ready v1");
        assert_eq!(supervisor.starts("v2"), 0, "{slot}");
        supervisor.event("settle_failed");
    }
}

#[test]
fn a_read_only_directory_with_nothing_in_it() {
    let scene = Scene::new();
    let data = scene.place.data.display().to_string();
    let mounts = Mounts::new(&format!("mount --bind {data} {data}; mount -o remount,bind,ro {data}"));
    let words = mounts.wrapper();
    let scene = scene.wrapped(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let ended = scene.supervise();
    assert_eq!(ended.code, Some(74), "{}", ended.all());
    ended.says(&[
        "data directory",
        &data,
        "Read-only file system",
        "mount a writable volume",
        "DOCKERLOADER_DATA_DIR",
    ]);
}

#[test]
fn a_directory_that_is_missing_or_a_file() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("file");
    fs::write(&file, "mine").unwrap();
    for (path, words) in [
        (scratch.path().join("missing"), "No such file or directory"),
        (file.clone(), "not a directory"),
        (file.join("below"), "Not a directory"),
    ] {
        let scene = Scene::with(Registry::start(), Place::mounted(&path, &path));
        let ended = scene.supervise();
        assert_eq!(ended.code, Some(74), "{}", ended.all());
        ended.says(&[path.to_str().unwrap(), words, "mount a writable volume", "DOCKERLOADER_DATA_DIR"]);
        assert!(!scratch.path().join("missing").exists(), "a missing mount is not covered up");
        assert_eq!(fs::read(&file).unwrap(), b"mine");
        for command in [&["verify"][..], &["gc"], &["pull"]] {
            let ended = scene.run(command);
            assert_eq!(ended.code, Some(77), "{command:?}: {}", ended.all());
            ended.says(&[path.to_str().unwrap(), "directory"]);
            assert!(!scratch.path().join("missing").exists(), "{command:?}");
        }
    }
}

/// Nobody in particular, with no right beyond those of everybody.
fn somebody_else(scene: Scene) -> Scene {
    if nix::unistd::geteuid().is_root() {
        return scene.wrapped(&["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "--"]);
    }
    // Without the right to become another user: the owner, without the right to write.
    let status = std::process::Command::new("chmod").args(["-R", "a-w"]).arg(&scene.place.data).status();
    assert!(status.unwrap().success());
    scene
}

#[test]
fn a_directory_of_somebody_else() {
    let scene = Scene::new().for_everybody();
    fs::set_permissions(&scene.place.data, fs::Permissions::from_mode(0o755)).unwrap();
    scene.install(&good("v1"));
    let mut supervisor = scene.start();
    supervisor.line("ready v1");
    drop(supervisor);
    let before = scene.place.slots();
    let scene = somebody_else(scene);
    let mut supervisor = scene.start();
    supervisor.line("start v1");
    let second = scene.supervise();
    assert_eq!(second.code, Some(75), "{}", second.all());
    let pull = scene.pull();
    assert_eq!(pull.code, Some(77), "{}", pull.all());
    pull.says(&["Permission denied", scene.place.data.to_str().unwrap()]);
    assert_eq!(scene.place.slots(), before);
    drop(supervisor);
    let _ = std::process::Command::new("chmod").args(["-R", "u+w"]).arg(&scene.place.data).status();
}

#[test]
fn a_directory_that_may_not_be_entered() {
    let scene = Scene::new().for_everybody();
    fs::set_permissions(&scene.place.data, fs::Permissions::from_mode(0o755)).unwrap();
    let scene = somebody_else(scene);
    let ended = scene.supervise();
    assert_eq!(ended.code, Some(74), "{}", ended.all());
    ended.says(&["Permission denied", scene.place.data.to_str().unwrap(), "mount a writable volume"]);
}
