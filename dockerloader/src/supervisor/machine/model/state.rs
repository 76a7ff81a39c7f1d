//! One state of device, registry and the programs on it; and what becomes of it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::super::{
    Action, Config, Exit, Helper, Input, Machine, Millis, OnTrialFailure, Outcome, Phase, STEADY,
};
use super::directory::{Directory, Held, Judged, Tree, VERSIONS, Version, index};
use super::ground::{Fault, Faulty};
use super::happening::Happening;
use super::past::Past;
use super::properties::{self, Property, Violation};
use super::puller::{CleanUp, Look, Puller, look, withdraw};
use super::rules::{Rules, Scope};
use crate::config::Poll;
use crate::control::{Reply, Request};
use crate::layout::Slot;
use crate::remedy::Remedy;
use crate::slots::Event;
use crate::supervisor::run::requests::allowed;
use crate::supervisor::session::Doubts;

/// Now, always: a state's deadlines are counted from here.
pub(super) const BASE: Millis = 1_000_000_000;
/// Pauses that are told apart: from the second one on, the registry is asked.
const MOST_PAUSES: u32 = 2;

/// The application's processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) version: Version,
    /// Whether it was started on trial.
    pub(super) trial: bool,
    /// It said that it is ready, or committed itself by renaming its link.
    pub(super) ready: bool,
    /// Whether the main process lives; else only processes that it left.
    pub(super) main: bool,
}

/// All there is.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) directory: Directory,
    /// The supervisor, if one runs.
    pub(super) live: Option<Machine>,
    pub(super) process: Option<Process>,
    /// The helper process that the supervisor waits for.
    pub(super) helper: Option<Helper>,
    /// Who holds the store's lock.
    pub(super) pulling: Option<Puller>,
    pub(super) cleaning: Option<CleanUp>,
    /// What the tag means.
    pub(super) tag: Version,
    pub(super) past: Past,
}

/// What came of one happening.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) state: State,
    /// Steps that were performed: each of them is a place for a fault.
    pub(super) steps: usize,
    pub(super) violation: Option<Violation>,
    pub(super) narrated: Vec<String>,
}

impl State {
    /// A device that was never switched on.
    pub(super) const fn new() -> Self {
        Self {
            directory: Directory::EMPTY,
            live: None,
            process: None,
            helper: None,
            pulling: None,
            cleaning: None,
            tag: Version(0),
            past: Past::NEW,
        }
    }

    pub(super) const fn store_is_free(&self) -> bool {
        self.pulling.is_none() && self.cleaning.is_none()
    }

