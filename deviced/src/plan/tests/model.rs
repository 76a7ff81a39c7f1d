//! A device in memory: the engine, what registries have, the history, and passes of the loop over them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dockerloader::digest::Digest;
use serde_json::{Value, json};

use super::engine::{Behaviour, Engine, Real, image_id};
use crate::choose::{self, Choice, Offer};
use crate::desired::{self, Desired};
use crate::document::Document;
use crate::document::container::Container;
use crate::document::run::Run;
use crate::engine::State;
use crate::health::Proof;
use crate::history::{Override, Verdict, Version};
use crate::observed::Observed;
use crate::plan::{Decision, HooksEnd, Known, Pause, Plan, PullState, Status, Step, check, plan};
use crate::spec::{self, Environment, Names, Spec};
use crate::swap::{Failure, Reason, Stage, Swap};

/// A device.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) engine: Engine,
    pub(super) document: Value,
    pub(super) revision: u64,
    pub(super) overrides: BTreeMap<String, Override>,
    /// By image: tag and digest.
    pub(super) registry: BTreeMap<String, Vec<(String, Digest)>>,
    pub(super) is_up: bool,

    pub(super) swaps: BTreeMap<String, Swap>,
    pub(super) versions: BTreeMap<String, Vec<Version>>,
    pub(super) verdicts: Vec<Verdict>,

    pub(super) proofs: BTreeMap<String, Proof>,
    pub(super) hooks: BTreeMap<String, HooksEnd>,
    pub(super) failures: BTreeMap<String, Pause>,
    failed_pulls: BTreeSet<Digest>,
    pub(super) closed: BTreeSet<String>,
    pub(super) hurried: BTreeSet<String>,

    pub(super) now: i64,
    operations: u32,
    /// What has ever proven itself, whatever became of the history.
    proven: BTreeSet<(String, Digest)>,
}

pub(super) fn digest(number: u8) -> Digest {
    Digest::from_bytes([number; 32])
}

fn document(value: &Value) -> Document {
    serde_json::from_value(value.clone()).unwrap()
}

fn build(container: &Container, run: &Run) -> Result<Spec, String> {
    let names = Names {
        id: container.id.clone(),
        networks: [("front".to_owned(), "front".to_owned())].into(),
        volumes: [("data".to_owned(), "data".to_owned())].into(),
    };
    spec::build(run, &names, &Environment::default())
}

impl Model {
    pub(super) fn new(document: Value) -> Self {
        Self {
            engine: Engine::default(),
            document,
            revision: 1,
            overrides: BTreeMap::new(),
            registry: BTreeMap::new(),
            is_up: true,
            swaps: BTreeMap::new(),
            versions: BTreeMap::new(),
            verdicts: Vec::new(),
            proofs: BTreeMap::new(),
            hooks: BTreeMap::new(),
            failures: BTreeMap::new(),
            failed_pulls: BTreeSet::new(),
            closed: BTreeSet::new(),
            hurried: BTreeSet::new(),
            now: 1_800_000_000,
            operations: 0,
            proven: BTreeSet::new(),
        }
    }

    /// A version comes to be at the registry.
    pub(super) fn publish(&mut self, image: &str, tag: &str, number: u8, behaviour: Behaviour) {
        let tags = self.registry.entry(image.to_owned()).or_default();
        tags.retain(|(known, _)| known != tag);
        tags.push((tag.to_owned(), digest(number)));
        self.engine.behaviours.insert(digest(number), behaviour);
    }

    pub(super) fn container(&self, id: &str) -> Option<&Real> {
        let mut all: Vec<_> = self.engine.containers.iter().filter(|container| container.is_of(id)).collect();
        all.sort_by_key(|container| (container.state != State::Running, container.name != id));
        all.first().copied()
    }

