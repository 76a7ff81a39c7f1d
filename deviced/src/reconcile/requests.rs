//! What comes through the door of the API.

use serde_json::Value;

use super::act::{self, Change, Subject};
use super::state::Loop;
use crate::document::nearest;
use crate::engine::{Engine, ImageId, State};
use crate::history::{Operation, OperationState, Version};
use crate::manager::{Accepted, Action, Refusal, Request};
use crate::probe::Probe;
use crate::report::PlanReport;

impl<E: Engine, P: Probe> Loop<E, P> {
    pub(super) async fn answer(&mut self, request: Request) {
        // Whoever asked may have gone meanwhile.
        match request {
            Request::Put { text, based_on, may_remove_all, who, answer } => {
                let _ = answer.send(self.put(text, based_on, may_remove_all, &who));
            }
            Request::Plan { text: Some(text), answer } => self.try_out(&text, answer).await,
            Request::Plan { text: None, answer } => {
                let _ = answer.send(self.dry_run().await);
            }
            Request::Try { container, action, answer } => {
                let _ = answer.send(self.dry_action(&container, &action).await);
            }
            Request::Act { container, action, who, answer } => {
                let change = self.change(&container, &action);
                let _ =
                    answer.send(change.and_then(|change| self.carry_out(&container, &action, change, &who)));
            }
        }
    }

    /// What would be done, by a look of now.
    async fn dry_run(&mut self) -> Result<PlanReport, Refusal> {
        self.look_again().await?;
        Ok(self.planned())
    }

    pub(super) async fn look_again(&mut self) -> Result<(), Refusal> {
        let observed = self.inspections.look(&self.device.engine, &self.device.instance).await;
        self.observed = observed.map_err(Refusal::Engine)?;
        Ok(())
    }

    /// What would be done if somebody did that.
    async fn dry_action(&mut self, container: &str, action: &Action) -> Result<PlanReport, Refusal> {
        let change = self.change(container, action)?;
        let kept = self.overrides.insert(container.to_owned(), change.said);
        let report = self.dry_run().await;
        match kept {
            Some(kept) => self.overrides.insert(container.to_owned(), kept),
            None => self.overrides.remove(container),
        };
        report
    }

    /// What an action changes.
    fn change(&self, container: &str, action: &Action) -> Result<Change, Refusal> {
        let named = self.document.document.iter().flat_map(|document| &document.containers);
        let named = named.clone().find(|known| known.id == *container).cloned();
        let has_stray = self.observed.of(container).next().is_some();
        if named.is_none() && !(has_stray && *action == Action::Remove) {
            let ids = self.document.document.iter().flat_map(|document| &document.containers);
            let near = nearest(container, ids.map(|known| known.id.as_str())).map(str::to_owned);
            return Err(Refusal::Unknown { container: container.to_owned(), near });
        }
        let said = self.overrides.get(container).cloned().unwrap_or_default();
        let swap = self.swaps.get(container).map(|swap| swap.operation.clone());
        let busy = swap.or_else(|| {
            let is_at_work = self.workers.contains_key(container);
            is_at_work.then(|| {
                self.pending.get(container).cloned().unwrap_or_else(|| "of deviced's own".to_owned())
            })
        });
        let mut containers: Vec<_> = self.observed.of(container).collect();
        containers.sort_by_key(|found| (found.state != State::Running, found.name != *container));
        let runs = containers.first().is_some_and(|found| found.state == State::Running);
        let containers: Vec<_> = containers.into_iter().map(|found| found.id.clone()).collect();
        let has_image = |version: &Version| {
            let has = |id: &ImageId| self.observed.images.iter().any(|image| image.id == *id);
            version.target.image.as_ref().is_some_and(has)
        };
        let fits = |patch: &Value| match &named {
            Some(named) => self.fits(named, patch),
            None => Err("the document does not name it".to_owned()),
        };
        let subject = Subject {
            container,
            protected: named.as_ref().is_some_and(|named| named.protected),
            said: &said,
            busy: busy.as_deref(),
            containers: &containers,
            runs,
            versions: self.versions.get(container).map_or(&[], Vec::as_slice),
            has_image: &has_image,
            fits: &fits,
        };
        act::decide(action, &subject)
    }

    fn carry_out(
        &mut self,
        container: &str,
        action: &Action,
        change: Change,
        who: &str,
    ) -> Result<Accepted, Refusal> {
        let storage = |error: crate::history::Error| Refusal::Storage(error.to_string());
        let history = &self.device.history;
        if self.overrides.get(container).cloned().unwrap_or_default() != change.said {
            history.set_override(container, &change.said).map_err(storage)?;
            self.overrides.insert(container.to_owned(), change.said);
        }
        if let Some(digest) = &change.forgets {
            let digest = (digest != "all").then(|| digest.parse()).transpose();
            let digest = digest.map_err(|error| Refusal::Wrong(format!("{error}")))?;
            history.forget(container, digest.as_ref()).map_err(storage)?;
            self.remember();
        }
        self.failed_steps.forget(&container.to_owned());
        if change.asks {
            self.surveys.want(container);
        }
        if change.hurries {
            self.hurried.insert(container.to_owned());
            if let Some(digests) = self.offers.get(container) {
                for offer in digests {
                    self.failed_pulls.forget(&offer.digest);
                }
            }
        }
        let Some(kind) = change.operation else { return Ok(Accepted { operation: None }) };
        self.end_operation(container, OperationState::Failed, "another operation has begun");
        let id = self.operation_id();
        let operation = Operation {
            id: id.clone(),
            container: Some(container.to_owned()),
            kind: kind.to_owned(),
            who: who.to_owned(),
            state: OperationState::Running,
            stage: "accepted".to_owned(),
            text: format!("{kind} {container}"),
            progress: None,
            began: crate::apply::unix_time(),
            ended: None,
        };
        self.device.history.begin(&operation).map_err(storage)?;
        self.pending.insert(container.to_owned(), id.clone());
        self.say("action", Some(container), &format!("{container}: {} by {who}", action.name()));
        self.work(container, change.steps, None);
        Ok(Accepted { operation: Some(id) })
    }
}
