//! The door to the device manager for the API: what may be asked of it, and how it answers.

use std::sync::Arc;

use futures_util::stream::BoxStream;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use crate::document::Refused;
use crate::engine::{ContainerId, Error as EngineError, LogLine, LogRequest};
use crate::report::{PlanReport, Report};

/// What somebody wants done.
#[derive(Debug)]
pub enum Request {
    /// Put a document in force.
    Put {
        /// As it was written.
        text: String,
        /// The revision that it is based on; `None` not to care. Another one is in force: [`Refusal::Stale`].
        based_on: Option<u64>,
        /// Whether it may name none of the containers that are managed now.
        may_remove_all: bool,
        /// Who.
        who: String,
        /// The answer: the new revision.
        answer: oneshot::Sender<Result<u64, Refusal>>,
    },
    /// Say what would be done; with a document that is not in force, or for the one that is.
    Plan {
        /// The document; the one in force without it.
        text: Option<String>,
        /// The answer.
        answer: oneshot::Sender<Result<PlanReport, Refusal>>,
    },
    /// Say what an action would lead to.
    Try {
        /// To which container.
        container: String,
        /// What.
        action: Action,
        /// The answer.
        answer: oneshot::Sender<Result<PlanReport, Refusal>>,
    },
    /// Do something to a container.
    Act {
        /// Which.
        container: String,
        /// What.
        action: Action,
        /// Who.
        who: String,
        /// The answer.
        answer: oneshot::Sender<Result<Accepted, Refusal>>,
    },
}

/// What can be done to a container.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Starts it; it is no longer stopped by hand.
    Start,
    /// Stops it, and it stays stopped. Protected ones refuse.
    Stop,
    /// Stops and starts it. Protected ones refuse.
    Restart,
    /// Removes its container, and keeps its volumes; it is made anew unless it is stopped or no longer named. Protected ones refuse.
    Remove,
    /// Asks the registries now, and does not wait for a window or a minimum age.
    Update,
    /// Goes back to a kept version, or the last one before, and stays there.
    Rollback(Option<i64>),
    /// Follows the document again after a rollback.
    Release,
    /// Leaves it alone.
    Pause,
    /// No longer leaves it alone.
    Resume,
    /// Follows a tag instead of the document's versions; `None` for the document's.
    Tag(Option<String>),
    /// Changes run options by a merge patch (RFC 7396); `None` for the document's.
    Arguments(Option<Value>),
    /// Lifts the verdicts on a digest.
    Forget(String),
}

impl Action {
    /// In a word or two, for the audit.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Remove => "remove",
            Self::Update => "update",
            Self::Rollback(_) => "rollback",
            Self::Release => "release",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Tag(_) => "tag",
            Self::Arguments(_) => "arguments",
            Self::Forget(_) => "forget",
        }
    }
}

/// It will be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The operation to follow; `None` when it was so already, or is done.
    pub operation: Option<String>,
}

/// It won't be done.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// There is no such container.
    #[error("the document has no container {container:?}{}", .near.as_ref().map(|near| format!("; did you mean {near:?}?")).unwrap_or_default())]
    Unknown {
        /// What was asked for.
        container: String,
        /// One that is called nearly so.
        near: Option<String>,
    },
    /// It is protected.
    #[error(
        "{container} is protected: it can't be {action} by hand; take `protected` out of the document first"
    )]
    Protected {
        /// Which.
        container: String,
        /// What was wanted.
        action: &'static str,
    },
    /// Something else is being done to it.
    #[error("operation {operation} is under way for {container}; wait until it has ended")]
    Busy {
        /// Which.
        container: String,
        /// What is under way.
        operation: String,
    },
    /// There is nothing to go back to, or not that.
    #[error("{0}")]
    NoVersion(String),
    /// What was given is wrong.
    #[error("{0}")]
    Wrong(String),
    /// The document is wrong.
    #[error("the document is refused:\n{0}")]
    Document(Refused),
    /// The document would remove all.
    #[error(
        "this document names none of the {count} containers that deviced runs here; if all of them shall go, say so: --remove-all"
    )]
    RemovesAll {
        /// How many.
        count: usize,
    },
    /// Another document is in force than the one it is based on.
    #[error("revision {found} is in force, not {expected}; read it again, and apply your change to it")]
    Stale {
        /// What it is based on.
        expected: u64,
        /// What is in force.
        found: u64,
    },
    /// The engine can't be asked.
    #[error("{0}")]
    Engine(EngineError),
    /// deviced's own disk.
    #[error("{0}")]
    Storage(String),
}

/// Gets a container's output: what [`crate::engine::Engine::logs`] does.
pub type Logs =
    Arc<dyn Fn(&ContainerId, &LogRequest) -> BoxStream<'static, Result<LogLine, EngineError>> + Send + Sync>;

/// The door. Clone it.
#[derive(Clone)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    report: watch::Receiver<Arc<Report>>,
    logs: Logs,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl Handle {
    /// A door to whoever receives these requests.
    pub fn new(requests: mpsc::Sender<Request>, report: watch::Receiver<Arc<Report>>, logs: Logs) -> Self {
        Self { requests, report, logs }
    }

    /// What is known now. It costs nothing, whatever the engine does.
    pub fn report(&self) -> Arc<Report> {
        Arc::clone(&self.report.borrow())
    }

    /// To be told when that changes.
    pub fn watch(&self) -> watch::Receiver<Arc<Report>> {
        self.report.clone()
    }

    /// Output of a container.
    pub fn logs(
        &self,
        id: &ContainerId,
        what: &LogRequest,
    ) -> BoxStream<'static, Result<LogLine, EngineError>> {
        (self.logs)(id, what)
    }

    /// Puts a document in force. Its revision.
    ///
    /// # Errors
    /// [`Refusal`]; nothing has changed then.
    pub async fn put(
        &self,
        text: String,
        based_on: Option<u64>,
        may_remove_all: bool,
        who: String,
    ) -> Result<u64, Refusal> {
        self.ask(|answer| Request::Put { text, based_on, may_remove_all, who, answer }).await
    }

    /// What would be done.
    ///
    /// # Errors
    /// [`Refusal::Document`] and [`Refusal::Engine`].
    pub async fn plan(&self, text: Option<String>) -> Result<PlanReport, Refusal> {
        self.ask(|answer| Request::Plan { text, answer }).await
    }

    /// What an action would lead to: other run options, another tag.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn would(&self, container: String, action: Action) -> Result<PlanReport, Refusal> {
        self.ask(|answer| Request::Try { container, action, answer }).await
    }

    /// Does something to a container.
    ///
    /// # Errors
    /// [`Refusal`]; nothing has changed then.
    pub async fn act(&self, container: String, action: Action, who: String) -> Result<Accepted, Refusal> {
        self.ask(|answer| Request::Act { container, action, who, answer }).await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Request,
    ) -> Result<T, Refusal> {
        let (answer, answered) = oneshot::channel();
        let ended = || Refusal::Storage("deviced is stopping".to_owned());
        self.requests.send(request(answer)).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}