    /// What is known at this moment.
    pub(super) fn view(&self) -> (Desired, Observed, Known) {
        let observed = self.engine.observed();
        let document = document(&self.document);
        let mut desired = desired::desired(&document, self.revision, &self.overrides, &build);
        let choices: BTreeMap<_, _> = document
            .containers
            .iter()
            .map(|container| (container.id.clone(), self.choose(container, &desired, &observed)))
            .collect();
        desired::set_targets(&mut desired, &choices);
        let ids = document.containers.iter().map(|container| container.id.clone());
        let operations = ids.enumerate().map(|(index, id)| (id, format!("op{}-{index}", self.operations)));
        let failed = |digest: &Digest| {
            let pause = Pause { text: "no answer".to_owned(), left: Duration::from_secs(5) };
            (*digest, PullState::Failed(pause))
        };
        let known = Known {
            swaps: self.swaps.clone(),
            versions: self.versions.clone(),
            verdicts: self.verdicts.clone(),
            proofs: self.proofs.clone(),
            hooks: self.hooks.clone(),
            pulls: self.failed_pulls.iter().map(failed).collect(),
            failures: self.failures.clone(),
            rests: BTreeMap::new(),
            closed: self.closed.iter().map(|id| (id.clone(), Duration::from_secs(600))).collect(),
            hurried: self.hurried.clone(),
            busy: BTreeSet::new(),
            operations: operations.collect(),
        };
        (desired, observed, known)
    }

    fn choose(&self, container: &Container, desired: &Desired, observed: &Observed) -> Choice {
        let tags = self.registry.get(&container.image).filter(|_| self.is_up);
        let offers: Vec<_> = tags
            .into_iter()
            .flatten()
            .map(|(tag, digest)| Offer {
                entry: None,
                version: tag.clone(),
                digest: *digest,
                repository: container.image.clone(),
                registry: "https://r.example".to_owned(),
                known_for: Duration::from_secs(60),
            })
            .collect();
        let problems: &[_] =
            if self.is_up { &[] } else { &[("https://r.example".to_owned(), "no answer".to_owned())] };
        choose::choose(&choose::Input {
            container,
            said: self.overrides.get(&container.id).unwrap_or(&Override::default()),
            spec: &desired.containers[&container.id].spec,
            offers: &offers,
            was_asked: true,
            problems,
            observed,
            swap: self.swaps.get(&container.id),
            versions: self.versions.get(&container.id).map_or(&[], Vec::as_slice),
            verdicts: &self.verdicts,
            hurried: self.hurried.contains(&container.id),
            now: self.now,
        })
    }

    /// The plan of this moment, which nobody objects to.
    pub(super) fn plan(&self) -> Plan {
        let (desired, observed, known) = self.view();
        let plan = plan(&desired, &observed, &known);
        if let Err(violations) = check(&plan, &desired, &observed, &known) {
            let said: Vec<_> =
                violations.iter().map(|violation| format!("{}: {violation}", violation.subject)).collect();
            panic!("refused: {said:#?}\n{}", self.shown_with(&plan));
        }
        plan
    }

    /// Steps of a plan that lead somewhere: starting again what ends again, now and then, does not.
    fn leading(&self, plan: &Plan) -> usize {
        let (desired, ..) = self.view();
        let ends = |step: &Step| match step {
            Step::Start(id) => {
                let Ok(container) = self.engine.get(id) else { return false };
                let digest = container.digest();
                let fails = digest
                    .is_some_and(|digest| self.engine.behaviours.get(&digest) != Some(&Behaviour::Good));
                // What can't be started, and nothing is known that could be made in its place.
                let id = &container.labels[crate::labels::ID];
                let nothing = desired.containers.get(id).is_some_and(|wanted| wanted.target.is_err());
                fails || nothing && !container.error.is_empty()
            }
            _ => false,
        };
        let decisions = plan.containers.values().chain(plan.strays.values());
        let lists = decisions.map(|decision| &decision.steps).filter(|steps| !steps.iter().all(ends));
        lists.chain([&plan.resources, &plan.images]).map(Vec::len).sum()
    }

