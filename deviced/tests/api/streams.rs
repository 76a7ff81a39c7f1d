//! Streams: nothing is missed, nothing is told twice, and what is lost is said.

use deviced::engine::{Error as EngineError, Progress};
use deviced::history::OperationState;
use serde_json::Value;

use super::client::{Event, Events};
use super::device::{Device, operation};

fn data(event: &Event) -> Value {
    serde_json::from_str(&event.data).unwrap()
}

async fn texts(events: &mut Events, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..count {
        let event = events.next().await.unwrap();
        texts.push(format!("{} {}", event.name, data(&event)["text"].as_str().unwrap_or_default()));
    }
    texts
}

#[tokio::test]
async fn who_comes_back_is_told_what_happened_meanwhile() {
    let device = Device::start().await;
    let happen = |text: &str| device.history.happen("drift", Some("web"), text).unwrap();
    happen("before");
    let mut events = Events::open(device.client().await, "/v1/events", &[]).await;
    assert_eq!(events.head.header("content-type"), Some("text/event-stream"));
    assert_eq!(events.head.header("cache-control"), Some("no-store"));
    assert_eq!(events.head.header("x-accel-buffering"), Some("no"));
    happen("first");
    happen("second\nin two lines");
    assert_eq!(texts(&mut events, 1).await, ["event first"]);
    let second = events.next().await.unwrap();
    assert_eq!(
        (second.id.as_deref(), &data(&second)["text"]),
        (Some("3"), &Value::from("second\nin two lines"))
    );
    drop(events);
    happen("third");
    happen("fourth");
    let mut events = Events::open(device.client().await, "/v1/events", &[("Last-Event-ID", "3")]).await;
    assert_eq!(texts(&mut events, 2).await, ["event third", "event fourth"]);
    happen("fifth");
    assert_eq!(texts(&mut events, 1).await, ["event fifth"]);
    let mut all = Events::open(device.client().await, "/v1/events?after=0", &[]).await;
    assert_eq!(texts(&mut all, 6).await.len(), 6);
    let page = device.get("/v1/events?after=4&limit=1").await.json();
    assert_eq!(page["events"].as_array().unwrap().len(), 1);
    assert_eq!(page["events"][0]["text"], "fourth");
}

#[tokio::test]
async fn what_was_forgotten_is_a_gap_and_so_is_a_history_that_began_anew() {
    let device = Device::in_memory().await;
    for number in 0..10_020 {
        device.history.happen("drift", None, &number.to_string()).unwrap();
    }
    let mut events = Events::open(device.client().await, "/v1/events", &[("Last-Event-ID", "5")]).await;
    let gap = events.next().await.unwrap();
    assert_eq!((gap.name.as_str(), data(&gap)), ("gap", serde_json::json!({"after": 5, "next": 21})));
    assert_eq!(events.next().await.unwrap().id.as_deref(), Some("21"));
    let mut events = Events::open(device.client().await, "/v1/events", &[("Last-Event-ID", "999999")]).await;
    assert_eq!(events.next().await.unwrap().name, "gap");
    assert_eq!(events.next().await.unwrap().id, Some("21".to_owned()));
}

#[tokio::test]
async fn who_reads_slowly_misses_nothing_and_holds_nobody_up() {
    let device = Device::in_memory().await;
    let mut slow = Events::open(device.client().await, "/v1/events", &[]).await;
    let text = "x".repeat(2000);
    for number in 0..3_000 {
        device.history.happen("drift", None, &format!("{number} {text}")).unwrap();
    }
    for number in 0..3_000 {
        let event = slow.next().await.unwrap();
        assert_eq!(event.name, "event");
        assert!(
            data(&event)["text"].as_str().unwrap().starts_with(&format!("{number} ")),
            "{number}: {}",
            event.data
        );
    }
}

#[tokio::test]
async fn an_operation_is_followed_to_its_end() {
    let device = Device::start().await;
    device.history.begin(&operation("01")).unwrap();
    let mut events = Events::open(device.client().await, "/v1/operations/01", &[]).await;
    assert_eq!(texts(&mut events, 1).await, ["operation the new container is created"]);
    let bytes = Progress { done: 5, total: 10, layers_done: 0, layers_total: 1 };
    device.history.progress("01", "pull", "half of it", Some(bytes)).unwrap();
    let event = events.next().await.unwrap();
    assert_eq!(
        (&data(&event)["stage"], &data(&event)["progress"]["done"]),
        (&Value::from("pull"), &Value::from(5))
    );
    device.history.end("01", OperationState::Done, "it has proven itself").unwrap();
    assert_eq!(texts(&mut events, 1).await, ["operation it has proven itself"]);
    let end = events.next().await.unwrap();
    assert_eq!((end.name.as_str(), data(&end)["state"].as_str()), ("end", Some("done")));
    assert_eq!(events.next().await, None);
    // One that has ended is told at once.
    let mut events = Events::open(device.client().await, "/v1/operations/01", &[]).await;
    assert_eq!(texts(&mut events, 2).await, ["operation it has proven itself", "end "]);
}

