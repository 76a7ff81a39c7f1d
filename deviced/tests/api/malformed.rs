//! Whatever is wrong with a request is said as a problem with a 4xx, and nothing has changed.

use super::client::request;
use super::device::Device;

#[tokio::test]
async fn what_cannot_be_understood_is_refused_and_changes_nothing() {
    let device = Device::start().await;
    device.fill();
    let before = device.state();
    let json = ("Content-Type", "application/json");
    let based = ("If-Match", "\"r1\"");
    let long = "x".repeat(5000);
    let long_key = "x".repeat(256);
    type Case<'a> = (&'a str, &'a str, Vec<(&'a str, &'a str)>, &'a [u8], u16, &'a str);
    let cases: Vec<Case> = vec![
        // Addresses.
        ("GET", "/", vec![], b"", 404, "not-found"),
        ("GET", "/v1", vec![], b"", 404, "not-found"),
        ("GET", "/v1/status/", vec![], b"", 404, "not-found"),
        ("GET", "/v2/status", vec![], b"", 404, "not-found"),
        ("GET", "/v1/containers/%ff", vec![], b"", 400, "malformed"),
        ("GET", "/v1/containers/nothing", vec![], b"", 404, "unknown-container"),
        ("GET", "/v1/containers/..%2f..%2fetc%2fpasswd", vec![], b"", 404, "unknown-container"),
        ("GET", "/v1/containers/nothing/why", vec![], b"", 404, "unknown-container"),
        ("GET", "/v1/containers/nothing/history", vec![], b"", 404, "unknown-container"),
        ("GET", "/v1/containers/nothing/verdicts", vec![], b"", 404, "unknown-container"),
        ("GET", "/v1/containers/nothing/logs", vec![], b"", 404, "unknown-container"),
        ("GET", "/v1/containers/nothing/tag", vec![], b"", 404, "unknown-container"),
        ("GET", "/v1/containers/nothing/arguments", vec![], b"", 404, "unknown-container"),
        ("GET", "/v1/containers/safe/logs", vec![], b"", 404, "not-found"),
        ("GET", "/v1/operations/nothing", vec![], b"", 404, "not-found"),
        ("GET", "/v1/document/revisions/9", vec![], b"", 404, "not-found"),
        ("GET", "/v1/document/revisions/-1", vec![], b"", 404, "not-found"),
        ("GET", "/v1/document/revisions/99999999999999999999999", vec![], b"", 404, "not-found"),
        ("GET", "/problems/nothing", vec![], b"", 404, "not-found"),
        ("POST", "/v1/containers/nothing/start", vec![], b"", 404, "unknown-container"),
        ("DELETE", "/v1/containers/nothing/verdicts", vec![], b"", 404, "unknown-container"),
        // Methods.
        ("POST", "/v1/status", vec![], b"", 405, "method-not-allowed"),
        ("PATCH", "/v1/document", vec![], b"{}", 405, "method-not-allowed"),
        ("OPTIONS", "/v1/document", vec![("Origin", "http://evil.example")], b"", 405, "method-not-allowed"),
        ("GET", "/v1/containers/web/start", vec![], b"", 405, "method-not-allowed"),
        ("BREW", "/v1/status", vec![], b"", 405, "method-not-allowed"),
        // Parameters.
        ("GET", "/v1/status?verbose", vec![], b"", 400, "malformed"),
        ("GET", "/v1/events?after=x", vec![], b"", 400, "malformed"),
        ("GET", "/v1/events?after=-1", vec![], b"", 400, "malformed"),
        ("GET", "/v1/events?limit=1001", vec![], b"", 400, "malformed"),
        ("GET", "/v1/events?after=1&after=2", vec![], b"", 400, "malformed"),
        ("GET", "/v1/containers/web/logs?tail=10001", vec![], b"", 400, "malformed"),
        ("GET", "/v1/containers/web/logs?since=yesterday", vec![], b"", 400, "malformed"),
        ("GET", "/v1/containers/web/logs?follow=perhaps", vec![], b"", 400, "malformed"),
        ("GET", "/v1/containers/web/logs?failed=nothing", vec![], b"", 404, "not-found"),
        ("GET", "/v1/containers/safe/logs?failed=ended", vec![], b"", 404, "not-found"),
        ("GET", "/v1/containers/web/logs", vec![("Last-Event-ID", "x")], b"", 400, "malformed"),
        (
            "GET",
            "/v1/events",
            vec![("Accept", "text/event-stream"), ("Last-Event-ID", "-1")],
            b"",
            400,
            "malformed",
        ),
        (
            "GET",
            "/v1/events",
            vec![("Accept", "text/event-stream"), ("Last-Event-ID", "1"), ("Last-Event-ID", "2")],
            b"",
            400,
            "malformed",
        ),
        // The document.
        ("GET", "/v1/document", vec![("Accept", "text/html")], b"", 406, "not-acceptable"),
        ("GET", "/v1/document", vec![("If-None-Match", "r1")], b"", 400, "malformed"),
        ("PUT", "/v1/document", vec![], b"", 428, "precondition-required"),
        ("PUT", "/v1/document", vec![("If-Match", "r1")], b"", 400, "malformed"),
        ("PUT", "/v1/document", vec![("If-Match", "\"r2\"")], b"", 412, "stale"),
        ("PUT", "/v1/document", vec![("If-Match", "W/\"r1\"")], b"", 412, "stale"),
        ("PUT", "/v1/document", vec![("If-None-Match", "*")], b"", 412, "stale"),
        ("PUT", "/v1/document", vec![("If-None-Match", "\"r1\"")], b"", 400, "malformed"),
        ("PUT", "/v1/document", vec![based, ("If-None-Match", "*")], b"", 400, "malformed"),
        ("PUT", "/v1/document", vec![based, ("Content-Type", "image/png")], b"x", 415, "media-type"),
        ("PUT", "/v1/document", vec![based], b"\xff\xfe", 400, "malformed"),
        ("PUT", "/v1/document?dry_run=maybe", vec![based], b"", 400, "malformed"),
        ("PUT", "/v1/document?dryrun", vec![based], b"", 400, "malformed"),
        ("PUT", "/v1/document?dry_run", vec![("If-Match", "\"r2\"")], b"", 412, "stale"),
        ("POST", "/v1/plan", vec![], b"\x00", 422, "document-refused"),
        // Actions.
        ("POST", "/v1/containers/web/start", vec![json], b"{}", 400, "malformed"),
        ("POST", "/v1/containers/web/rollback", vec![json], b"{", 400, "malformed"),
        ("POST", "/v1/containers/web/rollback", vec![json], b"{} {}", 400, "malformed"),
        ("POST", "/v1/containers/web/rollback", vec![json], b"{\"to\": \"1\"}", 422, "invalid"),
        ("POST", "/v1/containers/web/rollback", vec![json], b"{\"to\": 1e99}", 422, "invalid"),
        ("POST", "/v1/containers/web/rollback", vec![json], b"{\"too\": 1}", 422, "invalid"),
        ("POST", "/v1/containers/web/rollback", vec![json], b"[1, 2]", 422, "invalid"),
        ("POST", "/v1/containers/web/rollback", vec![json], b"{\"to\": 9}", 409, "no-version"),
        (
            "POST",
            "/v1/containers/web/rollback",
            vec![("Content-Type", "text/plain")],
            b"{}",
            415,
            "media-type",
        ),
        ("POST", "/v1/containers/web/rollback", vec![json], long.as_bytes(), 413, "too-large"),
        ("PUT", "/v1/containers/web/tag", vec![json], b"", 400, "malformed"),
        ("PUT", "/v1/containers/web/tag", vec![json], b"\"1.4\"", 422, "invalid"),
        ("PUT", "/v1/containers/web/tag", vec![json], b"{\"tag\": \"a b\"}", 422, "invalid"),
        ("PUT", "/v1/containers/web/tag", vec![json], b"{\"tag\": \"\"}", 422, "invalid"),
        ("PUT", "/v1/containers/web/tag", vec![json], b"{\"tag\": null}", 422, "invalid"),
        ("PUT", "/v1/containers/web/arguments", vec![json], b"[]", 422, "invalid"),
        ("PUT", "/v1/containers/web/arguments", vec![json], b"null", 422, "invalid"),
        ("DELETE", "/v1/containers/web/verdicts/latest", vec![], b"", 422, "invalid"),
        // Keys.
        ("POST", "/v1/containers/web/start", vec![("Idempotency-Key", "")], b"", 400, "malformed"),
        ("POST", "/v1/containers/web/start", vec![("Idempotency-Key", &long_key)], b"", 400, "malformed"),
        (
            "POST",
            "/v1/containers/web/start",
            vec![("Idempotency-Key", "a"), ("Idempotency-Key", "b")],
            b"",
            400,
            "malformed",
        ),
    ];
    // Those that are refused by the manager are written down.
    let audited = ["no-version", "unknown-container"];
    for (method, path, headers, body, status, name) in cases {
        let answer = device.ask(method, path, &headers, body).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (status, name),
            "{method} {path} {headers:?}: {answer:?}"
        );
        let page = device.get(&format!("/problems/{name}")).await;
        assert!(page.status == 200 && page.text().contains(&status.to_string()), "{name}");
        if name == "method-not-allowed" {
            assert!(answer.header("allow").is_some_and(|allow| !allow.contains(method)), "{answer:?}");
        }
        assert_eq!(answer.header("access-control-allow-origin"), None);
        if !audited.contains(&name) {
            let outcomes: Vec<_> =
                device.history.audits(0, 100).unwrap().into_iter().map(|audit| audit.outcome).collect();
            assert!(
                outcomes.iter().all(|outcome| outcome.starts_with("refused")),
                "{method} {path}: {outcomes:?}"
            );
        }
    }
    // Only what the manager refused is written down; apart from that all is as before.
    let state = device.state();
    let audits = format!("{:?}", device.history.audits(0, 1000).unwrap());
    assert_eq!(state.replace(&audits, "[]"), before);
    assert_eq!(device.history.audits(0, 1000).unwrap().len(), 2);
}

