//! The engine refuses, fails, lies or says nothing in the middle of a replacement: what worked runs, and what was meant is done when the engine can again.

use std::time::Duration;

use fixtures::engine_proxy::{Act, EngineProxy, engine_socket};

use crate::scene::{SERVE, Scene};
use crate::updates::{UPDATE, settled};

/// A device on which the first version of `web` runs, behind a proxy.
fn device() -> (EngineProxy, Scene, String) {
    let proxy = EngineProxy::before(&engine_socket());
    let mut scene = Scene::new().through(proxy.socket());
    let first = settled(&mut scene, "stable", "", UPDATE);
    (proxy, scene, first)
}

fn push_second(scene: &Scene) -> String {
    scene.push("acme/web", "stable", &format!("echo two; {SERVE}"))
}

/// The second version runs, and nothing else is there.
fn ends_with(scene: &Scene, digest: &str) {
    scene.until("the version runs", |scene| scene.runs("web", digest));
    scene.settles("web", "stable");
    assert!(scene.runs("web", digest));
}

#[test]
fn an_error_inside_a_pull_leaves_what_runs_alone() {
    let (proxy, scene, first) = device();
    let before = scene.ids("web");
    proxy.on("POST", "/images/create", Act::error_in_stream("failed to register layer: input/output error"));
    let second = push_second(&scene);
    scene.until("why says so", |scene| scene.done(&["why", "$Pweb"]).contains("input/output error"));
    assert_eq!(scene.ids("web"), before, "what runs was not touched");
    assert!(scene.runs("web", &first));
    proxy.clear();
    ends_with(&scene, &second);
}

#[test]
fn the_old_version_runs_again_when_the_engine_can_t_make_the_new_one() {
    let (proxy, scene, first) = device();
    for (status, message) in [(409, "Conflict. The container name is in use"), (500, "out of everything")] {
        proxy.on("POST", "/containers/create", Act::status(status, message));
        let made = proxy.count("POST", "/containers/create");
        let new = scene.push("acme/web", "stable", &format!("echo {status}; {SERVE}"));
        scene.until("it was refused", |_| proxy.count("POST", "/containers/create") > made);
        scene.until("why says so", |scene| scene.done(&["why", "$Pweb"]).contains(message));
        scene.until("the old one runs", |scene| scene.runs("web", &first));
        proxy.clear();
        scene.push("acme/web", "stable", SERVE);
        scene.until("the old version is the wanted one again", |scene| {
            scene.container("web")["wanted"]["digest"] == first.as_str()
        });
        ends_with(&scene, &first);
        assert!(!scene.runs("web", &new));
    }
}

#[test]
fn the_old_version_runs_again_when_the_engine_can_t_start_the_new_one() {
    let (proxy, scene, first) = device();
    proxy.nth(1, "POST", "/containers/*/start", Act::status(500, "no such device: /dev/nothing"));
    let second = push_second(&scene);
    scene.until("it was judged", |scene| scene.done(&["why", "$Pweb"]).contains("/dev/nothing"));
    ends_with(&scene, &first);
    let third = scene.push("acme/web", "stable", &format!("echo three; {SERVE}"));
    ends_with(&scene, &third);
    assert!(!scene.runs("web", &second));
}

#[test]
fn the_new_version_stays_when_the_old_one_can_t_be_removed() {
    let (proxy, scene, _) = device();
    let old = scene.ids("web")[0].clone();
    proxy.on("DELETE", "/containers/*", Act::status(409, "removal is already in progress"));
    let second = push_second(&scene);
    scene.until("the new one runs", |scene| scene.runs("web", &second));
    scene.until("the removal was refused twice", |_| proxy.count("DELETE", "/containers/*") >= 2);
    assert!(scene.runs("web", &second), "the new version is not undone for it");
    assert!(scene.ids("web").contains(&old), "{old} is still there");
    proxy.clear();
    ends_with(&scene, &second);
    assert!(!scene.ids("web").contains(&old));
}

#[test]
fn an_engine_that_says_nothing_is_reported_and_asked_again() {
    let (proxy, scene, _) = device();
    let before = scene.ids("web");
    proxy.on("GET", "*", Act::Hang);
    proxy.on(EngineProxy::CHANGES, "*", Act::Hang);
    let second = push_second(&scene);
    scene.until("status says so", |scene| scene.report()["engine"]["up"] == false);
    let engine = scene.report()["engine"].clone();
    assert!(engine["problem"].as_str().is_some_and(|problem| problem.contains("answer")), "{engine}");
    assert_eq!(scene.ids("web"), before);
    proxy.clear();
    scene.until("the engine is up", |scene| scene.report()["engine"]["up"] == true);
    ends_with(&scene, &second);
}

#[test]
fn an_engine_that_is_slow_is_not_taken_for_one_that_is_away() {
    let (proxy, scene, _) = device();
    proxy.on("GET", "*", Act::Delay(Duration::from_millis(300)));
    proxy.on(EngineProxy::CHANGES, "*", Act::Delay(Duration::from_millis(300)));
    let second = push_second(&scene);
    ends_with(&scene, &second);
    assert_eq!(scene.report()["engine"]["up"], true);
}

#[test]
fn answers_that_are_cut_are_asked_for_again() {
    let (proxy, scene, _) = device();
    for nth in [1, 3, 5] {
        proxy.nth(nth, "GET", "*", Act::CutAfter(40));
    }
    let second = push_second(&scene);
    ends_with(&scene, &second);
}
