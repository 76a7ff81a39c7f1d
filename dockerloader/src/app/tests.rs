//! The client against a scripted supervisor: a real socket, an answer for each question.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::session::Session;
use super::{Client, Error, Readiness, cli_arguments};
use crate::control::{LINE_BYTES, Reply, Request};
use crate::digest::Digest;
use crate::remedy::Remedy;

fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

/// A listener of its own abstract address.
fn listen() -> (String, UnixListener) {
    let directory = tempfile::tempdir().unwrap();
    // The folder's name is unique on this machine, which is all that the abstract name needs.
    let name = format!("dockerloader-test{}", directory.path().display());
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    (format!("@{name}"), listener)
}

/// Answers one connection with each of these lines, and gives back the questions.
fn script(answers: Vec<Vec<u8>>) -> (Client, JoinHandle<Vec<Request>>) {
    let (address, listener) = listen();
    let supervisor = std::thread::spawn(move || {
        answers
            .iter()
            .map(|answer| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                // The client may hang up in the middle of an answer that is too long.
                let _ = stream.write_all(answer);
                serde_json::from_str(&line).unwrap()
            })
            .collect()
    });
    (Client::new(address), supervisor)
}

fn replies(replies: &[Reply]) -> (Client, JoinHandle<Vec<Request>>) {
    script(
        replies
            .iter()
            .map(|reply| {
                let mut line = serde_json::to_vec(reply).unwrap();
                line.push(b'\n');
                line
            })
            .collect(),
    )
}

fn session(client: Client, trial: bool) -> Arc<Session> {
    Arc::new(Session::new(Some(client), Some("g7".into()), trial, Duration::from_millis(1)))
}

fn generation() -> Option<String> {
    Some("g7".into())
}

#[tokio::test]
async fn ready_carries_the_generation_and_ends_the_trial() {
    let (client, supervisor) = replies(&[
        Reply::Extended { milliseconds: 1500 },
        Reply::Committed { digest: digest(1) },
        Reply::AlreadyCommitted { digest: digest(1) },
    ]);
    let session = session(client, true);
    assert!(session.is_trial());
    let extended = session.extend_trial(Duration::from_micros(1_499_001)).await.unwrap();
    assert_eq!(extended, Some(Duration::from_millis(1500)));
    assert_eq!(session.mark_ready().await.unwrap(), Readiness::Committed(digest(1)));
    assert!(!session.is_trial());
    assert_eq!(
        session.extend_trial(Duration::from_secs(1)).await.unwrap(),
        None,
        "no trial, nothing is asked"
    );
    assert_eq!(session.mark_ready().await.unwrap(), Readiness::AlreadyCommitted(digest(1)));
    assert_eq!(
        supervisor.join().unwrap(),
        [
            Request::Extend { generation: generation(), milliseconds: 1500 },
            Request::Ready { generation: generation() },
            Request::Ready { generation: generation() },
        ]
    );
}

#[tokio::test]
async fn a_refused_commit_is_an_error_and_the_trial_goes_on() {
    let (client, supervisor) = replies(&[Reply::Refused { reason: "another run has begun".into() }]);
    let session = session(client, true);
    let error = session.mark_ready().await.unwrap_err();
    assert!(matches!(&error, Error::Refused { reason } if reason == "another run has begun"), "{error}");
    assert_eq!(error.remedy(), Remedy::Refuse);
    assert!(session.is_trial());
    supervisor.join().unwrap();
}

#[tokio::test]
async fn the_loop_outlives_failures_and_tells_the_watcher() {
    let (client, supervisor) = replies(&[
        Reply::CheckFailed { error: "no such host".into(), remedy: Remedy::Later },
        Reply::Refused { reason: "on trial".into() },
        Reply::Skipped { digest: digest(2), reason: "it crashed".into() },
        Reply::UpToDate { digest: digest(1) },
        Reply::Staged { digest: digest(3) },
    ]);
    let session = session(client, false);
    let mut updates = session.watch();
    assert!(session.start_loop().is_none(), "one loop a process");
    assert_eq!(updates.staged().await, digest(3));
    assert_eq!(updates.staged().await, digest(3), "it stays staged");
    let asked = supervisor.join().unwrap();
    assert_eq!(asked, vec![Request::Check { generation: generation() }; 5]);
}

#[tokio::test]
async fn the_check_after_ready_tells_the_watcher_too() {
    let (client, supervisor) = replies(&[Reply::Staged { digest: digest(3) }]);
    let session = Arc::new(Session::new(Some(client), generation(), false, Duration::from_secs(86_400)));
    let mut updates = session.watch();
    session.check_and_announce().await;
    assert_eq!(updates.staged().await, digest(3));
    supervisor.join().unwrap();
}

#[tokio::test]
async fn without_a_supervisor_nothing_is_to_do_and_nothing_fails() {
    let session = Arc::new(Session::new(None, None, false, Duration::from_millis(1)));
    assert_eq!(session.mark_ready().await.unwrap(), Readiness::NotSupervised);
    assert_eq!(session.extend_trial(Duration::from_secs(1)).await.unwrap(), None);
    assert!(session.start_loop().is_none());
    assert!(!session.is_trial());
    assert!(matches!(session.status().await, Err(Error::NotSupervised)));
    assert!(matches!(session.check().await, Err(Error::NotSupervised)));
    let mut updates = session.watch();
    let waited = tokio::time::timeout(Duration::from_millis(5), updates.staged()).await;
    assert!(waited.is_err(), "there is nobody who could stage anything");
}

#[tokio::test]
async fn answers_that_are_none_are_named() {
    let long = vec![b'x'; LINE_BYTES + 1];
    for (answer, hint) in [
        (&b""[..], "did not answer status"),
        (&b"{\"reply\":\"up_to"[..], "ended before the answer"),
        (&long[..], "ended before the answer"),
        (&b"hello\n"[..], "hello"),
        (&b"{\"reply\":\"extended\",\"milliseconds\":1}\n"[..], "Extended"),
        (&b"{\"reply\":\"refused\",\"reason\":\"because\"}\n"[..], "because"),
    ] {
        let (client, supervisor) = script(vec![answer.to_vec()]);
        let error = session(client, false).status().await.unwrap_err().to_string();
        assert!(error.contains(hint), "{hint}: {error}");
        supervisor.join().unwrap();
    }
}

#[tokio::test]
async fn an_address_is_abstract_or_a_path() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control");
    let listener = UnixListener::bind(&path).unwrap();
    let supervisor = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        stream.write_all(b"{\"reply\":\"extended\",\"milliseconds\":1}\n").unwrap();
    });
    let reply = Client::new(path.to_str().unwrap()).ask(&Request::Status).await.unwrap();
    assert_eq!(reply, Reply::Extended { milliseconds: 1 });
    supervisor.join().unwrap();

    for address in ["@dockerloader-test-nobody-listens", "/nonexistent/control", "", "/with\0zero"] {
        let error = Client::new(address).ask(&Request::Status).await.unwrap_err();
        assert!(matches!(&error, Error::Connect { .. }), "{error}");
        assert!(error.to_string().contains(address), "{error}");
    }
}

#[test]
fn cli_is_the_first_argument_alone() {
    let mode = |arguments: &[&str]| cli_arguments(arguments.iter().map(|text| (*text).to_owned()));
    assert_eq!(mode(&[]), None);
    assert_eq!(mode(&["serve", "cli"]), None);
    assert_eq!(mode(&["cli"]), Some(vec![]));
    assert_eq!(mode(&["cli", "user", "add"]), Some(vec!["user".into(), "add".into()]));
}
