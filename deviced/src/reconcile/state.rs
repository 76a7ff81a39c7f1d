//! What the loop knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dockerloader::clock::{self, Instant};
use dockerloader::digest::Digest;
use tokio::sync::{mpsc, watch as channel};
use tokio::task::JoinHandle;

use super::Device;
use super::budget::RanOut;
use super::look::Inspections;
use super::pause::Pauses;
use super::pulls::PullFailure;
use super::surveys::Surveys;
use super::wake::Wake;
use crate::apply::Outcome;
use crate::choose::{Choice, Offer};
use crate::document::Document;
use crate::engine::{Engine, Error, Event, Facts, Progress};
use crate::health::Proof;
use crate::history::{OperationState, Override, Verdict, Version};
use crate::metrics;
use crate::observed::Observed;
use crate::plan::{HooksEnd, Plan};
use crate::probe::Probe;
use crate::report::Report;
use crate::sources::{Sources, Survey};
use crate::swap::{Stage, Swap};

/// All that is known. Nothing of it has to outlive a restart that is not in the history too.
pub(super) struct Loop<E, P> {
    pub(super) device: Device<E, P>,
    pub(super) wakes: mpsc::Sender<Wake>,
    pub(super) reports: channel::Sender<Arc<Report>>,

    pub(super) document: InForce,
    pub(super) overrides: BTreeMap<String, Override>,
    pub(super) sources: Option<Arc<Sources>>,

    pub(super) engine: EngineState,
    pub(super) inspections: Inspections,
    pub(super) observed: Observed,

    pub(super) offers: BTreeMap<String, Vec<Offer>>,
    pub(super) surveys: Surveys,
    pub(super) choices: BTreeMap<String, Choice>,
    pub(super) plan: Plan,

    pub(super) swaps: BTreeMap<String, Swap>,
    pub(super) versions: BTreeMap<String, Vec<Version>>,
    pub(super) verdicts: Vec<Verdict>,

    pub(super) workers: BTreeMap<String, JoinHandle<()>>,
    pub(super) watchers: BTreeMap<String, (String, JoinHandle<()>)>,
    pub(super) proofs: BTreeMap<String, Proof>,
    pub(super) hooks: BTreeMap<String, (HooksEnd, Instant)>,
    pub(super) hurried: BTreeSet<String>,
    /// Operations that somebody began and that have not ended.
    pub(super) pending: BTreeMap<String, String>,

    pub(super) pulls: BTreeMap<Digest, Pulling>,
    pub(super) failed_pulls: Pauses<Digest>,
    /// Images for which the disk had no room: pulled again when there is more, and alone.
    pub(super) ran_out: BTreeMap<Digest, RanOut>,
    pub(super) failed_steps: Pauses<String>,
    /// Containers that were started or changed in place: how long until that may be done again.
    pub(super) rests: Pauses<String>,

    pub(super) probation: Instant,
    ids: ulid::Generator,
    pub(super) passes: Passes,
}

/// The document that is in force.
#[derive(Debug, Clone, Default)]
pub(super) struct InForce {
    pub(super) revision: u64,
    pub(super) text: String,
    pub(super) document: Option<Document>,
    /// Why the file is another one.
    pub(super) problem: Option<String>,
}

/// What is known of the engine itself.
#[derive(Debug, Clone)]
pub(super) struct EngineState {
    pub(super) facts: Option<Facts>,
    pub(super) problem: Option<String>,
    /// Since when it is as it is, seconds since 1970.
    pub(super) since: i64,
    pub(super) failures: u32,
}

/// A pull under way.
#[derive(Debug)]
pub(super) struct Pulling {
    pub(super) containers: BTreeSet<String>,
    pub(super) progress: Arc<Mutex<Progress>>,
    /// Another pull is or was under way meanwhile.
    pub(super) is_crowded: bool,
}

