//! Trials: how they begin, succeed and fail.

use super::*;

#[test]
fn exit_42_with_a_staged_version_tries_it_and_ready_commits_it() {
    let mut bench = Bench::committed();
    assert_eq!(bench.ground.slots.previous, version('a'));
    assert_eq!(
        bench.on(Input::Ready(Some(8))),
        [Action::Reply(8, Reply::AlreadyCommitted { digest: digest('b') })]
    );
    // Probation ends by itself.
    bench.tick();
    while bench.ground.slots.memory.probation.is_some() {
        bench.tick();
        bench.on(Input::HelperDone(Outcome::UpToDate(digest('b'))));
    }
    assert_eq!(bench.phase(), "running");
}

#[test]
fn each_way_to_fail_a_trial_brings_the_old_version_back_at_once() {
    for (exit, kind) in [
        (Exit::Code(0), VerdictKind::App),
        (Exit::Code(1), VerdictKind::App),
        (Exit::Code(42), VerdictKind::App),
        (Exit::Signal(11), VerdictKind::App),
        (Exit::Signal(9), VerdictKind::Environment),
        (Exit::Exec(2), VerdictKind::App),
        (Exit::Exec(8), VerdictKind::App),
        (Exit::Exec(12), VerdictKind::Environment),
        (Exit::Exec(24), VerdictKind::Environment),
    ] {
        let mut bench = Bench::on_trial();
        let mut actions = bench.ends(exit);
        if matches!(exit, Exit::Exec(_)) {
            assert_eq!(actions, [verify('b', Depth::Full)], "{exit}");
            actions = bench.on(Input::HelperDone(Outcome::Done));
        }
        assert_eq!(actions, [start('a', false), Action::StartHelper(Helper::CleanUp)], "{exit}");
        let verdict = bench.verdict('b').unwrap();
        assert_eq!((verdict.kind, verdict.output.len()), (kind, 1), "{exit}");
    }
}

#[test]
fn a_kill_for_memory_is_not_the_versions_fault() {
    let mut bench = Bench::on_trial();
    bench.ground.out_of_memory = true;
    bench.ends(Exit::Code(1));
    assert_eq!(bench.verdict('b').unwrap().kind, VerdictKind::Environment);
}

#[test]
fn a_trial_that_hangs_is_stopped_killed_and_rolled_back_only_when_nothing_is_left() {
    let mut bench = Bench::on_trial();
    assert_eq!(bench.tick(), [Action::AskToStop(15)]);
    assert_eq!(bench.now, TRIAL);
    assert!(is_refused(&bench.on(Input::Ready(Some(3))), 3), "too late");
    assert_eq!(bench.tick(), [Action::Kill]);
    assert_eq!(bench.now, TRIAL + GRACE);
    // The main process is gone, a descendant is not.
    let actions = bench.on(Input::Reaped { main: Some(Exit::Signal(9)), empty: false });
    assert_eq!(actions, [Action::Sweep]);
    let actions = bench.on(Input::Reaped { main: None, empty: true });
    assert_eq!(actions, [start('a', false), Action::StartHelper(Helper::CleanUp)]);
    assert_eq!(bench.verdict('b').unwrap().kind, VerdictKind::App);
}

#[test]
fn a_trial_can_be_extended_and_never_shortened() {
    let mut bench = Bench::on_trial();
    bench.now = 4_000;
    let extended = |milliseconds| [Action::Reply(1, Reply::Extended { milliseconds })];
    assert_eq!(bench.on(Input::Extend { milliseconds: 30_000, token: Some(1) }), extended(30_000));
    assert_eq!(bench.on(Input::Extend { milliseconds: 10, token: Some(1) }), extended(30_000));
    assert_eq!(bench.on(Input::Extend { milliseconds: u64::MAX, token: Some(1) }), extended(3_600_000));
}

#[test]
fn a_stop_in_a_trial_is_no_verdict() {
    for signal in [15, 2, 3] {
        let mut bench = Bench::on_trial();
        assert_eq!(bench.on(Input::Signal(signal)), [Action::AskToStop(signal)]);
        assert_eq!(bench.ends(Exit::Signal(signal)), [Action::Leave(128 + signal)]);
        assert_eq!(bench.ground.slots.attempt, version('b'));
        assert!(bench.verdict('b').is_none());
    }
}

#[test]
fn leaving_on_a_failed_trial_gives_its_code() {
    for (exit, code) in
        [(Some(Exit::Code(5)), 5), (Some(Exit::Code(0)), 1), (Some(Exit::Signal(6)), 134), (None, 124)]
    {
        let mut bench = Bench::on_trial();
        bench.machine.config.on_trial_failure = OnTrialFailure::Exit;
        let actions = match exit {
            Some(exit) => bench.ends(exit),
            None => {
                bench.tick();
                bench.ends(Exit::Signal(15))
            }
        };
        assert_eq!(actions, [Action::Leave(code)]);
        assert_eq!(
            (bench.ground.slots.attempting.clone(), bench.verdict('b').is_some()),
            (Link::Absent, true)
        );
    }
}

#[test]
fn a_commit_by_rename_counts() {
    let mut bench = Bench::on_trial();
    bench.ground.slots.current = std::mem::take(&mut bench.ground.slots.attempting);
    bench.on(Input::CommittedByFile);
    assert_eq!(bench.ground.slots.previous, version('a'));
    assert_eq!(bench.phase(), "running");
}

#[test]
fn leftovers_of_the_old_version_are_swept_before_the_new_one_starts() {
    let mut bench = Bench::new(|_, slots| slots.current = version('a'));
    bench.on(Input::Begin);
    bench.ground.slots.attempt = version('b');
    let actions = bench.on(Input::Reaped { main: Some(Exit::Code(42)), empty: false });
    assert_eq!(actions, [Action::Sweep]);
    assert!(bench.machine.is_sweeping());
    assert_eq!(bench.tick(), [Action::Kill]);
    assert_eq!(bench.on(Input::Reaped { main: None, empty: true }), [start('b', true)]);
}
