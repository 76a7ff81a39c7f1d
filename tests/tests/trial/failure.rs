//! Trials that end badly: the old version is back at once, and the new one is not tried again.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use tests::process::is_alive;
use tests::sealed::seal;

use crate::apps::{SERVE, Update};

const LAST_WORDS: &str = "echo to-stdout; echo last-words >&2";

/// What is done to the planted program before it is tried.
enum Program {
    AsItIs,
    Mode(u32),
    Content(&'static [u8]),
}

#[test]
fn every_kind_of_failed_trial_is_rolled_back() {
    use Program::{AsItIs, Content, Mode};
    let foreign = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xee\xee\x01\0\0\0";
    for (end, program, kind, reason) in [
        ("exit 1", AsItIs, "app", "exited with 1 before it was ready"),
        ("exit 0", AsItIs, "app", "exited with 0 before it was ready"),
        ("exit 42", AsItIs, "app", "exited with 42 before it was ready"),
        ("ulimit -c 0; kill -SEGV $$", AsItIs, "app", "killed by SIGSEGV before it was ready"),
        ("kill -40 $$", AsItIs, "app", "killed by signal 40 before it was ready"),
        // Nobody but the kernel, for want of memory, or a person does that.
        ("kill -KILL $$", AsItIs, "environment", "killed by SIGKILL before it was ready"),
        ("while :; do sleep 600 & wait $!; done", AsItIs, "app", "hung: not ready after"),
        ("trap '' TERM; while :; do sleep 1; done", AsItIs, "app", "hung: not ready after"),
        ("", Mode(0o644), "app", "can't be executed: Permission denied"),
        ("", Content(b"#!/nonexistent/interpreter\n"), "app", "can't be executed: No such file or directory"),
        ("", Content(b"echo no interpreter is named\n"), "app", "can't be executed: Exec format error"),
        ("", Content(foreign), "app", "can't be executed: Exec format error"),
        ("", Content(b""), "app", "can't be executed: Exec format error"),
    ] {
        let update = Update::to(&format!("{LAST_WORDS}\n{end}"));
        let path = update.stage.ground.tree(&update.new).join("entrypoint");
        let executed = match program {
            AsItIs => true,
            Mode(mode) => {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
                false
            }
            Content(content) => {
                fs::write(&path, content).unwrap();
                false
            }
        };
        // The image is like that: its files are whole.
        seal(&update.stage.ground, &update.new);
        let mut running = update.stage.supervise(&[
            ("DOCKERLOADER_TRIAL_TIMEOUT_MS", if reason.starts_with("hung") { "300" } else { "30000" }),
            ("DOCKERLOADER_STOP_GRACE_MS", "200"),
        ]);
        running.event("roll_back", 1);
        // Told when it is so.
        update.assert_rolled_back(kind == "app");
        running.event("run", 2);
        assert!(running.seen("back_off").is_empty(), "{reason}");
        let status = update.stage.status();
        let rejected = &status["rejected"][0];
        assert_eq!(rejected["digest"], update.new.as_str(), "{reason}: {status}");
        assert_eq!(rejected["kind"], kind, "{reason}");
        assert!(rejected["reason"].as_str().unwrap().starts_with(reason), "{rejected}");
        if executed {
            let output = rejected["output"].as_array().unwrap();
            assert!(
                output.contains(&Value::from("last-words")) && output.contains(&Value::from("to-stdout")),
                "{output:?}"
            );
        }
        assert_eq!(status["supervisor"]["running"], update.old.as_str());
        assert_eq!(status["supervisor"]["starts"], 3);
        let tried: &[&str] = if executed { &["old", "new", "old"] } else { &["old", "old"] };
        update.await_starts(tried);
        assert_eq!(running.seen("try").len(), usize::from(executed));
        running.stop(15);
    }
}

/// Nobody can say whether the image is like that or the disk has made it so.
#[test]
fn a_version_without_a_seal_is_not_blamed_for_not_being_executed() {
    let update = Update::to("");
    let path = update.stage.ground.tree(&update.new).join("entrypoint");
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    let mut running = update.stage.supervise(&[]);
    let rolled_back = running.event("roll_back", 1);
    assert_eq!(rolled_back["verdict"], "environment");
    update.assert_rolled_back(false);
}

#[test]
fn on_request_the_supervisor_leaves_with_the_code_of_the_failed_trial() {
    for (end, code) in
        [("exit 7", 7), ("exit 0", 1), ("exit 42", 42), ("ulimit -c 0; kill -SEGV $$", 139), (SERVE, 124)]
    {
        let update = Update::to(end);
        let timeout = if code == 124 { "300" } else { "30000" };
        let mut running = update.stage.supervise(&[
            ("DOCKERLOADER_ON_TRIAL_FAILURE", "exit"),
            ("DOCKERLOADER_TRIAL_TIMEOUT_MS", timeout),
        ]);
        assert_eq!(running.ended(), code, "{end}: {}", running.stderr());
        update.assert_rolled_back(true);
        assert_eq!(update.starts(), ["old", "new"]);
    }
}

#[test]
fn what_a_version_leaves_behind_is_gone_before_the_next_one_starts() {
    let leave =
        "setsid sh -c 'trap \"sleep 0.2; date +%s%N > @notes/gone; exit\" TERM; echo $$ > @notes/daemon
        while :; do sleep 600 & wait $!; done' &
        until [ -s @notes/daemon ]; do sleep 0.01; done";
    let update = Update::between(
        leave,
        "date +%s%N > @notes/began; kill -0 $(cat @notes/daemon) && echo alive > @notes/seen || echo gone > @notes/seen; exit 1",
    );
    let mut running = update.stage.supervise(&[]);
    running.event("roll_back", 1);
    let time = |name: &str| update.stage.note(name).trim().parse::<u128>().unwrap();
    assert!(time("gone") <= time("began"), "{} {}", time("gone"), time("began"));
    assert_eq!(update.stage.note("seen"), "gone\n");
    assert!(!is_alive(update.stage.noted_pid("daemon")));
    running.stop(15);
}

/// A failed version that clings to life does not run beside the old one either.
#[test]
fn what_a_failed_trial_leaves_behind_is_killed() {
    let update = Update::to(
        "setsid sh -c 'trap \"\" TERM; echo $$ > @notes/daemon; while :; do sleep 0.1; done' &
        until [ -s @notes/daemon ]; do sleep 0.01; done; exit 1",
    );
    let mut running = update.stage.supervise(&[("DOCKERLOADER_STOP_GRACE_MS", "100")]);
    running.event("run", 2);
    assert!(!is_alive(update.stage.noted_pid("daemon")));
    update.assert_rolled_back(true);
    update.await_starts(&["old", "new", "old"]);
    assert_eq!(running.stop(15), 0);
}
