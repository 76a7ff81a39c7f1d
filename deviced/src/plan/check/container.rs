//! The steps of one container.

use super::{Facts, Violation, violation};
use crate::document::RemoveUnknown;
use crate::engine::{Container, ContainerId, State};
use crate::health::Proof;
use crate::labels;
use crate::plan::{Decision, Step};
use crate::swap::{Cause, Reason, Stage, Swap};

/// Walks through the steps of one container.
pub(super) fn check(facts: Facts<'_>, subject: &str, decision: &Decision, violations: &mut Vec<Violation>) {
    let swap = facts.known.swaps.get(subject).cloned();
    let committed = swap.as_ref().is_some_and(|swap| is_newest(facts, subject, &swap.operation));
    let mut walk = Walk { facts, subject, swap, committed };
    for (index, step) in decision.steps.iter().enumerate() {
        let rest = decision.steps.get(index + 1..).unwrap_or_default();
        if let Some(why) = walk.objection(step, rest) {
            violations.push(violation(subject, step, why));
        }
        walk.done(step);
    }
}

/// What is so after the steps before.
struct Walk<'a> {
    facts: Facts<'a>,
    subject: &'a str,
    swap: Option<Swap>,
    committed: bool,
}

impl<'a> Walk<'a> {
    fn done(&mut self, step: &Step) {
        match step {
            Step::Record(swap) => {
                self.committed = is_newest(self.facts, self.subject, &swap.operation);
                self.swap = Some(swap.clone());
            }
            Step::Commit { .. } => self.committed = true,
            Step::Finish { .. } => self.swap = None,
            _ => {}
        }
    }

    fn objection(&self, step: &Step, rest: &[Step]) -> Option<String> {
        let facts = self.facts;
        if facts.known.busy.contains(self.subject) && !matches!(step, Step::Pull { .. }) {
            return Some("a worker is at it already".to_owned());
        }
        match step {
            Step::Record(swap) => self.record(swap),
            Step::Pull { container, .. } | Step::Judge { container, .. } | Step::Finish { container }
                if container != self.subject =>
            {
                Some(format!("it is about {container}"))
            }
            Step::Finish { .. } => self.finish(),
            Step::Commit { container } => {
                let is_retired = self.swap.as_ref().is_some_and(|swap| swap.stage == Stage::Retire);
                (container != self.subject || !is_retired).then(|| "nothing has proven itself".to_owned())
            }
            Step::Judge { .. } => {
                let has_failed = matches!(&self.swap, Some(Swap { stage: Stage::Revert(_), .. }));
                (!has_failed).then(|| "nothing has failed".to_owned())
            }
            Step::Pull { .. } => None,
            Step::Create { container, name, image, .. } => self.create(container, name, &image.0),
            Step::Rename { id, name } => self.foreign(id).or_else(|| self.name(name)),
            Step::Start(id) => self.foreign(id).or_else(|| self.start(id)),
            Step::Stop(id) => self.foreign(id).or_else(|| self.stop(id, rest)),
            Step::Remove(id) => self.foreign(id).or_else(|| self.remove(id)),
            Step::KeepLog(id)
            | Step::Update { id, .. }
            | Step::Connect { id, .. }
            | Step::Disconnect { id, .. }
            | Step::Hooks { id, .. } => self.foreign(id),
            Step::CreateNetwork { .. }
            | Step::RemoveNetwork(_)
            | Step::CreateVolume { .. }
            | Step::RemoveImage(_) => Some("it is no step of a container".to_owned()),
        }
    }

    /// Only what has our label, with this very id, is touched.
    fn foreign(&self, id: &ContainerId) -> Option<String> {
        match self.facts.observed.containers.iter().find(|container| container.id == *id) {
            None => Some("there is no such container".to_owned()),
            Some(container) => match container.labels.get(labels::ID) {
                None => Some(format!("{} is not deviced's", container.name)),
                Some(owner) if owner != self.subject => Some(format!("it is a container of {owner}")),
                Some(_) => None,
            },
        }
    }

