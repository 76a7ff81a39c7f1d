//! What lies in the data directory is damaged, or is not ours.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use fixtures::image::{BuiltImage, Image, Layer};
use serde_json::Value;

use crate::scene::{GOOD, Scene, bad, good, program, script};

/// What happens to a file or tree.
type Damage = fn(&Path);

/// A version with something to damage beside its program.
fn with_data(name: &str) -> BuiltImage {
    Image::with_entrypoint(program(name, GOOD).as_bytes())
        .layer(Layer::new().file("data/one", 0o644, b"one").file("data/two", 0o600, b"two"))
        .annotation("v", name)
        .build()
}

/// With v1 as the previous and v2 as the current version, and no registry.
fn offline() -> (Scene, String, String) {
    offline_in(Scene::new())
}

fn offline_in(scene: Scene) -> (Scene, String, String) {
    let (v1, v2) = (with_data("v1"), with_data("v2"));
    scene.install(&v1);
    fs::rename(scene.place.root().join("entrypoint"), scene.place.root().join("entrypoint-previous"))
        .unwrap();
    scene.install(&v2);
    scene.registry.go_away();
    (scene, v1.digest, v2.digest)
}

#[test]
fn a_dangling_entrypoint_with_its_blobs_on_disk() {
    let (scene, v1, v2) = offline();
    fs::remove_dir_all(scene.place.tree(&v2)).unwrap();
    let mut supervisor = scene.start();
    let missing = supervisor.event("missing");
    assert_eq!(missing["digest"], v2);
    supervisor.event("restored");
    supervisor.line("ready v2");
    assert_eq!(scene.place.slots(), [Some(v2), Some(v1), None, None]);
    assert_eq!(scene.run(&["verify", "--full"]).code, Some(0));
    scene.place.assert_no_leftovers();
}

/// Removes a version's tree and the blobs from which it could be made.
fn lose(scene: &Scene, digest: &str) {
    fs::remove_dir_all(scene.place.tree(digest)).unwrap();
    let manifest: Value =
        serde_json::from_slice(&fs::read(scene.place.storage("images").join(digest)).unwrap()).unwrap();
    for layer in manifest["layers"].as_array().unwrap() {
        let _ = fs::remove_file(scene.place.storage("blobs").join(layer["digest"].as_str().unwrap()));
    }
}

#[test]
fn a_dangling_entrypoint_without_blobs_falls_to_the_previous() {
    let (scene, v1, v2) = offline();
    // The versions share their second layer.
    lose(&scene, &v2);
    let mut supervisor = scene.start();
    supervisor.event("missing");
    let failed = supervisor.event("restore_failed")["message"].as_str().unwrap().to_owned();
    assert!(failed.contains("is not in the store"), "{failed}");
    supervisor.line("ready v1");
    assert_eq!(scene.place.slot("entrypoint"), Some(v1));
}

#[test]
fn a_dangling_entrypoint_without_blobs_and_without_previous_is_installed_again() {
    for (row, moved) in [("the same version", false), ("the tag has moved", true)] {
        let (scene, _, v2) = offline();
        fs::remove_file(scene.place.root().join("entrypoint-previous")).unwrap();
        lose(&scene, &v2);
        let next = if moved { good("v3") } else { with_data("v2") };
        scene.push(&next);
        let mut supervisor = scene.start();
        supervisor.event("restore_failed");
        let failed = supervisor.event("install_failed")["message"].as_str().unwrap().to_owned();
        assert!(failed.contains("connection refused") && failed.contains("next try in"), "{row}: {failed}");
        scene.registry.come_back();
        supervisor.line(if moved { "ready v3" } else { "ready v2" });
        assert_eq!(scene.place.slot("entrypoint"), Some(next.digest), "{row}");
        assert!(supervisor.events("missing") <= 2, "{row}: {:?}", supervisor.lines());
    }
}

#[test]
fn a_program_that_is_damaged_is_made_anew() {
    let (scene, _, v2) = offline();
    // Sizes and times are as before: it is the kernel that refuses it.
    fs::write(scene.place.tree(&v2).join("entrypoint"), vec![0; program("v2", GOOD).len()]).unwrap();
    let mut supervisor = scene.start();
    supervisor.event("exec_failed");
    supervisor.event("restored");
    supervisor.line("ready v2");
    assert_eq!(scene.run(&["verify", "--full"]).code, Some(0));
}

#[test]
fn a_damaged_state_file() {
    for bytes in [&b""[..], b"{", b"null", b"\0\0\0\0", b"{\"format\":99}", b"{\"format\":1,\"verdicts\":7}"]
    {
        let (scene, v1, v2) = offline();
        fs::write(scene.place.root().join("state.json"), bytes).unwrap();
        let mut supervisor = scene.start();
        supervisor.line("ready v2");
        let status = scene.run(&["status", "--json"]).result();
        assert!(status["findings"].to_string().contains("state.json"), "{status}");
        assert_eq!(scene.place.slots(), [Some(v2), Some(v1), None, None]);
    }
}

