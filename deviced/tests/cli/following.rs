//! Logs and events, and what happens when the connection ends.
#![expect(clippy::disallowed_methods, reason = "the test runs the binary")]

use std::io::{BufRead as _, BufReader};
use std::process::Child;

use serde_json::json;

use crate::api::Api;

const STREAM: &[(&str, &str)] = &[("content-type", "text/event-stream")];

fn line(at: &str, error: bool, text: &str) -> String {
    json!({"at": at, "error": error, "text": text}).to_string()
}

/// Ends with the test.
struct Follower(Child);

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn lines_go_where_the_container_wrote_them() {
    let api = Api::start();
    let lines = format!(
        "{}\n{}\n{{\"end\":{{}}}}\n",
        line("2026-11-26T07:30:00.5Z", false, "out"),
        line("2026-11-26T07:30:01Z", true, "err")
    );
    api.answer("GET /v1/containers/web/logs", usize::MAX, 200, &[], &lines);
    let ended = api.run(&["logs", "web"]);
    assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (0, "out\n", "err\n"));
    let ended = api.run(&["logs", "-t", "web"]);
    assert_eq!(ended.out, "2026-11-26T07:30:00.5Z out\n");
    assert_eq!(api.run(&["logs", "--json", "web"]).out, lines);
    api.answer("GET /v1/containers/web/logs?tail=5&since=0", 1, 200, &[], &lines);
    assert_eq!(api.run(&["logs", "-n", "5", "--since", "1970-01-01T00:00:00Z", "web"]).code, 0);
}

#[test]
fn a_stream_goes_on_where_it_was_after_a_disconnect() {
    let api = Api::start();
    let event = |at: &str, text: &str| format!("event: line\nid: {at}\ndata: {}\n\n", line(at, false, text));
    let first =
        format!(": hello\n\n{}{}event: line\nid: 3\ndata: {{\"cut", event("1", "one"), event("2", "two"));
    api.answer("GET /v1/containers/web/logs?follow=true", 1, 200, STREAM, &first);
    let unavailable = json!({"type": "/problems/not-ready", "detail": "deviced is starting"}).to_string();
    api.answer("GET /v1/containers/web/logs?follow=true", 1, 503, &[], &unavailable);
    api.answer("GET /v1/containers/web/logs?follow=true", 1, 200, STREAM, &event("3", "three"));
    let mut child = Follower(api.command(&["logs", "-f", "web"]).spawn().unwrap());
    let lines = BufReader::new(child.0.stdout.take().unwrap()).lines().take(3);
    let lines: Vec<_> = lines.map(Result::unwrap).collect();
    assert_eq!(lines, ["one", "two", "three"]);
    let asked = api.asked();
    assert!(!asked[0].headers.contains_key("last-event-id"));
    assert_eq!(
        (asked[1].headers["last-event-id"].as_str(), asked[1].headers["accept"].as_str()),
        ("2", "text/event-stream")
    );
    assert_eq!(asked[2].headers["last-event-id"], "2");
}

#[test]
fn a_container_that_is_not_there_is_not_waited_for() {
    let api = Api::start();
    api.problem(
        "GET /v1/containers/wbe/logs?follow=true",
        404,
        "unknown-container",
        "the document has no container \"wbe\"",
    );
    let ended = api.run(&["logs", "-f", "wbe"]);
    assert_eq!((ended.code, ended.err.as_str()), (1, "deviced: the document has no container \"wbe\"\n"));
}

#[test]
fn a_pipe_that_is_closed_early_is_no_failure() {
    let api = Api::start();
    let lines = (0..20_000).map(|number| line("2026-11-26T07:30:00Z", false, &number.to_string()) + "\n");
    api.answer("GET /v1/containers/web/logs", 1, 200, &[], &lines.collect::<String>());
    let mut child = api.command(&["logs", "web"]).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    drop(out);
    let ended = child.wait_with_output().unwrap();
    assert_eq!((line.as_str(), ended.status.code(), ended.stderr.as_slice()), ("0\n", Some(0), &b""[..]));
}

#[test]
fn events_are_lines() {
    let api = Api::start();
    let happening =
        json!({"id": 1, "at": 1_795_678_200, "kind": "commit", "container": "web", "text": "runs 1.4.2"});
    let event = happening.to_string();
    api.once("GET /v1/events", &json!({"events": [happening]}));
    assert_eq!(api.run(&["events"]).out, "2026-11-26 07:30:00  commit    web: runs 1.4.2\n");
    api.answer("GET /v1/events", 1, 200, STREAM, &format!("event: event\nid: 1\ndata: {event}\n\n"));
    let mut child = Follower(api.command(&["events", "-f", "--json"]).spawn().unwrap());
    let first = BufReader::new(child.0.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    assert_eq!(first, event);
}
