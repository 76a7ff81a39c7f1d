//! A request that is sent again is not done again.

use std::time::Duration;

use super::device::{DOCUMENT, Device};

const KEY: (&str, &str) = ("Idempotency-Key", "\"7f3b-1\"");

#[tokio::test]
async fn the_same_request_with_the_same_key_has_the_same_answer_and_is_done_once() {
    let device = Device::start().await;
    device.fill();
    let first = device.ask("POST", "/v1/containers/web/update", &[KEY], b"").await;
    assert_eq!((first.status, first.header("location")), (202, Some("/v1/operations/running")));
    for key in [KEY, ("Idempotency-Key", "7f3b-1")] {
        let again = device.ask("POST", "/v1/containers/web/update", &[key], b"").await;
        assert_eq!((again.status, again.header("location")), (202, first.header("location")));
        assert_eq!(
            (again.json(), again.header("content-type")),
            (first.json(), first.header("content-type"))
        );
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
    }
    assert_eq!(device.world.acted.lock().unwrap().len(), 1);
    for (method, path, body) in [
        ("POST", "/v1/containers/web/restart", b"".as_slice()),
        ("POST", "/v1/containers/web/rollback", b"{}"),
        ("DELETE", "/v1/containers/web", b""),
    ] {
        assert_eq!(device.ask(method, path, &[KEY], body).await.problem(), "key-reused");
    }
    assert_eq!(device.world.acted.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_document_with_a_key_is_put_once_also_when_the_tag_is_stale_by_then() {
    let device = Device::start().await;
    let headers = [KEY, ("If-None-Match", "*")];
    for _ in 0..2 {
        let answer = device.ask("PUT", "/v1/document", &headers, DOCUMENT.as_bytes()).await;
        assert_eq!((answer.status, answer.header("etag")), (201, Some("\"r1\"")));
    }
    assert_eq!(device.history.revision_in_force().unwrap(), 1);
    // A refusal for what was sent is an answer like others.
    let wrong = [("Idempotency-Key", "wrong"), ("If-Match", "\"r1\"")];
    for _ in 0..2 {
        let answer = device.ask("PUT", "/v1/document", &wrong, b"x").await;
        assert_eq!(answer.problem(), "document-refused");
    }
    assert_eq!(device.history.audits(0, 100).unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_being_answered_is_said_to_be_and_who_went_away_finds_it_done() {
    let device = Device::start().await;
    *device.world.slowness.lock().unwrap() = Duration::from_millis(300);
    let mut gone = device.client().await;
    gone.send(&super::client::request("POST", "/v1/containers/web/update", &[KEY], b"")).await.unwrap();
    // Until it has arrived there is no answer that says so.
    let mut seen = Vec::new();
    while !seen.contains(&"key-running".to_owned()) {
        let mut probe = device.client().await;
        let other = [("Idempotency-Key", "7f3b-1")];
        // The first that arrives is the one that is done.
        let answer = tokio::time::timeout(
            Duration::from_millis(50),
            probe.ask("POST", "/v1/containers/web/update", &other, b""),
        );
        if let Ok(answer) = answer.await {
            assert_eq!(answer.status, 409);
            assert_eq!(answer.header("retry-after"), Some("1"));
            seen.push(answer.problem());
        }
    }
    drop(gone);
    // Whoever asked first has gone; it is done all the same, once.
    let answer = loop {
        let answer = device.ask("POST", "/v1/containers/web/update", &[KEY], b"").await;
        if answer.status != 409 {
            break answer;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((answer.status, answer.header("idempotency-replayed")), (202, Some("true")));
    assert_eq!(device.world.acted.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_may_go_better_in_a_moment_is_tried_again() {
    let device = Device::start().await;
    for action in ["update", "stop", "start", "pause"] {
        let path = format!("/v1/containers/safe/{action}");
        let key = [("Idempotency-Key", action)];
        for _ in 0..2 {
            let answer = device.ask("POST", &path, &key, b"").await;
            assert!(matches!(answer.problem().as_str(), "busy" | "protected" | "engine-away" | "storage"));
            assert_eq!(answer.header("idempotency-replayed"), None);
        }
    }
    assert_eq!(device.history.audits(0, 100).unwrap().len(), 8);
}
