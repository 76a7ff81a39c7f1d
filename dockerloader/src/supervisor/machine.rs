//! The supervisor's policy: `(Machine, now, Input) -> Actions`. No clock, no process, no socket; the slots are behind
//! [`Ground`], whose real form reads the disk and whose test form is a value.

mod helper;
mod request;
mod running;
mod stopping;
mod verify;
mod view;

use self::verify::Why;
use super::exit::{self, Exit};
use super::session::Doubts;
use crate::config::{OnTrialFailure, Poll};
use crate::control::Reply;
use crate::digest::Digest;
use crate::remedy::Remedy;
use crate::slots::{ApplyError, Event, Named, NextRun, Slots, next_run};
use crate::tree::Depth;

/// Milliseconds of monotonic time since the supervisor's start.
pub(super) type Millis = u64;

/// Names a waiting request.
pub(super) type Token = u64;

/// How long a look at the registry may hold up the start of a version that crashed before.
const CHECK_BEFORE_START: Millis = 15_000;
/// The same once something newer was found and is being pulled.
const PULL_BEFORE_START: Millis = 600_000;
/// How long a look at a version's files may hold up its start; a repair that has begun gets [`PULL_BEFORE_START`].
const VERIFY_BEFORE_START: Millis = 60_000;
/// The first pause after an exit 42 with nothing staged, doubled each time.
const FIRST_PAUSE: Millis = 1_000;
/// The longest pause before an application or an install is tried again.
const LONGEST_PAUSE: Millis = 60_000;
/// A run that lasted this long ends a series of pauses.
const STEADY: Millis = 60_000;
/// Intervals without a question after which the application counts as too broken to ask.
const SILENT_INTERVALS: u64 = 3;

/// What the policy is told by the settings.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) trial_timeout: Millis,
    pub(super) stop_grace: Millis,
    pub(super) probation: Millis,
    pub(super) update_interval: Millis,
    pub(super) poll: Poll,
    pub(super) on_trial_failure: OnTrialFailure,
    pub(super) has_target: bool,
    /// What is looked at before it is started.
    pub(super) doubts: Doubts,
    /// How closely everything is looked at once something runs.
    pub(super) look_after_start: Option<Depth>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input {
    /// The supervisor has started.
    Begin,
    /// Children were reaped: the main process among them, if `main`; no process of the application is left, if `empty`.
    Reaped { main: Option<Exit>, empty: bool },
    /// A deadline passed.
    Tick,
    /// A signal to be acted on or passed on.
    Signal(i32),
    /// The version on trial was committed by renaming its link, the file contract's way.
    CommittedByFile,
    /// The application is ready; who waits for the answer.
    Ready(Option<Token>),
    /// The trial is to last this much longer from now.
    Extend { milliseconds: Millis, token: Option<Token> },
    /// The application's watchdog message: alive (`None`), or a new period, 0 to switch it off.
    Watchdog(Option<Millis>),
    /// Look for an update.
    Check(Token),
    /// Roll back by hand.
    RollBack(Token),
    /// Forget a verdict.
    Forget(Digest, Token),
    /// The helper found something newer and pulls it, or found damage and repairs it.
    FoundNew,
    /// The helper ended.
    HelperDone(Outcome),
}

/// What a helper process came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    UpToDate(Digest),
    Staged(Digest),
    Skipped {
        digest: Digest,
        reason: String,
    },
    Failed {
        error: String,
        remedy: Remedy,
    },
    /// A restore or a clean-up is done; or all that was looked at is whole.
    Done,
    /// Damage was found and repaired.
    Repaired,
    /// Damage was found, and is there still.
    Damaged {
        /// The versions whose trees are damaged.
        digests: Vec<Digest>,
        /// Only that they run keeps them from being repaired.
        repairable: bool,
        /// What is executed is whole.
        runnable: bool,
        /// What keeps it from being repaired.
        error: String,
    },
}

