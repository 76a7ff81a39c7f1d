//! Files of versions that are looked at and repaired.

use super::*;

#[test]
fn a_committed_version_that_cannot_be_executed_is_looked_at_once_then_replaced() {
    let mut bench = Bench::new(|_, slots| {
        slots.current = version('a');
        slots.previous = version('c');
    });
    bench.on(Input::Begin);
    assert_eq!(bench.ends(Exit::Exec(8)), [verify('a', Depth::Full)]);
    assert_eq!(bench.on(Input::HelperDone(Outcome::Repaired)), [start('a', false)]);
    let actions = bench.ends(Exit::Exec(8));
    assert_eq!(actions, [start('c', false), Action::StartHelper(Helper::CleanUp)]);
    // Its files are whole, and there is no other version: the code of a shell.
    for outcome in [Outcome::Done, failed()] {
        let mut bench = Bench::new(|_, slots| slots.current = version('a'));
        bench.on(Input::Begin);
        bench.ends(Exit::Exec(2));
        assert_eq!(bench.on(Input::HelperDone(outcome)), [Action::Leave(127)]);
    }
}

/// After a loss of power: `a` is the current version and was there before, `c` the previous one.
fn power_lost() -> Bench {
    Bench::new(|config, slots| {
        slots.current = version('a');
        slots.previous = version('c');
        config.doubts = Doubts { all: true, settled: vec![digest('a')], ..Doubts::default() };
        config.look_after_start = Some(Depth::Full);
    })
}

#[test]
fn after_a_loss_of_power_nothing_starts_before_it_was_looked_at_and_all_is_read_after_that() {
    for outcome in [Outcome::Done, Outcome::Repaired, failed()] {
        let mut bench = power_lost();
        assert_eq!(bench.on(Input::Begin), [verify('a', Depth::Quick)]);
        assert_eq!(bench.phase(), "verifying");
        let look = Action::StartHelper(Helper::VerifyAll(Depth::Full));
        assert_eq!(bench.on(Input::HelperDone(outcome)), [start('a', false), look]);
        assert_eq!(bench.on(Input::HelperDone(Outcome::Done)), [Action::Settled]);
    }
}

#[test]
fn a_damaged_version_that_can_not_be_repaired_gives_way_to_the_one_before_which_is_looked_at_too() {
    let mut bench = power_lost();
    bench.on(Input::Begin);
    // It came in the session that was cut off: all of it is read.
    assert_eq!(bench.on(Input::HelperDone(damaged('a', false, false))), [verify('c', Depth::Full)]);
    let actions = bench.on(Input::HelperDone(Outcome::Done));
    assert_eq!(actions[0], start('c', false));
    assert_eq!(bench.verdict('a').unwrap().kind, VerdictKind::Environment);
}

#[test]
fn without_another_version_one_runs_whose_damage_is_not_executed() {
    for (runnable, first) in [(true, start('a', false)), (false, Action::StartHelper(Helper::Check))] {
        let mut bench = power_lost();
        bench.ground.slots.previous = Link::Absent;
        bench.on(Input::Begin);
        let actions = bench.on(Input::HelperDone(damaged('a', false, runnable)));
        assert_eq!(actions[0], first);
    }
}

#[test]
fn a_look_that_takes_too_long_keeps_nothing_down() {
    let mut bench = power_lost();
    bench.on(Input::Begin);
    let actions = bench.tick();
    assert_eq!(bench.now, VERIFY_BEFORE_START);
    assert_eq!(actions[..2], [Action::StopHelper, start('a', false)]);
    // A repair that has begun gets more time.
    let mut bench = power_lost();
    bench.on(Input::Begin);
    bench.on(Input::FoundNew);
    bench.tick();
    assert_eq!(bench.now, PULL_BEFORE_START);
}

#[test]
fn a_trial_that_can_not_be_executed_is_judged_only_if_its_files_are_whole() {
    for exit in [Exit::Exec(8), Exit::Exec(5), Exit::Signal(7)] {
        let mut bench = Bench::on_trial();
        assert_eq!(bench.ends(exit), [verify('b', Depth::Full)], "{exit}");
        assert_eq!(bench.on(Input::HelperDone(Outcome::Repaired)), [start('b', true)], "{exit}");
        assert_eq!(bench.ground.slots.memory.trial.as_ref().unwrap().attempts, 1, "no attempt is spent");
        // Once.
        assert_eq!(bench.ends(exit)[0], start('a', false), "{exit}");
        // It could not be repaired: the version itself was never asked (I5).
        let mut bench = Bench::on_trial();
        bench.ends(exit);
        assert_eq!(bench.on(Input::HelperDone(damaged('b', false, false)))[0], start('a', false));
        assert_eq!(bench.verdict('b').unwrap().kind, VerdictKind::Environment, "{exit}");
        // Nobody knows: the look took too long, or failed.
        let mut bench = Bench::on_trial();
        bench.ends(exit);
        assert!(bench.tick().contains(&start('a', false)), "{exit}");
        assert_eq!(bench.verdict('b').unwrap().kind, VerdictKind::Environment, "{exit}");
        let mut bench = Bench::on_trial();
        bench.ends(exit);
        assert_eq!(bench.on(Input::HelperDone(failed()))[0], start('a', false), "{exit}");
        assert_eq!(bench.verdict('b').unwrap().kind, VerdictKind::Environment, "{exit}");
    }
}

