//! Answers that go on: server-sent events (WHATWG HTML, 9.2) and lines of JSON. Nothing is gathered for slow readers: what comes next is
//! only looked for when the last was taken.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::Api;
use super::kinds;
use super::problem::Problem;

/// After so long without anything a comment is sent, so that nobody on the way takes the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// When a client that lost its connection should come back.
const RETRY: Duration = Duration::from_secs(3);
/// Lines of JSON.
pub(super) const LINES: &str = "application/x-ndjson";

/// Something to tell, before it is put into a form.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    /// Its place in the stream, to come back to.
    pub(super) id: Option<String>,
    /// `line`, `event`, `operation`, `gap`, `problem`, `end`.
    pub(super) name: &'static str,
    /// What it says.
    pub(super) data: Value,
}

impl Told {
    /// Something with data that always has a JSON form.
    pub(super) fn new(name: &'static str, data: &impl Serialize) -> Self {
        Self { id: None, name, data: serde_json::to_value(data).unwrap_or_default() }
    }

    /// With its place.
    #[must_use]
    pub(super) fn at(self, id: impl Into<String>) -> Self {
        Self { id: Some(id.into()), ..self }
    }

    fn event(self) -> Event {
        let event = Event::default().event(self.name).data(self.data.to_string());
        match self.id {
            Some(id) if !id.contains(['\r', '\n', '\0']) => event.id(id),
            _ => event,
        }
    }

    /// What is told, alone; anything but a line or an event says what it is.
    fn line(self) -> Bytes {
        let data = match self.name {
            "line" | "event" | "operation" => self.data,
            other => serde_json::json!({ other: self.data }),
        };
        Bytes::from(format!("{data}\n"))
    }
}

impl Api {
    /// A place among those who listen.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        std::sync::Arc::clone(&self.streams).try_acquire_owned().map_err(|_| {
            let detail = format!("{} are listening already", super::STREAMS);
            Problem::new(&kinds::TOO_MANY_STREAMS, detail).after(5)
        })
    }

    /// What goes on until it ends, or deviced stops, as events.
    pub(super) fn events(
        &self,
        place: OwnedSemaphorePermit,
        told: impl Stream<Item = Told> + Send + 'static,
    ) -> Response {
        let begin = stream::iter([Event::default().retry(RETRY)]);
        let events = begin.chain(self.until_stopped(place, told).map(Told::event));
        let events = events.map(Ok::<_, Infallible>);
        let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }

    /// The same as lines of JSON.
    pub(super) fn lines(
        &self,
        place: OwnedSemaphorePermit,
        told: impl Stream<Item = Told> + Send + 'static,
    ) -> Response {
        let lines = self.until_stopped(place, told).map(|told| Ok::<_, Infallible>(told.line()));
        let mut response = Response::new(Body::from_stream(lines));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(LINES));
        response
    }

    fn until_stopped(
        &self,
        place: OwnedSemaphorePermit,
        told: impl Stream<Item = Told> + Send + 'static,
    ) -> impl Stream<Item = Told> + Send + 'static {
        let mut stopping = self.stopping.clone();
        let stopped = Box::pin(async move {
            // A sender that is gone has stopped as well.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        });
        told.take_until(stopped).map(move |told| {
            // Held for as long as the stream is.
            let _ = &place;
            told
        })
    }
}
