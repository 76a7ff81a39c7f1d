//! A disk that can't be written to.

use super::*;

#[test]
fn a_full_disk_at_the_verdict_does_not_try_in_a_loop() {
    let mut bench = Bench::on_trial();
    bench.ground.full = true;
    let actions = bench.ends(Exit::Code(1));
    assert_eq!(actions, [start('a', false), Action::StartHelper(Helper::CleanUp)]);
}

#[test]
fn a_full_disk_at_the_commit_is_an_honest_no() {
    let mut bench = Bench::on_trial();
    bench.ground.full = true;
    assert!(is_refused(&bench.on(Input::Ready(Some(4))), 4));
    assert_eq!(bench.phase(), "trial");
    bench.ground.full = false;
    let committed = Reply::Committed { digest: digest('b') };
    assert_eq!(bench.on(Input::Ready(Some(4))).first(), Some(&Action::Reply(4, committed)));
}

#[test]
fn where_nothing_can_be_written_the_current_version_runs_and_a_trial_waits() {
    // An attempt that can't be counted is not made.
    let mut bench = Bench::new(|_, slots| {
        slots.current = version('a');
        slots.attempt = version('b');
    });
    bench.ground.full = true;
    assert_eq!(bench.on(Input::Begin), [start('a', false)]);
    // One that was counted before, and is not yet put back, neither.
    let mut bench = Bench::new(|_, slots| {
        slots.current = version('a');
        slots.attempting = version('b');
    });
    bench.ground.full = true;
    assert_eq!(bench.on(Input::Begin), [start('a', false)]);
    // Without a current version, what is on trial is better than nothing.
    let mut bench = Bench::new(|_, slots| slots.attempting = version('b'));
    bench.ground.full = true;
    assert_eq!(bench.on(Input::Begin), [start('b', true)]);
}

#[test]
fn nobody_stops_for_a_version_that_can_not_be_tried_for_want_of_room() {
    let mut bench = Bench::new(|_, slots| slots.current = version('a'));
    bench.on(Input::Begin);
    bench.on(Input::Check(4));
    let staged = |bench: &mut Bench| {
        bench.ground.slots.attempt = version('b');
        bench.on(Input::HelperDone(Outcome::Staged(digest('b'))))
    };
    // The disk fills up between the look and the end of the application.
    assert_eq!(staged(&mut bench), [Action::Reply(4, Reply::Staged { digest: digest('b') })]);
    bench.ground.full = true;
    bench.ends(Exit::Code(42));
    assert_eq!(bench.tick(), [start('a', false)]);
    // It asks again, and once more: it is told the truth, and stays.
    for token in [5, 6] {
        bench.on(Input::Check(token));
        let actions = staged(&mut bench);
        assert!(
            matches!(&actions[..], [Action::Reply(to, Reply::CheckFailed { error, remedy: Remedy::Later })]
                if *to == token && error.contains("can't be tried")),
            "{actions:?}"
        );
        assert_eq!(bench.phase(), "running");
    }
    // When there is room again, the same look leads on.
    bench.ground.full = false;
    bench.on(Input::Check(7));
    assert_eq!(staged(&mut bench), [Action::Reply(7, Reply::Staged { digest: digest('b') })]);
    assert_eq!(bench.ends(Exit::Code(42)), [start('b', true)]);
}

#[test]
fn a_disk_that_refuses_the_first_install_is_asked_again_after_a_pause() {
    let mut bench = Bench::new(|_, _| {});
    bench.on(Input::Begin);
    bench.ground.slots.attempt = version('a');
    bench.ground.full = true;
    let actions = bench.on(Input::HelperDone(Outcome::Staged(digest('a'))));
    assert_eq!(actions, [Action::StartHelper(Helper::CleanUp)], "no other pull at once");
    bench.on(Input::HelperDone(Outcome::Done));
    bench.ground.full = false;
    assert_eq!(bench.tick(), [Action::StartHelper(Helper::Check)]);
    let failed = Outcome::Failed { error: String::new(), remedy: Remedy::Later };
    assert_eq!(bench.on(Input::HelperDone(failed)).first(), Some(&start('a', false)));
}

#[test]
fn a_commit_of_which_only_the_rename_was_written_is_one_and_is_made_up_for() {
    let mut bench = Bench::on_trial();
    bench.ground.steps_left = Some(1);
    let committed = Reply::Committed { digest: digest('b') };
    let actions = bench.on(Input::Ready(Some(4)));
    assert_eq!(actions.first(), Some(&Action::Reply(4, committed)));
    let slots = &bench.ground.slots;
    assert_eq!((&slots.current, &slots.previous), (&version('b'), &Link::Absent));
    bench.ground.steps_left = None;
    bench.on(Input::HelperDone(Outcome::Done));
    // The way back is laid by whatever happens next.
    assert_eq!(bench.ends(Exit::Code(1)), [Action::Leave(1)]);
    assert_eq!(bench.ground.slots.previous, version('a'));
    assert_eq!(bench.ground.slots.memory.probation.as_ref().unwrap().count, 1);
}

#[test]
fn a_version_whose_link_is_gone_is_not_told_that_it_is_committed() {
    let mut bench = Bench::on_trial();
    bench.ground.slots.attempting = Link::Dangling(named('b'));
    assert!(is_refused(&bench.on(Input::Ready(Some(4))), 4));
    assert_eq!(bench.ground.slots.current, version('a'));
}

#[test]
fn a_version_whose_commit_the_disk_refused_is_not_to_blame_when_it_gives_up() {
    let mut bench = Bench::on_trial();
    bench.ground.full = true;
    assert!(is_refused(&bench.on(Input::Ready(Some(4))), 4));
    bench.ground.full = false;
    bench.ends(Exit::Code(1));
    assert_eq!(bench.verdict('b').map(|verdict| verdict.kind), Some(VerdictKind::Environment));
}