#[test]
fn a_version_that_is_damaged_again_in_a_later_trial_is_repaired_again() {
    let mut bench = Bench::on_trial();
    bench.ends(Exit::Exec(2));
    bench.on(Input::HelperDone(Outcome::Repaired));
    // It is killed from outside, which is nobody's fault, and staged again when its pause is over.
    assert_eq!(bench.ends(Exit::Signal(9))[0], start('a', false));
    bench.on(Input::HelperDone(Outcome::Done));
    bench.ground.slots.memory.verdicts.clear();
    bench.ground.slots.attempt = version('b');
    assert_eq!(bench.ends(Exit::Code(42)), [start('b', true)]);
    assert_eq!(bench.ends(Exit::Exec(2)), [verify('b', Depth::Full)], "it was never asked (I5)");
}

#[test]
fn what_a_look_at_everything_brings_back_does_not_wait_for_a_registry() {
    let mut bench = Bench::new(|config, slots| {
        slots.current = version('a');
        config.look_after_start = Some(Depth::Full);
    });
    bench.on(Input::Begin);
    // Its tree is lost twice within a minute: what restores it is not believed a second time.
    bench.ground.slots.current = Link::Dangling(named('a'));
    bench.ends(Exit::Code(42));
    bench.machine.restored = Some(digest('a'));
    bench.tick();
    assert_eq!(bench.phase(), "waiting");
    bench.ground.slots.current = version('a');
    let actions = bench.on(Input::HelperDone(Outcome::Repaired));
    assert!(actions.contains(&start('a', false)), "{actions:?}");
}

#[test]
fn a_look_at_everything_gives_way_to_updates_and_comes_back() {
    let mut bench = Bench::new(|config, slots| {
        slots.current = version('a');
        config.look_after_start = Some(Depth::Quick);
    });
    let look = Action::StartHelper(Helper::VerifyAll(Depth::Quick));
    assert_eq!(bench.on(Input::Begin), [start('a', false), look.clone()]);
    let actions = bench.on(Input::Check(7));
    assert_eq!(actions, [Action::StopHelper, Action::StartHelper(Helper::Check)]);
    let actions = bench.on(Input::HelperDone(Outcome::UpToDate(digest('a'))));
    assert!(matches!(actions[0], Action::Reply(7, _)) && actions[1] == look, "{actions:?}");
    assert_eq!(bench.on(Input::HelperDone(Outcome::Done)), [], "a quick look settles nothing");
}

#[test]
fn what_runs_is_stopped_to_be_repaired_when_it_can_be() {
    let runs = || {
        let mut bench = Bench::new(|config, slots| {
            slots.current = version('a');
            config.look_after_start = Some(Depth::Full);
        });
        bench.on(Input::Begin);
        bench
    };
    let mut bench = runs();
    assert_eq!(bench.on(Input::HelperDone(damaged('a', true, false))), [Action::AskToStop(15)]);
    assert_eq!(bench.ends(Exit::Code(0)), [verify('a', Depth::Full)]);
    assert_eq!(bench.on(Input::HelperDone(Outcome::Repaired)), [start('a', false)]);
    // Nothing to repair it with: it runs on, and all is looked at again as soon as a registry answers.
    let mut bench = runs();
    assert_eq!(bench.on(Input::HelperDone(damaged('a', false, false))), []);
    bench.on(Input::Check(1));
    let actions = bench.on(Input::HelperDone(failed()));
    assert_eq!(actions.len(), 1, "{actions:?}");
    bench.on(Input::Check(2));
    let actions = bench.on(Input::HelperDone(Outcome::UpToDate(digest('a'))));
    assert_eq!(actions[1], Action::StartHelper(Helper::VerifyAll(Depth::Full)));
}

#[test]
fn an_end_as_of_damaged_files_is_remembered_for_the_next_start() {
    for (exit, lasted, suspect) in [
        (Exit::Signal(7), STEADY, true),
        (Exit::Signal(11), 10, true),
        (Exit::Signal(11), STEADY, false),
        (Exit::Signal(4), 10, true),
        (Exit::Code(127), 10, true),
        (Exit::Code(127), STEADY, false),
        (Exit::Code(1), 10, false),
        (Exit::Signal(6), 10, false),
        (Exit::Signal(9), 10, false),
    ] {
        let mut bench = Bench::new(|_, slots| slots.current = version('a'));
        bench.on(Input::Begin);
        bench.now += lasted;
        bench.ends(exit);
        assert_eq!(bench.machine.suspect().is_some(), suspect, "{exit} after {lasted} ms");
    }
}
