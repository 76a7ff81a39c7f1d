//! Looking at a version's files by a helper: before it is started, when it could not be executed, and all of them in the background.

use super::stopping::Tried;
use super::{
    Action, Event, Exit, Ground, Helper, Machine, Millis, Outcome, Phase, STEADY, Then, VERIFY_BEFORE_START,
    exit,
};
use crate::digest::Digest;
use crate::slots::VerdictKind;
use crate::tree::Depth;

/// Why a version's files are looked at while nothing runs, and so what follows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Why {
    /// The machine stopped without a word, or the version's last run ended oddly: it is started after that.
    Doubt,
    /// The current version can't be executed.
    Exec(Exit),
    /// The version on trial can't be executed, or lost a page of its program: whether that is its fault is to be seen.
    Trial { reason: String, exit: Exit },
}

const SIGILL: i32 = 4;
const SIGBUS: i32 = 7;
const SIGSEGV: i32 = 11;

/// Whether an end is likely that of a program whose files are damaged: a page that can't be read, instructions that are none, a shell or
/// a dynamic loader that can't go on. Pure.
pub(super) const fn is_odd(exit: Exit, lasted: Millis) -> bool {
    match exit {
        Exit::Exec(_) | Exit::Signal(SIGBUS) => true,
        Exit::Signal(SIGILL | SIGSEGV) | Exit::Code(126 | 127) => lasted < STEADY,
        Exit::Signal(_) | Exit::Code(_) => false,
    }
}

impl Machine {
    /// A version whose last run ended as that of a damaged one does, for the next start to know.
    pub(in crate::supervisor) const fn suspect(&self) -> Option<&(Digest, String)> {
        self.suspect.as_ref()
    }

    /// Has a version's files looked at, and repaired from what is on disk, before anything is started.
    pub(super) fn verify_first(
        &mut self,
        now: Millis,
        digest: Digest,
        depth: Depth,
        why: Why,
        actions: &mut Vec<Action>,
    ) {
        tracing::info!(event = "verify", %digest, full = depth == Depth::Full, "looking at the files of version {} before it starts", digest.short());
        self.phase = Phase::Verifying { digest, until: now.saturating_add(VERIFY_BEFORE_START), why };
        self.helper_next(Helper::Verify(digest, depth), actions);
    }

    /// It takes too long: what can't be known must not keep the device down (I1).
    pub(super) fn verify_too_long(
        &mut self,
        now: Millis,
        ground: &mut dyn Ground,
        actions: &mut Vec<Action>,
    ) {
        if let Phase::Verifying { digest, .. } = &self.phase {
            let digest = *digest;
            tracing::warn!(event = "verify_too_long", %digest, "looking at the files takes too long: starting it, and looking on then");
            self.helper = None;
            actions.push(Action::StopHelper);
            self.look_wanted = Some(Depth::Full);
            let error = "it took too long".to_owned();
            let outcome = Outcome::Failed { error, remedy: crate::remedy::Remedy::Later };
            self.verified(now, digest, outcome, ground, actions);
        }
    }

