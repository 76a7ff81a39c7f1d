//! `(Slots, Event, Policy) -> Vec<Step>`: pure and total. No clock, no disk: the time is part of the policy.

use super::memory::{Crashes, Memory, Trial};
use super::state::{Link, Named, Slots};
use super::step::Step;
use super::verdict::{Verdict, VerdictKind};
use crate::clock::Moment;
use crate::digest::Digest;
use crate::layout::Slot;
use crate::status::Check;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Nothing runs, and something is about to be started: finish what a crash interrupted, then choose.
    Start,
    /// The version on trial said that it works.
    Ready,
    /// The version on trial failed.
    TrialFailed {
        /// Whose fault it was.
        kind: VerdictKind,
        /// What happened.
        reason: String,
        /// The last lines that it wrote.
        output: Vec<String>,
    },
    /// The trial was stopped from outside before it could say anything: no verdict, no attempt spent (I5).
    TrialStopped,
    /// The current version crashed.
    Crashed {
        /// How.
        reason: String,
        /// The last lines that it wrote.
        output: Vec<String>,
    },
    /// The current version can't be started: its tree is damaged and could not be repaired.
    Unstartable {
        /// Why.
        reason: String,
    },
    /// The current version has run long enough to be trusted.
    ProbationOver,
    /// A person wants the previous version back.
    RollBack,
    /// A person wants a version to be tried again.
    Forget(Digest),
    /// Somebody looked at the registry.
    Checked(Check),
}

/// What decisions depend on besides the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Trials that may be interrupted before the version has to wait.
    pub attempts: u32,
    /// Crashes in probation at which the previous version comes back.
    pub crashes: u32,
    /// Whether committed versions are watched at all.
    pub probation: bool,
    /// For the dates of verdicts and their pauses.
    pub now: Moment,
}

impl Default for Policy {
    fn default() -> Self {
        Self { attempts: 3, crashes: 3, probation: true, now: Moment::default() }
    }
}

/// What is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextRun {
    /// The version in `entrypoint-attempting`, on trial.
    Trial(Named),
    /// The version in `entrypoint`.
    Current(Named),
    /// `entrypoint` names a version that is not on disk, and there is no other: it has to be restored or installed.
    Missing(Digest),
    /// Nothing was ever installed.
    Nothing,
}

/// What to start after [`Event::Start`] was acted upon.
pub fn next_run(slots: &Slots) -> NextRun {
    match (&slots.attempting, &slots.current) {
        (Link::Version(named), _) => NextRun::Trial(named.clone()),
        (_, Link::Version(named)) => NextRun::Current(named.clone()),
        (_, Link::Dangling(named)) => NextRun::Missing(named.digest),
        (_, Link::Absent | Link::Foreign(_)) => NextRun::Nothing,
    }
}

/// What to do about an event. Each step is durable before the next begins; after any prefix, deciding on
/// [`Event::Start`] leads on.
pub fn decide(slots: &Slots, event: &Event, policy: &Policy) -> Vec<Step> {
    let mut draft = Draft { slots: slots.clone(), steps: Vec::new() };
    match event {
        Event::Start => {
            draft.finish_commit(policy);
            draft.settle(policy);
            draft.choose(policy);
        }
        Event::Ready => draft.commit(policy),
        Event::TrialFailed { kind, reason, output } => {
            draft.finish_commit(policy);
            draft.fail_trial(policy, *kind, reason, output);
        }
        Event::TrialStopped => {
            draft.finish_commit(policy);
            draft.put_trial_back();
        }
        Event::Crashed { reason, output } => draft.count_crash(policy, reason, output),
        Event::Unstartable { reason } => {
            draft.replace_current(policy, VerdictKind::Environment, reason, &[]);
            // No way back, but something was installed in its place.
            if draft.slots.current.version().is_none() && draft.slots.attempt.version().is_some() {
                draft.push(Step::Move { from: Slot::Attempt, to: Slot::Current });
            }
        }
        Event::ProbationOver => draft.remember(|memory| {
            memory.probation = None;
            memory.crashes = None;
        }),
        Event::RollBack => draft.roll_back(policy),
        Event::Forget(digest) => {
            draft.remember(|memory| drop(memory.forget(digest)));
            if draft.slots.update_attempt == Some(*digest) {
                draft.push(Step::UnmarkAttempt);
            }
        }
        Event::Checked(check) => draft.remember(|memory| memory.last_check = Some(check.clone())),
    }
    draft.steps
}

/// What is left to do of a commit that was cut off, or that an application of the file contract made by renaming its link. It is done
/// before anything else is decided: only then is it known whether the way back that it lays leads anywhere.
pub(crate) fn unfinished(slots: &Slots, policy: &Policy) -> Vec<Step> {
    let mut draft = Draft { slots: slots.clone(), steps: Vec::new() };
    draft.finish_commit(policy);
    draft.steps
}