    /// Whether nothing is done and nothing is watched.
    pub(super) fn is_at_rest(&self) -> bool {
        self.steps() == 0 && self.swaps.is_empty() && self.failures.is_empty()
    }

    /// How many steps a pass has now.
    pub(super) fn steps(&self) -> usize {
        let plan = self.plan();
        let decisions = plan.containers.values().chain(plan.strays.values());
        let lists = decisions.map(|decision| &decision.steps).chain([&plan.resources, &plan.images]);
        lists.map(Vec::len).sum()
    }

    /// One pass; it is cut off after `cut` steps, and the process with it. How many steps that lead somewhere there were.
    pub(super) fn pass(&mut self, cut: Option<usize>) -> usize {
        let plan = self.plan();
        let leading = self.leading(&plan);
        self.failures.clear();
        self.failed_pulls.clear();
        self.operations += 1;
        let mut done = 0;
        let lists = [("networks", &plan.resources)]
            .into_iter()
            .chain(
                plan.containers
                    .iter()
                    .chain(&plan.strays)
                    .map(|(id, decision)| (id.as_str(), &decision.steps)),
            )
            .chain([("images", &plan.images)]);
        for (subject, steps) in lists {
            for step in steps {
                if cut == Some(done) {
                    self.forget_everything_in_memory();
                    return leading;
                }
                done += 1;
                self.guard(step);
                if let Err(problem) = self.apply(subject, step) {
                    let pause = Pause { text: problem, left: Duration::from_secs(2) };
                    self.failures.insert(subject.to_owned(), pause);
                    break;
                }
            }
        }
        self.watch();
        self.now += 5;
        leading
    }

    fn forget_everything_in_memory(&mut self) {
        self.proofs.clear();
        self.hooks.clear();
        self.failures.clear();
        self.failed_pulls.clear();
        self.hurried.clear();
    }

    /// The history is lost, with everything in memory.
    pub(super) fn lose_history(&mut self) {
        self.forget_everything_in_memory();
        self.swaps.clear();
        self.versions.clear();
        self.verdicts.clear();
    }

    /// What is true of a device whatever is done: a version that works is never lost, and a judged one never started.
    fn guard(&mut self, step: &Step) {
        match step {
            Step::Remove(_) | Step::RemoveImage(_) => {
                let before = self.with_way_back();
                let mut after = self.clone();
                let _ = after.apply("", step);
                let lost: Vec<_> = before.difference(&after.with_way_back()).cloned().collect();
                assert!(
                    lost.is_empty(),
                    "{step} would leave nothing that works for {lost:?}\n{}",
                    self.shown()
                );
            }
            Step::Start(id) => {
                let Ok(container) = self.engine.get(id) else { return };
                let first = container.started == 0;
                let judged = self.verdicts.iter().find(|verdict| {
                    container.is_of(&verdict.container)
                        && Some(verdict.digest) == container.digest()
                        && container.labels.get(crate::labels::SPEC) == Some(&verdict.spec.0)
                        && verdict.failure.reason == Reason::App
                });
                assert!(!first || judged.is_none(), "{step}: {judged:?} stands against it (I4)");
            }
            _ => {}
        }
    }

    /// Containers of the document for which something that has proven itself is there: a container, or a version with its image.
    fn with_way_back(&self) -> BTreeSet<String> {
        let works = |id: &str, digest: Option<Digest>| {
            let Some(digest) = digest.filter(|digest| self.proven.contains(&(id.to_owned(), *digest))) else {
                return false;
            };
            match self.engine.behaviours.get(&digest) {
                Some(Behaviour::Good) => true,
                Some(Behaviour::Late) => !self.is_judged(id, &digest),
                Some(Behaviour::Bad) | None => false,
            }
        };
        let ids = document(&self.document).containers.into_iter().map(|container| container.id);
        ids.filter(|id| {
            let mut containers = self.engine.containers.iter().filter(|container| container.is_of(id));
            let is_there = containers.any(|container| {
                works(id, container.digest())
                    && container.started > 0
                    && !matches!(container.state, State::Dead | State::Removing)
            });
            let mut ran = self.versions.get(id).into_iter().flatten();
            is_there
                || ran.any(|version| {
                    works(id, Some(version.target.digest))
                        && self.engine.images.contains_key(&image_id(&version.target.digest).0)
                })
        })
        .collect()
    }

