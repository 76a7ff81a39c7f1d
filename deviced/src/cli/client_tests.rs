//! The client against servers that are not there, say no, or break.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use super::*;

/// A server that reads a request's head and body, answers with these bytes, and closes.
struct Server {
    _directory: tempfile::TempDir,
    client: Client,
    asked: tokio::task::JoinHandle<String>,
}

fn server(answer: &'static [u8]) -> Server {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        let mut part = [0; 4096];
        loop {
            let read = stream.read(&mut part).await.unwrap();
            asked.extend_from_slice(&part[..read]);
            let text = String::from_utf8_lossy(&asked).into_owned();
            let length = text
                .split("content-length: ")
                .nth(1)
                .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
            if read == 0 || text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() >= length) {
                break;
            }
        }
        let _ = stream.write_all(answer).await;
        String::from_utf8(asked).unwrap()
    });
    Server { _directory: directory, client: Client::new(Address::Socket(path)), asked }
}

#[tokio::test]
async fn a_request_says_what_is_wanted() {
    let server = server(b"HTTP/1.1 200 OK\r\netag: \"r7\"\r\ncontent-length: 9\r\n\r\n{\"a\": 17}");
    let call = Call::new(Method::PUT, "/v1/document?dry_run=true")
        .header(HeaderName::from_static("if-match"), "\"r6\"");
    let answer = server.client.send(call.body("application/yaml", "containers: []")).await.unwrap();
    assert_eq!((answer.status, answer.etag()), (StatusCode::OK, Some("\"r7\"")));
    assert_eq!(answer.json::<serde_json::Value>().unwrap(), serde_json::json!({"a": 17}));
    let asked = server.asked.await.unwrap();
    assert!(asked.starts_with("PUT /v1/document?dry_run=true HTTP/1.1\r\n"), "{asked}");
    for part in
        ["if-match: \"r6\"", "content-type: application/yaml", "host: deviced", "\r\n\r\ncontainers: []"]
    {
        assert!(asked.contains(part), "{asked}");
    }
}

#[tokio::test]
async fn the_token_goes_over_loopback() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(Address::Loopback(listener.local_addr().unwrap(), "geheim".into()));
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut part = [0; 4096];
        let read = stream.read(&mut part).await.unwrap();
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        String::from_utf8_lossy(&part[..read]).into_owned()
    });
    client.get("/v1/status").await.unwrap();
    assert!(serving.await.unwrap().contains("authorization: Bearer geheim\r\n"));
    assert!(!format!("{client:?}").contains("geheim"));
}

#[tokio::test]
async fn a_problem_is_a_failure_and_what_is_not_there_may_be_asked_for() {
    const NOT_THERE: &[u8] =
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 35\r\n\r\n{\"detail\": \"there is no document\"} ";
    let failure = server(NOT_THERE).client.get("/v1/document").await.unwrap_err();
    assert_eq!((failure.exit, failure.message.as_str()), (Exit::No, "there is no document"));
    assert!(server(NOT_THERE).client.find("/v1/document").await.unwrap().is_none());
    let failure = server(NOT_THERE).client.stream(Call::new(Method::GET, "/x")).await.unwrap_err();
    assert_eq!(failure.message, "there is no document");
}

#[tokio::test]
async fn what_is_not_understood_names_both_versions() {
    let answer =
        server(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]").client.get("/v1/status").await.unwrap();
    let failure = answer.json::<crate::report::Report>().unwrap_err();
    assert!(failure.message.contains(env!("CARGO_PKG_VERSION")), "{failure}");
}

#[tokio::test]
async fn connections_that_break_are_told_as_such() {
    for answer in
        [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", b"what?\r\n\r\n", b"HTTP/1.1 200"]
    {
        let failure = server(answer).client.get("/v1/status").await.unwrap_err();
        assert_eq!(failure.exit, Exit::Unreachable, "{failure}");
        assert!(failure.message.contains("broke"), "{failure}");
    }
}

#[tokio::test]
async fn a_socket_that_is_not_there_or_that_nobody_listens_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let client = Client::new(Address::Socket(path.clone()));
    let failure = client.get("/v1/status").await.unwrap_err();
    assert_eq!(failure.exit, Exit::Unreachable);
    assert!(
        failure.message.contains("does not run here") && failure.message.contains("--socket"),
        "{failure}"
    );
    drop(UnixListener::bind(&path).unwrap());
    let failure = client.get("/v1/status").await.unwrap_err();
    assert_eq!(failure.exit, Exit::Unreachable);
    assert!(failure.message.contains("can't be reached"), "{failure}");
}

#[test]
fn words_are_encoded_for_paths() {
    for (word, path) in [("web-1.a_b", "web-1.a_b"), ("a/b", "a%2Fb"), ("ä ?", "%C3%A4%20%3F"), ("..", "..")]
    {
        assert_eq!(encoded(word), path);
    }
}
