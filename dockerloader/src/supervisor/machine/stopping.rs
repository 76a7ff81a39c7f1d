//! Stopping what runs, and what comes when its process tree is provably empty.

use super::verify::{Why, is_odd};
use super::{
    Action, Event, Exit, Ground, Helper, Machine, Millis, NextRun, OnTrialFailure, Phase, Then, exit,
};
use crate::config::Poll;
use crate::digest::Digest;
use crate::slots::VerdictKind;
use crate::tree::Depth;

const SIGBUS: i32 = 7;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// A version whose trial is over.
pub(super) struct Tried {
    pub(super) digest: Digest,
    /// What is known already: not its fault. `None` to judge it by how it ended.
    pub(super) verdict: Option<VerdictKind>,
}

impl Machine {
    pub(super) fn stop(&mut self, now: Millis, then: Then, actions: &mut Vec<Action>) {
        self.stop_by(now, then, SIGTERM, actions);
    }

    pub(super) fn stop_by(&mut self, now: Millis, then: Then, signal: i32, actions: &mut Vec<Action>) {
        let Phase::Running(run) = &self.phase else { return };
        if let Then::FailTrial { reason, .. } = &then {
            tracing::warn!(event = "trial_failed", digest = %run.version.digest, "{reason}");
        }
        self.leaving = then == Then::Leave;
        self.phase = Phase::Stopping {
            run: run.clone(),
            then,
            kill_at: now.saturating_add(self.config.stop_grace),
            killed: false,
            exit: None,
            // A first ^C began this stop; a second one is impatience.
            insisted: signal == 2,
        };
        actions.push(Action::AskToStop(signal));
    }

    /// No process of the application is left.
    pub(super) fn stopped(&mut self, now: Millis, ground: &mut dyn Ground, actions: &mut Vec<Action>) {
        let Phase::Stopping { run, then, exit: Some(exit), .. } =
            std::mem::replace(&mut self.phase, Phase::Begin)
        else {
            return;
        };
        match then {
            Then::Leave => {
                if run.trial_ends.is_some()
                    && let Err(error) = ground.act(&Event::TrialStopped)
                {
                    tracing::warn!(event = "settle_failed", "{error}");
                }
                self.leave(exit.code(), actions);
            }
            Then::Swap | Then::Mend if self.leaving => self.leave(exit.code(), actions),
            Then::Swap | Then::Mend => self.choose(now, false, ground, actions),
            Then::RollBack => {
                // What it found would be about the version that ran when it began.
                if self.helper == Some(Helper::Check) {
                    self.helper = None;
                    actions.push(Action::StopHelper);
                    self.refuse_waiting("rolled back by hand meanwhile; ask again", actions);
                }
                match ground.act(&Event::RollBack) {
                    Ok(_) => tracing::warn!(
                        event = "roll_back", from = %run.version.digest, "rolled back by hand"
                    ),
                    Err(error) => tracing::error!(event = "roll_back_failed", "{error}"),
                }
                self.clean_up_wanted = true;
                if self.leaving {
                    self.leave(exit.code(), actions);
                } else {
                    self.choose(now, false, ground, actions);
                }
            }
            Then::FailTrial { reason, exit: Some(cause) } if self.is_doubtful(run.version.digest, cause) => {
                let why = Why::Trial { reason, exit: cause };
                self.verify_first(now, run.version.digest, Depth::Full, why, actions);
            }
            Then::FailTrial { reason, exit: cause } => {
                // One that works, and said so, is not to blame when the disk refuses to commit it (I5).
                let verdict = run.is_commit_refused.then_some(VerdictKind::Environment);
                let tried = Tried { digest: run.version.digest, verdict };
                self.trial_failed(now, tried, reason, cause, ground, actions);
            }
            Then::Hung => {
                let run = (run.version.digest, run.since);
                self.crashed(now, run, Exit::Signal(SIGKILL), "it hung", ground, actions);
            }
            Then::Ended if self.leaving => self.leave(exit.code(), actions),
            Then::Ended if exit.asks_for_restart() => self.asked_for_restart(now, ground, actions),
            Then::Ended if exit.is_crash() => {
                let run = (run.version.digest, run.since);
                self.crashed(now, run, exit, &exit.to_string(), ground, actions);
            }
            Then::Ended => self.leave(exit.code(), actions),
        }
    }

    /// Whether a trial ended as that of a damaged version does, and its files were not looked at for that yet.
    fn is_doubtful(&self, digest: Digest, cause: Exit) -> bool {
        let by_disk = matches!(cause, Exit::Exec(_) | Exit::Signal(SIGBUS));
        by_disk && !self.leaving && self.restored != Some(digest)
    }