#[test]
fn a_state_file_that_is_a_directory_a_link_or_huge() {
    let make: [(&str, Damage); 3] = [
        ("directory", |path| fs::create_dir(path).unwrap()),
        ("link", |path| symlink("/dev/zero", path).unwrap()),
        ("huge", |path| fs::write(path, vec![b' '; 64 << 20]).unwrap()),
    ];
    for (row, make) in make {
        let (scene, _, v2) = offline();
        make(&scene.place.root().join("state.json"));
        let mut supervisor = scene.start();
        supervisor.line("ready v2");
        // A verdict can be written all the same.
        scene.registry.come_back();
        scene.push(&bad("v3"));
        let staged = scene.run(&["check"]);
        assert_eq!(staged.code, Some(42), "{row}: {}", staged.all());
        supervisor.stop();
        let mut supervisor = scene.start();
        supervisor.line("broken v3");
        supervisor.line("start v2");
        assert_eq!(scene.place.state()["verdicts"][0]["kind"], "app", "{row}");
        assert_eq!(scene.place.slot("entrypoint"), Some(v2), "{row}");
    }
}

#[test]
fn a_damaged_update_attempt() {
    for bytes in [&b""[..], b"sha256:", b"\xff\xff", &[b'x'; 5000][..]] {
        let (scene, _, v2) = offline();
        fs::write(scene.place.root().join("update-attempt"), bytes).unwrap();
        let mut supervisor = scene.start();
        supervisor.line("ready v2");
        assert_eq!(scene.place.slot("entrypoint"), Some(v2));
        let status = scene.run(&["status", "--json"]).result();
        assert!(status["findings"].to_string().contains("update-attempt"), "{status}");
    }
}

#[test]
fn a_damaged_launch_file_is_made_anew() {
    for bytes in [None, Some(&b""[..]), Some(b"{\"program\":7}"), Some(b"{\"program\":\"other\"}")] {
        let scene = Scene::new();
        let image = Image::new()
            .layer(Layer::new().file(
                "app",
                0o755,
                program("v1", "echo \"got $1 $SETTING\"; exec sleep 1000").as_bytes(),
            ))
            .environment(&["SETTING=set"])
            .entrypoint(&["/app", "--serve"])
            .build();
        scene.install(&image);
        scene.registry.go_away();
        let launch = scene.place.storage("launch").join(&image.digest);
        match bytes {
            None => fs::remove_file(&launch).unwrap(),
            Some(bytes) => fs::write(&launch, bytes).unwrap(),
        }
        let mut supervisor = scene.start();
        let line = supervisor.line("got ");
        assert_eq!(line, "got --serve set", "{bytes:?}");
    }
}

#[test]
fn a_damaged_seal_or_manifest_keeps_nothing_from_running() {
    for folder in ["seals", "images"] {
        let (scene, _, v2) = offline();
        for name in scene.place.list(folder) {
            fs::write(scene.place.storage(folder).join(name), b"\0garbage").unwrap();
        }
        let mut supervisor = scene.start();
        supervisor.line("ready v2");
        let verified = scene.run(&["verify", "--full"]);
        assert_eq!(verified.code, Some(1), "{}", verified.all());
        // A clean-up that can't tell what is needed removes nothing.
        assert_eq!(scene.run(&["gc", "--json"]).code, Some(0));
        assert_eq!(scene.place.slot("entrypoint"), Some(v2.clone()));
        assert!(scene.place.tree(&v2).join("data/one").exists());
        scene.registry.come_back();
        let repaired = scene.run(&["pull", "--repair", "--json"]);
        assert_eq!(repaired.code, Some(0), "{}", repaired.all());
        assert_eq!(scene.run(&["verify", "--full"]).code, Some(0));
    }
}

#[test]
fn broken_links_and_foreign_files() {
    let (scene, _, v2) = offline();
    let root = scene.place.root();
    fs::write(root.join("entrypoint-attempt"), "a file").unwrap();
    symlink("/bin/sh", root.join("entrypoint-attempting")).unwrap();
    fs::remove_file(root.join("entrypoint-previous")).unwrap();
    fs::create_dir(root.join("entrypoint-previous")).unwrap();
    fs::write(root.join("entrypoint-previous/mine"), "mine").unwrap();
    fs::write(root.join("notes.txt"), "mine").unwrap();
    fs::write(scene.place.storage("blobs").join("README"), "mine").unwrap();
    symlink("/nowhere", scene.place.storage("extracted").join("lost")).unwrap();
    let mut supervisor = scene.start();
    supervisor.line("ready v2");
    assert_eq!(scene.place.slots(), [Some(v2), None, None, None]);
    assert_eq!(fs::read(root.join("foreign-entrypoint-attempt")).unwrap(), b"a file");
    assert_eq!(fs::read_link(root.join("foreign-entrypoint-attempting")).unwrap(), Path::new("/bin/sh"));
    assert_eq!(fs::read(root.join("foreign-entrypoint-previous/mine")).unwrap(), b"mine");
    assert_eq!(fs::read(root.join("notes.txt")).unwrap(), b"mine");
    // And an update goes through with all that lying about.
    scene.registry.come_back();
    scene.push(&script("v3", GOOD));
    assert_eq!(scene.run(&["check"]).code, Some(42));
}

