//! A stream of events that goes on after a disconnect where it was.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::BodyDataStream;
use axum::http::Method;
use axum::http::header::{ACCEPT, HeaderName};
use futures_util::StreamExt as _;
use tokio::time::{sleep, timeout};

use super::client::{Call, Client};
use super::exit::Exit;
use super::failure::{Failure, Result};
use super::sse::{Event, Events};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// deviced sends a comment every 15 s: a connection that is silent for longer is dead.
const SILENCE: Duration = Duration::from_secs(60);
/// Before it is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Events of one resource.
pub(super) struct Stream<'a> {
    client: &'a Client,
    /// What is asked for first, and what after a disconnect.
    first: String,
    again: String,
    body: Option<BodyDataStream>,
    events: Events,
    ready: VecDeque<Event>,
    /// Somebody has been told that deviced is away.
    told: bool,
    begun: bool,
}

impl<'a> Stream<'a> {
    /// `first` is asked for at the beginning, `again` with the last event's id after a disconnect.
    pub(super) fn new(client: &'a Client, first: String, again: String) -> Self {
        Self {
            client,
            first,
            again,
            body: None,
            events: Events::default(),
            ready: VecDeque::new(),
            told: false,
            begun: false,
        }
    }

    /// The next event. It never ends: deviced is waited for when it is away, but for the first time.
    pub(super) async fn next(&mut self) -> Result<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            let Some(body) = &mut self.body else {
                self.connect().await?;
                continue;
            };
            match timeout(SILENCE, body.next()).await {
                Ok(Some(Ok(bytes))) => {
                    let events = self.events.take(&bytes).map_err(|error| Failure::new(Exit::No, error))?;
                    self.ready.extend(events);
                }
                // Over, broken or silent: an event that was cut is asked for again.
                _ => {
                    self.body = None;
                    self.events = Events::after(self.events.last_id.take());
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<()> {
        let path = if self.events.last_id.is_some() { &self.again } else { &self.first };
        let mut call = Call::new(Method::GET, path.clone()).header(ACCEPT, "text/event-stream");
        if let Some(id) = &self.events.last_id {
            call = call.header(LAST_EVENT_ID, id);
        }
        match self.client.stream(call).await {
            Ok(body) => {
                self.body = Some(body.into_data_stream());
                if std::mem::take(&mut self.told) {
                    eprintln!("deviced: it goes on");
                }
                self.begun = true;
                Ok(())
            }
            // A container that is just being replaced is waited for as well; one that is no longer named is not.
            Err(failure)
                if self.begun && failure.kind != "unknown-container" && failure.exit != Exit::Forbidden =>
            {
                if !std::mem::replace(&mut self.told, true) {
                    eprintln!("deviced: {failure}; waiting for it");
                }
                sleep(PAUSE).await;
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }
}
