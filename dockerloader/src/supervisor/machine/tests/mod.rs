//! The policy with the real decisions on slots in memory.

mod repairs;
mod running;
mod starts;
mod trials;
mod writes;

use super::*;
use crate::slots::{Link, Place, Policy, Step, Verdict, VerdictKind, carry_out, decide};
use crate::status::Check;

/// Slots in memory: the real decisions, without a disk.
#[derive(Default)]
struct Memory {
    slots: Slots,
    events: Vec<Event>,
    /// Every write fails, as on a full disk.
    full: bool,
    /// Steps that can still be performed, if not all can.
    steps_left: Option<usize>,
    out_of_memory: bool,
    /// Versions that can't be mounted.
    unmountable: Vec<Digest>,
    prepared: Vec<Digest>,
}

impl Place for Memory {
    fn read(&mut self) -> Result<Slots, ApplyError> {
        Ok(self.slots.clone())
    }

    fn perform(&mut self, step: &Step) -> Result<(), ApplyError> {
        if self.full || self.steps_left == Some(0) {
            let source = std::io::ErrorKind::StorageFull.into();
            return Err(ApplyError::Step { step: step.to_string(), source });
        }
        self.steps_left = self.steps_left.map(|left| left - 1);
        crate::slots::perform(&mut self.slots, step);
        Ok(())
    }
}

impl Ground for Memory {
    fn act(&mut self, event: &Event) -> Result<Slots, ApplyError> {
        self.events.push(event.clone());
        // As on the real ground, each look has its date.
        let at = u64::try_from(self.events.len()).unwrap();
        let dated = match event {
            Event::Checked(check) => Event::Checked(Check { at, ..check.clone() }),
            event => event.clone(),
        };
        carry_out(self, &dated, &Policy::default(), decide)
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
