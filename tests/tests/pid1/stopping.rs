//! Stopping: everybody is asked, and nobody stays.

use std::time::Duration;

use tests::namespace::Init;
use tests::process::{children, is_alive, state};
use tests::supervised::Stage;
use tests::wait::{eventually, timed};

const INT: i32 = 2;
const TERM: i32 = 15;

/// A grandchild in a session of its own that has something to finish when it is told to stop.
const DAEMON: &str = "setsid sh -c 'trap \"echo asked > @notes/asked; exit\" TERM; echo $$ > @notes/daemon
  while :; do sleep 600 & wait $!; done' &
  until [ -s @notes/daemon ]; do sleep 0.01; done";

#[test]
fn a_grandchild_in_its_own_session_is_asked_to_stop_by_ours_alone() {
    for init in Init::available() {
        let stage = Stage::with_current(&format!(
            "trap 'exit 8' TERM\n{DAEMON}\necho up > @notes/up\nsleep 600 & wait"
        ));
        let mut running = init.run(&stage);
        stage.note("up");
        assert_eq!(running.stop(TERM), 8, "{init:?}");
        // When process 1 is gone, so is everybody: what was not noted by now never will be.
        assert_eq!(stage.noted("asked").is_some(), init == Init::Dockerloader, "{init:?}");
    }
}

#[test]
fn whatever_is_left_when_the_application_ends_may_finish() {
    let Some(init) = Init::own() else { return };
    let stage = Stage::with_current(&format!("{DAEMON}\nexit 6"));
    assert_eq!(init.run(&stage).ended(), 6);
    assert_eq!(stage.note("asked"), "asked\n");
}

#[test]
fn who_ignores_the_request_is_killed_when_the_grace_is_over() {
    let Some(init) = Init::own() else { return };
    let stage = Stage::with_current("trap '' TERM INT\necho $$ > @notes/up\nwhile :; do sleep 600; done");
    let mut running = init.run_with(&stage, &[("DOCKERLOADER_STOP_GRACE_MS", "300")]);
    stage.note("up");
    let (code, took) = timed(|| running.stop(TERM));
    assert_eq!(code, 137);
    assert!(took >= Duration::from_millis(300), "{took:?}");
    assert!(took <= Duration::from_millis(300) + Duration::from_secs(5), "{took:?}");
    assert_eq!(running.seen("kill").len(), 1, "{}", running.stderr());
}

#[test]
fn a_daemon_that_ignores_the_request_does_not_stay_either() {
    let Some(init) = Init::own() else { return };
    let stage = Stage::with_current(
        "trap 'exit 8' TERM
        setsid sh -c 'trap \"\" TERM; echo $$ > @notes/daemon; while :; do sleep 600; done' &
        sleep 600 & wait",
    );
    let mut running = init.run_with(&stage, &[("DOCKERLOADER_STOP_GRACE_MS", "300")]);
    stage.note("daemon");
    assert_eq!(running.stop(TERM), 8, "{}", running.stderr());
    assert_eq!(running.seen("kill").len(), 1, "{}", running.stderr());
}

#[test]
fn a_stopped_application_can_be_stopped_for_good() {
    let Some(init) = Init::own() else { return };
    let stage =
        Stage::with_current("trap 'exit 9' TERM\necho up > @notes/up\nwhile :; do sleep 600 & wait $!; done");
    let mut running = init.run(&stage);
    stage.note("up");
    let app = children(running.pid)[0];
    tests::process::signal(app, 19);
    eventually("it stands still", || (state(app) == Some('T')).then_some(()));
    assert_eq!(running.stop(TERM), 9);
    assert!(running.seen("kill").is_empty());
}

#[test]
fn a_second_interrupt_is_impatience_and_a_second_term_is_not() {
    let Some(init) = Init::own() else { return };
    let stage = Stage::with_current(
        "trap '' INT\ntrap 'echo term >> @notes/terms' TERM\necho up > @notes/up\nwhile :; do sleep 600 & wait $!; done",
    );
    let mut running = init.run(&stage);
    stage.note("up");
    running.signal(TERM);
    eventually("one TERM", || (stage.noted("terms")?.lines().count() == 1).then_some(()));
    running.signal(TERM);
    eventually("two TERMs", || (stage.noted("terms")?.lines().count() == 2).then_some(()));
    running.signal(INT);
    running.signal(TERM);
    eventually("three TERMs", || (stage.noted("terms")?.lines().count() == 3).then_some(()));
    assert!(running.runs() && running.seen("kill").is_empty());
    // The grace is 20 s; this ends it.
    assert_eq!(running.stop(INT), 137);
}

#[test]
fn the_images_own_stop_signal_takes_the_place_of_term() {
    let Some(init) = Init::own() else { return };
    let stage = Stage::new();
    let digest = stage.plant(
        "entrypoint",
        "old",
        "trap 'exit 11' QUIT\ntrap 'exit 99' TERM\necho up > @notes/up\nwhile :; do sleep 600 & wait $!; done",
    );
    let launch = serde_json::json!({ "program": "entrypoint", "stop_signal": "SIGQUIT" });
    std::fs::write(stage.ground.root().join("storage/v1/launch").join(digest), launch.to_string()).unwrap();
    let mut running = init.run(&stage);
    stage.note("up");
    assert_eq!(running.stop(TERM), 11);
}

#[test]
fn process_1_ends_when_nothing_could_be_started_yet() {
    let Some(init) = Init::own() else { return };
    // The registry is a port that nobody listens on: the first install is tried for as long as it takes.
    let stage = Stage::new();
    let mut running = init.run_with(&stage, &[("DOCKERLOADER_TARGET", "127.0.0.1:1/app:1")]);
    running.event("helper", 1);
    assert_eq!(running.stop(TERM), 143);
    assert!(!is_alive(running.pid));
}
