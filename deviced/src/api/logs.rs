//! A container's output: the last lines, or all that comes, to be read on where it broke off.

use std::time::Duration;

use axum::response::Response;
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use jiff::Timestamp;
use serde_json::json;

use super::call::Call;
use super::containers::find;
use super::events::LAST_EVENT_ID;
use super::kinds;
use super::problem::Problem;
use super::route::{self, Answer, Kind, Parameter, Route};
use super::stream::{LINES, Told};
use super::{JSON, accept};
use crate::engine::{ContainerId, Error, LogLine, LogRequest};
use crate::manager::Refusal;
use crate::report::{LineReport, LogReport};

/// Lines without anything said about how many.
const TAIL: u32 = 100;
/// Lines at most.
const MOST: u64 = 10_000;
/// How long is waited for the engine to refuse, before it is taken to have nothing to say yet.
const FIRST: Duration = Duration::from_millis(300);

pub(super) const ROUTES: &[Route] = &[Route::get(
    "/v1/containers/{id}/logs",
    "getLogs",
    "What it writes",
    |call| Box::pin(async move { logs(&call).await }),
)
.takes(&[
    Parameter::query("tail", Kind::Number(MOST), "The last so many lines; 100 if nothing is said about what is wanted."),
    Parameter::query("since", Kind::Text, "From then on: seconds since 1970, or RFC 3339."),
    Parameter::query("follow", Kind::Flag, "Goes on with what is written later."),
    Parameter::query("failed", Kind::Text, "The last lines of what failed in this operation, instead."),
    Parameter::header("Last-Event-ID", "The last line that was seen: the stream goes on behind it, or says with `gap` that lines are lost."),
])
.gives(&[Answer::ok(
    "Lines, oldest first. In a stream each is a `line`; `gap` says that some are lost, `problem` what went wrong, `end` that no more come.",
    &[
        route::json::<LineReport>(LINES),
        route::json::<LineReport>(accept::EVENTS),
        route::json::<LogReport>(JSON),
    ],
)])
.or(&[404, 502, 503])];

/// A line's place: its time, and which it is of those with the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    at: Timestamp,
    nth: u32,
}

impl Mark {
    fn parse(text: &str) -> Option<Self> {
        let (at, nth) = text.split_once('/')?;
        Some(Self { at: at.parse().ok()?, nth: nth.parse().ok()? })
    }
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.at, self.nth)
    }
}

async fn logs(call: &Call) -> Result<Response, Problem> {
    if let Some(operation) = call.query.text("failed") {
        return failed(call, operation);
    }
    let seen = seen(call)?;
    let request = request(call, seen)?;
    let report = call.api.handle.report();
    let id = find(&report, call.container())?.container.clone().ok_or_else(|| {
        let detail = format!(
            "{} has no container now; what a version that failed wrote last can be had with ?failed=OPERATION",
            call.container()
        );
        Problem::new(&kinds::NOT_FOUND, detail)
    })?;
    let place = call.api.place()?;
    let lines = call.api.handle.logs(&ContainerId(id), &request);
    let lines = begun(lines).await.map_err(|error| match error {
        Error::Missing { .. } => Problem::new(&kinds::NOT_FOUND, error.to_string()),
        other => Refusal::Engine(other).into(),
    })?;
    let told = told(lines, seen);
    Ok(if call.wants_events() { call.api.events(place, told) } else { call.api.lines(place, told) })
}

fn failed(call: &Call, operation: &str) -> Result<Response, Problem> {
    let history = &call.api.history;
    let of_container = history
        .operation(operation)?
        .is_none_or(|found| found.container.as_deref().is_none_or(|container| container == call.container()));
    match history.log(operation)?.filter(|_| of_container) {
        Some(lines) => Ok(super::json(&LogReport { operation: operation.to_owned(), lines })),
        None => {
            let shown: String = operation.chars().take(64).collect();
            let detail = format!("nothing is kept of what {} wrote in operation {shown:?}", call.container());
            Err(Problem::new(&kinds::NOT_FOUND, detail))
        }
    }
}

fn seen(call: &Call) -> Result<Option<Mark>, Problem> {
    let Some(text) = call.header(&LAST_EVENT_ID)? else { return Ok(None) };
    let mark = Mark::parse(text);
    mark.map(Some).ok_or_else(|| {
        Problem::new(&kinds::MALFORMED, "Last-Event-ID is none of a line of this stream: TIME/NUMBER")
    })
}

/// What the engine is asked for.
fn request(call: &Call, seen: Option<Mark>) -> Result<LogRequest, Problem> {
    let tail = call.query.number("tail").map(|tail| u32::try_from(tail).unwrap_or(TAIL));
    let since = call.query.text("since").map(moment).transpose()?;
    let follow = call.query.flag("follow");
    Ok(match seen {
        // From the beginning of its second on, for all to be there that have the same time.
        Some(seen) => LogRequest { tail: None, since: Some(seen.at.as_second()), follow },
        None if since.is_some() => LogRequest { tail, since, follow },
        None => LogRequest { tail: Some(tail.unwrap_or(TAIL)), since, follow },
    })
}

fn moment(text: &str) -> Result<i64, Problem> {
    let seconds = text.parse::<i64>().ok().filter(|seconds| *seconds >= 0);
    seconds.or_else(|| text.parse::<Timestamp>().ok().map(Timestamp::as_second)).ok_or_else(|| {
        let shown: String = text.chars().take(64).collect();
        let detail = format!("since={shown:?}: it is seconds since 1970, or RFC 3339: 2026-11-26T07:00:00Z");
        Problem::new(&kinds::MALFORMED, detail)
    })
}