    /// A trial is over, and that was that.
    pub(super) fn trial_failed(
        &mut self,
        now: Millis,
        Tried { digest, verdict }: Tried,
        reason: String,
        cause: Option<Exit>,
        ground: &mut dyn Ground,
        actions: &mut Vec<Action>,
    ) {
        let kind = verdict.unwrap_or_else(|| whose_fault(cause, ground.out_of_memory()));
        let output = ground.output();
        let why = format!("{reason}{}", last_words(&output));
        let failed = ground.act(&Event::TrialFailed { kind, reason, output });
        if failed.is_ok() {
            tracing::warn!(
                event = "roll_back", %digest, verdict = kind.name(), "rolled back: {why}"
            );
        }
        self.clean_up_wanted = true;
        if self.leaving || self.config.on_trial_failure == OnTrialFailure::Exit {
            let code = cause.map_or(exit::TIMED_OUT, |exit| if exit.code() == 0 { 1 } else { exit.code() });
            self.leave(code, actions);
            return;
        }
        match failed {
            Ok(_) => self.choose(now, false, ground, actions),
            Err(error) => {
                // The verdict could not be written. The version must not be tried in a loop for that: the current one runs.
                tracing::error!(event = "settle_failed", %digest, "{why}; {error}");
                let slots = ground.slots();
                match slots.current.version() {
                    Some(version) => self.start(now, version.clone(), false, &slots, ground, actions),
                    None => self.leave(exit::DATA_DIRECTORY, actions),
                }
            }
        }
    }

    /// Exit 42 of a committed version.
    fn asked_for_restart(&mut self, now: Millis, ground: &mut dyn Ground, actions: &mut Vec<Action>) {
        let (slots, next) = Self::settle(ground);
        if let NextRun::Trial(version) = next {
            self.start(now, version, true, &slots, ground, actions);
            return;
        }
        // If something is staged it can't be tried: whether that has changed, the next look has to find out by writing it down.
        self.last_outcome = None;
        let pause = Self::pause(self.pauses);
        self.pauses = self.pauses.saturating_add(1);
        tracing::warn!(
            event = "back_off",
            "it asked for a restart, but nothing is staged: starting it again in {pause} ms"
        );
        self.phase = Phase::BackOff { until: now.saturating_add(pause) };
        // It may be too broken to ask for its own fix.
        self.check_wanted = self.config.has_target && self.config.poll != Poll::Never && self.pauses > 1;
    }

    /// A committed version, started at `since`, ended as it should not.
    pub(super) fn crashed(
        &mut self,
        now: Millis,
        (digest, since): (Digest, Millis),
        exit: Exit,
        reason: &str,
        ground: &mut dyn Ground,
        actions: &mut Vec<Action>,
    ) {
        if matches!(exit, Exit::Exec(_)) && self.restored != Some(digest) {
            self.cannot_execute(now, digest, exit, actions);
            return;
        }
        if is_odd(exit, now.saturating_sub(since)) && self.restored != Some(digest) {
            self.suspect = Some((digest, exit.to_string()));
        }
        let output = ground.output();
        tracing::warn!(event = "crash", %digest, code = exit.code(), "{reason}{}", last_words(&output));
        let event = if matches!(exit, Exit::Exec(_)) {
            Event::Unstartable { reason: reason.to_owned() }
        } else {
            Event::Crashed { reason: reason.to_owned(), output }
        };
        let slots = ground.act(&event).unwrap_or_else(|error| {
            tracing::error!(event = "settle_failed", "{error}");
            ground.slots()
        });
        match slots.current.version() {
            Some(version) if version.digest != digest && !self.leaving => {
                tracing::warn!(event = "roll_back", from = %digest, to = %version.digest, "the previous version is back");
                self.clean_up_wanted = true;
                self.choose(now, false, ground, actions);
            }
            _ => self.leave(exit.code(), actions),
        }
    }
}

/// Who is to blame for a failed trial. A SIGKILL that is not ours comes from the kernel's memory killer or from a person; and
/// an exec that failed for want of memory or files says nothing about the version.
fn whose_fault(cause: Option<Exit>, out_of_memory: bool) -> VerdictKind {
    const EIO: i32 = 5;
    const EAGAIN: i32 = 11;
    const ENOMEM: i32 = 12;
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENOSPC: i32 = 28;
    match cause {
        Some(Exit::Signal(SIGKILL)) => VerdictKind::Environment,
        Some(Exit::Exec(EIO | EAGAIN | ENOMEM | ENFILE | EMFILE | ENOSPC)) => VerdictKind::Environment,
        _ if out_of_memory => VerdictKind::Environment,
        _ => VerdictKind::App,
    }
}

fn last_words(output: &[String]) -> String {
    match output.last() {
        Some(line) => format!("; its last line: {line}"),
        None => String::new(),
    }
}
