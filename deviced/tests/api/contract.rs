//! Every route answers as its description says.

use std::collections::BTreeSet;

use serde_json::Value;

use super::client::{Answer, Events};
use super::device::{DOCUMENT, Device, digest};
use super::schema;

/// The answer's form as the description has it; panics when it has no such answer.
fn described<'a>(document: &'a Value, method: &str, route: &str, answer: &Answer) -> Option<&'a Value> {
    let operation = &document["paths"][route][method.to_lowercase()];
    let response = &operation["responses"][answer.status.to_string()];
    let response = match response.get("$ref") {
        Some(reference) => document.pointer(reference.as_str().unwrap().strip_prefix('#').unwrap()).unwrap(),
        None => response,
    };
    assert!(
        response.is_object(),
        "{method} {route} answers with {}, which is not described: {answer:?}",
        answer.status
    );
    for (name, _) in response.get("headers").and_then(Value::as_object).into_iter().flatten() {
        assert!(
            answer.header(name).is_some() || answer.json().get("changes").is_some(),
            "{method} {route}: {name} is missing"
        );
    }
    let media = answer.header("content-type")?;
    let content = response["content"].get(media);
    Some(&content.unwrap_or_else(|| panic!("{method} {route}: {media} is not described"))["schema"])
}

fn check(document: &Value, method: &str, route: &str, answer: &Answer) {
    let Some(schema) = described(document, method, route, answer) else {
        assert!(answer.body.is_empty());
        return;
    };
    match answer.header("content-type").unwrap() {
        media if media.starts_with("text/") || media == "application/yaml" => {
            assert_eq!(schema["type"], "string");
        }
        "application/x-ndjson" => {
            for line in answer.text().lines().filter(|line| !line.starts_with("{\"end\"")) {
                schema::check(document, schema, &serde_json::from_str(line).unwrap());
            }
        }
        _ => schema::check(document, schema, &answer.json()),
    }
}