    pub(super) fn is_judged(&self, id: &str, digest: &Digest) -> bool {
        self.verdicts.iter().any(|verdict| {
            verdict.container == id && verdict.digest == *digest && verdict.failure.reason == Reason::App
        })
    }

    fn apply(&mut self, subject: &str, step: &Step) -> Result<(), String> {
        match step {
            Step::Record(swap) => {
                if swap.stage == Stage::Prove {
                    self.proofs.remove(&swap.container);
                }
                self.failures.remove(&swap.container);
                self.swaps.insert(swap.container.clone(), swap.clone());
                Ok(())
            }
            Step::Pull { repository, digest, .. } => {
                let digest: Digest = digest.parse().unwrap();
                let has = self.registry.values().flatten().any(|(_, known)| *known == digest);
                if self.is_up && has {
                    self.engine.pull(repository, digest);
                } else {
                    self.failed_pulls.insert(digest);
                }
                Ok(())
            }
            Step::Hooks { before: true, .. } => {
                self.hooks.insert(subject.to_owned(), HooksEnd::Done);
                Ok(())
            }
            Step::Commit { container } => {
                self.commit(container);
                Ok(())
            }
            Step::Judge { container, failure } => {
                self.judge(container, failure);
                Ok(())
            }
            Step::Finish { container } => {
                self.swaps.remove(container);
                self.proofs.remove(container);
                self.hooks.remove(container);
                Ok(())
            }
            step => self.engine.apply(step),
        }
    }

    fn commit(&mut self, container: &str) {
        let swap = self.swaps[container].clone();
        self.proven.insert((container.to_owned(), swap.target.digest));
        let versions = self.versions.entry(container.to_owned()).or_default();
        if versions.first().is_some_and(|version| version.operation == swap.operation) {
            return;
        }
        // What is only made anew is not watched anew.
        let same = versions.first().filter(|version| {
            version.target.digest == swap.target.digest && version.target.spec == swap.target.spec
        });
        let probation = same.map_or(Duration::from_secs(600), |version| version.probation);
        let id = versions.first().map_or(1, |version| version.id + 1);
        for version in versions.iter_mut() {
            version.ended = version.ended.or(Some(self.now));
        }
        let version = Version {
            id,
            container: container.to_owned(),
            target: swap.target,
            revision: self.revision,
            operation: swap.operation,
            cause: swap.cause,
            who: "deviced".to_owned(),
            began: self.now,
            ended: None,
            failure: None,
            took: Duration::ZERO,
            probation,
            crashes: 0,
        };
        versions.insert(0, version);
    }

    fn judge(&mut self, container: &str, failure: &Failure) {
        let target = self.swaps[container].target.clone();
        let is_it = |verdict: &&mut Verdict| {
            verdict.container == container
                && verdict.digest == target.digest
                && verdict.spec == target.spec.hash()
        };
        let behaviour = self.engine.behaviours.get(&target.digest);
        let is_fair = failure.reason != Reason::App || behaviour != Some(&Behaviour::Good);
        assert!(is_fair, "{} of {container} works, and was judged: {} (I5)", target.version, failure.text);
        if let Some(verdict) = self.verdicts.iter_mut().find(is_it) {
            (verdict.attempts, verdict.failure, verdict.at) =
                (verdict.attempts + 1, failure.clone(), self.now);
        } else {
            self.verdicts.push(Verdict {
                container: container.to_owned(),
                digest: target.digest,
                version: target.version.clone(),
                spec: target.spec.hash(),
                failure: failure.clone(),
                at: self.now,
                attempts: 1,
                log: Vec::new(),
            });
        }
        if failure.reason == Reason::App {
            for version in self.versions.get_mut(container).into_iter().flatten() {
                if version.target.digest == target.digest && version.target.spec == target.spec {
                    version.failure = Some(failure.clone());
                }
            }
        }
    }