/// A child process of the same binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Helper {
    /// Look for an update and stage it.
    Check,
    /// Build a version's tree again from what is on disk.
    Restore(Digest),
    /// Remove what nothing names.
    CleanUp,
    /// Look at a version that does not run, and repair it from what is on disk.
    Verify(Digest, Depth),
    /// Look at all versions, and repair those that do not run, if need be from the registry.
    VerifyAll(Depth),
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// Execute a version; `Reaped` with [`Exit::Exec`] if that fails.
    Start { version: Named, trial: bool },
    /// Send the application's process group a signal.
    Forward(i32),
    /// Ask the application's group to stop: its own stop signal, or this one.
    AskToStop(i32),
    /// TERM to whatever is left of the application.
    Sweep,
    /// KILL to whatever is left of the application.
    Kill,
    /// Start a helper.
    StartHelper(Helper),
    /// End the helper that runs.
    StopHelper,
    /// Answer a request.
    Reply(Token, Reply),
    /// Remember that all versions in the slots are whole.
    Settled,
    /// End with this code.
    Leave(i32),
}

/// The slots, as the policy sees them.
pub(super) trait Ground {
    /// Decides on an event and applies it.
    fn act(&mut self, event: &Event) -> Result<Slots, ApplyError>;
    /// The slots as they are.
    fn slots(&mut self) -> Slots;
    /// Sees to it that a version's tree is there to be executed: mounts it where it is made of several. Costs one look where it is
    /// there already.
    ///
    /// # Errors
    /// It can't be mounted, in words: it has to be restored.
    fn prepare(&mut self, version: &Digest) -> Result<(), String>;
    /// The last lines that the application wrote.
    fn output(&mut self) -> Vec<String>;
    /// Whether the kernel killed something of ours for memory since the application started.
    fn out_of_memory(&mut self) -> bool;
}

/// A version that runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Run {
    pub(super) version: Named,
    /// The end of the trial, if it is on trial.
    pub(super) trial_ends: Option<Millis>,
    pub(super) since: Millis,
    /// When the committed version has proven itself.
    pub(super) probation_ends: Option<Millis>,
    /// Whether it asked for updates itself.
    asked: bool,
    /// It said that it is ready, and the disk refused to have that written down.
    is_commit_refused: bool,
    /// Period and next deadline of the watchdog.
    watchdog: Option<(Millis, Millis)>,
}

/// Why the application is being stopped, and what comes then.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Then {
    /// A signal told the supervisor to stop.
    Leave,
    /// Try what is staged.
    Swap,
    /// The trial failed.
    FailTrial { reason: String, exit: Option<Exit> },
    /// The watchdog: a committed version hangs.
    Hung,
    /// A person wants the previous version.
    RollBack,
    /// Its files are to be repaired.
    Mend,
    /// The main process ended by itself.
    Ended,
}

/// What the supervisor is doing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Phase {
    Begin,
    /// Nothing can be run; the helper works, or is started at this time.
    Installing {
        retry_at: Option<Millis>,
    },
    /// The helper rebuilds the tree of the version that should run.
    Restoring {
        digest: Digest,
        /// What kept it from being started.
        cause: Exit,
    },
    /// The helper looks at the files of a version that is to be started.
    Verifying {
        digest: Digest,
        until: Millis,
        why: Why,
    },
    /// The version crashed before: the helper looks for a fix before it is started again.
    LookingFirst {
        version: Named,
        until: Millis,
    },
    Running(Run),
    BackOff {
        until: Millis,
    },
    Stopping {
        run: Run,
        then: Then,
        kill_at: Millis,
        killed: bool,
        exit: Option<Exit>,
        insisted: bool,
    },
    Left,
}