#[tokio::test]
async fn a_body_without_end_is_cut_off_where_the_limit_is() {
    let device = Device::start().await;
    // Said before: refused without reading it.
    let body = vec![b' '; 5 << 20];
    for headers in [&[("If-None-Match", "*")], &[("Expect", "100-continue")]] {
        let answer = device.ask("PUT", "/v1/document", headers, &body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (413, "too-large"));
    }
    // And so it is where the body is not what is wrong.
    for (method, path, status) in
        [("PUT", "/nothing", 404), ("POST", "/v1/status", 405), ("POST", "/v1/containers/web/start", 400)]
    {
        assert_eq!(device.ask(method, path, &[], &body).await.status, status, "{path}");
    }
    assert_eq!(
        device.over_tcp().await.ask("PUT", "/v1/document", &[], &body).await.problem(),
        "unauthorized"
    );
    // Not said: refused while reading it.
    let mut client = device.client().await;
    client
        .send(b"PUT /v1/document HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: *\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    let mut chunk = b"10000\r\n".to_vec();
    chunk.extend(vec![b' '; 0x10000]);
    chunk.extend(b"\r\n");
    for _ in 0..80 {
        // The connection may be closed before all of it was sent.
        if client.send(&chunk).await.is_err() {
            break;
        }
    }
    let answer = client.head().await.unwrap();
    assert_eq!(answer.status, 413);
    assert_eq!(device.history.revision_in_force().unwrap(), 0);
}

#[tokio::test]
async fn what_is_no_http_ends_its_connection_and_no_other() {
    let device = Device::start().await;
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"GET /v1/status HTTP/1.1\r\nno colon\r\n\r\n",
    ] {
        let mut client = device.client().await;
        client.send(bytes).await.unwrap();
        if let Some(answer) = client.head().await {
            assert!((400..500).contains(&answer.status), "{answer:?}");
        }
        assert_eq!(device.get("/healthz").await.status, 200);
    }
    // Two requests at once on one connection are two answers.
    let mut client = device.client().await;
    let two = [request("GET", "/healthz", &[], b""), request("GET", "/v1/nothing", &[], b"")].concat();
    client.send(&two).await.unwrap();
    let first = client.head().await.unwrap();
    assert_eq!(first.status, 200);
}
