//! SIGTERM comes at any moment.

use std::time::Duration;

use fixtures::image::{Image, Layer, noise};
use fixtures::registry::{Kind, Rule};
use nix::sys::signal::Signal;

use crate::scene::{GOOD, SILENT, Scene, good, program, script};

const AT_ONCE: Duration = Duration::from_secs(2);

#[test]
fn in_the_first_pull() {
    let scene = Scene::new();
    let v1 = Image::with_entrypoint(program("v1", GOOD).as_bytes())
        .layer(Layer::new().file("data", 0o644, &noise(5, 2_000_000)))
        .build();
    scene.push(&v1);
    let layer = &v1.layers[1].digest;
    let gate = scene.registry.gate(Rule::on(Kind::Blob).path(layer), 1_000_000);
    let supervisor = scene.start();
    gate.wait_reached();
    let partial = scene.place.storage("blobs").join(format!("partial-{layer}"));
    let length = || std::fs::metadata(&partial).map_or(0, |found| found.len());
    let begin = std::time::Instant::now();
    while length() == 0 {
        assert!(begin.elapsed() < Duration::from_secs(60), "nothing of it came");
        std::thread::yield_now();
    }
    let (time, code) = supervisor.stop();
    assert_eq!(code, Some(143));
    assert!(time < AT_ONCE, "{time:?}");
    assert_eq!(scene.place.slots(), [const { None }; 4]);
    gate.release();

    // What came is kept, and gone on with.
    let kept = length();
    scene.registry.clear_requests();
    let mut supervisor = scene.start();
    supervisor.line("ready v1");
    let ranges: Vec<_> = scene
        .registry
        .requests()
        .into_iter()
        .filter(|request| request.kind == Kind::Blob && request.path.ends_with(&**layer))
        .map(|request| request.range)
        .collect();
    assert!(kept > 0);
    assert_eq!(ranges, [Some(format!("bytes={kept}-"))]);
    scene.place.assert_no_leftovers();
    supervisor.stop();
}

#[test]
fn in_a_pull_while_a_version_runs() {
    let scene = Scene::new().set("DOCKERLOADER_UPDATE_INTERVAL_SECS", "1");
    scene.install(&script("v1", SILENT));
    let v2 = Image::with_entrypoint(program("v2", GOOD).as_bytes())
        .layer(Layer::new().file("data", 0o644, &noise(6, 2_000_000)))
        .build();
    scene.push(&v2);
    let gate = scene.registry.gate(Rule::on(Kind::Blob).path(&v2.layers[1].digest), 1_000_000);
    let mut supervisor = scene.start();
    supervisor.line("start v1");
    gate.wait_reached();
    let (time, code) = supervisor.stop();
    assert_eq!(code, Some(143));
    assert!(time < AT_ONCE, "{time:?}");
    gate.release();
    let mut supervisor = scene.start();
    supervisor.line("ready v2");
}

#[test]
fn in_a_trial() {
    let scene = Scene::new();
    let v1 = good("v1");
    scene.install(&v1);
    let flag = scene.scratch.path().join("go-on");
    let wait = format!("while [ ! -e {} ]; do sleep 0.02; done\n{GOOD}", flag.display());
    let v2 = script("v2", &wait);
    scene.push(&v2);
    scene.pull();
    // More often than a trial may be interrupted: a stop from outside is no attempt.
    for _ in 0..5 {
        let mut supervisor = scene.start();
        supervisor.line("start v2");
        let (time, code) = supervisor.stop();
        assert_eq!(code, Some(143));
        assert!(time < AT_ONCE, "{time:?}");
        assert_eq!(scene.place.slots(), [Some(v1.digest.clone()), None, Some(v2.digest.clone()), None]);
        assert_eq!(scene.place.state()["verdicts"].as_array().map_or(0, Vec::len), 0);
    }
    std::fs::write(flag, "").unwrap();
    let mut supervisor = scene.start();
    supervisor.line("ready v2");
    assert_eq!(scene.place.slots(), [Some(v2.digest), Some(v1.digest), None, None]);
}

#[test]
fn killed_in_a_trial() {
    let scene = Scene::new();
    let v1 = good("v1");
    scene.install(&v1);
    let v2 = script("v2", SILENT);
    scene.push(&v2);
    scene.pull();
    for _ in 0..3 {
        let mut supervisor = scene.start();
        supervisor.line("start v2");
        supervisor.signal(Signal::SIGKILL);
        supervisor.wait();
    }
    // Three times is enough, for a while; and it is nobody's fault.
    let mut supervisor = scene.start();
    supervisor.line("ready v1");
    assert_eq!(supervisor.starts("v2"), 0);
    assert_eq!(scene.place.state()["verdicts"][0]["kind"], "interrupted");
    assert_eq!(scene.place.slot("entrypoint"), Some(v1.digest));
}

#[test]
fn in_a_back_off() {
    let scene = Scene::new().set("DOCKERLOADER_POLL", "never");
    scene.install(&script("v1", "exit 42"));
    let mut supervisor = scene.start();
    supervisor.event("back_off");
    supervisor.event("back_off");
    let (time, code) = supervisor.stop();
    assert_eq!(code, Some(143));
    assert!(time < AT_ONCE, "{time:?}");
}

#[test]
fn in_the_pause_between_two_installs() {
    let scene = Scene::new();
    let mut supervisor = scene.start();
    supervisor.event("install_failed");
    let (time, code) = supervisor.stop();
    assert_eq!(code, Some(143));
    assert!(time < AT_ONCE, "{time:?}");
}

#[test]
fn while_it_is_stopping() {
    let scene = Scene::new();
    scene.install(&script("v1", "trap 'echo deaf' TERM; echo waiting; while :; do sleep 0.05; done"));
    let mut supervisor = scene.start();
    supervisor.line("waiting");
    supervisor.signal(Signal::SIGTERM);
    supervisor.line("deaf");
    // An orchestrator that repeats itself changes nothing: the grace of 2 s runs from the first.
    let (time, code) = supervisor.stop();
    assert_eq!(code, Some(137));
    assert!(time < Duration::from_secs(5), "{time:?}");
}

#[test]
fn while_it_swaps() {
    let scene = Scene::new().set("DOCKERLOADER_UPDATE_INTERVAL_SECS", "1");
    let v1 = script("v1", "trap 'echo deaf' TERM; echo waiting; while :; do sleep 0.05; done");
    scene.install(&v1);
    let v2 = good("v2");
    scene.push(&v2);
    let mut supervisor = scene.start();
    supervisor.event("swap");
    supervisor.line("deaf");
    let (time, code) = supervisor.stop();
    assert_eq!(code, Some(137));
    assert!(time < Duration::from_secs(5), "{time:?}");
    assert_eq!(scene.place.slots(), [Some(v1.digest), None, Some(v2.digest), None]);
    let mut supervisor = scene.start();
    supervisor.line("ready v2");
}
