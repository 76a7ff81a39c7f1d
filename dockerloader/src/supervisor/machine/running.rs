//! While something runs or is waited for: signals, deadlines, and the end of the main process.

use super::verify::Why;
use super::{Action, Event, Exit, Ground, Machine, Millis, Phase, STEADY, Then};
use crate::tree::Depth;

const SIGINT: i32 = 2;
const SIGQUIT: i32 = 3;
const SIGTERM: i32 = 15;

impl Machine {
    pub(super) fn signal(&mut self, now: Millis, signal: i32, actions: &mut Vec<Action>) {
        let stops = matches!(signal, SIGTERM | SIGINT | SIGQUIT);
        match &mut self.phase {
            Phase::Running(_) if stops => {
                tracing::info!(event = "stop", signal, "told to stop");
                self.stop_by(now, Then::Leave, signal, actions);
            }
            Phase::Running(_) => actions.push(Action::Forward(signal)),
            Phase::Stopping { kill_at, insisted, .. } => {
                if stops {
                    // A second ^C is impatience; a second TERM is an orchestrator repeating itself.
                    if signal == SIGINT && *insisted {
                        *kill_at = now;
                    }
                    *insisted = *insisted || signal == SIGINT;
                    self.leaving = true;
                }
                actions.push(Action::Forward(signal));
            }
            Phase::Left => {}
            _ if stops => {
                tracing::info!(event = "stop", signal, "told to stop while nothing runs");
                if self.helper.take().is_some() {
                    actions.push(Action::StopHelper);
                }
                self.leave(signal.saturating_add(128), actions);
            }
            _ => {}
        }
    }

    pub(super) fn tick(&mut self, now: Millis, ground: &mut dyn Ground, actions: &mut Vec<Action>) {
        if self.next_check().is_some_and(|at| at <= now) {
            self.check_wanted = true;
        }
        match &mut self.phase {
            Phase::Installing { retry_at: Some(at) } if *at <= now => {
                self.phase = Phase::Installing { retry_at: None };
                self.check_wanted = true;
            }
            Phase::LookingFirst { version, until } if *until <= now => {
                let version = version.clone();
                let slots = ground.slots();
                self.start(now, version, false, &slots, ground, actions);
            }
            Phase::Verifying { until, .. } if *until <= now => self.verify_too_long(now, ground, actions),
            Phase::BackOff { until } if *until <= now => self.choose(now, false, ground, actions),
            Phase::Running(run) => {
                if run.trial_ends.is_some_and(|ends| ends <= now) {
                    let waited = now.saturating_sub(run.since);
                    let reason =
                        format!("hung: not ready after {waited} ms (DOCKERLOADER_TRIAL timeout hit)");
                    self.stop(now, Then::FailTrial { reason, exit: None }, actions);
                } else if run.watchdog.is_some_and(|(_, deadline)| deadline <= now) {
                    let period = run.watchdog.map_or(0, |(period, _)| period);
                    let reason = format!("hung: no watchdog message for {period} ms");
                    let then = if run.trial_ends.is_some() {
                        Then::FailTrial { reason, exit: None }
                    } else {
                        tracing::error!(event = "watchdog", digest = %run.version.digest, "{reason}");
                        Then::Hung
                    };
                    self.stop(now, then, actions);
                } else if run.probation_ends.is_some_and(|ends| ends <= now) {
                    run.probation_ends = None;
                    tracing::info!(event = "proven", digest = %run.version.digest, "probation is over");
                    if let Err(error) = ground.act(&Event::ProbationOver) {
                        tracing::warn!(event = "settle_failed", "{error}");
                    }
                    // It has been on the disk for long enough to be there after a loss of power.
                    actions.push(Action::Settled);
                }
            }
            Phase::Stopping { kill_at, killed, .. } if *kill_at <= now && !*killed => {
                tracing::warn!(event = "kill", "it did not stop in time: killing what is left");
                *killed = true;
                actions.push(Action::Kill);
            }
            _ => {}
        }
    }

    pub(super) fn reaped(
        &mut self,
        now: Millis,
        main: Option<Exit>,
        empty: bool,
        ground: &mut dyn Ground,
        actions: &mut Vec<Action>,
    ) {
        if let Some(exit) = main {
            self.main_ended(now, exit, empty, actions);
        }
        if empty && matches!(self.phase, Phase::Stopping { exit: Some(_), .. }) {
            self.stopped(now, ground, actions);
        }
    }

    fn main_ended(&mut self, now: Millis, exit: Exit, empty: bool, actions: &mut Vec<Action>) {
        match &mut self.phase {
            Phase::Running(run) => {
                let run = run.clone();
                if now.saturating_sub(run.since) >= STEADY {
                    self.pauses = 0;
                    self.restored = None;
                }
                tracing::info!(
                    event = "exited", digest = %run.version.digest, code = exit.code(),
                    "the application {exit} after {} ms", now.saturating_sub(run.since)
                );
                let then = match run.trial_ends {
                    Some(_) => {
                        Then::FailTrial { reason: format!("{exit} before it was ready"), exit: Some(exit) }
                    }
                    None => Then::Ended,
                };
                let kill_at = now.saturating_add(self.config.stop_grace);
                self.phase =
                    Phase::Stopping { run, then, kill_at, killed: false, exit: Some(exit), insisted: false };
                if !empty {
                    actions.push(Action::Sweep);
                }
            }
            Phase::Stopping { exit: seen, .. } => {
                *seen = Some(exit);
                if !empty {
                    actions.push(Action::Sweep);
                }
            }
            _ => {}
        }
    }

    /// A version that can't be executed: its files are looked at once before anything else is believed.
    pub(super) fn cannot_execute(
        &mut self,
        now: Millis,
        digest: crate::digest::Digest,
        cause: Exit,
        actions: &mut Vec<Action>,
    ) {
        tracing::error!(event = "unstartable", %digest, "the version can't be executed: looking at its files");
        self.verify_first(now, digest, Depth::Full, Why::Exec(cause), actions);
    }
}