/// Whether a version is on trial whose attempt was not counted: somebody staged it between the count of another one's and the rename.
pub(crate) fn is_uncounted(slots: &Slots) -> bool {
    let counted = slots.memory.trial.as_ref().map(|trial| trial.digest);
    slots.attempting.version().is_some_and(|tried| counted != Some(tried.digest))
}

/// Steps so far, and the slots as they will be after them.
struct Draft {
    slots: Slots,
    steps: Vec<Step>,
}

impl Draft {
    fn push(&mut self, step: Step) {
        perform(&mut self.slots, &step);
        self.steps.push(step);
    }

    /// Changes the memory, if that changes it.
    fn remember(&mut self, change: impl FnOnce(&mut Memory)) {
        let mut memory = self.slots.memory.clone();
        change(&mut memory);
        if memory != self.slots.memory {
            self.push(Step::Remember(Box::new(memory)));
        }
    }

    /// The trial's link was renamed to `entrypoint` (by us before a crash, or by an application of the file contract), but
    /// what belongs to a commit is not done yet.
    fn finish_commit(&mut self, policy: &Policy) {
        let Some(trial) = self.slots.memory.trial.clone() else { return };
        if self.slots.current.digest() == Some(trial.digest)
            && self.slots.attempting.digest() != Some(trial.digest)
        {
            self.conclude_commit(&trial, policy);
        }
    }

    fn conclude_commit(&mut self, trial: &Trial, policy: &Policy) {
        // The way back is laid before the memory of where we came from goes.
        if let Some((digest, program)) = &trial.from
            && self.slots.previous.digest() != Some(*digest)
            && *digest != trial.digest
        {
            let version = Named { digest: *digest, program: program.clone() };
            self.push(Step::Point { slot: Slot::Previous, version });
        }
        self.remember(|memory| {
            memory.forget(&trial.digest);
            memory.trial = None;
            memory.crashes = None;
            memory.probation = policy.probation.then_some(Crashes { digest: trial.digest, count: 0 });
        });
        if self.slots.update_attempt.is_some() {
            self.push(Step::UnmarkAttempt);
        }
    }

    /// Puts away what can't be used and what an interruption left.
    fn settle(&mut self, policy: &Policy) {
        for slot in Slot::ALL {
            match self.slots.link(slot) {
                Link::Foreign(_) => self.push(Step::SetAside(slot)),
                // A dangling current or previous still says which version is to be restored.
                Link::Dangling(_) if matches!(slot, Slot::Attempt | Slot::Attempting) => {
                    self.push(Step::Clear(slot));
                }
                Link::Absent | Link::Version(_) | Link::Dangling(_) => {}
            }
        }
        if let Link::Version(named) = self.slots.attempting.clone() {
            self.settle_interrupted(&named, policy);
        }
        // A trial whose link is gone is over.
        if self.slots.attempting == Link::Absent
            && let Some(trial) = &self.slots.memory.trial
            && self.slots.attempt.digest() != Some(trial.digest)
        {
            self.remember(|memory| memory.trial = None);
        }
        if self.slots.current.version().is_none() {
            self.fill_current();
        }
        self.finish_roll_back();
        if let Link::Version(staged) = self.slots.attempt.clone() {
            let is_current = self.slots.current.digest() == Some(staged.digest);
            // `update-attempt` alone does not count here: an application of the file contract writes it before it stages.
            let blocked =
                self.slots.memory.verdict(&staged.digest).is_some_and(|verdict| verdict.blocks(&policy.now));
            // While the current version is lost, one that failed is better than none (I3).
            if is_current || (blocked && self.slots.current.version().is_some()) {
                self.push(Step::Clear(Slot::Attempt));
                if self.slots.memory.trial.is_some() {
                    self.remember(|memory| memory.trial = None);
                }
            }
        }
    }

    /// A trial was cut off: it goes back to be tried again, unless it was judged already, that happened too often, or something newer is
    /// staged.
    fn settle_interrupted(&mut self, named: &Named, policy: &Policy) {
        let attempts = match &self.slots.memory.trial {
            Some(trial) if trial.digest == named.digest => trial.attempts,
            // The memory was lost: this was one attempt at least.
            _ => 1,
        };
        let newer = self.slots.attempt.digest().is_some_and(|digest| digest != named.digest);
        let is_over = self.slots.memory.trial.as_ref().is_none_or(|trial| trial.digest != named.digest);
        let judged = self.slots.memory.verdict(&named.digest).filter(|verdict| verdict.blocks(&policy.now));
        if let Some(kind) = judged.filter(|_| is_over).map(|verdict| verdict.kind)
            && self.slots.current.version().is_some()
        {
            // The crash came between its verdict and its link (I4).
            self.mark(kind, named.digest);
            self.push(Step::Clear(Slot::Attempting));
        } else if self.slots.current.digest() == Some(named.digest) || newer {
            self.push(Step::Clear(Slot::Attempting));
        } else if attempts >= policy.attempts && self.slots.current.version().is_some() {
            self.fail_trial(policy, VerdictKind::Interrupted, &interrupted(attempts), &[]);
        } else {
            self.push(Step::Move { from: Slot::Attempting, to: Slot::Attempt });
        }
    }