impl Pulling {
    pub(super) fn progress(&self) -> Progress {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What looks cost.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Passes {
    pub(super) count: u64,
    pub(super) took: Duration,
    pub(super) calls: u64,
    pub(super) at: i64,
}

/// After steps that failed.
const STEP_PAUSE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(300));
/// After a start by deviced.
const REST: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// After pulls that failed.
const PULL_PAUSE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(600));

impl<E: Engine, P: Probe> Loop<E, P> {
    pub(super) fn new(
        device: Device<E, P>,
        wakes: mpsc::Sender<Wake>,
        reports: channel::Sender<Arc<Report>>,
    ) -> Self {
        let since = crate::apply::unix_time();
        let mut state = Self {
            device,
            wakes,
            reports,
            document: InForce::default(),
            overrides: BTreeMap::new(),
            sources: None,
            engine: EngineState {
                facts: None,
                problem: Some("not asked yet".to_owned()),
                since,
                failures: 0,
            },
            inspections: Inspections::default(),
            observed: Observed::default(),
            offers: BTreeMap::new(),
            surveys: Surveys::default(),
            choices: BTreeMap::new(),
            plan: Plan::default(),
            swaps: BTreeMap::new(),
            versions: BTreeMap::new(),
            verdicts: Vec::new(),
            workers: BTreeMap::new(),
            watchers: BTreeMap::new(),
            proofs: BTreeMap::new(),
            hooks: BTreeMap::new(),
            hurried: BTreeSet::new(),
            pending: BTreeMap::new(),
            pulls: BTreeMap::new(),
            failed_pulls: Pauses::new(PULL_PAUSE.0, PULL_PAUSE.1),
            ran_out: BTreeMap::new(),
            failed_steps: Pauses::new(STEP_PAUSE.0, STEP_PAUSE.1),
            rests: Pauses::new(REST.0, REST.1),
            probation: clock::now(),
            ids: ulid::Generator::new(),
            passes: Passes::default(),
        };
        state.offers = state.remembered("offers", |history| history.offers());
        state.overrides = state.remembered("overrides", |history| history.overrides());
        state.remember();
        state.read_history();
        state
    }

    /// Something of the history; what can't be read is as if it had never been.
    fn remembered<T: Default>(
        &self,
        what: &str,
        read: impl FnOnce(&crate::history::History) -> Result<T, crate::history::Error>,
    ) -> T {
        read(&self.device.history).unwrap_or_else(|error| {
            tracing::error!(event = "history", %error, "{what} can't be read");
            T::default()
        })
    }

    /// Reads again what workers write into the history.
    pub(super) fn remember(&mut self) {
        self.swaps = self.remembered("replacements under way", |history| history.swaps());
        self.versions = self.remembered("versions", |history| history.versions());
        self.verdicts = self.remembered("verdicts", |history| history.verdicts());
    }

    /// An id for an operation: 26 characters that sort by time, whatever the clock does.
    pub(super) fn operation_id(&mut self) -> String {
        self.ids.generate().unwrap_or_else(|overflow| overflow.commit_overflow_random()).to_string()
    }

    /// Tells those who follow.
    pub(super) fn say(&self, kind: &str, container: Option<&str>, text: &str) {
        tracing::info!(event = kind, container, "{text}");
        if let Err(error) = self.device.history.happen(kind, container, text) {
            tracing::warn!(event = "history", %error, "{text}");
        }
    }

    /// Takes in what has happened. Nothing is done about it before the next look.
    pub(super) fn wake(&mut self, wake: Wake) {
        match wake {
            Wake::Event(Ok(event)) => self.happened(&event),
            Wake::Event(Err(error)) => self.engine_failed(&error),
            Wake::Listening => self.inspections.touch_all(),
            Wake::Worked { subject, outcome } => self.worked(&subject, outcome),
            Wake::Pulled { container, digest, result } => self.pulled(&container, digest, result),
            Wake::Surveyed { container, survey } => self.surveyed(&container, survey),
            Wake::Proof { container, operation, proof } => {
                if self.swaps.get(&container).is_some_and(|swap| swap.operation == operation) {
                    self.proofs.insert(container, proof);
                }
            }
            Wake::TriedOut(tried) => self.tried_out(*tried),
            Wake::File => self.read_file(),
        }
    }

