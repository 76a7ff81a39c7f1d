//! The steps of a plan, carried out in order: one function for each kind. What decides stands elsewhere.

mod hooks;
mod swap;

pub(crate) use swap::unix_time;

use std::sync::Arc;

use serde_json::Value;

use crate::document::container::Hooks;
use crate::engine::{ContainerId, Engine, Error as EngineError, NewContainer};
use crate::history::{Error as HistoryError, History};
use crate::labels;
use crate::plan::{HooksEnd, Step};

/// What steps are carried out with.
#[derive(Debug)]
pub struct Context<E> {
    /// The engine.
    pub engine: Arc<E>,
    /// What outlives a restart.
    pub history: History,
    /// Whose label is put on what is created.
    pub instance: String,
    /// The container, or whatever the steps are about.
    pub subject: String,
    /// Its hooks.
    pub hooks: Hooks,
    /// How long a version is watched after it has proven itself.
    pub probation: std::time::Duration,
    /// How long a postponed hook waits.
    pub postponement: std::time::Duration,
    /// The document's revision.
    pub revision: u64,
    /// Who wanted it.
    pub who: String,
}

/// What came of some steps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// How `pre` hooks ended, if they were among them.
    pub hooks: Option<HooksEnd>,
    /// Containers that were touched: what is known about them is stale.
    pub touched: Vec<ContainerId>,
    /// Something was started or changed in place, and not because it was replaced.
    pub mended: bool,
    /// The step that failed; those after it were not begun.
    pub failed: Option<Failed>,
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Failed {
    /// Which.
    pub step: String,
    /// Why.
    pub error: Error,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The history: without it nothing is done, since nothing would be found again.
    #[error("deviced's history can't be written: {0}")]
    History(String),
    /// The worker panicked.
    #[error("a defect of deviced: {0}; please report it")]
    Defect(String),
}

impl From<HistoryError> for Error {
    fn from(error: HistoryError) -> Self {
        Self::History(error.to_string())
    }
}

impl<E: Engine> Context<E> {
    /// Carries out steps until one fails.
    pub async fn carry_out(&self, steps: &[Step]) -> Outcome {
        let is_mending = |step: &Step| matches!(step, Step::Start(_) | Step::Update { .. });
        let mended =
            steps.iter().any(is_mending) && !steps.iter().any(|step| matches!(step, Step::Record(_)));
        let mut outcome = Outcome { mended, ..Outcome::default() };
        for step in steps {
            tracing::info!(event = "step", container = %self.subject, "{}: {step}", self.subject);
            match self.step(step, &mut outcome).await {
                Ok(()) if matches!(outcome.hooks, None | Some(HooksEnd::Done)) => {}
                Ok(()) => break,
                Err(error) => {
                    tracing::warn!(event = "step_failed", container = %self.subject, %error, "{}: {step}", self.subject);
                    outcome.failed = Some(Failed { step: step.to_string(), error });
                    break;
                }
            }
        }
        outcome
    }

    async fn step(&self, step: &Step, outcome: &mut Outcome) -> Result<(), Error> {
        let engine = &*self.engine;
        if let Some(id) = step.touches() {
            outcome.touched.push(id.clone());
        }
        match step {
            Step::Record(swap) => return self.record(swap),
            Step::KeepLog(id) => return self.keep_log(id).await,
            Step::Judge { container, failure } => return self.judge(container, failure),
            Step::Commit { container } => return self.commit(container),
            Step::Finish { container } => return self.finish(container),
            Step::Hooks { id, before: true } => outcome.hooks = Some(self.pre_hooks(id).await?),
            Step::Hooks { id, before: false } => self.post_hooks(id).await,
            // Pulls run beside the workers.
            Step::Pull { .. } => {}
            Step::Create { name, image, spec, labels, .. } => {
                let mut labels = labels.clone();
                labels.insert(labels::INSTANCE.to_owned(), self.instance.clone());
                let (name, image, spec) = (name.clone(), image.clone(), spec.clone());
                let new = NewContainer { name, image, spec, labels };
                for warning in engine.create(&new).await?.warnings {
                    tracing::warn!(event = "engine_warning", container = %self.subject, "{}: {warning}", self.subject);
                }
            }
            Step::Start(id) => engine.start(id).await?,
            Step::Stop(id) => engine.stop(id, None).await?,
            Step::Rename { id, name } => engine.rename(id, name).await?,
            Step::Remove(id) => engine.remove(id).await?,
            Step::Update { id, host_config } => engine.update(id, host_config).await?,
            Step::Connect { id, network, endpoint } => engine.connect(id, network, endpoint).await?,
            Step::Disconnect { id, network } => engine.disconnect(id, network).await?,
            Step::CreateNetwork { name, body } => engine.create_network(name, &self.owned(body)).await?,
            Step::RemoveNetwork(name) => engine.remove_network(name).await?,
            Step::CreateVolume { name, body } => engine.create_volume(name, &self.owned(body)).await?,
            Step::RemoveImage(name) => engine.remove_image(name).await?,
        }
        Ok(())
    }
}

impl<E> Context<E> {
    /// The body of a create call, with the label that says whose it is.
    fn owned(&self, body: &Value) -> Value {
        let mut body = body.clone();
        if let Some(members) = body.as_object_mut() {
            let labels = members.entry("Labels").or_insert_with(|| Value::Object(serde_json::Map::new()));
            if let Some(labels) = labels.as_object_mut() {
                labels.insert(labels::INSTANCE.to_owned(), self.instance.clone().into());
            }
        }
        body
    }
}

impl Outcome {
    /// A worker that panicked.
    pub(crate) fn defect(panic: &str) -> Self {
        let error = Error::Defect(panic.to_owned());
        Self { failed: Some(Failed { step: "work".to_owned(), error }), ..Self::default() }
    }
}
