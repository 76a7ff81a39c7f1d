//! What is started first, and what when that is not there.

use super::*;

#[test]
fn the_first_install_is_no_trial() {
    let mut bench = Bench::new(|_, _| {});
    assert_eq!(bench.on(Input::Begin), [Action::StartHelper(Helper::Check)]);
    bench.ground.slots.attempt = version('a');
    let actions = bench.on(Input::HelperDone(Outcome::Staged(digest('a'))));
    assert_eq!(actions, [start('a', false), Action::StartHelper(Helper::CleanUp)]);
    assert_eq!(bench.ground.slots.current, version('a'));
}

/// Takes away what keeps `letter` from being mounted, as a restored tree does.
fn restore(bench: &mut Bench, letter: char) -> Vec<Action> {
    bench.ground.unmountable.retain(|version| *version != digest(letter));
    bench.on(Input::HelperDone(Outcome::Done))
}

#[test]
fn a_version_that_can_not_be_mounted_is_restored_before_it_starts() {
    let mut bench = Bench::new(|_, slots| slots.current = version('a'));
    bench.ground.unmountable = vec![digest('a')];
    assert_eq!(bench.on(Input::Begin), [Action::StartHelper(Helper::Restore(digest('a')))]);
    assert_eq!(restore(&mut bench, 'a'), [start('a', false)]);
    assert!(bench.ground.slots.memory.crashes.is_none());
}

#[test]
fn a_trial_that_can_not_be_mounted_spends_no_attempt_and_is_not_judged() {
    let mut bench = Bench::new(|_, slots| slots.current = version('a'));
    bench.on(Input::Begin);
    bench.ground.slots.attempt = version('b');
    bench.ground.unmountable = vec![digest('b')];
    assert_eq!(bench.ends(Exit::Code(42)), [Action::StartHelper(Helper::Restore(digest('b')))]);
    assert_eq!(restore(&mut bench, 'b'), [start('b', true)]);
    assert_eq!(bench.ground.slots.memory.trial.as_ref().unwrap().attempts, 1);
    assert!(bench.verdict('b').is_none());
}

#[test]
fn a_trial_that_can_be_neither_mounted_nor_restored_is_put_off_and_the_old_version_runs() {
    let mut bench = Bench::new(|_, slots| slots.current = version('a'));
    bench.on(Input::Begin);
    bench.ground.slots.attempt = version('b');
    bench.ground.unmountable = vec![digest('b')];
    bench.ends(Exit::Code(42));
    let failed = Outcome::Failed { error: "blob is missing".to_owned(), remedy: Remedy::Corrupt };
    assert_eq!(bench.on(Input::HelperDone(failed)), [start('a', false)]);
    assert_eq!(bench.verdict('b').unwrap().kind, VerdictKind::Environment);
}

#[test]
fn a_version_that_can_be_neither_mounted_nor_restored_gives_way_to_the_one_before() {
    let mut bench = Bench::new(|_, slots| {
        slots.current = version('b');
        slots.previous = version('a');
    });
    bench.ground.unmountable = vec![digest('b')];
    bench.on(Input::Begin);
    let failed = Outcome::Failed { error: "blob is missing".to_owned(), remedy: Remedy::Corrupt };
    assert_eq!(bench.on(Input::HelperDone(failed)), [start('a', false)]);
    assert_eq!(bench.ground.slots.current, version('a'));
}

#[test]
fn what_is_staged_is_mounted_before_the_old_version_stops() {
    let mut bench = Bench::new(|_, slots| slots.current = version('a'));
    bench.on(Input::Begin);
    bench.on(Input::Check(1));
    bench.ground.slots.attempt = version('b');
    bench.ground.prepared.clear();
    bench.on(Input::HelperDone(Outcome::Staged(digest('b'))));
    assert_eq!(bench.ground.prepared, [digest('b')]);
    assert_eq!(bench.phase(), "running");
}

#[test]
fn nothing_installed_and_no_target_is_a_wrong_setting() {
    let mut bench = Bench::new(|config, _| config.has_target = false);
    assert_eq!(bench.on(Input::Begin), [Action::Leave(78)]);
}