    /// A look before a start is done.
    pub(super) fn verified(
        &mut self,
        now: Millis,
        digest: Digest,
        outcome: Outcome,
        ground: &mut dyn Ground,
        actions: &mut Vec<Action>,
    ) {
        self.doubts.clear(&digest);
        let why = match &self.phase {
            Phase::Verifying { digest: looked_at, why, .. } if *looked_at == digest => why.clone(),
            // Something else was decided meanwhile.
            _ => return,
        };
        if outcome == Outcome::Repaired {
            tracing::info!(event = "restored", %digest, "repaired from what is on disk");
        }
        let on_trial = ground.slots().attempting.digest() == Some(digest);
        match (why, outcome) {
            (Why::Doubt, Outcome::Damaged { runnable: true, error, .. })
                if !Self::has_other(digest, ground) =>
            {
                tracing::error!(event = "runs_damaged", %digest, "what is executed is whole and nothing else is on disk, so it runs: {error}");
                self.go_on(now, on_trial, ground, actions);
            }
            (Why::Trial { reason, exit }, Outcome::Done) => {
                // It is judged by what it did.
                let tried = Tried { digest, verdict: None };
                self.trial_failed(now, tried, reason, Some(exit), ground, actions);
            }
            (Why::Trial { reason, exit }, Outcome::Failed { error, .. }) => {
                // Whether its files are whole is not known, so neither is whose fault it was (I5).
                let reason = format!("{reason}; its files could not be looked at: {error}");
                let tried = Tried { digest, verdict: Some(VerdictKind::Environment) };
                self.trial_failed(now, tried, reason, Some(exit), ground, actions);
            }
            (Why::Exec(cause), Outcome::Done | Outcome::Failed { .. }) => {
                // There is nothing to repair about it.
                self.restored = Some(digest);
                self.crashed(now, (digest, now), cause, &cause.to_string(), ground, actions);
            }
            (why, Outcome::Damaged { error, .. }) if on_trial => {
                // The version itself was never asked (I5).
                let reason = format!("its tree is damaged and could not be repaired: {error}");
                let cause = match why {
                    Why::Exec(cause) | Why::Trial { exit: cause, .. } => cause,
                    Why::Doubt => exit::NOT_THERE,
                };
                let tried = Tried { digest, verdict: Some(VerdictKind::Environment) };
                self.trial_failed(now, tried, reason, Some(cause), ground, actions);
            }
            (why, Outcome::Damaged { error, .. }) => {
                let cause = if let Why::Exec(cause) = why { cause } else { exit::NOT_THERE };
                self.restored = Some(digest);
                let reason = format!("its tree is damaged and could not be repaired: {error}");
                tracing::error!(event = "restore_failed", %digest, "{reason}");
                self.unstartable(now, digest, cause, &reason, ground, actions);
            }
            (why, _) => {
                if matches!(why, Why::Exec(_) | Why::Trial { .. }) {
                    self.restored = Some(digest);
                }
                self.go_on(now, on_trial, ground, actions);
            }
        }
    }

    /// Whether something else could be started.
    fn has_other(digest: Digest, ground: &mut dyn Ground) -> bool {
        let slots = ground.slots();
        [&slots.current, &slots.previous]
            .into_iter()
            .filter_map(|link| link.version())
            .any(|version| version.digest != digest)
    }

    /// Starts what was looked at; a trial that had to wait for that spent no attempt.
    fn go_on(&mut self, now: Millis, on_trial: bool, ground: &mut dyn Ground, actions: &mut Vec<Action>) {
        if on_trial {
            self.act_and_choose(now, &Event::TrialStopped, ground, actions);
        } else {
            self.choose(now, false, ground, actions);
        }
    }

    fn act_and_choose(
        &mut self,
        now: Millis,
        event: &Event,
        ground: &mut dyn Ground,
        actions: &mut Vec<Action>,
    ) {
        if let Err(error) = ground.act(event) {
            tracing::error!(event = "settle_failed", "{error}");
        }
        self.choose(now, false, ground, actions);
    }

    /// The look at everything is done.
    pub(super) fn looked(&mut self, now: Millis, depth: Depth, outcome: Outcome, actions: &mut Vec<Action>) {
        match outcome {
            Outcome::Damaged { digests, repairable, error, .. } => {
                for digest in &digests {
                    self.doubts.suspect(*digest);
                }
                let runs = match &self.phase {
                    Phase::Running(run) if run.trial_ends.is_none() => Some(run.version.digest),
                    _ => None,
                };
                match runs.filter(|digest| digests.contains(digest)) {
                    Some(digest) if repairable => {
                        tracing::warn!(event = "mend", %digest, "files of the version that runs are damaged: stopping it to repair them");
                        self.stop(now, Then::Mend, actions);
                    }
                    _ => {
                        tracing::warn!(
                            event = "damage_left",
                            "damage is left until the registry can be asked: {error}"
                        );
                        self.look_again = Some(depth);
                    }
                }
            }
            Outcome::Failed { error, .. } => {
                tracing::warn!(event = "look_failed", "could not look at all versions: {error}");
                self.look_again = Some(depth);
            }
            _ if depth == Depth::Full => actions.push(Action::Settled),
            _ => {}
        }
    }
}