#[tokio::test]
async fn output_is_read_on_where_it_broke_off() {
    let device = Device::start().await;
    for (second, text) in [(1, "a"), (2, "b"), (2, "c"), (3, "d")] {
        device.world.write(&format!("2026-11-26T07:00:0{second}.5Z"), text);
    }
    let path = "/v1/containers/web/logs?follow=true&tail=3";
    let mut events = Events::open(device.client().await, path, &[]).await;
    assert_eq!(texts(&mut events, 1).await, ["line b"]);
    let c = events.next().await.unwrap();
    assert_eq!((c.id.as_deref(), data(&c)["text"].as_str()), (Some("2026-11-26T07:00:02.5Z/1"), Some("c")));
    assert_eq!(texts(&mut events, 1).await, ["line d"]);
    device.world.write("2026-11-26T07:00:04Z", "\u{1b}[31me\u{fffd}");
    assert_eq!(texts(&mut events, 1).await, ["line \u{1b}[31me\u{fffd}"]);
    drop(events);
    let seen = [("Last-Event-ID", c.id.as_deref().unwrap())];
    let mut events = Events::open(device.client().await, path, &seen).await;
    assert_eq!(texts(&mut events, 2).await, ["line d", "line \u{1b}[31me\u{fffd}"]);
    device.world.write("2026-11-26T07:00:05Z", "f");
    assert_eq!(texts(&mut events, 1).await, ["line f"]);
    drop(events);
    // The engine has rotated its file meanwhile.
    device.world.written.lock().unwrap().drain(..4);
    let mut events = Events::open(device.client().await, path, &seen).await;
    assert_eq!(events.next().await.unwrap().name, "gap");
    assert_eq!(texts(&mut events, 2).await, ["line \u{1b}[31me\u{fffd}", "line f"]);
}

#[tokio::test]
async fn without_a_stream_output_is_lines_of_json() {
    let device = Device::start().await;
    for number in 0..300 {
        device
            .world
            .write(&format!("2026-11-26T07:0{}:{:02}Z", number / 60, number % 60), &number.to_string());
    }
    let answer = device.get("/v1/containers/web/logs").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-ndjson")));
    let lines: Vec<Value> = answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 101, "a hundred, and the end");
    assert_eq!((&lines[0]["text"], &lines[100]), (&Value::from("200"), &serde_json::json!({"end": {}})));
    let answer = device.get("/v1/containers/web/logs?since=2026-11-26T07:04:00Z&tail=10000").await;
    assert_eq!(answer.text().lines().count(), 61);
    *device.world.engine.lock().unwrap() =
        Some(EngineError::Away { at: "/var/run/docker.sock".to_owned(), problem: "refused".to_owned() });
    assert_eq!(device.get("/v1/containers/web/logs").await.problem(), "engine-away");
    *device.world.engine.lock().unwrap() =
        Some(EngineError::Missing { call: "logs".to_owned(), message: "no such container".to_owned() });
    assert_eq!(device.get("/v1/containers/web/logs?follow").await.problem(), "not-found");
    device.fill();
    let kept = device.get("/v1/containers/web/logs?failed=ended").await.json();
    assert_eq!(kept["lines"][0], "panic");
}

#[tokio::test]
async fn there_are_places_for_sixty_four_streams_and_they_are_given_back() {
    let device = Device::start().await;
    let mut open = Vec::new();
    for number in 0..64 {
        let events = Events::open(device.client().await, "/v1/events", &[]).await;
        assert_eq!(events.head.status, 200, "{number}");
        open.push(events);
    }
    let headers = [("Accept", "text/event-stream")];
    let answer = device.ask("GET", "/v1/events", &headers, b"").await;
    assert_eq!((answer.problem().as_str(), answer.header("retry-after")), ("too-many-streams", Some("5")));
    assert_eq!(device.get("/v1/status").await.status, 200);
    open.clear();
    // Who went away is noticed at the next write at the latest.
    let again = loop {
        device.history.happen("drift", None, "x").unwrap();
        let again = Events::open(device.client().await, "/v1/events", &[]).await;
        if again.head.status == 200 {
            break again;
        }
    };
    assert_eq!(again.head.header("content-type"), Some("text/event-stream"));
}
