//! What happens while a committed version runs, and when it ends.

use super::*;

#[test]
fn a_stop_leaves_with_the_applications_code_and_kills_in_time() {
    let mut bench = Bench::new(|_, slots| slots.current = version('a'));
    bench.on(Input::Begin);
    assert_eq!(bench.on(Input::Signal(10)), [Action::Forward(10)]);
    assert_eq!(bench.on(Input::Signal(15)), [Action::AskToStop(15)]);
    let committed = Reply::AlreadyCommitted { digest: digest('a') };
    assert_eq!(bench.on(Input::Ready(Some(2))), [Action::Reply(2, committed)], "still true");
    bench.now = 5_000;
    assert_eq!(bench.on(Input::Signal(15)), [Action::Forward(15)], "a second TERM is passed on");
    assert_eq!(bench.machine.deadline(), Some(GRACE), "and shortens nothing");
    assert_eq!(bench.ends(Exit::Code(7)), [Action::Leave(7)]);
    assert!(bench.ground.slots.memory.crashes.is_none(), "a stop is no crash");
}

#[test]
fn a_second_interrupt_is_impatience() {
    let mut bench = Bench::new(|_, slots| slots.current = version('a'));
    bench.on(Input::Begin);
    bench.on(Input::Signal(2));
    bench.on(Input::Signal(2));
    assert_eq!(bench.machine.deadline(), Some(0));
    assert_eq!(bench.on(Input::Tick), [Action::Kill]);
}