    /// A name for this state, by which it is known again.
    pub(super) fn name(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let Self { directory, live, process, helper, pulling, cleaning, tag, past } = self;
        (directory, process, helper, pulling, cleaning, tag, past).hash(&mut hasher);
        if let Some(machine) = live {
            let Machine {
                config: _,
                jitter: _,
                starts: _,
                last_outcome: _,
                failed_installs: _,
                suspect: _,
                ..
            } = machine;
            (&machine.phase, machine.helper, &machine.waiting, machine.clean_up_wanted).hash(&mut hasher);
            (machine.check_wanted, machine.last_look, machine.pauses).hash(&mut hasher);
            (&machine.doubts, machine.look_wanted, machine.look_again).hash(&mut hasher);
            (machine.restored, machine.leaving).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// What becomes of it.
    pub(super) fn after(
        &self,
        happening: Happening,
        fault: Fault,
        rules: &Rules,
        scope: &Scope,
        narrate: bool,
    ) -> Next {
        let mut turn = Turn {
            ground: Faulty {
                directory: self.directory,
                puller: self.pulling,
                rules,
                fault,
                step: 0,
                dark: false,
                failed: false,
                objection: None,
                narrated: narrate.then(Vec::new),
                seen: Vec::new(),
            },
            state: self.clone(),
            rules,
            scope,
            now: BASE,
            violation: None,
            waiting: Vec::new(),
            busy: false,
        };
        turn.happens(happening);
        let mut violation = turn.violation.take();
        let Turn { ground, mut state, now, .. } = turn;
        state.directory = ground.directory;
        state.pulling = ground.puller.filter(|_| state.pulling.is_some());
        if ground.dark {
            state.go_dark();
        }
        if let Some(objection) = ground.objection {
            violation = violation.or(Some(Violation { property: Property::SecondOpinion, what: objection }));
        }
        state.settle_time(now);
        let violation = violation.or_else(|| properties::of_steps(self, &ground.seen, happening));
        let mut past = state.past;
        past.witness(self, &state, &ground.seen, happening);
        state.past = past;
        let violation = violation.or_else(|| properties::of_state(&state));
        let violation = violation.or_else(|| {
            let removes = happening == Happening::CleanUpRemoves;
            if removes { properties::of_clean_up(self, &state) } else { None }
        });
        Next { state, steps: ground.step, violation, narrated: ground.narrated.unwrap_or_default() }
    }

    /// The power is gone.
    fn go_dark(&mut self) {
        (self.live, self.process, self.helper) = (None, None, None);
        (self.pulling, self.cleaning) = (None, None);
    }

    /// Counts all times from now, and forgets what makes no difference.
    fn settle_time(&mut self, now: Millis) {
        let passed = now.saturating_sub(BASE);
        let Some(machine) = &mut self.live else { return };
        let shift = |time: &mut Millis| *time = time.saturating_sub(passed);
        match &mut machine.phase {
            Phase::Installing { retry_at } => {
                if let Some(at) = retry_at {
                    *at = BASE + 1_000;
                }
            }
            Phase::LookingFirst { until, .. } | Phase::Verifying { until, .. } | Phase::BackOff { until } => {
                *until = BASE + 1_000
            }
            Phase::Running(run) | Phase::Stopping { run, .. } => {
                run.since = if now.saturating_sub(run.since) >= STEADY { BASE - STEADY } else { BASE };
                run.trial_ends.iter_mut().chain(&mut run.probation_ends).for_each(shift);
            }
            Phase::Begin | Phase::Restoring { .. } | Phase::Left => {}
        }
        if let Phase::Stopping { kill_at, killed, run, .. } = &mut machine.phase {
            // Nothing but the end of its patience is waited for.
            *kill_at = if *killed { BASE } else { BASE + 1_000 };
            run.trial_ends = run.trial_ends.map(|_| BASE);
            run.probation_ends = run.probation_ends.map(|_| BASE);
        }
        machine.last_look = machine.last_look.saturating_sub(passed).max(BASE - 10_000_000);
        if machine.config.poll == Poll::Never || BASE - machine.last_look < STEADY {
            machine.last_look = BASE;
        }
        machine.pauses = machine.pauses.min(MOST_PAUSES);
        machine.failed_installs = 0;
        machine.starts = 0;
        machine.last_outcome = None;
        machine.suspect = None;
    }
}

/// One happening, dealt with.
struct Turn<'a> {
    ground: Faulty<'a>,
    state: State,
    rules: &'a Rules,
    scope: &'a Scope,
    now: Millis,
    violation: Option<Violation>,
    /// Inputs that actions brought about.
    waiting: Vec<Input>,
    busy: bool,
}

impl Turn<'_> {
    fn happens(&mut self, happening: Happening) {
        use Happening as H;
        match happening {
            H::PowerOn => {
                self.state.live = Some(Machine::new(config(self.scope), 1000));
                self.input(Input::Begin);
            }
            H::PowerCut => self.ground.dark = true,
            H::Stop => self.input(Input::Signal(15)),
            H::Deadline => {
                let deadline = self.state.live.as_ref().and_then(Machine::deadline);
                self.now = deadline.unwrap_or(BASE).max(BASE);
                self.notices_commit();
                self.input(Input::Tick);
            }
            H::LongRun => {
                if let Some(Machine { phase: Phase::Running(run), .. }) = &mut self.state.live {
                    run.since = BASE - STEADY;
                }
            }
            H::Ready => {
                if let Some(process) = &mut self.state.process {
                    process.ready = true;
                }
                self.input(Input::Ready(Some(READY)));
            }
            H::OldReady => {
                let request = Request::Ready { generation: Some("before".to_owned()) };
                if !self.rules.generations || allowed(&request, "now", false).is_ok() {
                    self.input(Input::Ready(Some(READY)));
                }
            }
            H::CommitsByRename => {
                if let Some(process) = &mut self.state.process {
                    process.ready = true;
                }
                let links = &mut self.ground.directory.links;
                links[index(Slot::Current)] = links[index(Slot::Attempting)];
                links[index(Slot::Attempting)] = Held::Nothing;
            }
            H::Asks => self.input(Input::Check(CHECK)),
            H::Ends(exit, left) => self.ends(exit, left),
            H::LastChildEnds => {
                self.state.process = None;
                self.input(Input::Reaped { main: None, empty: true });
            }
            H::RestoreEnds(well) => self.restored(well),
            H::VerifyEnds(well) => self.verified(well),
            H::CheckFails => {
                self.forget_helpers_work();
                self.helper_done(Outcome::Failed { error: String::new(), remedy: Remedy::Retry });
            }
            H::PullBegins { ours } => self.pull_begins(ours),
            H::PullStages => {
                if let Some(puller) = &mut self.ground.puller {
                    puller.stage(&mut self.ground.directory);
                    if !puller.ours {
                        self.ground.puller = None;
                    }
                }
            }
            H::PullEnds => {
                let ended = self.ground.puller.take();
                self.state.pulling = None;
                if let Some(puller) = ended.filter(|puller| puller.ours) {
                    self.helper_done(Outcome::Staged(puller.target.digest()));
                }
            }
            H::CleanUpBegins { ours } => self.clean_up_begins(ours),
            H::CleanUpRemoves => {
                if let Some(clean_up) = self.state.cleaning.take() {
                    clean_up.remove(&mut self.ground.directory);
                    if clean_up.ours {
                        self.helper_done(Outcome::Done);
                    }
                }
            }
            H::RollBack if self.state.live.is_some() => self.input(Input::RollBack(ROLL_BACK)),
            H::RollBack => self.offline(&Event::RollBack),
            H::Forget(version) if self.state.live.is_some() => {
                self.input(Input::Forget(version.digest(), FORGET));
            }
            H::Forget(version) => self.offline(&Event::Forget(version.digest())),
            H::SecondSupervisor => {
                if !self.rules.place {
                    self.violation =
                        Some(Violation::new(Property::I7, "two supervisors act on one directory"));
                }
            }
            H::PauseOver(version) => self.ground.directory.judged[version.number()] = Judged::No,
            H::TagMoves(version) => self.state.tag = version,
            H::TreeLost(version) => self.ground.directory.trees[version.number()] = Tree::Missing,
            H::TreeDamaged(version) => self.ground.directory.trees[version.number()] = Tree::Damaged,
            H::MemoryLost => {
                let directory = &mut self.ground.directory;
                directory.judged = [Judged::No; VERSIONS];
                (directory.trial, directory.probation, directory.crashes) = (None, None, None);
            }
            H::ForeignThing(slot) => self.ground.directory.links[index(slot)] = Held::Foreign,
        }
    }

