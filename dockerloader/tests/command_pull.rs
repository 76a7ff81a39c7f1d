//! `pull`, `pull --repair`, `verify` and `gc` of the real binary, against a registry in the process.
#![expect(
    clippy::disallowed_methods,
    reason = "the tests start the program, and damage the store from outside"
)]

use std::fs;
use std::process::{Command, Stdio};

use fixtures::ground::Ground;
use fixtures::image::{BuiltImage, Image, Layer};
use fixtures::registry::Registry;
use serde_json::Value;

const SCRIPT: &[u8] = b"#!/bin/sh\nexit 0\n";

struct Scene {
    registry: Registry,
    ground: Ground,
}

struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    /// The JSON lines.
    fn lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn last(&self) -> Value {
        self.lines().pop().unwrap_or_else(|| panic!("nothing on stdout: {}", self.stderr))
    }
}

impl Scene {
    fn new() -> Self {
        Self { registry: Registry::start(), ground: Ground::new() }
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, &[])
    }

    fn run_with(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Ended {
        let output = Command::new(env!("CARGO_BIN_EXE_dockerloader"))
            .args(arguments)
            .env_clear()
            .env("DOCKERLOADER_DATA_DIR", self.ground.data())
            // The tests look into trees, which no supervisor mounts here.
            .env("DOCKERLOADER_TREE_METHOD", "copy")
            .env("DOCKERLOADER_TARGET", self.registry.reference("app", "latest"))
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn image(data: &[u8]) -> BuiltImage {
    Image::with_entrypoint(SCRIPT).layer(Layer::new().file("data", 0o644, data)).build()
}

#[test]
fn what_the_target_names_is_staged_and_the_last_line_says_so() {
    let scene = Scene::new();
    let v1 = image(b"one");
    scene.registry.put("app", "latest", &v1);
    let staged = scene.run(&["pull", "--stage", "--json"]);
    assert_eq!(staged.code, Some(0), "{}", staged.stderr);
    let expected = serde_json::json!({ "event": "result", "outcome": "staged", "digest": v1.digest });
    assert_eq!(staged.last(), expected);
    let events: Vec<_> =
        staged.lines().iter().map(|line| line["event"].as_str().unwrap().to_owned()).collect();
    for event in ["resolved", "planned", "blob", "extracting", "installed", "result"] {
        assert!(events.iter().any(|found| found == event), "{event}: {events:?}");
    }
    assert_eq!(scene.ground.read_slot("entrypoint-attempt").as_deref(), Some(&*v1.digest));

    scene.ground.link("entrypoint", &v1.digest);
    assert_eq!(scene.run(&["pull", "--stage", "--json"]).last()["outcome"], "up_to_date");
    let text = scene.run(&["pull"]);
    assert!(text.stdout.contains("already running the latest version"), "{}", text.stdout);
    assert_eq!(scene.run(&["verify", "--full"]).code, Some(0));
}

#[test]
fn a_rejected_version_is_skipped_until_it_is_forgotten() {
    let scene = Scene::new();
    let (v1, v2) = (image(b"one"), image(b"two"));
    scene.registry.put("app", "latest", &v1);
    scene.run(&["pull"]);
    scene.registry.put("app", "latest", &v2);
    scene.run(&["pull"]);
    scene.ground.link("entrypoint-previous", &v1.digest);
    scene.ground.link("entrypoint", &v2.digest);
    assert_eq!(scene.run(&["rollback"]).code, Some(0));
    let skipped = scene.run(&["pull", "--stage", "--json"]);
    assert_eq!(skipped.code, Some(0));
    assert_eq!(skipped.last()["outcome"], "skipped", "{}", skipped.stdout);
    assert_eq!(skipped.last()["reason"], "rolled back by hand");
    assert_eq!(scene.run(&["forget", &v2.digest]).code, Some(0));
    assert_eq!(scene.run(&["pull", "--stage", "--json"]).last()["outcome"], "staged");
}

#[test]
fn a_failure_has_a_remedy_and_an_exit_code() {
    let scene = Scene::new();
    let missing = scene.run(&["pull", "--stage", "--json"]);
    assert_eq!(missing.last()["outcome"], "failed", "{}", missing.stdout);
    assert_eq!(missing.last()["remedy"], "later");
    assert_eq!(missing.code, Some(69));
    let text = scene.run(&["pull"]);
    assert_eq!(text.code, Some(69));
    assert!(text.stderr.starts_with("dockerloader: "), "{}", text.stderr);
}

#[test]
fn damage_is_repaired_from_the_blobs_or_from_the_registry() {
    let scene = Scene::new();
    let v1 = image(b"one");
    scene.registry.put("app", "latest", &v1);
    scene.run(&["pull"]);
    scene.ground.link("entrypoint", &v1.digest);
    assert_eq!(scene.run(&["pull", "--repair", "--json"]).last()["outcome"], "up_to_date");

    let data = scene.ground.tree(&v1.digest).join("data");
    fs::write(&data, b"bad").unwrap();
    assert_eq!(scene.run(&["verify", "--full"]).code, Some(1));
    let repaired = scene.run(&["pull", "--repair", "--json"]);
    assert_eq!(repaired.last()["outcome"], "repaired", "{}{}", repaired.stdout, repaired.stderr);
    assert!(repaired.lines().iter().any(|line| line["from"] == "blobs"), "{}", repaired.stdout);
    assert_eq!(fs::read(&data).unwrap(), b"one");

    fs::write(&data, b"bad").unwrap();
    for name in scene.ground.list("blobs") {
        fs::remove_file(scene.ground.root().join("storage/v1/blobs").join(name)).unwrap();
    }
    let repaired = scene.run(&["pull", "--repair", "--json"]);
    assert_eq!(repaired.last()["outcome"], "repaired", "{}{}", repaired.stdout, repaired.stderr);
    assert!(repaired.lines().iter().any(|line| line["from"] == "registry"), "{}", repaired.stdout);
    assert_eq!(fs::read(&data).unwrap(), b"one");
    assert_eq!(scene.run(&["verify", "--full"]).code, Some(0));
}

#[test]
fn a_version_that_is_gone_is_restored() {
    let scene = Scene::new();
    let v1 = image(b"one");
    scene.registry.put("app", "latest", &v1);
    scene.run(&["pull"]);
    scene.ground.link("entrypoint", &v1.digest);
    for everything in [false, true] {
        fs::remove_dir_all(scene.ground.tree(&v1.digest)).unwrap();
        if everything {
            fs::remove_dir_all(scene.ground.root().join("storage")).unwrap();
        }
        let restored = scene.run(&["restore", &v1.digest, "--json"]);
        assert_eq!(restored.last()["outcome"], "restored", "{}{}", restored.stdout, restored.stderr);
        assert_eq!(scene.run(&["verify", "--full"]).code, Some(0));
    }
    fs::remove_dir_all(scene.ground.root().join("storage")).unwrap();
    let unknown = scene.run(&["restore", &image(b"never pushed").digest, "--json"]);
    assert_eq!(unknown.last()["outcome"], "failed", "{}", unknown.stdout);
    assert_eq!(unknown.code, Some(69));
}

#[test]
fn gc_deletes_what_no_slot_names() {
    let scene = Scene::new();
    let (v1, v2) = (image(b"one"), image(b"two"));
    scene.registry.put("app", "latest", &v1);
    scene.run(&["pull"]);
    scene.registry.put("app", "latest", &v2);
    scene.run(&["pull"]);
    scene.ground.link("entrypoint", &v2.digest);
    // Without --all its tree would stay as the spare one.
    let dry = scene.run(&["gc", "--all", "--dry-run", "--json"]).last();
    assert!(scene.ground.tree(&v1.digest).exists(), "a dry run deletes nothing");
    let done = scene.run(&["gc", "--all", "--json"]).last();
    assert_eq!(dry["deleted"], done["deleted"]);
    let deleted = done["deleted"].as_array().unwrap();
    assert!(deleted.iter().any(|name| *name == format!("extracted/{}", v1.digest)), "{done}");
    assert!(!scene.ground.tree(&v1.digest).exists());
    assert!(scene.ground.tree(&v2.digest).exists());
    assert_eq!(scene.run(&["gc"]).stdout, "nothing to delete\n");
}

#[test]
fn gc_keeps_a_spare_tree_that_no_command_takes_for_a_version() {
    let scene = Scene::new();
    let (v1, v2) = (image(b"one"), image(b"two"));
    scene.registry.put("app", "latest", &v1);
    scene.run(&["pull"]);
    scene.registry.put("app", "latest", &v2);
    scene.run(&["pull"]);
    scene.ground.link("entrypoint", &v2.digest);
    let done = scene.run(&["gc", "--json"]).last();
    assert_eq!(done["spare"], v1.digest);
    let spare = format!("spare-{}", v1.digest);
    assert_eq!(scene.ground.list("extracted"), [v2.digest.clone(), spare]);
    assert_eq!(
        scene.ground.list("images"),
        std::slice::from_ref(&v2.digest),
        "its manifest and its blobs are nobody's"
    );
    assert_eq!(scene.ground.list("launch"), std::slice::from_ref(&v2.digest));
    let verified = scene.run(&["verify", "--json"]).stdout;
    assert!(!verified.contains(&v1.digest) && verified.contains(&v2.digest), "{verified}");
    let status = scene.run(&["status", "--json"]).last();
    assert_eq!(status["trees"]["method"], "copy");
    assert!(!status.to_string().contains(&v1.digest), "{status}");
    let quiet = scene.run(&["gc"]).stdout;
    assert!(quiet.starts_with("nothing to delete\n") && quiet.contains("spare tree"), "{quiet}");
    // Who wants no spare tree says so.
    scene.run_with(&["gc"], &[("DOCKERLOADER_TREE_METHOD", "extract")]);
    assert_eq!(scene.ground.list("extracted"), [v2.digest]);
}
