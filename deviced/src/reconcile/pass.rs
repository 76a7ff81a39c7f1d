//! One pass: look, choose, plan, check, and hand out what is to be done.

use std::collections::BTreeMap;
use std::time::Duration;

use dockerloader::clock::{self, Instant};

use super::state::{EngineState, Loop};
use crate::choose::{self, Choice};
use crate::desired::Desired;
use crate::engine::{Engine, Facts};
use crate::history::OperationState;
use crate::plan::{self, Decision, HooksEnd, Known, Plan, PullState, Status};
use crate::probe::Probe;

/// Between two attempts to reach an engine that is away.
const AWAY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// What has run for so long since it was started is not started over and over.
const QUIET: Duration = Duration::from_secs(60);
/// Probations are written down this often.
const PROBATION_STEP: Duration = Duration::from_secs(30);

impl<E: Engine, P: Probe> Loop<E, P> {
    /// Looks, decides, and has it done. How long until the next one although nothing happens.
    pub(super) async fn pass(&mut self) -> Duration {
        let (began, calls) = (clock::now(), self.device.engine.calls());
        if let Err(error) = self.look().await {
            self.engine_failed(&error);
            self.device.metrics.passed(began.elapsed(), false);
            self.ask_registries();
            self.publish();
            let pause = AWAY.0.saturating_mul(2_u32.saturating_pow(self.engine.failures.min(10)));
            return pause.min(AWAY.1);
        }
        self.passes.count += 1;
        if self.passes.count == 1 {
            self.read_file();
        }
        self.watch_probations();
        let now = clock::now();
        self.rests.settle(QUIET, now);
        self.ran_out.retain(|_, ran_out| ran_out.is_known(now));
        let desired = self.choose();
        let known = self.known();
        let mut plan = plan::plan(&desired, &self.observed, &known);
        if let Err(violations) = plan::check(&plan, &desired, &self.observed, &known) {
            self.refuse(&mut plan, &violations);
        }
        self.passes.took = began.elapsed();
        self.device.metrics.passed(self.passes.took, true);
        self.passes.calls = self.device.engine.calls() - calls;
        self.passes.at = crate::apply::unix_time();
        let next = self.next(&plan);
        self.hand_out(&plan, &desired);
        self.settle_operations(&plan);
        self.plan = plan;
        self.ask_registries();
        self.publish();
        next
    }

    async fn look(&mut self) -> Result<(), crate::engine::Error> {
        if self.engine.problem.is_some() {
            let facts = self.device.engine.facts().await?;
            self.engine_is_there(facts);
        }
        self.observed = self.inspections.look(&self.device.engine, &self.device.instance).await?;
        Ok(())
    }

    fn engine_is_there(&mut self, facts: Facts) {
        self.say("engine", None, &format!("{} {} answers, API {}", facts.name, facts.version, facts.api));
        let since = crate::apply::unix_time();
        self.engine = EngineState { facts: Some(facts), problem: None, since, failures: 0 };
        self.inspections.touch_all();
    }

    /// What has to be, each container with the version that was chosen for it.
    pub(super) fn choose(&mut self) -> Desired {
        let Some(document) = self.document.document.clone() else { return Desired::default() };
        let mut desired = self.desired(&document, self.document.revision);
        self.choices = document
            .containers
            .iter()
            .filter_map(|container| {
                let wanted = desired.containers.get(&container.id)?;
                Some((container.id.clone(), self.choice(container, &wanted.spec)))
            })
            .collect();
        crate::desired::set_targets(&mut desired, &self.choices);
        desired
    }

    fn choice(&self, container: &crate::document::container::Container, spec: &crate::spec::Spec) -> Choice {
        let id = &container.id;
        let empty = Vec::new();
        choose::choose(&choose::Input {
            container,
            said: self.overrides.get(id).unwrap_or(&crate::history::Override::default()),
            spec,
            offers: self.offers.get(id).unwrap_or(&empty),
            was_asked: self.surveys.was_asked(id),
            problems: self.surveys.problems(id),
            observed: &self.observed,
            swap: self.swaps.get(id),
            versions: self.versions.get(id).map_or(&[], Vec::as_slice),
            verdicts: &self.verdicts,
            hurried: self.hurried.contains(id),
            now: crate::apply::unix_time(),
        })
    }

    /// What the plan is made from besides.
    pub(super) fn known(&mut self) -> Known {
        let now = clock::now();
        let ids = self.document.document.iter().flat_map(|document| &document.containers);
        let ids: Vec<_> = ids.map(|container| container.id.clone()).collect();
        let mut operations = BTreeMap::new();
        for id in ids {
            let operation = self.pending.get(&id).cloned().unwrap_or_else(|| self.operation_id());
            operations.insert(id, operation);
        }
        let pulls = self.pulls.keys().map(|digest| (*digest, PullState::Running));
        let failed = self.failed_pulls.left(now).into_iter();
        let failed = failed.map(|(digest, pause)| (digest, PullState::Failed(pause)));
        let containers = self.document.document.iter().flat_map(|document| &document.containers);
        let closed = containers.filter_map(|container| {
            let opens = opens_in(container.update.window.as_ref()?);
            opens.map(|opens| (container.id.clone(), opens))
        });
        let closed = closed.collect();
        Known {
            swaps: self.swaps.clone(),
            versions: self.versions.clone(),
            verdicts: self.verdicts.clone(),
            proofs: self.proofs.clone(),
            hooks: self.hooks_ended(now),
            pulls: failed.chain(pulls).collect(),
            failures: self.failed_steps.left(now),
            rests: self.rests.left(now).into_iter().map(|(id, pause)| (id, pause.left)).collect(),
            closed,
            hurried: self.hurried.clone(),
            busy: self.workers.keys().cloned().collect(),
            operations,
        }
    }

