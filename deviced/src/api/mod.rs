//! The API over HTTP: what people, scripts and the page ask of the device manager.
//!
//! A request's way: `connection` (limits, patience) -> `guard` (who asks) -> `dispatch` (the `table`'s entry, parameters, body, key) -> its handler
//! -> the manager's door or the history. Every error is a `problem`. `openapi` is made of the same table.

mod connection;
mod listen;
mod patience;

mod guard;
mod token;

mod call;
mod dispatch;
mod keys;

mod accept;
mod etag;

mod kinds;
mod problem;

mod openapi;
mod route;
mod table;

mod stream;

mod actions;
mod containers;
mod device;
mod document;
mod events;
mod logs;
mod open;
mod operations;
mod overrides;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dockerloader::clock;
use serde::Serialize;
use tokio::sync::{Semaphore, watch};

pub use listen::{ListenError, Listeners};
pub use openapi::openapi_document;
pub use token::{Token, TokenError};

use crate::history::{Audit, History};
use crate::manager::Handle;
use crate::metrics::Metrics;

/// Streams at once, of events, output and progress.
const STREAMS: usize = 64;
/// How long requests may take to end when deviced stops.
const GRACE: Duration = Duration::from_secs(5);

/// What all requests share.
#[derive(Debug)]
struct Api {
    handle: Handle,
    history: History,
    metrics: Metrics,
    streams: Arc<Semaphore>,
    /// Becomes true when deviced stops.
    stopping: watch::Receiver<bool>,
    openapi: Bytes,
    /// Seconds since 1970: a part of the ids of requests.
    started: u64,
}

/// Serves the API until `shutdown`; then streams end, and what is being answered is given a few seconds.
pub async fn serve(
    listeners: Listeners,
    handle: Handle,
    history: History,
    metrics: Metrics,
    shutdown: impl Future<Output = ()> + Send,
) {
    let (stop, stopping) = watch::channel(false);
    let api = Arc::new(Api {
        handle,
        history,
        metrics,
        streams: Arc::new(Semaphore::new(STREAMS)),
        stopping,
        openapi: Bytes::from(openapi_document().to_string()),
        started: clock::unix_seconds(),
    });
    let router = dispatch::router(&api);
    connection::serve(listeners, router, shutdown, &stop, GRACE).await;
}

impl Api {
    /// Writes down who changed what. A disk that has no room for it does not keep a change from being made that was made already.
    fn audit(&self, audit: &Audit) {
        if let Err(error) = self.history.audit(audit) {
            tracing::warn!(event = "audit", who = audit.who, action = audit.action, "{error}");
        }
    }
}

/// An answer with a body of JSON.
fn json(value: &impl Serialize) -> axum::response::Response {
    use axum::http::HeaderValue;
    use axum::http::header::CONTENT_TYPE;
    // What is told has names for keys, so it always has a JSON form.
    let text = serde_json::to_vec(value).unwrap_or_default();
    let mut response = axum::response::Response::new(axum::body::Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}

/// JSON's media type.
const JSON: &str = "application/json";

/// An empty audit, to be filled.
fn audit(who: &str, action: &str, container: Option<&str>) -> Audit {
    Audit {
        id: 0,
        at: i64::try_from(clock::unix_seconds()).unwrap_or(i64::MAX),
        who: who.to_owned(),
        action: action.to_owned(),
        container: container.map(str::to_owned),
        before: None,
        after: None,
        outcome: String::new(),
    }
}
