//! Whether a container answers: over HTTP, or a connection.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::Request;
use hyper::header::{HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Asks a container whether it works. An error says in a sentence what is wrong.
pub trait Probe: Send + Sync + 'static {
    /// `GET path` over plain HTTP/1.1: an answer with a status of 200 to 399 is good.
    fn http(
        &self,
        at: SocketAddr,
        path: &str,
        timeout: Duration,
    ) -> impl Future<Output = Result<(), String>> + Send;
    /// A connection that is accepted is good.
    fn tcp(&self, at: SocketAddr, timeout: Duration) -> impl Future<Output = Result<(), String>> + Send;
}

/// Asks over the network.
#[derive(Debug, Clone, Copy, Default)]
pub struct Network;

impl Probe for Network {
    async fn http(&self, at: SocketAddr, path: &str, timeout: Duration) -> Result<(), String> {
        within(timeout, get(at, path)).await.map_err(|problem| format!("GET http://{at}{path}: {problem}"))
    }

    async fn tcp(&self, at: SocketAddr, timeout: Duration) -> Result<(), String> {
        let connect = async { TcpStream::connect(at).await.map(drop).map_err(|problem| problem.to_string()) };
        within(timeout, connect).await.map_err(|problem| format!("connection to {at}: {problem}"))
    }
}

async fn within(timeout: Duration, work: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let late = |_| Err(format!("no answer within {} s", timeout.as_secs_f64()));
    tokio::time::timeout(timeout, work).await.unwrap_or_else(late)
}

async fn get(at: SocketAddr, path: &str) -> Result<(), String> {
    fn text(problem: impl ToString) -> String {
        problem.to_string()
    }
    let request = Request::get(path)
        .header(HOST, at.to_string())
        .header(USER_AGENT, concat!("deviced/", env!("CARGO_PKG_VERSION")))
        .body(String::new())
        .map_err(text)?;
    let stream = TcpStream::connect(at).await.map_err(text)?;
    let opened = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = opened.map_err(text)?;
    // It ends when nobody wants the answer any more. Its error is the answer's as well.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    let answer = sender.send_request(request).await.map_err(text)?;
    match answer.status().as_u16() {
        200..=399 => Ok(()),
        _ => Err(format!("it answers {}", answer.status())),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const SOON: Duration = Duration::from_millis(300);

    /// Answers one connection with these bytes, and hands out what was asked; `None` never answers.
    async fn server(answer: Option<&'static str>) -> (SocketAddr, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let size = stream.read(&mut asked).await.unwrap();
            match answer {
                Some(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
                None => {
                    // Until the other side has had enough.
                    let _ = stream.read(&mut asked).await;
                }
            }
            String::from_utf8_lossy(asked.get(..size).unwrap()).into_owned()
        });
        (at, task)
    }

    #[tokio::test]
    async fn a_status_of_200_to_399_is_good() {
        for (answer, is_good) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true),
            ("HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n", true),
            ("HTTP/1.0 204 No Content\r\n\r\n", true),
            ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", false),
            ("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", false),
            ("SSH-2.0-x\r\n", false),
            ("", false),
        ] {
            let (at, asked) = server(Some(answer)).await;
            let result = Network.http(at, "/health?full=1", Duration::from_secs(5)).await;
            assert_eq!(result.is_ok(), is_good, "{answer:?}: {result:?}");
            let asked = asked.await.unwrap().to_lowercase();
            assert!(
                asked.starts_with("get /health?full=1 http/1.1\r\n")
                    && asked.contains(&format!("host: {at}")),
                "{asked}"
            );
            if let Err(problem) = result {
                assert!(problem.starts_with(&format!("GET http://{at}/health?full=1: ")), "{problem}");
            }
        }
    }

    #[tokio::test]
    async fn who_does_not_answer_in_time_or_at_all_is_not_good() {
        let (at, _asked) = server(None).await;
        let silent = Network.http(at, "/", SOON).await.unwrap_err();
        assert!(silent.ends_with("no answer within 0.3 s"), "{silent}");

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        Network.tcp(at, SOON).await.unwrap();
        drop(listener);
        assert!(Network.tcp(at, SOON).await.unwrap_err().starts_with(&format!("connection to {at}: ")));
        assert!(Network.http(at, "/", SOON).await.is_err());
        assert!(Network.http(at, "no path", SOON).await.is_err());
    }
}
