//! Who may ask, and how the API ends.

use std::os::unix::fs::PermissionsExt as _;

use super::client::Events;
use super::device::{Device, TOKEN};

fn bearer() -> String {
    format!("Bearer {TOKEN}")
}

#[tokio::test]
async fn over_tcp_nothing_is_said_without_the_token() {
    let device = Device::start().await;
    device.fill();
    let before = device.state();
    let document = device.get("/openapi.json").await.json();
    let mut open = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let (method, path) =
                (method.to_uppercase(), path.replace("{id}", "web").replace("{name}", "stale"));
            let answer = device.over_tcp().await.ask(&method, &path, &[], b"").await;
            if answer.status == 401 {
                assert_eq!(answer.problem(), "unauthorized");
                assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
            } else {
                open.push(path);
            }
        }
    }
    open.sort_unstable();
    assert_eq!(open, ["/healthz", "/problems", "/problems/stale", "/readyz"]);
    // Nor what there is.
    assert_eq!(device.over_tcp().await.ask("GET", "/nothing", &[], b"").await.status, 401);
    assert_eq!(device.over_tcp().await.ask("BREW", "/v1/status", &[], b"").await.status, 401);
    assert_eq!(device.state(), before);

    let mut client = device.over_tcp().await;
    let answer = client.ask("GET", "/v1/status", &[("Authorization", &bearer())], b"").await;
    assert_eq!(answer.json()["device"], "roof");
    // The connection is as good as before, and no one the wiser.
    assert_eq!(client.ask("GET", "/v1/status", &[], b"").await.status, 401);
    let answer =
        client.ask("GET", "/v1/status", &[("Authorization", &bearer()), ("Host", "evil.example")], b"").await;
    assert_eq!(answer.problem(), "wrong-host");
    let answer = client.ask("GET", "/healthz", &[("Host", "evil.example")], b"").await;
    assert_eq!(answer.problem(), "wrong-host");
}

#[tokio::test]
async fn who_changed_something_is_written_down() {
    let device = Device::start().await;
    device.fill();
    let headers = [("Authorization", bearer())];
    let headers = [(headers[0].0, headers[0].1.as_str())];
    let mut client = device.over_tcp().await;
    assert_eq!(client.ask("POST", "/v1/containers/web/update", &headers, b"").await.status, 202);
    let secret = br#"{"environment": {"PASSWORD": "hunter2"}}"#;
    assert_eq!(device.ask("PUT", "/v1/containers/web/arguments", &[], secret).await.status, 200);
    assert_eq!(device.ask("POST", "/v1/containers/safe/stop", &[], b"").await.status, 409);
    let audit = device.get("/v1/audit").await;
    assert!(!audit.text().contains("hunter2"), "{}", audit.text());
    let audit = audit.json()["audit"].clone();
    let seen: Vec<_> = audit
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            [&one["who"], &one["action"], &one["container"], &one["outcome"]]
                .map(|text| text.as_str().unwrap())
        })
        .collect();
    let me = seen[1][0];
    assert!(me.starts_with("socket:"), "{me}");
    let refused =
        "refused: safe is protected: it can't be stopped by hand; take `protected` out of the document first";
    assert_eq!(
        seen,
        [
            ["token", "update", "web", "accepted as operation running"],
            [me, "set arguments", "web", "done"],
            [me, "stop", "safe", refused],
        ]
    );
    assert_eq!(device.get("/v1/audit?after=2").await.json()["audit"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_socket_is_for_its_owner_and_group() {
    let device = Device::start().await;
    let mode = std::fs::metadata(device.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
}

#[tokio::test]
async fn ready_is_when_the_engine_answers_and_the_device_was_looked_at() {
    let device = Device::start().await;
    assert_eq!(device.over_tcp().await.ask("GET", "/readyz", &[], b"").await.status, 200);
    device.tell(|report| report.pass.count = 0);
    assert_eq!(device.get("/readyz").await.problem(), "not-ready");
    device.tell(|report| report.engine.up = false);
    assert_eq!(device.get("/readyz").await.problem(), "not-ready");
    assert_eq!(device.get("/healthz").await.status, 200);
    assert_eq!(device.ask("HEAD", "/v1/status", &[], b"").await.status, 200);
}

#[tokio::test]
async fn requests_are_counted_by_their_route() {
    let device = Device::start().await;
    device.metrics.passed(std::time::Duration::from_millis(1), true);
    device.get("/v1/containers/web").await;
    device.get("/v1/containers/nothing").await;
    device.get("/nothing").await;
    let answer = device.get("/metrics").await;
    assert!(answer.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let text = answer.text();
    for line in [
        "deviced_http_request_duration_seconds_count{method=\"GET\",route=\"/v1/containers/{id}\",status=\"200\"} 1",
        "deviced_http_request_duration_seconds_count{method=\"GET\",route=\"/v1/containers/{id}\",status=\"404\"} 1",
        "deviced_http_request_duration_seconds_count{method=\"GET\",route=\"\",status=\"404\"} 1",
        "deviced_reconcile_total{result=\"ok\"} 1",
        "deviced_docker_up 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("nothing"), "labels are bounded");
}

#[tokio::test]
async fn when_deviced_stops_streams_end_and_the_socket_goes() {
    let mut device = Device::start().await;
    let mut events = Events::open(device.client().await, "/v1/events", &[]).await;
    device.history.happen("engine", None, "it is away").unwrap();
    assert_eq!(events.next().await.unwrap().name, "event");
    device.stop();
    assert_eq!(events.next().await, None);
    device.serving.take().unwrap().await.unwrap();
    assert!(!device.socket().exists());
}
