//! What a document would lead to that is not in force. Registries are asked what they have for it beside everything else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dockerloader::clock;
use futures_util::future::join_all;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::state::Loop;
use super::wake::Wake;
use crate::document::Document;
use crate::document::container::Container;
use crate::engine::Engine;
use crate::manager::Refusal;
use crate::plan;
use crate::probe::Probe;
use crate::report::PlanReport;
use crate::sources::{Sources, Survey};

/// Registries that take longer are planned without; who asked for the plan waits for it.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where a plan is waited for.
pub(super) type Answer = oneshot::Sender<Result<PlanReport, Refusal>>;

/// A document with what registries have for it.
#[derive(Debug)]
pub(super) struct TriedOut {
    document: Document,
    /// By container. Those that are in force with the same versions have been asked about already.
    surveys: BTreeMap<String, Survey>,
    answer: Answer,
}

impl<E: Engine, P: Probe> Loop<E, P> {
    /// Begins to find out what a document would lead to.
    pub(super) async fn try_out(&mut self, text: &str, answer: Answer) {
        let document = match Document::read(text) {
            Ok(document) => document,
            Err(refused) => return drop(answer.send(Err(Refusal::Document(refused)))),
        };
        if let Err(error) = self.look_again().await {
            return drop(answer.send(Err(error)));
        }
        let news: Vec<_> =
            document.containers.iter().filter(|container| self.is_news(container)).cloned().collect();
        let asked: Vec<_> = news
            .into_iter()
            .map(|container| {
                let tag = self.overrides.get(&container.id).and_then(|said| said.tag.clone());
                let rejected = self.rejected(&container.id);
                (container, tag, rejected)
            })
            .collect();
        let remembered = self.device.history.registries().unwrap_or_default();
        let (settings, environment) = (&self.device.registry, &self.device.environment);
        let sources = Sources::new(&document.registries, &remembered, settings, environment);
        let wakes = self.wakes.clone();
        tokio::spawn(async move {
            let surveys = asked.iter().map(|(container, tag, rejected)| {
                let is_rejected = |digest: &_| rejected.contains(digest);
                let sources = &sources;
                async move {
                    let survey = sources.survey(container, tag.as_deref(), &is_rejected);
                    Some((container.id.clone(), timeout(PATIENCE, survey).await.ok()?))
                }
            });
            let surveys = join_all(surveys).await.into_iter().flatten().collect();
            let _ = wakes.send(Wake::TriedOut(Box::new(TriedOut { document, surveys, answer }))).await;
        });
    }

    /// Whether other versions are acceptable than those that registries have been asked for.
    fn is_news(&self, container: &Container) -> bool {
        let in_force = self.document.document.iter().flat_map(|document| &document.containers);
        let known = in_force.clone().find(|known| known.id == container.id).is_some_and(|known| {
            (&known.image, &known.versions, &known.fallback)
                == (&container.image, &container.versions, &container.fallback)
        });
        let is_known = known && self.surveys.was_asked(&container.id);
        !self.is_left_alone(container) && !is_known
    }

    /// Plans with what registries have, as if the document were in force, and forgets it.
    pub(super) fn tried_out(&mut self, tried: TriedOut) {
        let TriedOut { document, surveys, answer } = tried;
        let kept = (self.document.clone(), self.offers.clone(), self.surveys.clone(), self.choices.clone());
        for (container, survey) in surveys {
            let problems =
                survey.problems.into_iter().map(|problem| (problem.registry, problem.text)).collect();
            self.surveys.end(&container, problems, clock::now());
            self.offers.insert(container, survey.offers);
        }
        self.document.document = Some(document);
        // Without a revision nothing would be ours to change.
        self.document.revision = self.document.revision.max(1);
        let report = self.planned();
        (self.document, self.offers, self.surveys, self.choices) = kept;
        // Whoever asked may have gone meanwhile.
        let _ = answer.send(Ok(PlanReport { revision: 0, ..report }));
    }

    /// What is missing for the document, as if nothing were under way: not what is waited for.
    pub(super) fn planned(&mut self) -> PlanReport {
        let desired = self.choose();
        let known = plan::Known { busy: BTreeSet::new(), ..self.known() };
        let plan = plan::plan(&desired, &self.observed, &known);
        plan::report(&plan, &desired, &self.observed, &known)
    }
}
