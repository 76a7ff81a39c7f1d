//! Whatever is sent: never a 5xx that is deviced's own fault, never the end of it.

use std::sync::LazyLock;

use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::client::request;
use super::device::Device;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Parts of addresses, some of which mean something.
fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "v1", "status", "document", "revisions", "plan", "schema", "containers", "web", "safe", "why", "history",
            "verdicts", "drift", "logs", "start", "stop", "rollback", "tag", "arguments", "operations", "running",
            "events", "audit", "metrics", "problems", "1", "", "..", "%00", "%ff", "%2e%2e", "\u{e9}", "{id}", "*",
        ])
        .prop_map(str::to_owned),
        1 => "[!-~]{0,20}",
    ]
}

fn query() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        prop::sample::select(vec![
            "tail",
            "since",
            "after",
            "limit",
            "dry_run",
            "remove_all",
            "failed",
            "container"
        ])
        .prop_map(str::to_owned),
        "[!-~]{0,10}",
    ];
    let value = prop_oneof!["[0-9]{0,25}", "[!-~]{0,10}", Just("true".to_owned()), Just("%".to_owned())];
    prop::collection::vec((name, value), 0..3).prop_map(|pairs| {
        let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    })
}

fn header() -> impl Strategy<Value = (String, String)> {
    let name = prop_oneof![
        4 => prop::sample::select(vec![
            "Accept", "If-Match", "If-None-Match", "Content-Type", "Idempotency-Key", "Last-Event-ID", "Authorization",
            "Host", "Expect", "Connection", "Upgrade", "Origin", "Range",
        ])
        .prop_map(str::to_owned),
        1 => "[A-Za-z-]{1,12}",
    ];
    let value = prop_oneof![
        "[ -~]{0,40}",
        prop::sample::select(vec![
            "*",
            "\"r1\"",
            "W/\"r1\"",
            "application/json",
            "text/plain",
            "*/*",
            "1",
            "evil.example",
            "close",
            "\u{e9}",
        ])
        .prop_map(str::to_owned),
    ];
    (name, value)
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::sample::select(vec![
            "",
            "{}",
            "[]",
            "null",
            "{\"to\": 1}",
            "{\"tag\": \"1\"}",
            "{\"ports\": [",
            "{\"a\": {\"b\": null}}",
            "apiVersion: deviced/v1\ncontainers: []\n",
            "&a [*a]",
            "\u{feff}{}",
            "{\"to\": 18446744073709551616}",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ]
}

/// What the manager of the tests answers itself with 502 and 503 is no fault.
fn is_a_fault(status: u16) -> bool {
    status == 500 || status == 501 || status == 504 || status > 504
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn requests_of_any_kind_are_answered(
        method in prop::sample::select(vec!["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "X"]),
        path in prop::collection::vec(segment(), 0..6).prop_map(|parts| parts.iter().map(|part| format!("/{part}")).collect::<String>()),
        query in query(),
        headers in prop::collection::vec(header(), 0..4),
        body in body(),
    ) {
        static DEVICE: LazyLock<Device> = LazyLock::new(|| RUNTIME.block_on(async {
            let device = Device::start().await;
            device.fill();
            device
        }));
        LazyLock::force(&DEVICE);
        let path = if path.is_empty() { "/".to_owned() } else { path };
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        RUNTIME.block_on(async {
            let mut client = DEVICE.client().await;
            client.send(&request(method, &format!("{path}{query}"), &headers, &body)).await.unwrap();
            if let Some(answer) = client.head().await {
                prop_assert!(!is_a_fault(answer.status), "{answer:?}");
                // What is wrong with HTTP itself is answered by the server with an empty body.
                let is_problem = answer.header("content-type") == Some("application/problem+json");
                prop_assert_eq!(answer.status >= 400 && answer.header("x-request-id").is_some(), is_problem);
            }
            prop_assert_eq!(DEVICE.get("/healthz").await.status, 200);
            Ok(())
        })?;
    }

    #[test]
    fn bytes_of_any_kind_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..400), ended in any::<bool>()) {
        static DEVICE: LazyLock<Device> = LazyLock::new(|| RUNTIME.block_on(Device::start()));
        LazyLock::force(&DEVICE);
        RUNTIME.block_on(async {
            for mut client in [DEVICE.client().await, DEVICE.over_tcp().await] {
                // It may be closed in the middle.
                let _ = client.send(&bytes).await;
                if ended && client.send(b"\r\n\r\n").await.is_ok() {
                    let answered = tokio::time::timeout(std::time::Duration::from_millis(20), client.head());
                    if let Ok(Some(answer)) = answered.await {
                        prop_assert!(!is_a_fault(answer.status), "{answer:?}");
                    }
                }
            }
            prop_assert_eq!(DEVICE.get("/healthz").await.status, 200);
            Ok(())
        })?;
    }
}