    /// A hook that said "not now" is asked again when its time has come.
    fn hooks_ended(&self, now: Instant) -> BTreeMap<String, HooksEnd> {
        let ended = self.hooks.iter().filter_map(|(container, (end, at))| {
            let end = match end {
                HooksEnd::NotNow(pause) => {
                    let left = pause.saturating_sub(now.saturating_duration_since(*at));
                    (!left.is_zero()).then_some(HooksEnd::NotNow(left))?
                }
                end => end.clone(),
            };
            Some((container.clone(), end))
        });
        ended.collect()
    }

    /// A plan that breaks an invariant is a defect of ours: nothing of it is done for what it is about.
    fn refuse(&mut self, plan: &mut Plan, violations: &[plan::Violation]) {
        for violation in violations {
            tracing::error!(event = "plan_refused", container = %violation.subject, "{violation}");
            self.say("plan", Some(&violation.subject), &format!("a plan was refused: {violation}"));
            let decision = plan
                .containers
                .get_mut(&violation.subject)
                .or_else(|| plan.strays.get_mut(&violation.subject));
            match decision {
                Some(decision) => {
                    *decision = Decision {
                        status: Status::Blocked,
                        why: format!("a defect of deviced: {violation}; please report it"),
                        steps: Vec::new(),
                        again: None,
                        ..decision.clone()
                    };
                }
                None => {
                    plan.resources.clear();
                    plan.images.clear();
                }
            }
        }
    }

    /// How long until something changes by itself.
    fn next(&self, plan: &Plan) -> Duration {
        let now = clock::now();
        let decisions = plan.containers.values().chain(plan.strays.values());
        let again = decisions.filter_map(|decision| decision.again);
        let chosen = self.choices.values().filter_map(|choice| choice.again);
        let containers = self.document.document.iter().flat_map(|document| &document.containers);
        let asked = containers.map(|container| {
            self.surveys.next(&container.id, container.update.interval.0, now).max(Duration::from_secs(1))
        });
        let paused = [self.failed_pulls.next(now), self.failed_steps.next(now), self.rests.next(now)];
        let paused = paused.into_iter().flatten();
        let probation = self.versions.values().filter_map(|versions| versions.first());
        let probation = probation.filter(|version| !version.probation.is_zero()).map(|_| PROBATION_STEP);
        let pulling = (!self.pulls.is_empty()).then_some(Duration::from_secs(1));
        let all = again.chain(chosen).chain(asked).chain(paused).chain(probation).chain(pulling);
        all.min().unwrap_or(super::AT_LEAST_EVERY)
    }

    /// Time passes for versions that are on probation.
    fn watch_probations(&mut self) {
        let elapsed = self.probation.elapsed();
        if elapsed < PROBATION_STEP {
            return;
        }
        self.probation = clock::now();
        for version in self.versions.values_mut().filter_map(|versions| versions.first_mut()) {
            if version.probation.is_zero() || version.ended.is_some() {
                continue;
            }
            version.probation = version.probation.saturating_sub(elapsed);
            let written = self.device.history.set_probation(version.id, version.probation, version.crashes);
            if let Err(error) = written {
                tracing::warn!(event = "history", %error, "{}: its probation can't be written down", version.container);
            }
        }
    }

    /// Ends the operations that have nothing left to do.
    fn settle_operations(&mut self, plan: &Plan) {
        for container in self.pending.keys().cloned().collect::<Vec<_>>() {
            if self.workers.contains_key(&container) || self.swaps.contains_key(&container) {
                continue;
            }
            let decision = plan.containers.get(&container).or_else(|| plan.strays.get(&container));
            let is_asked = self.surveys.is_over(&container);
            let (state, why) = match decision {
                None => (OperationState::Done, "it is gone".to_owned()),
                Some(Decision {
                    status: Status::Settled | Status::Stopped | Status::Paused, why, ..
                }) if is_asked => (OperationState::Done, why.clone()),
                Some(Decision { status: Status::Blocked, why, .. }) if is_asked => {
                    (OperationState::Failed, why.clone())
                }
                Some(_) => continue,
            };
            self.hurried.remove(&container);
            self.end_operation(&container, state, &why);
        }
        // A replacement that somebody began has ended: the history says how.
        let ended: Vec<_> = self
            .pending
            .iter()
            .filter(|(_, operation)| {
                let operation = self.device.history.operation(operation);
                operation.is_ok_and(|operation| operation.is_some_and(|operation| operation.ended.is_some()))
            })
            .map(|(container, _)| container.clone())
            .collect();
        for container in ended {
            self.pending.remove(&container);
            self.hurried.remove(&container);
        }
    }
}

/// How long until a window opens; `None` while it is open.
fn opens_in(window: &crate::document::update::Window) -> Option<Duration> {
    let now =
        jiff::Timestamp::from_duration(jiff::SignedDuration::try_from(clock::unix_time()).ok()?).ok()?;
    let zone =
        window.zone.as_deref().map_or_else(|| Ok(jiff::tz::TimeZone::system()), jiff::tz::TimeZone::get);
    window.opens_in(&now.to_zoned(zone.ok()?))
}