    /// A rollback was cut off between its verdict and its link: a version that is rejected for good gives way, unless the one before
    /// is rejected as well (I4).
    fn finish_roll_back(&mut self) {
        let final_verdict = |digest: Digest| {
            self.slots.memory.verdict(&digest).filter(|verdict| verdict.retry_seconds().is_none())
        };
        let Some(kind) = self.slots.current.digest().and_then(final_verdict).map(|verdict| verdict.kind)
        else {
            return;
        };
        let Some(to) = self.way_back().filter(|to| final_verdict(to.digest).is_none()) else { return };
        let from = self.slots.current.version().cloned();
        if let Some(digest) = self.slots.current.digest() {
            self.mark(kind, digest);
        }
        self.push(Step::Point { slot: Slot::Current, version: to });
        if let (VerdictKind::Operator, Some(version)) = (kind, from) {
            self.push(Step::Point { slot: Slot::Previous, version });
        }
    }

    /// Without a current version, whatever else is on disk is better than nothing (I1).
    fn fill_current(&mut self) {
        if self.slots.current.digest().is_none() && self.slots.attempt.version().is_some() {
            self.push(Step::Move { from: Slot::Attempt, to: Slot::Current });
        } else if self.slots.current.digest().is_none()
            && let Link::Version(version) = self.slots.previous.clone()
        {
            self.push(Step::Point { slot: Slot::Current, version });
        }
    }

    /// A staged version is put on trial, its attempt counted before it can be executed.
    fn choose(&mut self, policy: &Policy) {
        let (Link::Version(staged), Link::Version(current)) = (&self.slots.attempt, &self.slots.current)
        else {
            return;
        };
        let (staged, current) = (staged.clone(), current.clone());
        let before = self.slots.memory.trial.as_ref().filter(|trial| trial.digest == staged.digest);
        let made = before.map_or(0, |trial| trial.attempts);
        if made >= policy.attempts {
            // It was put back while nothing else could be run.
            self.judge(policy, staged.digest, VerdictKind::Interrupted, &interrupted(made), &[], None);
            self.push(Step::Clear(Slot::Attempt));
            return;
        }
        self.remember(|memory| {
            let attempts = made.saturating_add(1);
            memory.trial = Some(Trial {
                digest: staged.digest,
                attempts,
                from: Some((current.digest, current.program)),
            });
        });
        self.push(Step::Move { from: Slot::Attempt, to: Slot::Attempting });
    }

    fn commit(&mut self, policy: &Policy) {
        self.finish_commit(policy);
        let Link::Version(named) = self.slots.attempting.clone() else { return };
        let trial = match &self.slots.memory.trial {
            Some(trial) if trial.digest == named.digest => trial.clone(),
            _ => Trial {
                digest: named.digest,
                attempts: 1,
                from: self.slots.current.version().map(|named| (named.digest, named.program.clone())),
            },
        };
        self.push(Step::Move { from: Slot::Attempting, to: Slot::Current });
        self.conclude_commit(&trial, policy);
    }

    fn fail_trial(&mut self, policy: &Policy, kind: VerdictKind, reason: &str, output: &[String]) {
        let Some(digest) = self.slots.attempting.digest() else { return };
        let others = [Slot::Current, Slot::Previous, Slot::Attempt];
        if self.slots.attempting.version().is_some()
            && others.iter().all(|slot| self.slots.link(*slot).version().is_none())
        {
            // Somebody took the rest away: a version that failed is better than none (I3).
            self.push(Step::Move { from: Slot::Attempting, to: Slot::Current });
            return;
        }
        self.judge(policy, digest, kind, reason, output, None);
        self.push(Step::Clear(Slot::Attempting));
    }

    fn put_trial_back(&mut self) {
        let Some(digest) = self.slots.attempting.digest() else { return };
        self.remember(|memory| {
            if let Some(trial) = memory.trial.as_mut().filter(|trial| trial.digest == digest) {
                trial.attempts = trial.attempts.saturating_sub(1);
            }
        });
        if self.slots.attempting.version().is_some() && self.slots.attempt.version().is_none() {
            self.push(Step::Move { from: Slot::Attempting, to: Slot::Attempt });
        } else {
            self.push(Step::Clear(Slot::Attempting));
        }
    }

