//! Helpers: when one is started, and what its outcome leads to.

use super::{
    Action, Event, Exit, Ground, Helper, Machine, Millis, NextRun, Outcome, PULL_BEFORE_START, Phase, Then,
    exit, next_run,
};
use crate::control::Reply;
use crate::remedy::Remedy;
use crate::slots::VerdictKind;
use crate::status::Check;

impl Machine {
    /// Starts a helper at once; one that runs already gives way.
    pub(super) fn helper_next(&mut self, helper: Helper, actions: &mut Vec<Action>) {
        if self.helper.is_some() {
            actions.push(Action::StopHelper);
            self.refuse_waiting("a repair comes first; ask again", actions);
        }
        self.helper = Some(helper);
        actions.push(Action::StartHelper(helper));
    }

    /// A look at everything gives way, and begins anew after that.
    pub(super) fn put_look_off(&mut self, actions: &mut Vec<Action>) {
        if let Some(Helper::VerifyAll(depth)) = self.helper {
            self.helper = None;
            self.look_wanted = Some(depth);
            actions.push(Action::StopHelper);
        }
    }

    /// Starts what is wanted, one at a time; a look at the registry before a clean-up.
    pub(super) fn start_helpers(&mut self, now: Millis, actions: &mut Vec<Action>) {
        if self.check_wanted || self.clean_up_wanted || !self.waiting.is_empty() {
            self.put_look_off(actions);
        }
        if self.helper.is_some() || matches!(self.phase, Phase::Left | Phase::Stopping { .. }) {
            return;
        }
        let helper = if self.check_wanted || !self.waiting.is_empty() {
            self.check_wanted = false;
            self.last_look = now;
            Helper::Check
        } else if self.clean_up_wanted {
            self.clean_up_wanted = false;
            Helper::CleanUp
        } else if let Some(depth) = self.look_wanted
            && matches!(&self.phase, Phase::Running(run) if run.trial_ends.is_none())
        {
            self.look_wanted = None;
            Helper::VerifyAll(depth)
        } else {
            return;
        };
        self.helper = Some(helper);
        actions.push(Action::StartHelper(helper));
    }

    pub(super) fn found_new(&mut self, now: Millis) {
        if let Phase::LookingFirst { until, .. } | Phase::Verifying { until, .. } = &mut self.phase {
            *until = now.saturating_add(PULL_BEFORE_START);
        }
    }

    pub(super) fn helper_done(
        &mut self,
        now: Millis,
        outcome: Outcome,
        ground: &mut dyn Ground,
        actions: &mut Vec<Action>,
    ) {
        match self.helper.take() {
            Some(Helper::Check) => self.checked(now, &outcome, ground, actions),
            Some(Helper::Restore(digest)) => self.restore_done(now, digest, &outcome, ground, actions),
            Some(Helper::Verify(digest, _)) => self.verified(now, digest, outcome, ground, actions),
            Some(Helper::VerifyAll(depth)) => {
                let is_repaired = outcome == Outcome::Repaired;
                self.looked(now, depth, outcome, actions);
                // What was missing may be there again: then nobody waits for the registry.
                if is_repaired && matches!(self.phase, Phase::Installing { .. }) {
                    self.choose(now, false, ground, actions);
                }
            }
            Some(Helper::CleanUp) => {
                if let Outcome::Failed { error, .. } = outcome {
                    tracing::warn!(event = "clean_up_failed", "{error}");
                }
            }
            None => {}
        }
    }