/// The state of the supervisor.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    config: Config,
    phase: Phase,
    helper: Option<Helper>,
    /// Requests that wait for the running check.
    waiting: Vec<Token>,
    clean_up_wanted: bool,
    check_wanted: bool,
    /// When somebody last looked at the registry.
    last_look: Millis,
    last_outcome: Option<(&'static str, Option<Digest>)>,
    pauses: u32,
    failed_installs: u32,
    /// The tree of this version was rebuilt since it last started well, or another one did.
    restored: Option<Digest>,
    /// Between 0.9 and 1.1, so that a fleet does not ask in step, in thousandths.
    jitter: u64,
    starts: u64,
    /// A signal said to leave, whatever was going on.
    leaving: bool,
    doubts: Doubts,
    /// Everything is to be looked at, when nothing else is to be done.
    look_wanted: Option<Depth>,
    /// The same, as soon as the registry answers.
    look_again: Option<Depth>,
    suspect: Option<(Digest, String)>,
}

impl Machine {
    /// A supervisor that has not begun. `jitter` is in thousandths, 900..=1100.
    pub(super) fn new(config: Config, jitter: u64) -> Self {
        Self {
            doubts: config.doubts.clone(),
            look_wanted: config.look_after_start,
            look_again: None,
            suspect: None,
            config,
            phase: Phase::Begin,
            helper: None,
            waiting: Vec::new(),
            clean_up_wanted: false,
            check_wanted: false,
            last_look: 0,
            last_outcome: None,
            pauses: 0,
            failed_installs: 0,
            restored: None,
            jitter,
            starts: 0,
            leaving: false,
        }
    }

    /// Takes one input and says what is to be done.
    pub(super) fn on(&mut self, now: Millis, input: Input, ground: &mut dyn Ground) -> Vec<Action> {
        let mut actions = Vec::new();
        match input {
            Input::Begin => self.begin(now, ground, &mut actions),
            Input::Reaped { main, empty } => self.reaped(now, main, empty, ground, &mut actions),
            Input::Tick => self.tick(now, ground, &mut actions),
            Input::Signal(signal) => self.signal(now, signal, &mut actions),
            Input::CommittedByFile => self.ready(now, None, ground, &mut actions),
            Input::Ready(token) => self.ready(now, token, ground, &mut actions),
            Input::Extend { milliseconds, token } => self.extend(now, milliseconds, token, &mut actions),
            Input::Watchdog(period) => self.watchdog(now, period),
            Input::Check(token) => self.check(now, token, &mut actions),
            Input::RollBack(token) => self.roll_back(now, token, ground, &mut actions),
            Input::Forget(digest, token) => Self::forget(digest, token, ground, &mut actions),
            Input::FoundNew => self.found_new(now),
            Input::HelperDone(outcome) => self.helper_done(now, outcome, ground, &mut actions),
        }
        self.start_helpers(now, &mut actions);
        actions
    }

    /// The version that runs or is being stopped, if any.
    pub(super) const fn run(&self) -> Option<&Run> {
        match &self.phase {
            Phase::Running(run) | Phase::Stopping { run, .. } => Some(run),
            Phase::Begin
            | Phase::Installing { .. }
            | Phase::Restoring { .. }
            | Phase::Verifying { .. }
            | Phase::LookingFirst { .. }
            | Phase::BackOff { .. }
            | Phase::Left => None,
        }
    }

    /// Whether the application is being stopped.
    pub(super) const fn is_stopping(&self) -> bool {
        matches!(self.phase, Phase::Stopping { .. })
    }

    /// Whether its time to stop is over.
    pub(super) const fn has_killed(&self) -> bool {
        matches!(self.phase, Phase::Stopping { killed: true, .. })
    }

    /// Whether whatever turns up of the application is to be swept.
    pub(super) const fn is_sweeping(&self) -> bool {
        matches!(self.phase, Phase::Stopping { exit: Some(_), .. } | Phase::Stopping { killed: true, .. })
    }

