//! Committed versions: how they end, and how they are watched.

use tests::supervised::Stage;

use crate::apps::{READY, SERVE, Update};

#[test]
fn exit_42_with_nothing_staged_is_never_hot() {
    let stage = Stage::with_current("echo start >> @notes/starts; exit 42");
    let mut running = stage.supervise(&[]);
    let first = running.event("back_off", 1)["message"].to_string();
    assert!(first.contains("in 1000 ms"), "{first}");
    assert_eq!(stage.status()["supervisor"]["phase"], "back_off");
    let second = running.event("back_off", 2)["message"].to_string();
    assert!(second.contains("in 2000 ms"), "{second}");
    assert_eq!(stage.note("starts").lines().count(), 2);
    assert_eq!(running.stop(15), 143);
    assert_eq!(stage.note("starts").lines().count(), 2);
}

#[test]
fn other_codes_of_a_committed_version_end_the_supervisor() {
    for (end, code) in [
        ("exit 0", 0),
        ("exit 5", 5),
        ("ulimit -c 0; kill -ABRT $$", 134),
        ("trap - TERM; kill -TERM $$", 143),
    ] {
        let update = Update::to(&format!("{READY}\n{end}"));
        let mut running = update.stage.supervise(&[]);
        assert_eq!(running.ended(), code, "{}", running.stderr());
        update.assert_committed();
    }
}

#[test]
fn a_crash_loop_in_probation_brings_the_previous_version_back() {
    let update = Update::to(&format!("[ -z \"$DOCKERLOADER_TRIAL\" ] || {READY}\necho broken >&2; exit 3"));
    for crashes in 1..=2 {
        let mut running = update.stage.supervise(&[]);
        assert_eq!(running.ended(), 3, "{}", running.stderr());
        update.assert_committed();
        assert_eq!(update.stage.status()["probation"]["crashes"], crashes);
    }
    let mut running = update.stage.supervise(&[]);
    running.event("roll_back", 1);
    running.event("run", 2);
    assert_eq!(update.stage.ground.read_slot("entrypoint"), Some(update.old.clone()));
    assert_eq!(update.stage.update_attempt(), Some(update.new.clone()));
    let rejected = update.stage.status()["rejected"][0].clone();
    assert_eq!((&rejected["kind"], &rejected["output"][0]), (&"app".into(), &"broken".into()), "{rejected}");
    assert!(rejected["reason"].as_str().unwrap().contains("crashed 3 times in its probation"), "{rejected}");
    update.await_starts(&["old", "new", "new", "new", "old"]);
    assert_eq!(running.stop(15), 0);
}

#[test]
fn a_version_that_has_proven_itself_stays_however_it_crashes() {
    let update = Update::to(&format!("[ -z \"$DOCKERLOADER_TRIAL\" ] || {{ {READY}\n{SERVE}\n}}\nexit 3"));
    let mut running = update.stage.supervise(&[("DOCKERLOADER_PROBATION_SECS", "1")]);
    running.event("proven", 1);
    assert_eq!(running.stop(15), 0);
    for _ in 1..=4 {
        assert_eq!(update.stage.supervise(&[]).ended(), 3);
        update.assert_committed();
    }
}
