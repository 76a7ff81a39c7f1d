//! Applications that speak `sd_notify(3)`.

use tests::programs::{installed, text};
use tests::supervised::Stage;

use crate::apps::Update;

/// A Python application that sends these messages, notes that it did, and serves. `None` without Python.
fn sending(messages: &str) -> Option<String> {
    let python = installed("python3")?;
    Some(format!(
        "exec {} -c '
import os, signal, socket, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
address = os.environ[\"NOTIFY_SOCKET\"]
assert address[0] == \"@\"
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.connect(\"\\0\" + address[1:])
for message in {messages}:
    notify.send(message.encode())
print(\"sent\", file=open(\"@notes/sent\", \"w\"), flush=True)
while True: signal.pause()
'",
        text(&python)
    ))
}

#[test]
fn ready_1_commits() {
    let Some(app) = sending("[\"STATUS=up\\nREADY=1\\nMAINPID=1\"]") else { return };
    let update = Update::to(&app);
    let mut running = update.stage.supervise(&[]);
    running.event("commit", 1);
    update.assert_committed();
    assert_eq!(running.stop(15), 0);
}

#[test]
fn extend_timeout_usec_extends_the_trial() {
    let Some(app) = sending("[\"EXTEND_TIMEOUT_USEC=120000000\"]") else { return };
    let update = Update::to(&app);
    let mut running = update.stage.supervise(&[]);
    running.event("extend", 1);
    let left = update.stage.status()["supervisor"]["trial_ends_in_ms"].as_u64().unwrap();
    // It was 30 s.
    assert!(left > 60_000, "{left}");
    assert_eq!(running.stop(15), 0);
}

#[test]
fn a_watchdog_that_falls_silent_ends_a_trial() {
    let Some(app) = sending("[\"WATCHDOG_USEC=200000\", \"WATCHDOG=1\"]") else { return };
    let update = Update::to(&app);
    let mut running = update.stage.supervise(&[]);
    running.event("run", 2);
    update.await_starts(&["old", "new", "old"]);
    update.assert_rolled_back(true);
    let reason = update.stage.status()["rejected"][0]["reason"].to_string();
    assert!(reason.contains("no watchdog message for 200 ms"), "{reason}");
    assert_eq!(running.stop(15), 0);
}

#[test]
fn a_watchdog_that_falls_silent_is_a_crash_of_a_committed_version() {
    let Some(app) = sending("[\"WATCHDOG_USEC=200000\"]") else { return };
    let stage = Stage::with_current(&app);
    let mut running = stage.supervise(&[]);
    assert_eq!(running.ended(), 137, "{}", running.stderr());
    assert_eq!(stage.memory()["crashes"]["count"], 1, "{}", stage.memory());
}

#[test]
fn a_watchdog_that_is_switched_off_is_silent() {
    let Some(app) = sending("[\"WATCHDOG_USEC=300000\", \"WATCHDOG_USEC=0\"]") else { return };
    let stage = Stage::with_current(&app);
    let mut running = stage.supervise(&[]);
    stage.note("sent");
    running.status_when("one second", |status| {
        (status["supervisor"]["running_seconds"].as_u64()? >= 1).then_some(())
    });
    assert_eq!(running.stop(15), 0);
}
