//! What is asked over the control socket, and what is refused.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};

use serde_json::Value;
use tests::supervised::Stage;

use crate::apps::{POLITE, READY, SERVE, Update};

struct Answer {
    code: i32,
    stdout: String,
    stderr: String,
}

fn ask(stage: &Stage, arguments: &[&str], environment: &[(&str, &str)]) -> Answer {
    let output = stage.command(arguments).envs(environment.iter().copied()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Answer { code: output.status.code().unwrap(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

#[test]
fn a_trial_may_be_extended() {
    let new = "$DOCKERLOADER_BINARY extend 60000 --json > @notes/extended
        until [ -e @notes/go ]; do sleep 0.02; done";
    let update = Update::to(&format!("{new}\n{READY}\n{SERVE}"));
    let mut running = update.stage.supervise(&[("DOCKERLOADER_TRIAL_TIMEOUT_MS", "900")]);
    assert!(update.stage.note("extended").contains("60000"));
    // Longer than it could have without.
    running.status_when("one second of trial", |status| {
        (status["supervisor"]["running_seconds"].as_u64()? >= 1).then_some(())
    });
    assert_eq!(update.stage.status()["supervisor"]["phase"], "trial");
    std::fs::write(update.stage.note_path("go"), "").unwrap();
    running.event("commit", 1);
    update.assert_committed();
    assert_eq!(running.stop(15), 0);
}

#[test]
fn a_supervisor_that_could_not_be_published_is_when_the_disk_allows_it() {
    let stage = Stage::with_current(&format!("{POLITE}\n{SERVE}"));
    // What keeps the file from being written, as a full disk does.
    let in_the_way = stage.ground.root().join("supervisor.json");
    std::fs::create_dir(&in_the_way).unwrap();
    let mut running = stage.supervise(&[]);
    running.event("not_published", 1);
    assert_eq!(stage.status()["supervisor"], Value::Null);
    std::fs::remove_dir(&in_the_way).unwrap();
    // Whatever happens next: a change of the window's size harms nobody.
    tests::process::signal(running.pid, 28);
    running.status_when("the supervisor", |status| status["supervisor"]["running"].as_str().map(drop));
    assert_eq!(running.stop(15), 0);
}

#[test]
fn ready_comes_too_late_once_the_trial_is_being_ended() {
    let update = Update::to(&format!(
        "trap '{READY}; echo $? > @notes/code; exit 0' TERM\nwhile :; do sleep 600 & wait $!; done"
    ));
    let mut running = update.stage.supervise(&[("DOCKERLOADER_TRIAL_TIMEOUT_MS", "300")]);
    running.event("roll_back", 1);
    assert_eq!(update.stage.note("code"), "1\n");
    assert!(update.stage.note("refusals").contains("too late"), "{:?}", update.stage.noted("refusals"));
    update.assert_rolled_back(true);
    update.await_starts(&["old", "new", "old"]);
    assert_eq!(running.stop(15), 0);
}

#[test]
fn ready_of_a_committed_version_is_no_error_while_it_is_being_stopped() {
    let stage = Stage::with_current(&format!("trap '{READY}; exit $?' TERM\necho up > @notes/up\n{SERVE}"));
    let mut running = stage.supervise(&[]);
    stage.note("up");
    assert_eq!(running.stop(15), 0, "{:?}", stage.noted("refusals"));
    assert!(stage.note("replies").contains("already_committed"));
}

#[test]
fn ready_of_another_run_is_refused_and_a_person_may_commit() {
    let update = Update::to(SERVE);
    let mut running = update.stage.supervise(&[]);
    update.await_starts(&["old", "new"]);
    for request in ["ready", "check"] {
        let refused = ask(&update.stage, &[request], &[("DOCKERLOADER_GENERATION", "0123456789abcdef")]);
        assert_eq!(refused.code, 1, "{}", refused.stdout);
        assert!(refused.stderr.contains("this run is over"), "{}", refused.stderr);
    }
    assert_eq!(update.stage.status()["supervisor"]["phase"], "trial");
    let committed = ask(&update.stage, &["ready"], &[]);
    assert_eq!(committed.code, 0, "{}", committed.stderr);
    update.assert_committed();
    assert_eq!(running.stop(15), 0);
}

#[test]
fn nonsense_on_the_socket_is_answered_or_cut_off() {
    let stage = Stage::with_current(&format!("{POLITE}\necho $$ > @notes/up\n{SERVE}"));
    let mut running = stage.supervise(&[]);
    stage.note("up");
    let address = std::fs::read_to_string(stage.ground.root().join("supervisor.json")).unwrap();
    let address: Value = serde_json::from_str(&address).unwrap();
    let name = address["control"].as_str().unwrap().trim_start_matches('@').to_owned();
    let connect = || UnixStream::connect_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    for line in
        ["", "{}", "[1]", "\u{fffd}", r#"{"request":"explode"}"#, r#"{"request":"forget","digest":"x"}"#]
    {
        let mut stream = connect();
        writeln!(stream, "{line}").unwrap();
        let mut answer = String::new();
        BufReader::new(&stream).read_line(&mut answer).unwrap();
        assert!(answer.contains("\"refused\""), "{line:?}: {answer}");
    }
    let mut endless = connect();
    // It is cut off: writing fails sooner or later, and reading finds the end.
    let chunk = [b'x'; 64 << 10];
    while endless.write_all(&chunk).is_ok() {}
    let mut rest = Vec::new();
    let _ = endless.read_to_end(&mut rest);
    assert!(rest.is_empty());
    // Silent connections make room for one that asks.
    let silent: Vec<_> = (0..40).map(|_| connect()).collect();
    assert_eq!(stage.status()["supervisor"]["phase"], "running");
    drop(silent);
    assert_eq!(running.stop(15), 0);
}

#[test]
fn rolled_back_by_hand_and_forgotten() {
    let update = Update::to(&format!("{READY}\n{SERVE}"));
    let mut running = update.stage.supervise(&[]);
    running.event("commit", 1);
    let answer = ask(&update.stage, &["rollback", "--json"], &[]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    running.event("roll_back", 1);
    running.event("run", 2);
    assert_eq!(update.stage.ground.read_slot("entrypoint"), Some(update.old.clone()));
    assert_eq!(update.stage.status()["rejected"][0]["kind"], "operator");
    update.await_starts(&["old", "new", "old"]);
    let forgotten = ask(&update.stage, &["forget", &update.new], &[]);
    assert_eq!(forgotten.code, 0, "{}", forgotten.stderr);
    assert_eq!(update.stage.status()["rejected"], serde_json::json!([]));
    // The way back leads back.
    assert_eq!(ask(&update.stage, &["rollback"], &[]).code, 0);
    running.event("run", 3);
    update.await_starts(&["old", "new", "old", "new"]);
    assert_eq!(update.stage.ground.read_slot("entrypoint"), Some(update.new.clone()));
    assert_eq!(running.stop(15), 0);
    let alone = Stage::with_current("trap 'exit 0' TERM; echo up > @notes/up; sleep 600 & wait");
    let mut running = alone.supervise(&[]);
    alone.note("up");
    let refused = ask(&alone, &["rollback"], &[]);
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    assert!(refused.stderr.contains("no previous version"), "{}", refused.stderr);
    assert_eq!(running.stop(15), 0);
}

#[test]
fn a_trial_may_be_ended_by_hand() {
    let update = Update::to(&format!("echo up > @notes/up\n{SERVE}"));
    let mut running = update.stage.supervise(&[]);
    update.stage.note("up");
    assert_eq!(ask(&update.stage, &["rollback"], &[]).code, 0);
    running.event("run", 2);
    update.await_starts(&["old", "new", "old"]);
    update.assert_rolled_back(false);
    assert_eq!(update.stage.status()["rejected"][0]["kind"], "operator");
    assert_eq!(running.stop(15), 0);
}