    fn of_subject(&self) -> impl Iterator<Item = &'a Container> {
        let subject = self.subject;
        self.facts
            .observed
            .containers
            .iter()
            .filter(move |container| container.labels.get(labels::ID).is_some_and(|id| id == subject))
    }

    fn named(&self, id: &ContainerId) -> Option<&'a Container> {
        self.of_subject().find(|container| container.id == *id)
    }

    fn made_by(&self, swap: &Swap) -> Option<&'a Container> {
        self.of_subject().find(|container| {
            container.labels.get(labels::OPERATION) == Some(&swap.operation)
                && Some(&container.id) != swap.old.as_ref()
        })
    }

    fn record(&self, swap: &Swap) -> Option<String> {
        let facts = self.facts;
        if swap.container != self.subject {
            return Some(format!("it is about {}", swap.container));
        }
        if let Some(before) = &self.swap
            && before.operation != swap.operation
        {
            return Some(format!("operation {} is under way", before.operation));
        }
        let judged = self.is_judged(swap);
        let comes = matches!(swap.stage, Stage::Create | Stage::Hook | Stage::Switch | Stage::Prove);
        if comes && judged && swap.cause != Cause::Adopted {
            return Some(format!("{} has been judged (I4)", swap.target.version));
        }
        match &swap.stage {
            Stage::Create => {
                let image = swap.target.image.as_ref();
                let has_image =
                    image.is_some_and(|image| facts.observed.images.iter().any(|found| found.id == *image));
                (!has_image).then(|| "the image is not here".to_owned())
            }
            Stage::Switch | Stage::Prove if self.made_by(swap).is_none() => {
                Some("there is no container to take the old one's place".to_owned())
            }
            Stage::Retire if !self.may_retire(swap) => {
                Some("the new version has not proven itself".to_owned())
            }
            _ => None,
        }
    }

    fn may_retire(&self, swap: &Swap) -> bool {
        let known = self.facts.known;
        let is_proven = known.proofs.get(self.subject) == Some(&Proof::Proven)
            && self.swap.as_ref().is_some_and(|swap| swap.stage == Stage::Prove);
        let has_worked = known.versions.get(self.subject).into_iter().flatten().any(|version| {
            version.target.digest == swap.target.digest
                && version.target.spec == swap.target.spec
                && version.failure.is_none()
        });
        let restores = matches!(swap.cause, Cause::Missing | Cause::Broken(_) | Cause::Namespace(_));
        let is_adopted = swap.cause == Cause::Adopted && swap.old.is_none();
        let runs =
            || self.made_by(swap).is_some_and(|new| matches!(new.state, State::Running | State::Restarting));
        is_proven || (restores && has_worked) || (is_adopted && runs())
    }

    /// A replacement that has stopped something can only end by having proven itself, or by going back.
    fn finish(&self) -> Option<String> {
        let is_open = matches!(&self.swap, Some(Swap { stage: Stage::Switch | Stage::Prove, .. }));
        is_open.then(|| "it would be left half done".to_owned())
    }

    fn is_judged(&self, swap: &Swap) -> bool {
        let spec = swap.target.spec.hash();
        self.facts.known.verdicts.iter().any(|verdict| {
            verdict.failure.reason == Reason::App
                && verdict.container == self.subject
                && verdict.digest == swap.target.digest
                && verdict.spec == spec
        })
    }

    fn create(&self, container: &str, name: &str, image: &str) -> Option<String> {
        if container != self.subject {
            return Some(format!("it is about {container}"));
        }
        if !self.facts.observed.images.iter().any(|found| found.id.0 == image) {
            return Some("the image is not here".to_owned());
        }
        let is_recorded = matches!(&self.swap, Some(Swap { stage: Stage::Create, .. }));
        if !is_recorded {
            return Some("nothing is written down about it".to_owned());
        }
        if self.swap.as_ref().is_some_and(|swap| self.made_by(swap).is_some()) {
            return Some("it has been created already".to_owned());
        }
        self.name(name)
    }

    fn name(&self, name: &str) -> Option<String> {
        let other = self.facts.observed.containers.iter().find(|container| {
            container.name == name && container.labels.get(labels::ID).is_none_or(|id| id != self.subject)
        });
        other.map(|other| format!("another container is called {}", other.name))
    }

    fn start(&self, id: &ContainerId) -> Option<String> {
        let swap = self.swap.as_ref()?;
        let is_new = self.made_by(swap).is_some_and(|new| new.id == *id);
        if is_new && self.is_judged(swap) && !matches!(swap.cause, Cause::Adopted) {
            return Some(format!("{} has been judged (I4)", swap.target.version));
        }
        (is_new && matches!(swap.stage, Stage::Revert(_))).then(|| "it has failed".to_owned())
    }

    fn stop(&self, id: &ContainerId, rest: &[Step]) -> Option<String> {
        let facts = self.facts;
        let comes_back = rest.iter().any(|step| *step == Step::Start(id.clone()));
        if comes_back {
            return None;
        }
        if let Some(swap) = &self.swap {
            let new = self.made_by(swap);
            let is_old = swap.old.as_ref() == Some(id);
            let may = match swap.stage {
                Stage::Switch | Stage::Prove | Stage::Retire => is_old && new.is_some(),
                Stage::Create | Stage::Hook | Stage::Revert(_) => new.is_some_and(|new| new.id == *id),
            };
            return (!may).then(|| "nothing is there to take its place".to_owned());
        }
        match facts.desired.containers.get(self.subject) {
            None => (facts.desired.remove_unknown == RemoveUnknown::Keep)
                .then(|| "the document wants unknown containers to go on".to_owned()),
            Some(wanted) if wanted.stopped => None,
            Some(_) if self.named(id).is_some_and(|container| self.never_worked(container)) => None,
            Some(_) => {
                // Of two that are paused, neither serves.
                let is_paused = self.named(id).is_some_and(|container| container.state == State::Paused);
                let is_other = |container: &Container| {
                    container.state == State::Running
                        || container.state == State::Paused && is_paused
                        || self.is_in_force(container)
                };
                let has_other = self.of_subject().any(|container| container.id != *id && is_other(container));
                (!has_other).then(|| "it is the only one that runs (I1)".to_owned())
            }
        }
    }

    fn remove(&self, id: &ContainerId) -> Option<String> {
        let container = self.named(id)?;
        if matches!(container.state, State::Removing | State::Dead | State::Created) {
            return None;
        }
        if let Some(swap) = &self.swap {
            let is_new = self.made_by(swap).is_some_and(|new| new.id == *id);
            return match swap.stage {
                // It never ran unless somebody started it by hand, and nothing was stopped for it; or it has failed.
                Stage::Create | Stage::Hook | Stage::Revert(_) if is_new && !self.is_in_force(container) => {
                    None
                }
                Stage::Retire
                    if swap.old.as_ref() == Some(id) && self.committed && self.made_by(swap).is_some() =>
                {
                    None
                }
                _ => Some("what replaces it has not proven itself (I3)".to_owned()),
            };
        }
        if !self.facts.desired.containers.contains_key(self.subject) {
            let may = self.facts.desired.remove_unknown == RemoveUnknown::Remove;
            return (!may).then(|| "the document wants unknown containers to be kept".to_owned());
        }
        if self.never_worked(container) {
            return None;
        }
        let is_replaced = self
            .of_subject()
            .any(|other| other.id != *id && other.state == State::Running && self.is_in_force(other));
        (!is_replaced).then(|| "nothing proven runs in its place (I3)".to_owned())
    }

    /// Whether its version was judged, and the history does not know this container.
    fn never_worked(&self, container: &Container) -> bool {
        let known = self.facts.known;
        let label = |name: &str| container.labels.get(name).map(String::as_str).unwrap_or_default();
        let judged = known.verdicts.iter().any(|verdict| {
            verdict.failure.reason == Reason::App
                && verdict.container == self.subject
                && verdict.digest.to_string() == label(labels::DIGEST)
                && verdict.spec.0 == label(labels::SPEC)
        });
        let mut ran = known.versions.get(self.subject).into_iter().flatten();
        judged && !ran.any(|version| version.operation == label(labels::OPERATION))
    }

    /// Whether it is the version that the history says is in force.
    fn is_in_force(&self, container: &Container) -> bool {
        let newest = self.facts.known.versions.get(self.subject).and_then(|versions| versions.first());
        newest.is_some_and(|newest| {
            newest.ended.is_none() && container.labels.get(labels::OPERATION) == Some(&newest.operation)
        })
    }
}

fn is_newest(facts: Facts<'_>, subject: &str, operation: &str) -> bool {
    let newest = facts.known.versions.get(subject).and_then(|versions| versions.first());
    newest.is_some_and(|newest| newest.operation == operation)
}
