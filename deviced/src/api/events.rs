//! What happened, who did it, and following it.

use axum::http::HeaderName;
use axum::response::Response;
use futures_util::stream;
use serde_json::json;
use tokio::sync::broadcast::{self, error::RecvError};

use super::call::Call;
use super::kinds;
use super::problem::Problem;
use super::route::{Answer, Kind, Parameter, Route, json};
use super::stream::Told;
use super::{JSON, accept};
use crate::history::{Happening, History};
use crate::report::{AuditsReport, HappeningReport, HappeningsReport};

/// The last event that a client has seen.
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How many are given at once.
const PAGE: u64 = 1000;
/// How many are read from the table at once.
const READ: usize = 256;

const AFTER: Parameter =
    Parameter::query("after", Kind::Number(i64::MAX as u64), "Only what has a greater number.");
const LIMIT: Parameter = Parameter::query("limit", Kind::Number(PAGE), "At most so many, 1000 without it.");

pub(super) const ROUTES: &[Route] = &[
    Route::get("/v1/events", "listEvents", "What happened, or what happens from now on", |call| {
        Box::pin(async move { happenings(&call) })
    })
    .takes(&[
        AFTER,
        LIMIT,
        Parameter::header(
            "Last-Event-ID",
            "The last event that was seen: the stream goes on behind it, or says with `gap` what is lost.",
        ),
    ])
    .gives(&[Answer::ok(
        "Events, oldest first. As a stream each is an `event`; `gap` says which are lost.",
        &[json::<HappeningsReport>(JSON), json::<HappeningReport>(accept::EVENTS)],
    )])
    .or(&[503]),
    Route::get("/v1/audit", "listAudit", "Who changed what", |call| Box::pin(async move { audits(&call) }))
        .takes(&[AFTER, LIMIT])
        .gives(&[Answer::ok("Changes, oldest first", &[json::<AuditsReport>(JSON)])])
        .or(&[503]),
];

fn happenings(call: &Call) -> Result<Response, Problem> {
    let history = &call.api.history;
    if !call.wants_events() {
        let events = history.happenings(after(call).unwrap_or(0), limit(call))?;
        return Ok(super::json(&HappeningsReport { events: events.into_iter().map(Into::into).collect() }));
    }
    let place = call.api.place()?;
    let seen = match call.header(&LAST_EVENT_ID)? {
        Some(id) => Some(id.parse().ok().filter(|id| *id >= 0).ok_or_else(|| {
            Problem::new(&kinds::MALFORMED, "Last-Event-ID is none of an event of this stream: a number")
        })?),
        None => after(call),
    };
    // Before the table is read, so that nothing is missed in between.
    let receiver = history.subscribe();
    let (oldest, newest) = history.happenings_kept()?.unwrap_or((1, 0));
    let mut following = Following {
        history: history.clone(),
        receiver,
        seen: seen.unwrap_or(newest),
        behind: seen.is_some(),
        told: Vec::new(),
    };
    if following.seen > newest {
        // The history was lost, and numbers begin anew.
        following.told.push(gap(following.seen, oldest));
        following.seen = oldest.saturating_sub(1);
    }
    let told =
        stream::unfold(following, |mut following| async { Some((following.next().await?, following)) });
    Ok(call.api.events(place, told))
}

fn audits(call: &Call) -> Result<Response, Problem> {
    let audit = call.api.history.audits(after(call).unwrap_or(0), limit(call))?;
    Ok(super::json(&AuditsReport { audit: audit.into_iter().map(Into::into).collect() }))
}

fn after(call: &Call) -> Option<i64> {
    call.query.number("after").map(|after| i64::try_from(after).unwrap_or(i64::MAX))
}

fn limit(call: &Call) -> usize {
    usize::try_from(call.query.number("limit").unwrap_or(PAGE)).unwrap_or(usize::MAX)
}

/// Somebody who follows what happens. Who is too slow for the channel reads on in the table.
#[derive(Debug)]
struct Following {
    history: History,
    receiver: broadcast::Receiver<Happening>,
    /// The last one that was told.
    seen: i64,
    /// There may be others in the table.
    behind: bool,
    /// To be told next, in reverse.
    told: Vec<Told>,
}

impl Following {
    async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(told) = self.told.pop() {
                return Some(told);
            }
            if self.behind {
                // The client comes back when the disk does.
                let page = self.history.happenings(self.seen, READ).ok()?;
                self.behind = page.len() == READ;
                let next = self.seen.saturating_add(1);
                let lost = page.first().filter(|first| first.id > next).map(|first| gap(self.seen, first.id));
                let told: Vec<Told> =
                    lost.into_iter().chain(page.into_iter().map(|happening| self.tell(happening))).collect();
                self.told.extend(told.into_iter().rev());
                continue;
            }
            match self.receiver.recv().await {
                Ok(happening) if happening.id > self.seen => return Some(self.tell(happening)),
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => self.behind = true,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn tell(&mut self, happening: Happening) -> Told {
        self.seen = happening.id;
        let id = happening.id.to_string();
        Told::new("event", &HappeningReport::from(happening)).at(id)
    }
}

fn gap(seen: i64, next: i64) -> Told {
    Told::new("gap", &json!({ "after": seen, "next": next }))
}