    /// The next time at which [`Input::Tick`] is due; `None` while there is nothing to wait for.
    pub(super) fn deadline(&self) -> Option<Millis> {
        let of_phase = match &self.phase {
            Phase::Begin | Phase::Restoring { .. } | Phase::Left => None,
            Phase::Installing { retry_at } => *retry_at,
            Phase::LookingFirst { until, .. } | Phase::Verifying { until, .. } | Phase::BackOff { until } => {
                Some(*until)
            }
            Phase::Running(run) => {
                let watchdog = run.watchdog.map(|(_, deadline)| deadline);
                [run.trial_ends, run.probation_ends, watchdog].into_iter().flatten().min()
            }
            Phase::Stopping { kill_at, killed, .. } => (!killed).then_some(*kill_at),
        };
        [of_phase, self.next_check()].into_iter().flatten().min()
    }

    /// When the supervisor itself looks at the registry.
    fn next_check(&self) -> Option<Millis> {
        let is_busy = self.helper.is_some_and(|helper| !matches!(helper, Helper::VerifyAll(_)));
        if !self.config.has_target || self.config.poll == Poll::Never || is_busy {
            return None;
        }
        let interval = self.config.update_interval.saturating_mul(self.jitter) / 1000;
        match &self.phase {
            Phase::Running(run) if run.trial_ends.is_none() => {
                let patience = if run.asked && self.config.poll == Poll::Auto { SILENT_INTERVALS } else { 1 };
                Some(self.last_look.saturating_add(interval.saturating_mul(patience)))
            }
            Phase::BackOff { .. } => Some(self.last_look.saturating_add(interval)),
            _ => None,
        }
    }

    fn begin(&mut self, now: Millis, ground: &mut dyn Ground, actions: &mut Vec<Action>) {
        self.last_look = now;
        self.choose(now, true, ground, actions);
    }

    /// Settles the slots and goes on with whatever they say.
    fn choose(&mut self, now: Millis, first: bool, ground: &mut dyn Ground, actions: &mut Vec<Action>) {
        let (slots, next) = Self::settle(ground);
        self.run_next(now, first, slots, next, ground, actions);
    }

    /// Goes on with what is to be run.
    fn run_next(
        &mut self,
        now: Millis,
        first: bool,
        slots: Slots,
        next: NextRun,
        ground: &mut dyn Ground,
        actions: &mut Vec<Action>,
    ) {
        match next {
            NextRun::Trial(version) => self.start(now, version, true, &slots, ground, actions),
            NextRun::Current(version) => {
                let crashed = slots.memory.crashes.as_ref().is_some_and(|c| c.digest == version.digest);
                if first && crashed && self.config.has_target && self.config.poll != Poll::Never {
                    tracing::info!(
                        event = "look_first", digest = %version.digest,
                        "the last run crashed: looking for an update before starting it again"
                    );
                    self.phase =
                        Phase::LookingFirst { version, until: now.saturating_add(CHECK_BEFORE_START) };
                    self.check_wanted = true;
                } else {
                    self.start(now, version, false, &slots, ground, actions);
                }
            }
            NextRun::Missing(digest) if self.restored == Some(digest) => {
                tracing::error!(event = "missing", %digest, "the current version is not on disk, and can't be rebuilt from it");
                let event = Event::Unstartable { reason: "its tree is lost again".to_owned() };
                let slots = ground.act(&event).unwrap_or_else(|error| {
                    tracing::error!(event = "settle_failed", "{error}");
                    ground.slots()
                });
                match slots.current.version().cloned() {
                    Some(version) => {
                        tracing::warn!(event = "roll_back", from = %digest, to = %version.digest, "running another version");
                        self.start(now, version, false, &slots, ground, actions);
                    }
                    None => {
                        self.install_later(now);
                    }
                }
            }
            NextRun::Missing(digest) => {
                tracing::error!(event = "missing", %digest, "the current version is not on disk: restoring it");
                self.phase = Phase::Restoring { digest, cause: exit::NOT_THERE };
                self.helper_next(Helper::Restore(digest), actions);
            }
            NextRun::Nothing => self.install(now, actions),
        }
    }