#[tokio::test]
async fn every_route_answers_as_described() {
    let device = Device::start().await;
    device.fill();
    device.world.write("2026-11-26T07:00:00Z", "a line");
    let document = device.get("/openapi.json").await.json();
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/deviced-v1.json");
    let committed: Value = serde_json::from_str(&std::fs::read_to_string(committed).unwrap()).unwrap();
    assert!(document == committed, "what is served is what is committed");

    let json = ("Content-Type", "application/json");
    let all = digest(2).to_string();
    let verdict = format!("/v1/containers/web/verdicts/{all}");
    type Case<'a> = (&'a str, &'a str, &'a str, Vec<(&'a str, &'a str)>, &'a [u8], u16);
    let cases: Vec<Case> = vec![
        ("GET", "/v1/status", "/v1/status", vec![], b"", 200),
        ("GET", "/v1/images", "/v1/images", vec![], b"", 200),
        ("GET", "/v1/registries", "/v1/registries", vec![], b"", 200),
        ("GET", "/v1/document", "/v1/document", vec![], b"", 200),
        ("GET", "/v1/document", "/v1/document", vec![("Accept", "application/json")], b"", 200),
        ("GET", "/v1/document", "/v1/document", vec![("If-None-Match", "\"r1\"")], b"", 304),
        ("GET", "/v1/document", "/v1/document", vec![("Accept", "image/png")], b"", 406),
        ("PUT", "/v1/document?dry_run", "/v1/document", vec![], DOCUMENT.as_bytes(), 200),
        ("PUT", "/v1/document", "/v1/document", vec![("If-Match", "\"r1\"")], b"x", 422),
        ("PUT", "/v1/document", "/v1/document", vec![], b"", 428),
        ("PUT", "/v1/document", "/v1/document", vec![("If-Match", "\"r7\"")], b"", 412),
        ("PUT", "/v1/document", "/v1/document", vec![("If-Match", "\"r1\"")], DOCUMENT.as_bytes(), 200),
        ("GET", "/v1/document/revisions", "/v1/document/revisions", vec![], b"", 200),
        ("GET", "/v1/document/revisions/1", "/v1/document/revisions/{revision}", vec![], b"", 200),
        ("GET", "/v1/document/revisions/9", "/v1/document/revisions/{revision}", vec![], b"", 404),
        ("GET", "/v1/plan", "/v1/plan", vec![], b"", 200),
        ("POST", "/v1/plan", "/v1/plan", vec![], DOCUMENT.as_bytes(), 200),
        ("GET", "/v1/schema", "/v1/schema", vec![], b"", 200),
        ("GET", "/v1/containers", "/v1/containers", vec![], b"", 200),
        ("GET", "/v1/containers/web", "/v1/containers/{id}", vec![], b"", 200),
        ("GET", "/v1/containers/wep", "/v1/containers/{id}", vec![], b"", 404),
        ("GET", "/v1/containers/web/why", "/v1/containers/{id}/why", vec![], b"", 200),
        ("GET", "/v1/containers/web/history", "/v1/containers/{id}/history", vec![], b"", 200),
        ("GET", "/v1/containers/web/verdicts", "/v1/containers/{id}/verdicts", vec![], b"", 200),
        ("GET", "/v1/containers/web/drift", "/v1/containers/{id}/drift", vec![], b"", 200),
        ("GET", "/v1/containers/web/devices", "/v1/containers/{id}/devices", vec![], b"", 200),
        ("GET", "/v1/containers/web/mounts", "/v1/containers/{id}/mounts", vec![], b"", 200),
        ("GET", "/v1/containers/web/logs", "/v1/containers/{id}/logs", vec![], b"", 200),
        ("GET", "/v1/containers/web/logs?failed=ended", "/v1/containers/{id}/logs", vec![], b"", 200),
        ("GET", "/v1/containers/safe/logs", "/v1/containers/{id}/logs", vec![], b"", 404),
        ("POST", "/v1/containers/web/start", "/v1/containers/{id}/start", vec![], b"", 200),
        ("POST", "/v1/containers/web/stop", "/v1/containers/{id}/stop", vec![], b"", 200),
        ("POST", "/v1/containers/safe/stop", "/v1/containers/{id}/stop", vec![], b"", 409),
        ("POST", "/v1/containers/safe/start", "/v1/containers/{id}/start", vec![], b"", 503),
        ("POST", "/v1/containers/safe/resume", "/v1/containers/{id}/resume", vec![], b"", 502),
        ("POST", "/v1/containers/web/restart", "/v1/containers/{id}/restart", vec![], b"", 200),
        ("POST", "/v1/containers/web/update", "/v1/containers/{id}/update", vec![], b"", 202),
        ("POST", "/v1/containers/web/rollback", "/v1/containers/{id}/rollback", vec![], b"", 202),
        (
            "POST",
            "/v1/containers/web/rollback",
            "/v1/containers/{id}/rollback",
            vec![json],
            b"{\"to\": 1}",
            202,
        ),
        ("POST", "/v1/containers/web/release", "/v1/containers/{id}/release", vec![], b"", 200),
        ("POST", "/v1/containers/web/pause", "/v1/containers/{id}/pause", vec![], b"", 200),
        ("POST", "/v1/containers/web/resume", "/v1/containers/{id}/resume", vec![], b"", 200),
        ("GET", "/v1/containers/web/tag", "/v1/containers/{id}/tag", vec![], b"", 200),
        ("GET", "/v1/containers/safe/tag", "/v1/containers/{id}/tag", vec![], b"", 200),
        ("PUT", "/v1/containers/web/tag", "/v1/containers/{id}/tag", vec![json], b"{\"tag\": \"1\"}", 200),
        (
            "PUT",
            "/v1/containers/web/tag?dry_run",
            "/v1/containers/{id}/tag",
            vec![json],
            b"{\"tag\": \"1\"}",
            200,
        ),
        ("DELETE", "/v1/containers/web/tag", "/v1/containers/{id}/tag", vec![], b"", 200),
        ("GET", "/v1/containers/web/arguments", "/v1/containers/{id}/arguments", vec![], b"", 200),
        (
            "PUT",
            "/v1/containers/web/arguments",
            "/v1/containers/{id}/arguments",
            vec![json],
            b"{\"user\": \"1\"}",
            200,
        ),
        ("DELETE", "/v1/containers/web/arguments", "/v1/containers/{id}/arguments", vec![], b"", 200),
        ("DELETE", &verdict, "/v1/containers/{id}/verdicts/{digest}", vec![], b"", 200),
        ("DELETE", "/v1/containers/web/verdicts", "/v1/containers/{id}/verdicts", vec![], b"", 200),
        ("DELETE", "/v1/containers/web", "/v1/containers/{id}", vec![], b"", 200),
        ("GET", "/v1/operations", "/v1/operations", vec![], b"", 200),
        ("GET", "/v1/operations?container=web&limit=1", "/v1/operations", vec![], b"", 200),
        ("GET", "/v1/operations/running", "/v1/operations/{id}", vec![], b"", 200),
        ("GET", "/v1/operations/nothing", "/v1/operations/{id}", vec![], b"", 404),
        ("GET", "/v1/events", "/v1/events", vec![], b"", 200),
        ("GET", "/v1/audit", "/v1/audit", vec![], b"", 200),
        ("GET", "/metrics", "/metrics", vec![], b"", 200),
        ("GET", "/healthz", "/healthz", vec![], b"", 200),
        ("GET", "/readyz", "/readyz", vec![], b"", 200),
        ("GET", "/openapi.json", "/openapi.json", vec![], b"", 200),
        ("GET", "/problems", "/problems", vec![], b"", 200),
        ("GET", "/problems/stale", "/problems/{name}", vec![], b"", 200),
    ];
    let mut seen = BTreeSet::new();
    for (method, path, route, headers, body, status) in cases {
        let answer = device.ask(method, path, &headers, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        check(&document, method, route, &answer);
        assert!(
            !String::from_utf8_lossy(&answer.body).contains("hidden"),
            "{path} shows a secret of the spec"
        );
        seen.insert((method.to_lowercase(), route.to_owned()));
    }
    let all: BTreeSet<_> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(|method| (method.clone(), path.clone()))
        })
        .collect();
    assert_eq!(seen, all, "each route has an example here");
}

#[tokio::test]
async fn the_data_of_events_is_as_described() {
    let device = Device::start().await;
    device.fill();
    device.world.write("2026-11-26T07:00:00Z", "a line");
    let document = device.get("/openapi.json").await.json();
    for (path, route) in [
        ("/v1/events?after=0", "/v1/events"),
        ("/v1/operations/running", "/v1/operations/{id}"),
        ("/v1/containers/web/logs", "/v1/containers/{id}/logs"),
    ] {
        let mut events = Events::open(device.client().await, path, &[]).await;
        let schema = described(&document, "GET", route, &events.head).unwrap();
        let event = events.next().await.unwrap();
        assert!(matches!(event.name.as_str(), "event" | "operation" | "line"), "{event:?}");
        schema::check(&document, schema, &serde_json::from_str(&event.data).unwrap());
    }
}