    /// Watches what has to prove itself, and what has done so.
    fn watch(&mut self) {
        for (id, swap) in &self.swaps {
            if swap.stage != Stage::Prove {
                continue;
            }
            let new = self.engine.containers.iter().find(|container| {
                container.is_of(id)
                    && container.labels.get(crate::labels::OPERATION) == Some(&swap.operation)
                    && Some(&container.id) != swap.old.as_ref()
            });
            let Some(new) = new else { continue };
            let proof = match (new.state, new.exit_code) {
                (State::Running, _) => Proof::Proven,
                (State::Exited, 0) if new.error.is_empty() => Proof::Proven,
                (State::Exited, 137 | 143) | (State::Paused | State::Dead | State::Removing, _) => {
                    Proof::Failed(Failure::new(Reason::Interrupted, "it was stopped from outside"))
                }
                (State::Created | State::Exited, 128) => {
                    Proof::Failed(Failure::new(Reason::Environment, new.error.clone()))
                }
                (State::Created, _) => Proof::Waiting("it is not started".to_owned()),
                (_, code) => Proof::Failed(Failure::new(Reason::App, format!("it ended with {code}"))),
            };
            self.proofs.insert(id.clone(), proof);
        }
        let mut ended = Vec::new();
        for (id, versions) in &mut self.versions {
            let Some(version) = versions.first_mut() else { continue };
            // What the engine does not start again, deviced would for ever.
            let is_restarted =
                version.target.spec.get("/HostConfig/RestartPolicy/Name") != Some(&json!("no"));
            let behaviour = self.engine.behaviours.get(&version.target.digest);
            let is_late = is_restarted && behaviour != Some(&Behaviour::Good);
            let running = self.engine.containers.iter().find(|container| {
                container.is_of(id)
                    && matches!(container.state, State::Running | State::Restarting)
                    && container.labels.get(crate::labels::OPERATION) == Some(&version.operation)
            });
            if let Some(running) = running
                && is_late
                && !self.swaps.contains_key(id)
            {
                version.crashes += 3;
                ended.push(running.id.clone());
            }
        }
        for id in ended {
            self.engine.end(&id);
        }
    }

    /// Passes until nothing is done any more, also after hours. How many it took.
    pub(super) fn settle(&mut self) -> usize {
        let mut quiet = 0;
        for passes in 0..200 {
            let done = self.pass(None);
            if done > 0 {
                quiet = 0;
                continue;
            }
            quiet += 1;
            if quiet == 3 {
                return passes;
            }
            // Pauses end, what the engine is removing is gone, and what it starts again runs.
            self.now += 7200;
            self.engine.containers.retain(|container| container.state != State::Removing);
            self.engine.start_again();
        }
        panic!("it does not come to rest:\n{}", self.shown_with(&self.plan()));
    }