    pub(super) fn engine_failed(&mut self, error: &Error) {
        if self.engine.problem.is_none() {
            self.engine.since = crate::apply::unix_time();
            self.say("engine", None, &error.to_string());
        }
        self.engine.problem = Some(error.to_string());
        self.engine.failures = self.engine.failures.saturating_add(1);
        self.inspections.touch_all();
    }

    fn happened(&mut self, event: &Event) {
        if event.kind != "container" {
            return;
        }
        let id = crate::engine::ContainerId(event.subject.clone());
        self.inspections.touch(&id);
        if event.action == "die" {
            self.ended(&id);
        }
    }

    /// A container has ended. If nobody wanted that, its version's probation counts it.
    fn ended(&mut self, id: &crate::engine::ContainerId) {
        let Some(made) = self.observed.container(id).and_then(crate::engine::Container::made) else { return };
        let container = made.container;
        let is_wanted = self.workers.contains_key(&container)
            || self.swaps.contains_key(&container)
            || self.overrides.get(&container).is_some_and(|said| said.stopped);
        if is_wanted {
            return;
        }
        let Some(version) = self.versions.get_mut(&container).and_then(|versions| versions.first_mut())
        else {
            return;
        };
        if version.probation.is_zero() || made.digest != Some(version.target.digest) {
            return;
        }
        version.crashes = version.crashes.saturating_add(1);
        let (number, left, crashes) = (version.id, version.probation, version.crashes);
        if let Err(error) = self.device.history.set_probation(number, left, crashes) {
            tracing::warn!(event = "history", %error, "{container}: a crash in its probation can't be written down");
        }
    }

    fn worked(&mut self, subject: &str, outcome: Outcome) {
        self.workers.remove(subject);
        for id in &outcome.touched {
            self.inspections.touch(id);
        }
        let now = clock::now();
        if let Some(end) = outcome.hooks {
            self.hooks.insert(subject.to_owned(), (end, now));
        }
        if outcome.mended {
            self.rests.failed(subject.to_owned(), "it was started a moment ago".to_owned(), now);
        }
        match outcome.failed {
            Some(failed) => {
                let text = format!("{}: {}", failed.step, failed.error);
                self.say("step", Some(subject), &format!("{subject}: {text}"));
                self.failed_steps.failed(subject.to_owned(), text, now);
            }
            None => self.failed_steps.forget(&subject.to_owned()),
        }
        let verdicts = self.verdicts.len();
        let before = self.swaps.get(subject).cloned();
        self.remember();
        match (before, self.swaps.get(subject)) {
            (Some(swap), None) => self.count(&swap),
            (before, Some(swap)) if before.as_ref() != Some(swap) && swap.stage == Stage::Prove => {
                self.watch_anew(subject);
            }
            _ => {}
        }
        if self.verdicts.len() != verdicts {
            // The next acceptable version may never have been asked for.
            self.surveys.want(subject);
        }
        if !self.swaps.contains_key(subject) {
            self.proofs.remove(subject);
            self.hooks.remove(subject);
        }
    }

    /// What was seen before counts no more.
    fn watch_anew(&mut self, container: &str) {
        self.proofs.remove(container);
        if let Some((_, watcher)) = self.watchers.remove(container) {
            watcher.abort();
        }
    }

