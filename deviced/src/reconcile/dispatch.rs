//! What was decided, handed out: each container's steps to a worker of its own, pulls and questions to tasks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dockerloader::clock;
use dockerloader::digest::Digest;

use super::state::Loop;
use super::wake::Wake;
use super::watch::{Watched, watch};
use crate::apply::{Context, Outcome};
use crate::desired::{Desired, Wanted};
use crate::engine::Engine;
use crate::plan::{Plan, Step};
use crate::probe::Probe;
use crate::swap::Stage;

/// What the steps for networks and volumes are about.
const RESOURCES: &str = "networks and volumes";
/// A hook that said "not now" is asked again after this.
const POSTPONEMENT: Duration = Duration::from_secs(300);

impl<E: Engine, P: Probe> Loop<E, P> {
    pub(super) fn hand_out(&mut self, plan: &Plan, desired: &Desired) {
        self.work(RESOURCES, plan.resources.clone(), None);
        for step in &plan.images {
            // Each by itself: one that can't be removed holds up no other.
            if let Step::RemoveImage(name) = step {
                self.work(name, vec![step.clone()], None);
            }
        }
        for (id, decision) in plan.containers.iter().chain(&plan.strays) {
            let (pulls, steps): (Vec<_>, Vec<_>) =
                decision.steps.iter().cloned().partition(|step| matches!(step, Step::Pull { .. }));
            for pull in pulls {
                self.pull(&pull);
            }
            self.work(id, steps, desired.containers.get(id));
        }
        self.watch_new();
    }

    /// Starts a worker, unless one is at it.
    pub(super) fn work(&mut self, subject: &str, steps: Vec<Step>, wanted: Option<&Wanted>) {
        if steps.is_empty() || self.workers.contains_key(subject) {
            return;
        }
        if self.failed_steps.left(clock::now()).contains_key(subject) && wanted.is_none() {
            return;
        }
        let context = Context {
            engine: Arc::clone(&self.device.engine),
            history: self.device.history.clone(),
            instance: self.device.instance.clone(),
            subject: subject.to_owned(),
            hooks: wanted.map(|wanted| wanted.hooks.clone()).unwrap_or_default(),
            probation: wanted.map(|wanted| wanted.update.probation.0).unwrap_or_default(),
            postponement: POSTPONEMENT,
            revision: self.document.revision,
            who: self.who(subject),
        };
        let (subject, wakes) = (subject.to_owned(), self.wakes.clone());
        let name = subject.clone();
        let worker = tokio::spawn(async move {
            let work = tokio::spawn(async move { context.carry_out(&steps).await });
            // A worker that panics is a defect, and must not keep its container busy for ever.
            let outcome = work.await.unwrap_or_else(|panic| Outcome::defect(&panic.to_string()));
            let _ = wakes.send(Wake::Worked { subject, outcome }).await;
        });
        self.workers.insert(name, worker);
    }

    /// Who began what is under way.
    fn who(&self, container: &str) -> String {
        let operation =
            self.pending.get(container).and_then(|id| self.device.history.operation(id).ok().flatten());
        operation.map_or_else(|| "deviced".to_owned(), |operation| operation.who)
    }

    /// Watches what is to prove itself and is not watched yet; no longer what is not.
    fn watch_new(&mut self) {
        let swaps = &self.swaps;
        self.watchers.retain(|container, (operation, watcher)| {
            let goes_on = swaps
                .get(container)
                .is_some_and(|swap| swap.operation == *operation && swap.stage == Stage::Prove);
            if !goes_on {
                watcher.abort();
            }
            goes_on
        });
        for (container, swap) in &self.swaps {
            if swap.stage != Stage::Prove || self.watchers.contains_key(container) {
                continue;
            }
            let made = self.observed.of(container).find(|made| {
                made.labels
                    .get(crate::labels::OPERATION)
                    .is_some_and(|operation| *operation == swap.operation)
            });
            let document = self.document.document.iter().flat_map(|document| &document.containers);
            let policy = document
                .clone()
                .find(|known| known.id == *container)
                .map(|known| known.update.health.clone());
            let Some(made) = made else { continue };
            let watched = Watched {
                container: container.clone(),
                operation: swap.operation.clone(),
                id: made.id.clone(),
                policy: policy.unwrap_or_default(),
                memory_limited: swap.target.spec.get("/HostConfig/Memory").is_some(),
            };
            let (engine, probe) = (Arc::clone(&self.device.engine), Arc::clone(&self.device.probe));
            let watcher = tokio::spawn(watch(engine, probe, watched, self.wakes.clone()));
            self.watchers.insert(container.clone(), (swap.operation.clone(), watcher));
        }
    }

    /// Asks registries about the containers that are due.
    pub(super) fn ask_registries(&mut self) {
        let (Some(document), Some(sources)) = (self.document.document.clone(), self.sources.clone()) else {
            return;
        };
        let containers = &document.containers;
        let asked = containers.iter().filter(|container| !self.is_left_alone(container));
        let intervals = asked.map(|container| (container.id.as_str(), container.update.interval.0));
        let due: Vec<_> = self.surveys.due(intervals, clock::now()).into_iter().map(str::to_owned).collect();
        for id in due {
            let Some(container) = containers.iter().find(|container| container.id == id).cloned() else {
                continue;
            };
            self.surveys.begin(&id);
            let rejected = self.rejected(&id);
            let tag = self.overrides.get(&id).and_then(|said| said.tag.clone());
            let (sources, wakes) = (Arc::clone(&sources), self.wakes.clone());
            tokio::spawn(async move {
                let survey =
                    sources.survey(&container, tag.as_deref(), &|digest| rejected.contains(digest)).await;
                let _ = wakes.send(Wake::Surveyed { container: id, survey }).await;
            });
        }
    }

    pub(super) fn is_left_alone(&self, container: &crate::document::container::Container) -> bool {
        container.paused || self.overrides.get(&container.id).is_some_and(|said| said.paused)
    }

    /// Versions that are out of the question now: whatever the reason, the next best one has to be known.
    pub(super) fn rejected(&self, container: &str) -> BTreeSet<Digest> {
        let verdicts = self.verdicts.iter().filter(|verdict| verdict.container == container);
        verdicts.map(|verdict| verdict.digest).collect()
    }
}