    /// A command of a person while no supervisor runs: it takes the supervisor's place for as long.
    fn offline(&mut self, event: &Event) {
        use super::super::Ground as _;
        // What it could not do, it says.
        let _ = self.ground.act(event);
    }

    /// As `Supervisor::commit_by_file`.
    fn notices_commit(&mut self) {
        let Some(run) = self.state.live.as_ref().and_then(Machine::run) else { return };
        let digest = run.version.digest;
        let slots = self.ground.directory.slots();
        if run.trial_ends.is_some()
            && slots.attempting.digest() != Some(digest)
            && slots.current.digest() == Some(digest)
        {
            self.input(Input::CommittedByFile);
        }
    }

    fn ends(&mut self, exit: Exit, left: bool) {
        if let Some(process) = &mut self.state.process {
            process.main = false;
        }
        if !left {
            self.state.process = None;
        }
        self.notices_commit();
        let empty = !left || !self.rules.waits_for_empty;
        self.input(Input::Reaped { main: Some(exit), empty });
    }

    fn restored(&mut self, well: bool) {
        let Some(Helper::Restore(digest)) = self.state.helper else { return };
        if well {
            self.ground.directory.trees[Version::of(&digest).number()] = Tree::Whole;
            self.helper_done(Outcome::Done);
        } else {
            self.helper_done(Outcome::Failed { error: String::new(), remedy: Remedy::Corrupt });
        }
    }

    /// As `verify --repair`: what runs is not touched.
    fn verified(&mut self, well: bool) {
        let looked_at: Vec<Version> = match self.state.helper {
            Some(Helper::Verify(digest, _)) => vec![Version::of(&digest)],
            _ => self.ground.directory.named(),
        };
        let running = self.state.process.map(|process| process.version);
        let mut digests = Vec::new();
        let mut repaired = false;
        for version in looked_at {
            if self.ground.directory.trees[version.number()] == Tree::Whole {
                continue;
            }
            if well && running != Some(version) {
                self.ground.directory.trees[version.number()] = Tree::Whole;
                repaired = true;
            } else if !digests.contains(&version.digest()) {
                digests.push(version.digest());
            }
        }
        self.helper_done(match (digests.is_empty(), repaired) {
            (true, true) => Outcome::Repaired,
            (true, false) => Outcome::Done,
            (false, _) => {
                Outcome::Damaged { digests, repairable: well, runnable: false, error: String::new() }
            }
        });
    }

    fn pull_begins(&mut self, ours: bool) {
        let tag = self.state.tag;
        let outcome = match look(&self.ground.directory, tag) {
            Look::UpToDate => {
                withdraw(&mut self.ground.directory, tag);
                Outcome::UpToDate(tag.digest())
            }
            Look::Skipped => Outcome::Skipped { digest: tag.digest(), reason: String::new() },
            Look::Wanted => {
                let puller = Some(Puller { target: tag, ours, done: false });
                (self.state.pulling, self.ground.puller) = (puller, puller);
                if ours {
                    self.input(Input::FoundNew);
                }
                return;
            }
        };
        if ours {
            self.helper_done(outcome);
        }
    }

