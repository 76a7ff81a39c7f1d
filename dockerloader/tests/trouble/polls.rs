//! What the tag stands for changes, and the application may or may not ask for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fixtures::image::{Image, Layer, noise};
use fixtures::registry::{Kind, Rule};

use crate::scene::{GOOD, LOOP, SILENT, Scene, bad, good, program, script};

#[test]
fn the_tag_moves_in_the_middle_of_a_pull() {
    let scene = Scene::new();
    scene.install(&good("v1"));
    let mut supervisor = scene.start();
    supervisor.line("ready v1");
    let v2 = Image::with_entrypoint(program("v2", GOOD).as_bytes())
        .layer(Layer::new().file("data", 0o644, &noise(3, 500_000)))
        .build();
    scene.push(&v2);
    let gate = scene.registry.gate(Rule::on(Kind::Blob).path(&v2.layers[1].digest), 100_000);
    let v3 = good("v3");
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| scene.run(&["check"]));
        gate.wait_reached();
        scene.push(&v3);
        gate.release();
        let asked = asked.join().unwrap();
        assert_eq!(asked.code, Some(42), "{}", asked.all());
        asked.says(&[&v2.digest]);
    });
    assert_eq!(scene.place.slot("entrypoint-attempt").as_ref(), Some(&v2.digest), "one whole version");
    let asked = scene.run(&["check"]);
    assert_eq!(asked.code, Some(42), "{}", asked.all());
    assert_eq!(
        scene.place.slot("entrypoint-attempt").as_ref(),
        Some(&v3.digest),
        "the next look finds the next"
    );
    assert_eq!(scene.run(&["verify", "--full"]).code, Some(0));
}

#[test]
fn a_bad_version_is_tried_once_however_often_it_is_found() {
    let scene = Scene::new();
    scene.install(&script("v1", LOOP));
    let mut supervisor = scene.start();
    supervisor.line("ready v1");
    for (name, is_new) in [("bad-a", true), ("bad-b", true), ("bad-a", false), ("bad-b", false)] {
        scene.push(&bad(name));
        if is_new {
            supervisor.event("roll_back");
            supervisor.line("ready v1");
        }
        // Of these looks, the second began after the push at the latest.
        supervisor.from_now();
        for _ in 0..3 {
            supervisor.line("checked v1");
        }
        assert_eq!(supervisor.starts(name), 1, "{name}");
    }
    let skipped = scene.run(&["check"]);
    assert_eq!(skipped.code, Some(0));
    skipped.says(&["skipping update to", "exited with 3", "dockerloader forget"]);
    // A restart changes nothing about that.
    supervisor.stop();
    let mut supervisor = scene.start();
    for _ in 0..2 {
        supervisor.line("checked v1");
    }
    assert_eq!((supervisor.starts("bad-a"), supervisor.starts("bad-b")), (0, 0));
    scene.push(&good("v4"));
    supervisor.line("ready v4");
    supervisor.event("commit");
}

#[test]
fn the_tag_goes_back_to_the_current_version_while_another_is_staged() {
    let scene = Scene::new();
    let v1 = good("v1");
    scene.install(&v1);
    let mut supervisor = scene.start();
    supervisor.line("ready v1");
    scene.push(&good("v2"));
    assert_eq!(scene.run(&["check"]).code, Some(42));
    scene.push(&v1);
    let asked = scene.run(&["check"]);
    assert_eq!(asked.code, Some(0), "{}", asked.all());
    asked.says(&["already running the latest version"]);
    assert_eq!(scene.place.slots(), [Some(v1.digest), None, None, None]);
    supervisor.stop();
    let mut supervisor = scene.start();
    supervisor.line("ready v1");
    assert_eq!(supervisor.starts(""), 1);
}

#[test]
fn a_look_that_finds_nothing_new_is_one_head() {
    let scene = Scene::new();
    scene.install(&script("v1", LOOP));
    let mut supervisor = scene.start();
    supervisor.line("ready v1");
    // The first is through.
    supervisor.line("checked v1");
    scene.registry.clear_requests();
    for _ in 0..5 {
        supervisor.line("checked v1");
    }
    supervisor.stop();
    let requests = scene.registry.requests();
    // One may have been under way at each end.
    assert!((4..=7).contains(&requests.len()), "{requests:?}");
    assert!(requests.iter().all(|request| request.method == "HEAD"), "{requests:?}");
}

#[test]
fn a_version_that_crashes_in_a_loop_gets_its_fix() {
    // Committed long ago: nothing watches it, and no earlier version is on disk.
    let scene = Scene::new().set("DOCKERLOADER_PROBATION_SECS", "0");
    scene.install(&script("v1", "exit 5"));
    // The container is started again and again, as Docker does.
    for number in 1..=3 {
        let ended = scene.supervise();
        assert_eq!(ended.code, Some(5), "start {number}: {}", ended.all());
    }
    let v2 = good("v2");
    scene.push(&v2);
    let mut supervisor = scene.start();
    supervisor.event("look_first");
    supervisor.line("ready v2");
    assert_eq!(supervisor.starts("v1"), 0);
    assert_eq!(scene.place.slot("entrypoint"), Some(v2.digest));
}

#[test]
fn a_version_that_crashes_in_a_loop_runs_though_the_registry_is_away() {
    let scene = Scene::new();
    scene.install(&script("v1", "[ -e \"$DOCKERLOADER_DATA_DIR/well\" ] || exit 5\nexec sleep 1000"));
    assert_eq!(scene.supervise().code, Some(5));
    scene.registry.go_away();
    fs::write(scene.place.view.join("well"), "").unwrap();
    let mut supervisor = scene.start();
    supervisor.event("look_first");
    supervisor.line("start v1");
}