type Lines = BoxStream<'static, Result<LogLine, Error>>;

/// Waits a moment for the first line, so that a refusal is an answer and not a part of a stream.
async fn begun(mut lines: Lines) -> Result<Lines, Error> {
    match tokio::time::timeout(FIRST, lines.next()).await {
        Ok(Some(Err(error))) => Err(error),
        Ok(Some(Ok(line))) => Ok(stream::iter([Ok(line)]).chain(lines).boxed()),
        Ok(None) => Ok(stream::empty().boxed()),
        Err(_) => Ok(lines),
    }
}

/// Lines with their places, without those that were seen.
fn told(lines: Lines, seen: Option<Mark>) -> impl Stream<Item = Told> + Send + 'static {
    let mut last: Option<Mark> = None;
    // Whether the line that was seen last has still to be found.
    let mut sought = seen;
    let told = lines.flat_map(move |line| {
        let line = match line {
            Ok(line) => line,
            Err(error) => {
                return stream::iter(vec![Told::new("problem", &json!({ "detail": error.to_string() }))]);
            }
        };
        let mark = line.at.parse::<Timestamp>().ok().map(|at| match last {
            Some(last) if last.at == at => Mark { at, nth: last.nth.saturating_add(1) },
            _ => Mark { at, nth: 0 },
        });
        last = mark.or(last);
        let mut told = Vec::new();
        if let (Some(mark), Some(seen)) = (mark, seen) {
            if mark <= seen {
                sought = sought.filter(|sought| *sought != mark);
                return stream::iter(told);
            }
            if let Some(sought) = sought.take() {
                told.push(Told::new(
                    "gap",
                    &json!({ "after": sought.to_string(), "next": mark.to_string() }),
                ));
            }
        }
        let line = Told::new("line", &LineReport::from(line));
        told.push(match mark {
            Some(mark) => line.at(mark.to_string()),
            None => line,
        });
        stream::iter(told)
    });
    told.chain(stream::once(async { Told::new("end", &json!({})) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: &str, text: &str) -> Result<LogLine, Error> {
        Ok(LogLine { at: at.to_owned(), error: false, text: text.to_owned() })
    }

    async fn read(
        lines: Vec<Result<LogLine, Error>>,
        seen: Option<&str>,
    ) -> Vec<(Option<String>, &'static str, String)> {
        let seen = seen.map(|seen| Mark::parse(seen).unwrap());
        let told: Vec<Told> = told(stream::iter(lines).boxed(), seen).collect().await;
        let text = |told: &Told| {
            told.data.get("text").map_or(told.data.to_string(), |text| text.as_str().unwrap().to_owned())
        };
        told.iter().map(|told| (told.id.clone(), told.name, text(told))).collect()
    }

    fn names(told: &[(Option<String>, &'static str, String)]) -> Vec<String> {
        told.iter().map(|(_, name, text)| format!("{name} {text}")).collect()
    }

    #[tokio::test]
    async fn reading_on_shows_each_line_once_also_where_many_have_one_time() {
        // The engine leaves out zeros at the end of fractions.
        let lines = || {
            vec![
                line("2026-11-26T07:00:00.1Z", "a"),
                line("2026-11-26T07:00:00.12Z", "b"),
                line("2026-11-26T07:00:00.120000000Z", "c"),
                line("2026-11-26T07:00:00.12Z", "d"),
                line("2026-11-26T07:00:01Z", "e"),
            ]
        };
        let all = read(lines(), None).await;
        assert_eq!(names(&all), ["line a", "line b", "line c", "line d", "line e", "end {}"]);
        for (index, expected) in [(0, "bcde"), (1, "cde"), (2, "de"), (3, "e"), (4, "")] {
            let rest = read(lines(), all[index].0.as_deref()).await;
            let shown: String =
                rest.iter().filter(|told| told.1 == "line").map(|told| told.2.as_str()).collect();
            assert_eq!(
                (shown.as_str(), rest.iter().any(|told| told.1 == "gap")),
                (expected, false),
                "{index}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_lost_is_said() {
        let rest = read(vec![line("2026-11-26T07:00:05Z", "later")], Some("2026-11-26T07:00:00.5Z/0")).await;
        assert_eq!(rest[0].1, "gap");
        assert_eq!(names(&rest)[1..], ["line later", "end {}"]);
    }

    #[tokio::test]
    async fn what_goes_wrong_on_the_way_is_told_and_a_strange_time_has_no_place() {
        let error = Error::Failed { call: "logs".to_owned(), message: "it broke".to_owned() };
        let told = read(vec![line("yesterday", "a"), Err(error)], None).await;
        assert_eq!(told[0].0, None);
        assert_eq!((told[1].1, told[2].1), ("problem", "end"));
    }

    #[test]
    fn moments_are_read_or_refused() {
        assert_eq!(moment("1000"), Ok(1000));
        assert_eq!(moment("1970-01-01T00:16:40+00:00"), Ok(1000));
        for bad in ["", "-1", "yesterday", "1e3", "2026-13-01T00:00:00Z", "99999999999999999999"] {
            assert!(moment(bad).is_err(), "{bad}");
        }
        for bad in ["", "2026-11-26T07:00:00Z", "x/0", "2026-11-26T07:00:00Z/x", "2026-11-26T07:00:00Z/-1"] {
            assert_eq!(Mark::parse(bad), None, "{bad}");
        }
    }
}