    fn checked(
        &mut self,
        now: Millis,
        outcome: &Outcome,
        ground: &mut dyn Ground,
        actions: &mut Vec<Action>,
    ) {
        self.last_look = now;
        let outcome = &self.remember_check(outcome, ground);
        if !matches!(outcome, Outcome::Failed { .. }) && self.look_again.is_some() {
            self.look_wanted = self.look_again.take();
        }
        let asked = !self.waiting.is_empty();
        for token in self.waiting.drain(..) {
            actions.push(Action::Reply(token, reply(outcome)));
        }
        let staged = matches!(outcome, Outcome::Staged(_));
        if let Outcome::Staged(digest) = outcome
            && let Err(why) = ground.prepare(digest)
        {
            // Now, while nobody waits for it. If it still can't be mounted when it is to be tried, it is restored then.
            tracing::warn!(event = "unmountable", %digest, "{why}");
        }
        match &self.phase {
            // Whatever the helper said, or could not say any more: what is staged can be started without a registry.
            Phase::Installing { .. } if staged || ground.slots().attempt.version().is_some() => {
                self.clean_up_wanted = true;
                self.choose_installed(now, ground, actions);
                match self.phase {
                    Phase::Running(_) => self.failed_installs = 0,
                    // It could not be: whoever fills the disk is not to be asked again at once.
                    Phase::Installing { retry_at: None } => {
                        self.check_wanted = false;
                        self.install_later(now);
                    }
                    _ => {}
                }
            }
            Phase::Installing { .. } => {
                // Up to date can't be while nothing is there; whatever it was, it is tried again.
                let pause = self.install_later(now);
                tracing::warn!(
                    event = "install_failed",
                    "could not install the first version: {}; next try in {} s",
                    describe(outcome).1,
                    pause / 1000
                );
            }
            Phase::LookingFirst { version, .. } => {
                if staged {
                    self.choose(now, false, ground, actions);
                } else {
                    let version = version.clone();
                    let slots = ground.slots();
                    self.start(now, version, false, &slots, ground, actions);
                }
            }
            // A trial that can't be written down is none: then the pause goes on, and the next one is longer.
            Phase::BackOff { .. } if staged => {
                let (slots, next) = Self::settle(ground);
                if let NextRun::Trial(version) = next {
                    self.pauses = 0;
                    self.start(now, version, true, &slots, ground, actions);
                }
            }
            // The application did not ask, so it will not exit by itself.
            Phase::Running(run) if staged && !asked && run.trial_ends.is_none() => {
                tracing::info!(
                    event = "swap",
                    "an update is staged and the application does not ask for it: stopping it"
                );
                self.stop(now, Then::Swap, actions);
            }
            _ => {}
        }
    }

    /// Something was staged while nothing could be run.
    fn choose_installed(&mut self, now: Millis, ground: &mut dyn Ground, actions: &mut Vec<Action>) {
        let (slots, next) = Self::settle(ground);
        if !matches!(next, NextRun::Missing(_)) {
            // Settled once: a second time would count as a second attempt.
            self.run_next(now, false, slots, next, ground, actions);
            return;
        }
        let reason = "its tree is lost and could not be rebuilt".to_owned();
        if let Err(error) = ground.act(&Event::Unstartable { reason }) {
            tracing::error!(event = "settle_failed", "{error}");
        }
        self.choose(now, false, ground, actions);
    }

    fn restore_done(
        &mut self,
        now: Millis,
        digest: crate::digest::Digest,
        outcome: &Outcome,
        ground: &mut dyn Ground,
        actions: &mut Vec<Action>,
    ) {
        self.restored = Some(digest);
        if ground.slots().attempting.digest() == Some(digest) {
            self.trial_restored(now, outcome, ground, actions);
            return;
        }
        let cause = match self.phase {
            Phase::Restoring { cause, .. } => cause,
            _ => exit::NOT_THERE,
        };
        if *outcome == Outcome::Done {
            tracing::info!(event = "restored", %digest, "rebuilt the tree from what is on disk");
            self.choose(now, false, ground, actions);
            return;
        }
        let (_, why) = describe(outcome);
        tracing::error!(event = "restore_failed", %digest, "could not rebuild the tree: {why}");
        let reason = format!("its tree is damaged and could not be rebuilt: {why}");
        self.unstartable(now, digest, cause, &reason, ground, actions);
    }

    /// The current version can't be started: the previous one is, or something is installed in its place.
    pub(super) fn unstartable(
        &mut self,
        now: Millis,
        digest: crate::digest::Digest,
        cause: Exit,
        reason: &str,
        ground: &mut dyn Ground,
        actions: &mut Vec<Action>,
    ) {
        let event = Event::Unstartable { reason: reason.to_owned() };
        match ground.act(&event).map(|slots| next_run(&slots)) {
            Ok(NextRun::Current(version)) if version.digest != digest => {
                tracing::warn!(event = "roll_back", from = %digest, to = %version.digest, "running the previous version");
                let slots = ground.slots();
                self.start(now, version, false, &slots, ground, actions);
            }
            Err(error) => {
                tracing::error!(event = "settle_failed", "{error}");
                self.install(now, actions);
            }
            // Nothing else is on disk: the registry is the last resort.
            Ok(_) if self.config.has_target => self.install(now, actions),
            Ok(_) => {
                tracing::error!(
                    event = "no_target", %digest,
                    "nothing else is on disk, and DOCKERLOADER_TARGET is not set, so nothing can be pulled in its place"
                );
                self.leave(cause.code(), actions);
            }
        }
    }

