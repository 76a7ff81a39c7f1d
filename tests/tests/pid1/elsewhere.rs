//! The supervisor where it is not process 1.

use tests::process::{self, children, is_alive, signal, zombies};
use tests::supervised::Stage;
use tests::wait::eventually;

#[test]
fn orphans_come_to_the_supervisor_and_not_to_the_machines_process_1() {
    let stage = Stage::with_current(
        "trap 'exit 3' TERM
        ( sh -c 'echo $$ > @notes/orphan; exec sleep 600' & )
        for i in 1 2 3 4 5; do ( /bin/true & ); done
        sleep 600 & wait",
    );
    let mut running = stage.supervise(&[]);
    let orphan = stage.noted_pid("orphan");
    eventually("the adoption", || children(running.pid).contains(&orphan).then_some(()));
    eventually("no zombie", || (zombies(running.pid) == 0).then_some(()));
    assert_eq!(running.stop(15), 3);
    assert!(!is_alive(orphan), "what the application leaves behind goes with it");
}

#[test]
fn the_application_dies_with_a_supervisor_that_is_killed() {
    let stage = Stage::with_current("echo $$ > @notes/app; while :; do sleep 0.05; done");
    let mut running = stage.supervise(&[]);
    let app = stage.noted_pid("app");
    assert_eq!(running.stop(9), 137);
    eventually("the death of the application", || (!is_alive(app)).then_some(()));
}

#[test]
fn two_supervisors_never_run_on_one_directory() {
    let stage = Stage::with_current("trap 'exit 4' TERM\necho $$ > @notes/app\nsleep 600 & wait");
    let mut first = stage.supervise(&[]);
    let app = stage.noted_pid("app");
    let mut second = stage.supervise(&[]);
    assert_eq!(second.ended(), 75);
    let complaint = second.seen("refused")[0]["message"].to_string();
    let lock = stage.ground.root().join("supervisor.lock").display().to_string();
    assert!(complaint.contains("another supervisor holds") && complaint.contains(&lock), "{complaint}");
    assert!(complaint.contains("stop the other one"), "{complaint}");
    assert!(is_alive(app) && first.runs());
    assert_eq!(stage.status()["supervisor"]["app_pid"], app, "the first can still be asked");
    assert_eq!(first.stop(15), 4);
    // Its place is free now, also when it is killed.
    let mut third = stage.supervise(&[]);
    third.event("run", 1);
    third.stop(9);
    let mut fourth = stage.supervise(&[]);
    fourth.event("run", 1);
}

#[test]
fn what_is_not_a_data_directory_is_refused_by_name() {
    let stage = Stage::new();
    let mut running = stage.supervise(&[("DOCKERLOADER_DATA_DIR", "/nonexistent")]);
    assert_eq!(running.ended(), 74);
    assert!(running.stderr().contains("/nonexistent"), "{}", running.stderr());
    let mut running = stage.supervise(&[]);
    assert_eq!(running.ended(), 78, "nothing is installed, and nothing says what to install");
    assert!(running.stderr().contains("DOCKERLOADER_TARGET"), "{}", running.stderr());
}

/// An application may fill its output, or close it, as it likes.
#[test]
fn output_is_passed_on_whole_and_its_last_lines_are_kept() {
    let stage = Stage::with_current("seq 100000; echo to-stderr >&2; exit 0");
    let mut running = stage.supervise(&[]);
    assert_eq!(running.ended(), 0);
    let expected: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    assert_eq!(running.stdout(), expected);
    assert!(running.stderr().lines().any(|line| line == "to-stderr"));
}

#[test]
fn what_the_operator_set_reaches_the_application_and_the_supervisors_words_do() {
    let stage = Stage::with_current("env > @notes/env; echo end >> @notes/env; tty; exit 0");
    let mut running = stage.supervise(&[("MINE", "1"), ("DOCKERLOADER_TRIAL", "1")]);
    assert_eq!(running.ended(), 0);
    let environment = stage.note("env");
    let has = |line: &str| environment.lines().any(|own| own.starts_with(line));
    assert!(has("MINE=1") && has("DOCKERLOADER_CONTROL=@") && has("NOTIFY_SOCKET=@"), "{environment}");
    assert!(has("DOCKERLOADER_GENERATION=") && has("DOCKERLOADER_BINARY=/"), "{environment}");
    assert!(!has("DOCKERLOADER_TRIAL="), "it is committed: {environment}");
    assert_eq!(running.stdout(), "not a tty\n");
}

#[test]
fn a_helper_that_is_asked_for_does_not_hinder_the_stop() {
    let stage = Stage::with_current(
        "trap 'exit 4' TERM\necho $$ > @notes/app\nwhile :; do sleep 600 & wait $!; done",
    );
    // A listener that never answers holds the helper up.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("127.0.0.1:{}/app:1", silent.local_addr().unwrap().port());
    let mut running = stage.supervise(&[
        ("DOCKERLOADER_TARGET", &target),
        ("DOCKERLOADER_POLL", "always"),
        ("DOCKERLOADER_UPDATE_INTERVAL_SECS", "1"),
    ]);
    let app = stage.noted_pid("app");
    running.event("helper", 1);
    let helper = eventually("the helper", || children(running.pid).into_iter().find(|pid| *pid != app));
    assert_eq!(process::stat(helper)[2], helper.to_string(), "a group of its own");
    assert_eq!(running.stop(15), 4);
    eventually("the end of the helper", || (!is_alive(helper)).then_some(()));
    signal(app, 0);
}