    fn count_crash(&mut self, policy: &Policy, reason: &str, output: &[String]) {
        self.finish_commit(policy);
        let Some(digest) = self.slots.current.digest() else { return };
        let bump = |crashes: &Option<Crashes>| match crashes {
            Some(crashes) if crashes.digest == digest => crashes.count.saturating_add(1),
            _ => 1,
        };
        let in_probation =
            self.slots.memory.probation.as_ref().is_some_and(|probation| probation.digest == digest);
        let count = bump(&self.slots.memory.probation);
        if in_probation && count >= policy.crashes && self.has_way_back() {
            let reason = format!("crashed {count} times in its probation, at last: {reason}");
            self.replace_current(policy, VerdictKind::App, &reason, output);
            return;
        }
        self.remember(|memory| {
            memory.crashes = Some(Crashes { digest, count: bump(&memory.crashes) });
            if in_probation {
                memory.probation = Some(Crashes { digest, count });
            }
        });
    }

    /// The previous version, if it is another one than the current and can be run.
    fn way_back(&self) -> Option<Named> {
        let previous = self.slots.previous.version()?;
        (self.slots.current.digest() != Some(previous.digest)).then(|| previous.clone())
    }

    fn has_way_back(&self) -> bool {
        self.way_back().is_some()
    }

    /// The current version is judged and the previous one takes its place.
    fn replace_current(&mut self, policy: &Policy, kind: VerdictKind, reason: &str, output: &[String]) {
        let Some(version) = self.way_back() else { return };
        if let Some(digest) = self.slots.current.digest() {
            self.judge(policy, digest, kind, reason, output, None);
        }
        self.push(Step::Point { slot: Slot::Current, version });
    }

    fn roll_back(&mut self, policy: &Policy) {
        self.finish_commit(policy);
        if self.slots.attempting.digest().is_some() {
            self.fail_trial(policy, VerdictKind::Operator, "rolled back by hand in its trial", &[]);
            return;
        }
        let (Some(to), Some(digest)) = (self.way_back(), self.slots.current.digest()) else { return };
        let from = self.slots.current.version().cloned();
        // Whoever goes back by hand wants that version, whatever was said of it: forgotten in the same step, so that a rollback that is
        // cut off is finished.
        self.judge(policy, digest, VerdictKind::Operator, "rolled back by hand", &[], Some(to.digest));
        if self.slots.attempt.digest() == Some(digest) {
            self.push(Step::Clear(Slot::Attempt));
        }
        self.push(Step::Point { slot: Slot::Current, version: to });
        if let Some(version) = from {
            self.push(Step::Point { slot: Slot::Previous, version });
        }
    }

    /// Says in the file contract too that the application failed on a version.
    fn mark(&mut self, kind: VerdictKind, digest: Digest) {
        if kind == VerdictKind::App && self.slots.update_attempt != Some(digest) {
            self.push(Step::MarkAttempt(digest));
        }
    }

    /// Writes a verdict, and lifts the one on another version.
    fn judge(
        &mut self,
        policy: &Policy,
        digest: Digest,
        kind: VerdictKind,
        reason: &str,
        output: &[String],
        forgotten: Option<Digest>,
    ) {
        let verdict = Verdict {
            digest,
            kind,
            reason: reason.to_owned(),
            at: policy.now.unix,
            uptime: policy.now.uptime.clone(),
            times: 0,
            output: output.to_vec(),
        };
        self.remember(|memory| {
            memory.judge(verdict);
            if let Some(forgotten) = forgotten {
                memory.forget(&forgotten);
            }
            memory.trial = None;
            let about = |crashes: &Option<Crashes>| crashes.as_ref().is_some_and(|c| c.digest == digest);
            if about(&memory.probation) {
                memory.probation = None;
            }
            if about(&memory.crashes) {
                memory.crashes = None;
            }
        });
        self.mark(kind, digest);
    }
}

fn interrupted(attempts: u32) -> String {
    format!("interrupted in {attempts} trials, by a stop or a loss of power")
}

/// What a step makes of the slots, without a disk.
pub(crate) fn perform(slots: &mut Slots, step: &Step) {
    match step {
        Step::Remember(memory) => slots.memory = (**memory).clone(),
        Step::MarkAttempt(digest) => slots.update_attempt = Some(*digest),
        Step::UnmarkAttempt => slots.update_attempt = None,
        Step::Move { from, to } => *slots.link_mut(*to) = std::mem::take(slots.link_mut(*from)),
        Step::Point { slot, version } => *slots.link_mut(*slot) = Link::Version(version.clone()),
        Step::Clear(slot) | Step::SetAside(slot) => *slots.link_mut(*slot) = Link::Absent,
    }
}
