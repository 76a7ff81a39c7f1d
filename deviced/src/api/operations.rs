//! What takes time, and how far it is.

use std::time::Duration;

use axum::response::Response;
use futures_util::stream;
use serde_json::json;
use tokio::sync::watch;

use super::call::Call;
use super::kinds;
use super::problem::Problem;
use super::route::{Answer, Kind, Parameter, Route, json};
use super::stream::Told;
use super::{JSON, accept};
use crate::history::{History, Operation, OperationState};
use crate::report::{OperationReport, OperationsReport};

/// How many are listed without a limit.
const LISTED: usize = 100;
/// Between two messages about a pull, so that it isn't slowed down by being watched.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) const ROUTES: &[Route] = &[
    Route::get("/v1/operations", "listOperations", "What is being done and was done", |call| {
        Box::pin(async move { list(&call) })
    })
    .takes(&[
        Parameter::query("container", Kind::Text, "Only those about this container."),
        Parameter::query("limit", Kind::Number(1000), "At most so many, 100 without it."),
    ])
    .gives(&[Answer::ok("Operations, the newest first", &[json::<OperationsReport>(JSON)])])
    .or(&[503]),
    Route::get("/v1/operations/{id}", "getOperation", "How far an operation is", |call| {
        Box::pin(async move { one(&call) })
    })
    .gives(&[Answer::ok(
        "The operation. As a stream it is told as `operation` at each change, and `end` follows the last.",
        &[json::<OperationReport>(JSON), json::<OperationReport>(accept::EVENTS)],
    )])
    .or(&[404, 503]),
];

fn list(call: &Call) -> Result<Response, Problem> {
    let limit = call.query.number("limit").map_or(LISTED, |limit| usize::try_from(limit).unwrap_or(LISTED));
    let operations = call.api.history.operations(limit, call.query.text("container"))?;
    Ok(super::json(&OperationsReport { operations: operations.into_iter().map(Into::into).collect() }))
}

fn one(call: &Call) -> Result<Response, Problem> {
    let (history, id) = (&call.api.history, call.path.get("id"));
    // Before the first look, so that no change is missed.
    let mut changes = history.watch_operations();
    changes.mark_unchanged();
    let operation = history.operation(id)?.ok_or_else(|| {
        let shown: String = id.chars().take(64).collect();
        Problem::new(&kinds::NOT_FOUND, format!("there is no operation {shown:?}, or it is forgotten"))
    })?;
    if !call.wants_events() {
        return Ok(super::json(&OperationReport::from(operation)));
    }
    let place = call.api.place()?;
    let watching = Watching { history: history.clone(), changes, next: Next::Tell(operation) };
    let told = stream::unfold(watching, |mut watching| async { Some((watching.next().await?, watching)) });
    Ok(call.api.events(place, told))
}

/// Somebody who watches an operation. However fast it changes, only how it is then is told.
#[derive(Debug)]
struct Watching {
    history: History,
    changes: watch::Receiver<u64>,
    next: Next,
}

#[derive(Debug)]
enum Next {
    Tell(Operation),
    Wait(Operation),
    End(Operation),
    Over,
}

impl Watching {
    async fn next(&mut self) -> Option<Told> {
        loop {
            match std::mem::replace(&mut self.next, Next::Over) {
                Next::Tell(operation) => {
                    let told = Told::new("operation", &OperationReport::from(operation.clone()));
                    let running = operation.state == OperationState::Running;
                    self.next = if running { Next::Wait(operation) } else { Next::End(operation) };
                    return Some(told);
                }
                Next::Wait(before) => {
                    tokio::time::sleep(PAUSE).await;
                    self.changes.changed().await.ok()?;
                    let now = self.history.operation(&before.id).ok()??;
                    self.next = if now == before { Next::Wait(before) } else { Next::Tell(now) };
                }
                Next::End(operation) => {
                    let state = OperationReport::from(operation).state;
                    return Some(Told::new("end", &json!({ "state": state })));
                }
                Next::Over => return None,
            }
        }
    }
}
