use super::*;
use crate::slots::{Link, Policy, Verdict, VerdictKind};

/// Slots in memory: the real decisions, without a disk.
#[derive(Default)]
struct Memory {
    slots: Slots,
    events: Vec<Event>,
    /// Every write fails, as on a full disk.
    full: bool,
    out_of_memory: bool,
    /// Versions that can't be mounted.
    unmountable: Vec<Digest>,
    prepared: Vec<Digest>,
}

impl Ground for Memory {
    fn act(&mut self, event: &Event) -> Result<Slots, ApplyError> {
        self.events.push(event.clone());
        if self.full {
            let source = std::io::ErrorKind::StorageFull.into();
            return Err(ApplyError::Step { step: "write state.json".to_owned(), source });
        }
        for step in crate::slots::decide(&self.slots, event, &Policy::default()) {
            crate::slots::perform(&mut self.slots, &step);
        }
        Ok(self.slots.clone())
    }

    fn slots(&mut self) -> Slots {
        self.slots.clone()
    }

    fn prepare(&mut self, version: &Digest) -> Result<(), String> {
        self.prepared.push(*version);
        if self.unmountable.contains(version) { Err("not permitted".to_owned()) } else { Ok(()) }
    }

    fn output(&mut self) -> Vec<String> {
        vec!["last words".to_owned()]
    }

    fn out_of_memory(&mut self) -> bool {
        self.out_of_memory
    }
}

fn digest(letter: char) -> Digest {
    format!("sha256:{}", letter.to_string().repeat(64)).parse().unwrap()
}

fn named(letter: char) -> Named {
    Named { digest: digest(letter), program: "entrypoint".to_owned() }
}

fn version(letter: char) -> Link {
    Link::Version(named(letter))
}

const GRACE: Millis = 8_000;
const TRIAL: Millis = 10_000;
const INTERVAL: Millis = 300_000;

/// A machine with its ground and a clock.
struct Bench {
    machine: Machine,
    ground: Memory,
    now: Millis,
}

impl Bench {
    fn new(change: impl FnOnce(&mut Config, &mut Slots)) -> Self {
        let mut config = Config {
            trial_timeout: TRIAL,
            stop_grace: GRACE,
            probation: 600_000,
            update_interval: INTERVAL,
            poll: Poll::Auto,
            on_trial_failure: OnTrialFailure::Rollback,
            has_target: true,
            doubts: Doubts::default(),
            look_after_start: None,
        };
        let mut ground = Memory::default();
        change(&mut config, &mut ground.slots);
        Self { machine: Machine::new(config, 1000), ground, now: 0 }
    }

    /// `a` runs, `b` is on trial after an exit 42.
    fn on_trial() -> Self {
        let mut bench = Self::new(|_, slots| slots.current = version('a'));
        bench.on(Input::Begin);
        bench.ground.slots.attempt = version('b');
        let actions = bench.ends(Exit::Code(42));
        assert_eq!(actions, [start('b', true)]);
        bench
    }

    fn committed() -> Self {
        let mut bench = Self::on_trial();
        let actions = bench.on(Input::Ready(Some(7)));
        let reply = Reply::Committed { digest: digest('b') };
        assert_eq!(actions, [Action::Reply(7, reply), Action::StartHelper(Helper::CleanUp)]);
        bench.on(Input::HelperDone(Outcome::Done));
        bench
    }

    fn on(&mut self, input: Input) -> Vec<Action> {
        self.machine.on(self.now, input, &mut self.ground)
    }

    fn ends(&mut self, exit: Exit) -> Vec<Action> {
        self.on(Input::Reaped { main: Some(exit), empty: true })
    }

    /// Goes to the next deadline.
    fn tick(&mut self) -> Vec<Action> {
        self.now = self.machine.deadline().expect("there is a deadline").max(self.now);
        self.on(Input::Tick)
    }

    fn phase(&self) -> &'static str {
        self.machine.view(self.now).phase
    }

    fn verdict(&self, letter: char) -> Option<&Verdict> {
        self.ground.slots.memory.verdict(&digest(letter))
    }
}

fn start(letter: char, trial: bool) -> Action {
    Action::Start { version: named(letter), trial }
}

fn is_refused(actions: &[Action], token: Token) -> bool {
    matches!(actions, [Action::Reply(to, Reply::Refused { .. })] if *to == token)
}

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

fn verify(letter: char, depth: Depth) -> Action {
    Action::StartHelper(Helper::Verify(digest(letter), depth))
}

fn failed() -> Outcome {
    Outcome::Failed { error: "nobody knows".to_owned(), remedy: Remedy::Later }
}

fn damaged(letter: char, repairable: bool, runnable: bool) -> Outcome {
    Outcome::Damaged {
        digests: vec![digest(letter)],
        repairable,
        runnable,
        error: "a blob is lost".to_owned(),
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
    }
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
fn a_version_whose_commit_the_disk_refused_is_not_to_blame_when_it_gives_up() {
    let mut bench = Bench::on_trial();
    bench.ground.full = true;
    assert!(is_refused(&bench.on(Input::Ready(Some(4))), 4));
    bench.ground.full = false;
    bench.ends(Exit::Code(1));
    assert_eq!(bench.verdict('b').map(|verdict| verdict.kind), Some(VerdictKind::Environment));
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
fn a_commit_by_rename_counts() {
    let mut bench = Bench::on_trial();
    bench.ground.slots.current = std::mem::take(&mut bench.ground.slots.attempting);
    bench.on(Input::CommittedByFile);
    assert_eq!(bench.ground.slots.previous, version('a'));
    assert_eq!(bench.phase(), "running");
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