    /// Everything that matters, for the message of a test that fails.
    pub(super) fn shown(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for container in &self.engine.containers {
            let label = |name: &str| container.labels.get(name).cloned().unwrap_or_default();
            let _ = writeln!(
                text,
                "container {} {}: {:?} ({}, {:?}), {} {} {} of {}",
                container.id.short(),
                container.name,
                container.state,
                container.exit_code,
                container.error,
                label(crate::labels::VERSION),
                label(crate::labels::OPERATION),
                label(crate::labels::SPEC),
                label(crate::labels::ID),
            );
        }
        for swap in self.swaps.values() {
            let _ = writeln!(
                text,
                "swap {swap}: {:?}, {}, old {:?}, {}",
                swap.stage,
                swap.operation,
                swap.old.as_ref().map(|old| old.short().to_owned()),
                swap.target.spec.hash(),
            );
        }
        for version in self.versions.values().flatten() {
            let _ = writeln!(
                text,
                "version {} {} {} {} ended {:?} failure {:?} crashes {} by {}",
                version.container,
                version.id,
                version.target.version,
                version.target.spec.hash(),
                version.ended,
                version.failure,
                version.crashes,
                version.operation,
            );
        }
        for verdict in &self.verdicts {
            let _ = writeln!(
                text,
                "verdict {} {} {}: {:?} x{} {}s ago",
                verdict.container,
                verdict.version,
                verdict.spec,
                verdict.failure,
                verdict.attempts,
                self.now - verdict.at,
            );
        }
        let _ = writeln!(text, "images {:?}", self.engine.images.keys().collect::<Vec<_>>());
        let _ = writeln!(
            text,
            "proofs {:?}\nfailures {:?}\nsaid {:?}",
            self.proofs, self.failures, self.overrides
        );
        let (desired, ..) = self.view();
        for wanted in desired.containers.values() {
            let target = |target: &crate::desired::Target| {
                format!("{} {} {:?}", target.version, target.spec.hash(), target.image)
            };
            let _ = writeln!(
                text,
                "wanted {}: {:?}, meanwhile {:?}, rest {:?}",
                wanted.id,
                wanted.target.as_ref().map(target),
                wanted.meanwhile.as_ref().map(target),
                wanted.rest,
            );
        }
        text
    }

    fn shown_with(&self, plan: &Plan) -> String {
        use std::fmt::Write as _;
        let mut text = self.shown();
        let steps = |steps: &[Step]| steps.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (id, decision) in plan.containers.iter().chain(&plan.strays) {
            let _ =
                writeln!(text, "{id}: {:?}: {} {:#?}", decision.status, decision.why, steps(&decision.steps));
        }
        let _ = writeln!(text, "{:#?} {:#?}", steps(&plan.resources), steps(&plan.images));
        text
    }

    /// The plan's texts: `id: status: why`, and its steps indented, without anything for what is settled if `brief`.
    pub(super) fn said(&self) -> Vec<String> {
        let plan = self.plan();
        let mut lines: Vec<_> = plan.resources.iter().map(ToString::to_string).collect();
        let mut decided = |id: &str, decision: &Decision| {
            let Decision { status, why, steps, .. } = decision;
            if *status != Status::Settled {
                lines.push(format!("{id}: {}: {why}", status.name()));
                lines.extend(steps.iter().map(|step| format!("  {}", self.short(&step.to_string()))));
            }
        };
        for (id, decision) in plan.containers.iter().chain(&plan.strays) {
            decided(id, decision);
        }
        lines.extend(plan.images.iter().map(|step| self.short(&step.to_string())));
        lines
    }

    /// With names instead of ids.
    fn short(&self, text: &str) -> String {
        let named = self.engine.containers.iter().fold(text.to_owned(), |text, container| {
            text.replace(container.id.short(), &format!("<{}>", container.name))
        });
        (0..=255).fold(named, |text, number| {
            if text.contains("sha256:") {
                text.replace(&digest(number).to_string(), &format!("#{number}"))
            } else {
                text
            }
        })
    }
}

/// A container of a document.
pub(super) fn entry(id: &str, versions: &[&str], run: Value) -> Value {
    json!({"id": id, "image": format!("acme/{id}"), "versions": versions, "run": run})
}

/// A document.
pub(super) fn of(containers: &[Value]) -> Value {
    json!({"apiVersion": "deviced/v1", "networks": {"front": null}, "volumes": {"data": null}, "containers": containers})
}