#[test]
fn exit_42_with_nothing_staged_is_never_a_hot_loop() {
    let mut bench = Bench::new(|_, slots| slots.current = version('a'));
    bench.on(Input::Begin);
    let mut pauses = Vec::new();
    for round in 0..8 {
        let actions = bench.ends(Exit::Code(42));
        if round > 0 {
            // It may be too broken to ask for its own fix.
            assert_eq!(actions, [Action::StartHelper(Helper::Check)], "round {round}");
            bench.on(Input::HelperDone(Outcome::UpToDate(digest('a'))));
        }
        let before = bench.now;
        assert_eq!(bench.tick(), [start('a', false)]);
        pauses.push((bench.now - before) / 1000);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    bench.now += STEADY;
    bench.ends(Exit::Code(42));
    assert_eq!(bench.machine.deadline(), Some(bench.now + 1000), "a steady run ends the series");
}

#[test]
fn a_fix_arrives_while_the_application_is_in_back_off() {
    let mut bench = Bench::new(|_, slots| slots.current = version('a'));
    bench.on(Input::Begin);
    bench.ends(Exit::Code(42));
    bench.tick();
    bench.ends(Exit::Code(42));
    bench.ground.slots.attempt = version('c');
    assert_eq!(bench.on(Input::HelperDone(Outcome::Staged(digest('c')))), [start('c', true)]);
}

#[test]
fn other_ends_of_a_committed_version_end_the_supervisor_with_the_same_code() {
    for (exit, code) in [(Exit::Code(0), 0), (Exit::Code(3), 3), (Exit::Signal(6), 134)] {
        let mut bench = Bench::new(|_, slots| slots.current = version('a'));
        bench.on(Input::Begin);
        assert_eq!(bench.ends(exit), [Action::Leave(code)]);
    }
}

#[test]
fn the_third_crash_in_probation_brings_the_previous_version_back() {
    let mut bench = Bench::committed();
    for _ in 0..2 {
        assert_eq!(bench.ends(Exit::Code(1)), [Action::Leave(1)]);
        let slots = std::mem::take(&mut bench.ground.slots);
        bench = Bench::new(|config, s| {
            *s = slots;
            config.poll = Poll::Never;
        });
        assert_eq!(bench.on(Input::Begin), [start('b', false)]);
    }
    assert_eq!(bench.ends(Exit::Code(1)), [start('a', false), Action::StartHelper(Helper::CleanUp)]);
    assert_eq!(bench.verdict('b').unwrap().kind, VerdictKind::App);
}

#[test]
fn the_supervisor_looks_for_updates_when_the_application_does_not() {
    let mut bench = Bench::new(|_, slots| slots.current = version('a'));
    bench.on(Input::Begin);
    assert_eq!(bench.tick(), [Action::StartHelper(Helper::Check)]);
    assert_eq!(bench.now, INTERVAL);
    bench.ground.slots.attempt = version('b');
    assert_eq!(bench.on(Input::HelperDone(Outcome::Staged(digest('b')))), [Action::AskToStop(15)]);
    assert_eq!(bench.ends(Exit::Code(0)), [start('b', true)]);
}

#[test]
fn an_application_that_asks_is_left_alone_until_it_falls_silent() {
    let mut bench = Bench::new(|_, slots| slots.current = version('a'));
    bench.on(Input::Begin);
    assert_eq!(bench.on(Input::Check(5)), [Action::StartHelper(Helper::Check)]);
    assert_eq!(bench.on(Input::Check(6)), [], "one look answers all who ask meanwhile");
    bench.ground.slots.attempt = version('b');
    let staged = Reply::Staged { digest: digest('b') };
    let actions = bench.on(Input::HelperDone(Outcome::Staged(digest('b'))));
    assert_eq!(actions, [Action::Reply(5, staged.clone()), Action::Reply(6, staged)], "it exits by itself");
    assert_eq!(bench.machine.deadline(), Some(SILENT_INTERVALS * INTERVAL));
    bench.tick();
    assert_eq!(bench.on(Input::HelperDone(Outcome::Staged(digest('b')))), [Action::AskToStop(15)]);
}

#[test]
fn polling_obeys_its_setting_and_stays_out_of_trials() {
    for (poll, deadline) in
        [(Poll::Never, None), (Poll::Always, Some(INTERVAL)), (Poll::Auto, Some(INTERVAL))]
    {
        let mut bench = Bench::new(|config, slots| {
            config.poll = poll;
            slots.current = version('a');
        });
        bench.on(Input::Begin);
        assert_eq!(bench.machine.deadline(), deadline, "{poll:?}");
    }
    assert_eq!(Bench::on_trial().machine.deadline(), Some(TRIAL));
}

#[test]
fn a_poll_that_finds_the_same_again_writes_nothing() {
    let mut bench = Bench::new(|_, slots| slots.current = version('a'));
    bench.on(Input::Begin);
    for _ in 0..10 {
        bench.tick();
        bench.on(Input::HelperDone(Outcome::UpToDate(digest('a'))));
    }
    let writes = bench.ground.events.iter().filter(|event| matches!(event, Event::Checked(_))).count();
    assert_eq!(writes, 1);
}

#[test]
fn a_rollback_by_hand_stops_swaps_and_starts() {
    let mut bench = Bench::committed();
    let rolling = Reply::RollingBack { from: digest('b'), to: digest('a') };
    assert_eq!(bench.on(Input::RollBack(9)), [Action::Reply(9, rolling), Action::AskToStop(15)]);
    assert_eq!(bench.ends(Exit::Code(0)), [start('a', false), Action::StartHelper(Helper::CleanUp)]);
    assert_eq!(bench.verdict('b').unwrap().kind, VerdictKind::Operator);
    // A look that began before is about another version.
    let mut bench = Bench::committed();
    bench.on(Input::Check(5));
    bench.on(Input::RollBack(9));
    let actions = bench.ends(Exit::Code(0));
    assert_eq!(actions.first(), Some(&Action::StopHelper));
    assert!(is_refused(&actions[1..2], 5) && actions.contains(&start('a', false)), "{actions:?}");
    // A stop that comes between keeps the promise.
    let mut bench = Bench::committed();
    bench.on(Input::RollBack(9));
    bench.on(Input::Signal(15));
    assert_eq!(bench.ends(Exit::Code(0)), [Action::Leave(0)]);
    assert_eq!(bench.ground.slots.current, version('a'));
    // Without a way back, nothing is touched.
    let mut bench = Bench::new(|_, slots| slots.current = version('a'));
    bench.on(Input::Begin);
    assert!(is_refused(&bench.on(Input::RollBack(9)), 9));
}

#[test]
fn a_silent_watchdog_counts_as_hung() {
    let mut bench = Bench::committed();
    bench.on(Input::Watchdog(Some(2_000)));
    bench.now += 1_500;
    bench.on(Input::Watchdog(None));
    assert_eq!(bench.machine.deadline(), Some(bench.now + 2_000));
    assert_eq!(bench.tick(), [Action::AskToStop(15)]);
    assert_eq!(bench.ends(Exit::Code(0)), [Action::Leave(137)]);
    assert_eq!(bench.ground.slots.memory.probation.as_ref().map(|p| p.count), Some(1));
    // Switched off.
    let mut bench = Bench::committed();
    bench.on(Input::Watchdog(Some(2_000)));
    bench.on(Input::Watchdog(Some(0)));
    assert_ne!(bench.machine.deadline(), Some(bench.now + 2_000));
}

#[test]
fn an_idle_supervisor_waits_for_nothing() {
    let mut bench = Bench::new(|config, slots| {
        config.has_target = false;
        slots.current = version('a');
    });
    bench.on(Input::Begin);
    assert_eq!(bench.machine.deadline(), None);
}