    /// The version that is to be tried was restored before it could begin. That spent no attempt, and that it failed says
    /// nothing about the version (I5).
    fn trial_restored(
        &mut self,
        now: Millis,
        outcome: &Outcome,
        ground: &mut dyn Ground,
        actions: &mut Vec<Action>,
    ) {
        let event = if *outcome == Outcome::Done {
            Event::TrialStopped
        } else {
            let reason = format!("its tree could not be rebuilt: {}", describe(outcome).1);
            Event::TrialFailed { kind: VerdictKind::Environment, reason, output: Vec::new() }
        };
        if let Err(error) = ground.act(&event) {
            tracing::error!(event = "settle_failed", "{error}");
        }
        self.choose(now, false, ground, actions);
    }

    /// A look that came to the same as the last one is not written to disk again: polls must not wear out a flash chip. Gives what is to be
    /// made of it: where not even that can be written, a trial can't be counted, and nobody has to stop for it.
    fn remember_check(&mut self, outcome: &Outcome, ground: &mut dyn Ground) -> Outcome {
        let (word, detail) = describe(outcome);
        let digest = match outcome {
            Outcome::UpToDate(digest) | Outcome::Staged(digest) | Outcome::Skipped { digest, .. } => {
                Some(*digest)
            }
            Outcome::Failed { .. } | Outcome::Done | Outcome::Repaired | Outcome::Damaged { .. } => None,
        };
        if matches!(outcome, Outcome::Failed { .. }) {
            tracing::warn!(event = "check_failed", "{detail}");
        } else {
            tracing::info!(event = "checked", outcome = word, "{detail}");
        }
        if self.last_outcome != Some((word, digest)) {
            self.last_outcome = Some((word, digest));
            // The date is filled in by the ground, which has the clock.
            let check = Check { at: 0, outcome: word.to_owned(), digest, detail };
            if let Err(error) = ground.act(&Event::Checked(check)) {
                tracing::debug!(event = "settle_failed", "{error}");
                self.last_outcome = None;
                if let Outcome::Staged(digest) = outcome {
                    let error = format!("{} is staged, but can't be tried: {error}", digest.short());
                    tracing::warn!(event = "check_failed", "{error}");
                    return Outcome::Failed { error, remedy: Remedy::Later };
                }
            }
        }
        outcome.clone()
    }
}

fn describe(outcome: &Outcome) -> (&'static str, String) {
    match outcome {
        Outcome::UpToDate(digest) => {
            ("up_to_date", format!("already running the latest version, {}", digest.short()))
        }
        Outcome::Staged(digest) => ("staged", format!("update available: {} is staged", digest.short())),
        Outcome::Skipped { digest, reason } => {
            ("skipped", format!("skipping update: {} was rejected: {reason}", digest.short()))
        }
        Outcome::Failed { error, .. } => ("failed", error.clone()),
        Outcome::Done => ("done", "done".to_owned()),
        Outcome::Repaired => ("repaired", "repaired".to_owned()),
        Outcome::Damaged { error, .. } => ("damaged", error.clone()),
    }
}

fn reply(outcome: &Outcome) -> Reply {
    match outcome {
        Outcome::UpToDate(digest) => Reply::UpToDate { digest: *digest },
        Outcome::Staged(digest) => Reply::Staged { digest: *digest },
        Outcome::Skipped { digest, reason } => Reply::Skipped { digest: *digest, reason: reason.clone() },
        Outcome::Failed { error, remedy } => Reply::CheckFailed { error: error.clone(), remedy: *remedy },
        Outcome::Done | Outcome::Repaired | Outcome::Damaged { .. } => {
            Reply::Refused { reason: "the helper did something else".to_owned() }
        }
    }
}
