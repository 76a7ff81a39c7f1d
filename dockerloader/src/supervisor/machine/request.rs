//! What the application and the operator ask for.

use super::{Action, Event, Ground, Machine, Millis, Phase, Slots, Then, Token};
use crate::control::Reply;
use crate::digest::Digest;

/// A trial is extended by at most this much a call.
const LONGEST_EXTENSION: Millis = 3_600_000;

/// Whether the links say so, whatever else is still to be written.
fn is_committed(slots: &Slots, digest: Digest) -> bool {
    slots.current.digest() == Some(digest) && slots.attempting.digest() != Some(digest)
}

impl Machine {
    pub(super) fn ready(
        &mut self,
        now: Millis,
        token: Option<Token>,
        ground: &mut dyn Ground,
        actions: &mut Vec<Action>,
    ) {
        let answer = match &mut self.phase {
            // Also while it is being stopped: nothing is left to be refused.
            Phase::Running(run) | Phase::Stopping { run, .. } if run.trial_ends.is_none() => {
                Reply::AlreadyCommitted { digest: run.version.digest }
            }
            Phase::Running(run) => {
                let digest = run.version.digest;
                let result = ground.act(&Event::Ready);
                let is_committed = is_committed(&ground.slots(), digest);
                match result {
                    Err(error) if !is_committed => {
                        tracing::error!(event = "commit_failed", %digest, "{error}");
                        run.is_commit_refused = true;
                        Reply::Refused { reason: format!("the commit could not be written: {error}") }
                    }
                    // Its tree or its link is gone, so there is nothing that entrypoint could name.
                    Ok(_) if !is_committed => {
                        let reason =
                            "entrypoint-attempting does not name this version any more, or its tree is gone";
                        tracing::error!(event = "commit_failed", %digest, "{reason}");
                        Reply::Refused { reason: reason.to_owned() }
                    }
                    result => {
                        if let Err(error) = result {
                            // A full disk: the rename, which is the commit, needs no room, but the memory of it does.
                            tracing::warn!(event = "commit_incomplete", %digest, "{error}; the rest of the commit is made up for later");
                        }
                        tracing::info!(event = "commit", %digest, "trial successful: committed after {} ms", now.saturating_sub(run.since));
                        run.trial_ends = None;
                        run.probation_ends =
                            (self.config.probation > 0).then(|| now.saturating_add(self.config.probation));
                        self.pauses = 0;
                        self.clean_up_wanted = true;
                        Reply::Committed { digest }
                    }
                }
            }
            Phase::Stopping { then, .. } => Reply::Refused {
                reason: format!("too late: the application is being stopped {}", then.purpose()),
            },
            _ => Reply::Refused { reason: "no application runs".to_owned() },
        };
        actions.extend(token.map(|token| Action::Reply(token, answer)));
    }

    pub(super) fn extend(
        &mut self,
        now: Millis,
        milliseconds: Millis,
        token: Option<Token>,
        actions: &mut Vec<Action>,
    ) {
        let answer = match &mut self.phase {
            Phase::Running(run) => match &mut run.trial_ends {
                Some(ends) => {
                    // Never shortened: a late message must not end a trial early.
                    *ends = now.saturating_add(milliseconds.min(LONGEST_EXTENSION)).max(*ends);
                    let left = ends.saturating_sub(now);
                    tracing::info!(event = "extend", digest = %run.version.digest, "the trial may last {left} ms more");
                    Reply::Extended { milliseconds: left }
                }
                None => Reply::AlreadyCommitted { digest: run.version.digest },
            },
            _ => Reply::Refused { reason: "no trial runs".to_owned() },
        };
        actions.extend(token.map(|token| Action::Reply(token, answer)));
    }

    pub(super) const fn watchdog(&mut self, now: Millis, period: Option<Millis>) {
        if let Phase::Running(run) = &mut self.phase {
            run.watchdog = match (period, run.watchdog) {
                (Some(0), _) => None,
                (Some(period), _) | (None, Some((period, _))) => Some((period, now.saturating_add(period))),
                (None, None) => None,
            };
        }
    }

    pub(super) fn check(&mut self, now: Millis, token: Token, actions: &mut Vec<Action>) {
        let refusal = match &mut self.phase {
            _ if !self.config.has_target => {
                Some("DOCKERLOADER_TARGET is not set, so there is nothing to follow")
            }
            Phase::Stopping { .. } | Phase::Left => Some("the application is being stopped"),
            Phase::Running(run) => {
                run.asked = true;
                self.last_look = now;
                None
            }
            _ => None,
        };
        match refusal {
            Some(reason) => actions.push(Action::Reply(token, Reply::Refused { reason: reason.to_owned() })),
            // Started by `start_helpers`, or answered by the check that runs.
            None => self.waiting.push(token),
        }
    }

    pub(super) fn roll_back(
        &mut self,
        now: Millis,
        token: Token,
        ground: &mut dyn Ground,
        actions: &mut Vec<Action>,
    ) {
        let slots = ground.slots();
        let trial = slots.attempting.version().map(|named| named.digest);
        let current = slots.current.version().map(|named| named.digest);
        let previous =
            slots.previous.version().map(|named| named.digest).filter(|digest| Some(*digest) != current);
        let pair = match (trial, slots.current.digest(), previous) {
            (Some(trial), Some(current), _) => Some((trial, current)),
            (None, Some(current), Some(previous)) => Some((current, previous)),
            _ => None,
        };
        let Some((from, to)) = pair else {
            let reason = "there is no previous version to go back to".to_owned();
            actions.push(Action::Reply(token, Reply::Refused { reason }));
            return;
        };
        match &self.phase {
            Phase::Running(_) => {
                tracing::warn!(event = "stop", %from, %to, "told to roll back: stopping what runs");
                actions.push(Action::Reply(token, Reply::RollingBack { from, to }));
                self.stop(now, Then::RollBack, actions);
            }
            Phase::Stopping { .. } | Phase::Left => {
                let reason = "the application is being stopped; ask again".to_owned();
                actions.push(Action::Reply(token, Reply::Refused { reason }));
            }
            _ => {
                let answer = match ground.act(&Event::RollBack) {
                    Ok(_) => {
                        tracing::warn!(event = "roll_back", %from, %to, "rolled back by hand");
                        Reply::RollingBack { from, to }
                    }
                    Err(error) => Reply::Refused { reason: error.to_string() },
                };
                actions.push(Action::Reply(token, answer));
                self.choose(now, false, ground, actions);
            }
        }
    }

    pub(super) fn forget(digest: Digest, token: Token, ground: &mut dyn Ground, actions: &mut Vec<Action>) {
        let before = ground.slots();
        let found = before.memory.verdict(&digest).is_some() || before.update_attempt == Some(digest);
        let answer = match ground.act(&Event::Forget(digest)) {
            Ok(_) => {
                tracing::info!(event = "forget", %digest, found, "forgot the verdict");
                Reply::Forgotten { digest, found }
            }
            Err(error) => Reply::Refused { reason: error.to_string() },
        };
        actions.push(Action::Reply(token, answer));
    }
}