#[test]
fn a_clean_up_keeps_what_is_named_and_removes_the_rest() {
    let (scene, v1, v2) = offline();
    scene.registry.come_back();
    let (v0, v3) = (with_data("v0"), with_data("v3"));
    scene.push(&v0);
    scene.pull();
    scene.push(&v3);
    scene.pull();
    for name in ["tmp-sha256:0000", "removing-sha256:0000"] {
        fs::create_dir_all(scene.place.storage("extracted").join(name).join("usr")).unwrap();
    }
    for (folder, name) in [("blobs", "tmp-x"), ("seals", "tmp-x"), ("launch", "tmp-x"), ("images", "tmp-x")] {
        fs::write(scene.place.storage(folder).join(name), "x").unwrap();
    }
    let stray = fixtures::sha256(b"stray");
    fs::write(scene.place.storage("blobs").join(&stray), "stray").unwrap();
    fs::write(scene.place.storage("blobs").join(format!("partial-{stray}")), "str").unwrap();
    let done = scene.run(&["gc", "--all", "--json"]);
    assert_eq!(done.code, Some(0), "{}", done.all());
    let mut kept = vec![v1.clone(), v2.clone(), v3.digest.clone()];
    kept.sort();
    for folder in ["extracted", "images", "seals", "launch"] {
        assert_eq!(scene.place.list(folder), kept, "{folder}: {}", done.all());
    }
    // A config and a program each, and the layer that they share.
    assert_eq!(scene.place.list("blobs").len(), 7, "{:?}", scene.place.list("blobs"));
    assert_eq!(scene.place.slots(), [Some(v2), Some(v1), Some(v3.digest), None]);
    assert_eq!(scene.run(&["verify", "--full"]).code, Some(0));
    assert_eq!(scene.run(&["gc"]).stdout, "nothing to delete\n");
}

#[test]
fn verify_finds_and_restore_mends() {
    let damages: [(&str, Damage); 5] = [
        ("zeroed", |tree| fs::write(tree.join("data/one"), b"\0\0\0").unwrap()),
        ("truncated", |tree| fs::write(tree.join("data/one"), b"").unwrap()),
        ("missing", |tree| fs::remove_file(tree.join("data/one")).unwrap()),
        ("a link", |tree| {
            fs::remove_file(tree.join("data/one")).unwrap();
            symlink("/etc/passwd", tree.join("data/one")).unwrap();
        }),
        ("extra", |tree| fs::write(tree.join("data/extra"), b"extra").unwrap()),
    ];
    for (row, damage) in damages {
        // What is damaged is the tree itself, which is there without a supervisor.
        let (scene, _, v2) = offline_in(Scene::new().set("DOCKERLOADER_TREE_METHOD", "copy"));
        damage(&scene.place.tree(&v2));
        let found = scene.run(&["verify", "--full"]);
        // What an application added is told, but is no damage.
        let (code, path) = if row == "extra" { (0, "data/extra") } else { (1, "data/one") };
        assert_eq!(found.code, Some(code), "{row}: {}", found.all());
        found.says(&[path, &v2["sha256:".len()..][..12]]);
        let restored = scene.run(&["restore", &v2]);
        assert_eq!(restored.code, Some(0), "{row}: {}", restored.all());
        restored.says(&[&v2]);
        assert_eq!(fs::read(scene.place.tree(&v2).join("data/one")).unwrap(), b"one", "{row}");
        assert!(!scene.place.tree(&v2).join("data/extra").exists());
        let clean = scene.run(&["verify", "--full"]);
        assert_eq!(clean.code, Some(0), "{row}: {}", clean.all());
        scene.place.assert_no_leftovers();
    }
}

#[test]
fn restore_says_what_it_lacks() {
    let (scene, _, v2) = offline();
    lose(&scene, &v2);
    let failed = scene.run(&["restore", &v2, "--offline", "--json"]);
    assert_eq!(failed.code, Some(65), "{}", failed.all());
    assert_eq!(failed.result()["outcome"], "failed");
    failed.says(&["is not in the store", "pull the image again"]);
    let unknown = scene.run(&["restore", "0000"]);
    assert_eq!(unknown.code, Some(2));
    unknown.says(&["0000", "sha256"]);
    scene.registry.come_back();
    assert_eq!(scene.run(&["restore", &v2]).code, Some(0), "else from the registry");
    assert_eq!(scene.run(&["verify", "--full"]).code, Some(0));
    scene.place.assert_no_leftovers();
}
