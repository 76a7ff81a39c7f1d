//! Trials that end well.

use tests::programs::{built, installed, text};
use tests::supervised::Stage;
use tests::wait::eventually;

use crate::apps::{READY, SERVE, Update, staging};

#[test]
fn exit_42_tries_what_is_staged_and_ready_commits_it() {
    let update = Update::to(&format!("echo \"trial:$DOCKERLOADER_TRIAL\" > @notes/env\n{READY}\n{SERVE}"));
    let mut running = update.stage.supervise(&[]);
    running.event("commit", 1);
    assert_eq!(update.stage.note("env"), "trial:1\n");
    update.assert_committed();
    assert_eq!(update.starts(), ["old", "new"]);
    assert!(
        update.stage.note("replies").contains("\"reply\":\"committed\""),
        "{:?}",
        update.stage.noted("replies")
    );
    let status = update.stage.status();
    assert_eq!(status["supervisor"]["phase"], "running");
    assert_eq!(status["supervisor"]["running"], update.new.as_str());
    assert_eq!(status["probation"]["digest"], update.new.as_str());
    assert_eq!(status["rejected"], serde_json::json!([]));
    assert_eq!(running.stop(15), 0);
    // Committed for good: the next start is no trial.
    let mut again = update.stage.supervise(&[]);
    again.event("run", 1);
    assert_eq!(again.seen("try").len(), 0);
}

#[test]
fn ready_may_be_said_twice() {
    let update = Update::to(&format!("{READY}\n{READY}\necho \"$?\" > @notes/code\n{SERVE}"));
    let mut running = update.stage.supervise(&[]);
    assert_eq!(update.stage.note("code"), "0\n");
    let replies = update.stage.note("replies");
    assert!(replies.contains("\"committed\"") && replies.contains("\"already_committed\""), "{replies}");
    assert_eq!(running.seen("commit").len(), 1);
    update.assert_committed();
    assert_eq!(running.stop(15), 0);
}

/// An application that knows only the contract's files commits by renaming its own link.
#[test]
fn a_commit_by_renaming_the_link_is_understood() {
    let commit = "cd $DOCKERLOADER_DATA_DIR/dockerloader && mv -T entrypoint-attempting entrypoint";
    let update = Update::to(&format!("{commit}\n{SERVE}"));
    // Noticed when the trial would end.
    let mut running = update.stage.supervise(&[("DOCKERLOADER_TRIAL_TIMEOUT_MS", "500")]);
    running.event("commit", 1);
    update.assert_committed();
    assert!(running.seen("trial_failed").is_empty());
    assert_eq!(running.stop(15), 0);

    let update = Update::to(&format!("{commit}\nexit 3"));
    let mut running = update.stage.supervise(&[]);
    assert_eq!(running.ended(), 3, "a committed version's code: {}", running.stderr());
    update.assert_committed();
}

#[test]
fn the_example_application_is_tried_and_committed() {
    let stage = Stage::new();
    let new = stage.ground.plant_binary("new", &built("dockerloaded"));
    let old = format!("{}\nexit 42", staging(&stage, &new));
    let old = stage.plant("entrypoint", "old", &old);
    let stamps = stage.note_path("stamps");
    let mut running =
        stage.supervise(&[("DOCKERLOADED_STAMP", text(&stamps)), ("DOCKERLOADED_MODE", "ready-twice")]);
    running.event("commit", 1);
    assert_eq!(stage.ground.read_slot("entrypoint"), Some(new));
    assert_eq!(stage.ground.read_slot("entrypoint-previous"), Some(old));
    assert!(stage.note("stamps").starts_with("start "));
    eventually("the second ready", || running.stdout().contains("\nready\n").then_some(()));
    assert_eq!(running.stop(15), 0, "{}", running.stderr());
    assert!(running.stdout().contains("trial mode: true"), "{}", running.stdout());
}

#[test]
fn an_application_in_python_in_full() {
    let Some(python) = installed("python3") else { return };
    let update = Update::to(&format!(
        "exec {} -c '
import os, signal, subprocess, sys
loader = os.environ[\"DOCKERLOADER_BINARY\"]
signal.signal(signal.SIGTERM, lambda *_: sys.exit(21))
if os.environ.get(\"DOCKERLOADER_TRIAL\") == \"1\":
    subprocess.run([loader, \"extend\", \"60000\"], check=True)
subprocess.run([loader, \"ready\"], check=True)
checked = subprocess.run([loader, \"check\"], capture_output=True)
print(checked.returncode, flush=True, file=open(\"@notes/checked\", \"w\"))
while True: signal.pause()
'",
        text(&python)
    ));
    let mut running = update.stage.supervise(&[]);
    running.event("commit", 1);
    update.assert_committed();
    assert_eq!(running.seen("extend").len(), 1);
    // There is no target to look for.
    assert_eq!(update.stage.note("checked"), "1\n");
    assert_eq!(running.stop(15), 21);
}