#[test]
fn a_failed_install_is_tried_again_with_growing_pauses_and_obeys_a_stop() {
    let mut bench = Bench::new(|_, _| {});
    bench.on(Input::Begin);
    let failed = || Outcome::Failed { error: "connection refused".to_owned(), remedy: Remedy::Later };
    let mut pauses = Vec::new();
    for _ in 0..8 {
        assert_eq!(bench.on(Input::HelperDone(failed())), []);
        let before = bench.now;
        assert_eq!(bench.tick(), [Action::StartHelper(Helper::Check)]);
        pauses.push((bench.now - before) / 1000);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(bench.on(Input::Signal(15)), [Action::StopHelper, Action::Leave(143)]);
}

#[test]
fn a_version_that_crashed_is_started_again_only_after_a_look_for_its_fix() {
    let crashed = || {
        Bench::new(|_, slots| {
            slots.current = version('a');
            slots.memory.crashes = Some(crate::slots::Crashes { digest: digest('a'), count: 1 });
        })
    };
    // The fix is there.
    let mut bench = crashed();
    assert_eq!(bench.on(Input::Begin), [Action::StartHelper(Helper::Check)]);
    bench.on(Input::FoundNew);
    assert_eq!(bench.machine.deadline(), Some(PULL_BEFORE_START));
    bench.ground.slots.attempt = version('b');
    assert_eq!(bench.on(Input::HelperDone(Outcome::Staged(digest('b')))), [start('b', true)]);
    // There is none, or no registry.
    for outcome in
        [Outcome::UpToDate(digest('a')), Outcome::Failed { error: String::new(), remedy: Remedy::Retry }]
    {
        let mut bench = crashed();
        bench.on(Input::Begin);
        assert_eq!(bench.on(Input::HelperDone(outcome)), [start('a', false)]);
    }
    // The registry hangs: the application is not held up for longer than a few seconds.
    let mut bench = crashed();
    bench.on(Input::Begin);
    assert_eq!(bench.tick(), [start('a', false)]);
    assert_eq!(bench.now, CHECK_BEFORE_START);
}

#[test]
fn a_tree_that_is_lost_is_rebuilt_or_the_previous_version_runs() {
    let lost = || {
        Bench::new(|_, slots| {
            slots.current = Link::Dangling(named('a'));
            slots.previous = version('c');
        })
    };
    let mut bench = lost();
    assert_eq!(bench.on(Input::Begin), [Action::StartHelper(Helper::Restore(digest('a')))]);
    bench.ground.slots.current = version('a');
    assert_eq!(bench.on(Input::HelperDone(Outcome::Done)), [start('a', false)]);
    let failed = || Outcome::Failed { error: "a blob is missing".to_owned(), remedy: Remedy::Corrupt };
    let mut bench = lost();
    bench.on(Input::Begin);
    assert_eq!(bench.on(Input::HelperDone(failed())), [start('c', false)]);
    assert_eq!(bench.verdict('a').unwrap().kind, VerdictKind::Environment);
    // Nothing else is on disk: the registry is the last resort.
    let mut bench = Bench::new(|_, slots| slots.current = Link::Dangling(named('a')));
    bench.on(Input::Begin);
    assert_eq!(bench.on(Input::HelperDone(failed())), [Action::StartHelper(Helper::Check)]);
    bench.ground.slots.attempt = version('b');
    let actions = bench.on(Input::HelperDone(Outcome::Staged(digest('b'))));
    assert_eq!(actions, [start('b', false), Action::StartHelper(Helper::CleanUp)]);
}

#[test]
fn what_somebody_else_staged_is_installed_without_a_registry() {
    // The helper staged it and was killed before it could say so; or a person's pull did.
    let mut bench = Bench::new(|_, _| {});
    bench.on(Input::Begin);
    bench.ground.slots.attempt = version('a');
    let failed = Outcome::Failed { error: "killed".to_owned(), remedy: Remedy::Later };
    assert_eq!(
        bench.on(Input::HelperDone(failed)),
        [start('a', false), Action::StartHelper(Helper::CleanUp)]
    );
}

#[test]
fn an_attempt_is_counted_once_also_where_the_current_version_could_not_be_rebuilt() {
    let mut bench = Bench::new(|_, slots| slots.current = version('a'));
    bench.on(Input::Begin);
    bench.ends(Exit::Exec(8));
    let actions = bench.on(Input::HelperDone(damaged('a', false, false)));
    assert_eq!(actions, [Action::StartHelper(Helper::Check)]);
    bench.ground.slots.attempt = version('b');
    let actions = bench.on(Input::HelperDone(Outcome::Staged(digest('b'))));
    assert_eq!(actions, [start('b', true), Action::StartHelper(Helper::CleanUp)]);
    assert_eq!(bench.ground.slots.memory.trial.as_ref().unwrap().attempts, 1);
}

#[test]
fn a_tree_that_is_lost_again_gives_way_to_the_version_before() {
    let mut bench = Bench::new(|_, slots| {
        slots.current = Link::Dangling(named('a'));
        slots.previous = version('c');
    });
    bench.on(Input::Begin);
    bench.ground.slots.current = version('a');
    bench.on(Input::HelperDone(Outcome::Done));
    bench.ground.slots.current = Link::Dangling(named('a'));
    bench.ends(Exit::Code(42));
    assert_eq!(bench.tick(), [start('c', false)]);
    assert_eq!(bench.ground.slots.current, version('c'));
}

#[test]
fn what_was_just_tried_in_vain_is_asked_for_again_after_a_pause() {
    // The tree was lost again before it could be started, there is no other, and the pause grows.
    let mut bench = Bench::new(|_, slots| slots.current = Link::Dangling(named('a')));
    bench.on(Input::Begin);
    let mut pauses = Vec::new();
    assert_eq!(bench.on(Input::HelperDone(Outcome::Done)), []);
    for _ in 0..4 {
        let before = bench.now;
        assert_eq!(bench.tick(), [Action::StartHelper(Helper::Check)]);
        pauses.push((bench.now - before) / 1000);
        bench.on(Input::HelperDone(Outcome::Failed { error: String::new(), remedy: Remedy::Later }));
    }
    assert_eq!(pauses, [1, 2, 4, 8]);
}