    /// Settles the slots, and says what is to be run. Where nothing can be written, a trial could not be counted, and a bad
    /// version would be tried again at every start: then it is the current version, if there is one.
    fn settle(ground: &mut dyn Ground) -> (Slots, NextRun) {
        match ground.act(&Event::Start) {
            Ok(slots) => {
                let next = next_run(&slots);
                (slots, next)
            }
            Err(error) => {
                tracing::error!(event = "settle_failed", "{error}; going on with what can be run");
                let slots = ground.slots();
                let next = match (next_run(&slots), slots.current.version()) {
                    (NextRun::Trial(_), Some(current)) => NextRun::Current(current.clone()),
                    (next, _) => next,
                };
                (slots, next)
            }
        }
    }

    fn install(&mut self, _now: Millis, actions: &mut Vec<Action>) {
        if self.config.has_target {
            tracing::info!(event = "install", "no version on disk: pulling the target");
            self.phase = Phase::Installing { retry_at: None };
            self.check_wanted = true;
        } else {
            tracing::error!(
                event = "no_target",
                "nothing is installed and DOCKERLOADER_TARGET is not set: set it to an image reference, for example \
                 registry.example/app:stable"
            );
            self.leave(exit::CONFIG, actions);
        }
    }

    /// What was just done did not help: the registry is asked again after a pause.
    fn install_later(&mut self, now: Millis) -> Millis {
        let pause = Self::pause(self.failed_installs).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.failed_installs = self.failed_installs.saturating_add(1);
        self.phase = Phase::Installing { retry_at: Some(now.saturating_add(pause)) };
        pause
    }

    /// Starts a version, once its tree is there: what can't be mounted is first restored from what is on disk.
    fn start(
        &mut self,
        now: Millis,
        version: Named,
        trial: bool,
        slots: &Slots,
        ground: &mut dyn Ground,
        actions: &mut Vec<Action>,
    ) {
        let digest = version.digest;
        // It may be about to change the tree of this very version, which was idle when it began.
        self.put_look_off(actions);
        if let Some(depth) = self.doubts.about(&digest) {
            self.verify_first(now, digest, depth, Why::Doubt, actions);
            return;
        }
        if let Err(why) = ground.prepare(&digest)
            && self.restored != Some(digest)
        {
            tracing::warn!(event = "unmountable", %digest, "{why}; restoring it as a plain tree");
            self.phase = Phase::Restoring { digest, cause: exit::NOT_THERE };
            self.helper_next(Helper::Restore(digest), actions);
            return;
        }
        self.starts = self.starts.saturating_add(1);
        // Whatever becomes of the other one later is looked at again.
        self.restored.take_if(|restored| *restored != digest);
        let on_probation =
            !trial && slots.memory.probation.as_ref().is_some_and(|p| p.digest == version.digest);
        self.phase = Phase::Running(Run {
            version: version.clone(),
            trial_ends: trial.then(|| now.saturating_add(self.config.trial_timeout)),
            since: now,
            probation_ends: on_probation.then(|| now.saturating_add(self.config.probation)),
            asked: false,
            is_commit_refused: false,
            watchdog: None,
        });
        // A run that has just begun gets its interval before anybody else looks.
        self.last_look = now;
        actions.push(Action::Start { version, trial });
    }

    fn leave(&mut self, code: i32, actions: &mut Vec<Action>) {
        self.phase = Phase::Left;
        self.refuse_waiting("the supervisor is leaving", actions);
        actions.push(Action::Leave(code));
    }

    fn refuse_waiting(&mut self, reason: &str, actions: &mut Vec<Action>) {
        for token in self.waiting.drain(..) {
            actions.push(Action::Reply(token, Reply::Refused { reason: reason.to_owned() }));
        }
    }

    /// The pause before try number `tries` (from 0), in milliseconds.
    fn pause(tries: u32) -> Millis {
        FIRST_PAUSE.saturating_mul(1 << tries.min(16)).min(LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