    /// A replacement has ended.
    fn count(&self, swap: &Swap) {
        let container = &swap.container;
        let newest = self.versions.get(container).and_then(|versions| versions.first());
        let verdict = self.verdicts.iter().find(|verdict| {
            verdict.container == *container
                && verdict.digest == swap.target.digest
                && verdict.spec == swap.target.spec.hash()
        });
        let metrics = &self.device.metrics;
        match verdict {
            _ if newest.is_some_and(|newest| newest.operation == swap.operation) => {
                metrics.updated(container, metrics::Outcome::Committed);
            }
            Some(verdict) => {
                metrics.updated(container, metrics::Outcome::RolledBack);
                metrics.rolled_back(container, verdict.failure.reason.name());
            }
            None => metrics.updated(container, metrics::Outcome::Failed),
        }
    }

    fn pulled(&mut self, container: &str, digest: Digest, result: Result<String, PullFailure>) {
        let Some(pulling) = self.pulls.remove(&digest) else { return };
        match result {
            Ok(from) => {
                self.device.metrics.pulled(&from, pulling.progress().done);
                self.failed_pulls.forget(&digest);
                self.ran_out.remove(&digest);
                self.say(
                    "pull",
                    Some(container),
                    &format!("{container}: {} is here, from {from}", digest.short()),
                );
            }
            Err(PullFailure { text, ran_out }) => {
                self.say("pull", Some(container), &format!("{container}: {text}"));
                let (was_crowded, now) = (pulling.is_crowded, clock::now());
                self.ran_out.extend(ran_out.map(|free| (digest, RanOut { free, was_crowded, at: now })));
                // Who asked for it is told now; it is tried again all the same.
                let is_busy = |id: &&String| self.workers.contains_key(*id) || self.swaps.contains_key(*id);
                for container in
                    pulling.containers.iter().filter(|id| !is_busy(id)).cloned().collect::<Vec<_>>()
                {
                    self.hurried.remove(&container);
                    self.end_operation(&container, OperationState::Failed, &text);
                }
                self.failed_pulls.failed(digest, text, now);
            }
        }
    }

    fn surveyed(&mut self, container: &str, survey: Survey) {
        let now = clock::now();
        let problems = survey.problems.into_iter().map(|problem| (problem.registry, problem.text)).collect();
        let since = self.surveys.end(container, problems, now).unwrap_or_default();
        let mut offers = survey.offers;
        let found: Vec<_> = offers.iter().map(|offer| (offer.repository.as_str(), &offer.digest)).collect();
        match self.device.history.add_known_all(found.iter().copied(), since) {
            Ok(known) => {
                for (offer, known) in offers.iter_mut().zip(known) {
                    offer.known_for = known;
                }
            }
            Err(error) => {
                tracing::warn!(event = "history", %error, "{container}: how long versions are known")
            }
        }
        // Registries that did not answer have not taken anything back.
        if !offers.is_empty() || self.surveys.problems(container).is_empty() {
            if self.offers.get(container) != Some(&offers)
                && let Err(error) = self.device.history.set_offers(container, &offers)
            {
                tracing::warn!(event = "history", %error, "what registries offer can't be written down");
            }
            self.offers.insert(container.to_owned(), offers);
        }
        let states = self.sources.as_ref().map(|sources| sources.states()).unwrap_or_default();
        if let Err(error) = self.device.history.set_registries(&states) {
            tracing::warn!(event = "history", %error, "what registries are like can't be written down");
        }
    }

    /// Ends an operation that somebody began.
    pub(super) fn end_operation(&mut self, container: &str, state: OperationState, text: &str) {
        if let Some(operation) = self.pending.remove(container)
            && let Err(error) = self.device.history.end(&operation, state, text)
        {
            tracing::warn!(event = "history", %error, "the end of {operation} can't be written down");
        }
    }

    /// Waits for workers, for a moment: what they are at is found again anyway.
    pub(super) async fn stop(mut self) {
        for (_, watcher) in std::mem::take(&mut self.watchers).into_values() {
            watcher.abort();
        }
        let workers = std::mem::take(&mut self.workers).into_values();
        let _ = tokio::time::timeout(Duration::from_secs(5), futures_util::future::join_all(workers)).await;
    }
}