#[test]
fn a_version_that_crashes_in_its_probation_gives_way_to_the_one_before() {
    let scene = Scene::new();
    let v1 = good("v1");
    scene.install(&v1);
    scene.push(&script("v2", "\"$DOCKERLOADER_BINARY\" ready; exit 5"));
    scene.pull();
    let mut codes = Vec::new();
    let mut supervisor = loop {
        let mut supervisor = scene.start();
        let line =
            supervisor.until("an end", |line| line == "ready v1" || line.contains("\"event\":\"leave\""));
        if line == "ready v1" {
            break supervisor;
        }
        codes.push(supervisor.wait().code());
        assert!(codes.len() < 5, "{codes:?}");
    };
    // The crash that ends its probation is answered at once.
    assert_eq!(codes, [Some(5), Some(5)]);
    assert_eq!(scene.place.slot("entrypoint"), Some(v1.digest));
    let skipped = scene.run(&["check"]);
    assert_eq!(skipped.code, Some(0));
    skipped.says(&["skipping update", "crashed 3 times in its probation"]);
    supervisor.event("checked");
}

#[test]
fn a_version_that_never_asks_is_replaced() {
    let scene = Scene::new().set("DOCKERLOADER_UPDATE_INTERVAL_SECS", "1");
    scene.install(&script("v1", SILENT));
    let mut supervisor = scene.start();
    supervisor.line("start v1");
    let v2 = good("v2");
    scene.push(&v2);
    supervisor.event("swap");
    supervisor.line("ready v2");
    supervisor.event("commit");
    assert_eq!(scene.place.slot("entrypoint"), Some(v2.digest));
}

#[test]
fn a_version_that_only_asks_for_restarts_gets_its_fix() {
    let scene = Scene::new().set("DOCKERLOADER_UPDATE_INTERVAL_SECS", "1");
    scene.install(&script("v1", "exit 42"));
    let mut supervisor = scene.start();
    supervisor.event("back_off");
    scene.push(&good("v2"));
    supervisor.line("ready v2");
    assert!(supervisor.starts("v1") <= 4, "with pauses: {:?}", supervisor.lines());
}

#[test]
fn a_supervisor_that_is_told_never_to_look_does_not() {
    let scene = Scene::new().set("DOCKERLOADER_UPDATE_INTERVAL_SECS", "1").set("DOCKERLOADER_POLL", "never");
    scene.install(&script("v1", "[ -e \"$DOCKERLOADER_DATA_DIR/well\" ] || exit 5\nexec sleep 1000"));
    scene.push(&good("v2"));
    scene.registry.clear_requests();
    // Not even when it crashes.
    assert_eq!(scene.supervise().code, Some(5));
    fs::write(scene.place.view.join("well"), "").unwrap();
    let mut supervisor = scene.start();
    supervisor.line("start v1");
    let status = scene.run(&["status", "--json"]).result();
    assert_eq!(status["supervisor"]["next_check_seconds"], serde_json::Value::Null, "{status}");
    assert!(scene.registry.requests().is_empty());
    // Who asks gets an answer.
    assert_eq!(scene.run(&["check"]).code, Some(42));
}

/// The example application, built beside the binary under test.
fn example() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_dockerloader")).with_file_name("dockerloaded");
    if !path.exists() {
        let built = Command::new(env!("CARGO")).args(["build", "-p", "dockerloaded"]).status().unwrap();
        assert!(built.success() && path.exists(), "{} can't be built", path.display());
    }
    path
}

#[test]
fn an_application_that_updates_itself_goes_from_version_to_version() {
    let scene = Scene::new().set("DOCKERLOADER_UPDATE_INTERVAL_SECS", "1");
    let layer = Layer::new().file("entrypoint", 0o755, &fs::read(example()).unwrap()).build();
    let version = |number: u32| {
        let dotenv = format!("# version\nDOCKERLOADED_VERSION=\"{number}.0 'x'\" # quoted\nLONG_RUNNING=1\n");
        Image::new()
            .built_layer(layer.clone())
            .layer(Layer::new().file(".env", 0o644, dotenv.as_bytes()))
            .build()
    };
    let versions = [version(1), version(2), version(3)];
    scene.push(&versions[0]);
    let mut supervisor = scene.start();
    for (number, image) in versions.iter().enumerate() {
        scene.push(image);
        supervisor.line(&format!("Version: {}.0 'x'", number + 1));
        supervisor.until("ready", |line| line == "ready");
        if number > 0 {
            supervisor.event("commit");
        }
        assert_eq!(scene.place.slot("entrypoint").as_ref(), Some(&image.digest));
    }
    assert_eq!(scene.place.slot("entrypoint-previous").as_ref(), Some(&versions[1].digest));
    assert_eq!(supervisor.events("roll_back"), 0);

    // One with a mistake in its `.env` does not take over.
    let wrong = Image::new()
        .built_layer(layer)
        .layer(Layer::new().file(".env", 0o644, b"LONG_RUNNING=1\nTOKEN=hunter2 and more\n"))
        .build();
    scene.push(&wrong);
    let rolled = supervisor.event("roll_back")["message"].as_str().unwrap().to_owned();
    assert!(rolled.contains(".env, line 2"), "{rolled}");
    supervisor.line("Version: 3.0 'x'");
    assert_eq!(scene.place.slot("entrypoint").as_ref(), Some(&versions[2].digest));
    assert!(!supervisor.lines().join("\n").contains("hunter2"));
}
