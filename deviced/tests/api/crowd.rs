//! Many at once.

use std::time::Duration;

use dockerloader::clock;

use super::client::Client;
use super::device::{DOCUMENT, Device, TOKEN};

const CLIENTS: usize = 64;
const REQUESTS: usize = 25;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_clients_are_answered_while_one_changes_the_document() {
    let device = Device::start().await;
    device.fill();
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let mut client = if number % 2 == 0 { device.client().await } else { device.over_tcp().await };
        clients.spawn(async move {
            let bearer = format!("Bearer {TOKEN}");
            let headers = [("Authorization", bearer.as_str())];
            let paths = ["/v1/status", "/v1/containers/web/history", "/v1/operations", "/v1/document"];
            let mut slowest = Duration::ZERO;
            for path in paths.iter().cycle().take(REQUESTS) {
                let begin = clock::now();
                let answer = client.ask("GET", path, &headers, b"").await;
                slowest = slowest.max(begin.elapsed());
                assert_eq!(answer.status, 200, "{answer:?}");
            }
            slowest
        });
    }
    for revision in 1..=10 {
        let etag = format!("\"r{revision}\"");
        let answer = device.ask("PUT", "/v1/document", &[("If-Match", &etag)], DOCUMENT.as_bytes()).await;
        assert_eq!(answer.status, 200);
    }
    let slowest = clients.join_all().await.into_iter().max().unwrap();
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
}

#[tokio::test]
async fn over_tcp_the_sixty_fifth_waits_until_another_has_gone() {
    let device = Device::start().await;
    let mut held: Vec<Client> = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = device.over_tcp().await;
        assert_eq!(client.ask("GET", "/healthz", &[], b"").await.status, 200);
        held.push(client);
    }
    let mut late = device.over_tcp().await;
    let asking = late.ask("GET", "/healthz", &[], b"");
    tokio::pin!(asking);
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut asking).await.is_err());
    // Administrators have a door of their own.
    assert_eq!(device.get("/healthz").await.status, 200);
    held.pop();
    assert_eq!(asking.await.status, 200);
}
