//! Trials that are cut off say nothing about the version (I5).

use tests::wait::eventually;

use crate::apps::{READY, SERVE, Update};

#[test]
fn a_stop_in_the_trial_is_no_verdict_however_often() {
    let new = format!(
        "if [ -e @notes/go ]; then {READY}; fi\necho \"$DOCKERLOADER_GENERATION\" >> @notes/on-trial\n{SERVE}"
    );
    let update = Update::to(&new);
    for round in 1..=4 {
        let mut running = update.stage.supervise(&[]);
        eventually("the trial", || (update.stage.noted("on-trial")?.lines().count() == round).then_some(()));
        assert_eq!(running.stop(15), 0);
        update.assert_slots([Some(&update.old), None, Some(&update.new), None]);
        assert_eq!(update.stage.update_attempt(), None);
        assert_eq!(
            update.stage.memory()["verdicts"].as_array().map_or(0, Vec::len),
            0,
            "{}",
            update.stage.memory()
        );
        assert_eq!(update.stage.memory()["trial"]["attempts"], 0, "{}", update.stage.memory());
    }
    std::fs::write(update.stage.note_path("go"), "").unwrap();
    let mut running = update.stage.supervise(&[]);
    running.event("commit", 1);
    update.assert_committed();
    assert_eq!(running.stop(15), 0);
}

#[test]
fn a_trial_that_is_cut_off_by_death_has_a_budget_of_three() {
    let update = Update::to(SERVE);
    for round in 1..=3 {
        let mut running = update.stage.supervise(&[]);
        running.event("try", 1);
        assert_eq!(update.stage.memory()["trial"]["attempts"], round, "counted before it is started");
        assert_eq!(running.stop(9), 137);
    }
    let mut running = update.stage.supervise(&[]);
    running.event("run", 1);
    assert!(running.seen("try").is_empty());
    let rejected = update.stage.status()["rejected"][0].clone();
    assert_eq!(rejected["kind"], "interrupted", "{rejected}");
    assert!(rejected["retry_seconds"].is_u64(), "it is tried again: {rejected}");
    update.assert_slots([Some(&update.old), None, None, None]);
    running.stop(15);
}