    fn clean_up_begins(&mut self, ours: bool) {
        let running = self.state.process.map(|process| process.version);
        let mut directory = self.ground.directory;
        if !self.rules.clean_up_keeps {
            directory.links = [Held::Nothing; 4];
            directory.trial = None;
        }
        let plan = CleanUp::plan(&directory, running, self.state.tag, ours);
        if plan.doomed != [false; VERSIONS] {
            self.state.cleaning = Some(plan);
        } else if ours {
            self.helper_done(Outcome::Done);
        }
    }

    fn helper_done(&mut self, outcome: Outcome) {
        self.state.helper = None;
        self.input(Input::HelperDone(outcome));
    }

    /// What the helper that runs holds is free, and what it began is left.
    fn forget_helpers_work(&mut self) {
        if self.ground.puller.is_some_and(|puller| puller.ours) {
            (self.state.pulling, self.ground.puller) = (None, None);
        }
        self.state.cleaning = self.state.cleaning.filter(|clean_up| !clean_up.ours);
    }

    /// As `Supervisor::input`.
    fn input(&mut self, input: Input) {
        if self.busy && self.rules.in_turn {
            self.waiting.insert(0, input);
            return;
        }
        let was_busy = std::mem::replace(&mut self.busy, true);
        self.take(input);
        while let Some(input) = self.waiting.pop() {
            self.take(input);
        }
        self.busy = was_busy;
    }

    fn take(&mut self, input: Input) {
        let Some(machine) = &mut self.state.live else { return };
        let actions = machine.on(self.now, input, &mut self.ground);
        if self.ground.dark {
            return;
        }
        for action in actions {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        if let Some(told) = &mut self.ground.narrated {
            told.push(format!("     -> {}", words(&action)));
        }
        match action {
            Action::Start { version, trial } => self.start(Version::of(&version.digest), trial),
            Action::StartHelper(helper) => self.state.helper = Some(helper),
            Action::StopHelper => {
                self.forget_helpers_work();
                self.state.helper = None;
            }
            Action::Reply(READY, Reply::Committed { digest } | Reply::AlreadyCommitted { digest }) => {
                let entrypoint = self.ground.directory.links[index(Slot::Current)];
                if entrypoint != Held::Foreign && entrypoint != Held::Version(Version::of(&digest)) {
                    self.violate(
                        Property::I8,
                        "it was told that it is committed, but entrypoint names another",
                    );
                }
            }
            Action::Leave(_) => {
                self.forget_helpers_work();
                (self.state.live, self.state.helper) = (None, None);
                if self.state.process.take().is_some() {
                    self.violate(Property::I1, "the supervisor leaves while the application runs");
                }
            }
            Action::Settled
            | Action::Forward(_)
            | Action::AskToStop(_)
            | Action::Sweep
            | Action::Kill
            | Action::Reply(..) => {}
        }
    }

    fn start(&mut self, version: Version, trial: bool) {
        let start = properties::Start { version, trial, written: !self.ground.failed };
        let violation =
            properties::of_start(&self.state, &self.ground.directory, start, self.rules, self.scope);
        if let Some(violation) = violation {
            self.violation.get_or_insert(violation);
        }
        if trial {
            self.state.past.started(version);
        }
        let error = match self.ground.directory.trees[version.number()] {
            Tree::Whole => {
                self.state.process = Some(Process { version, trial, ready: false, main: true });
                return;
            }
            Tree::Missing => Exit::Exec(2),
            Tree::Damaged => Exit::Exec(8),
        };
        if trial {
            self.state.past.never_began(version);
        }
        self.input(Input::Reaped { main: Some(error), empty: true });
    }

    fn violate(&mut self, property: Property, what: &str) {
        self.violation.get_or_insert(Violation::new(property, what));
    }
}

const READY: u64 = 1;
const CHECK: u64 = 2;
const ROLL_BACK: u64 = 3;
const FORGET: u64 = 4;

fn words(action: &Action) -> String {
    match action {
        Action::Start { version, trial: true } => format!("tries {}", Version::of(&version.digest)),
        Action::Start { version, trial: false } => format!("runs {}", Version::of(&version.digest)),
        Action::StartHelper(Helper::Restore(digest)) => format!("restores {}", Version::of(digest)),
        Action::StartHelper(helper) => format!("starts {}", helper.name()),
        Action::Reply(_, reply) => {
            format!("answers {}", serde_json::to_value(reply).unwrap_or_default()["reply"])
        }
        other => format!("{other:?}"),
    }
}

fn config(scope: &Scope) -> Config {
    Config {
        trial_timeout: 10_000,
        stop_grace: 8_000,
        probation: 600_000,
        update_interval: 700_000,
        poll: if scope.polls { Poll::Auto } else { Poll::Never },
        on_trial_failure: OnTrialFailure::Rollback,
        has_target: true,
        doubts: Doubts::default(),
        look_after_start: None,
    }
}
