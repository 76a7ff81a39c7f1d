//! Asks deviced's API: one connection for each request, over the Unix socket or loopback.

use std::io;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HOST, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use bytes::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::address::Address;
use super::exit::Exit;
use super::failure::{Failure, Result};
use super::problem;

/// deviced answers from memory; what asks the engine has a deadline of its own there that is shorter.
const ANSWER: Duration = Duration::from_secs(90);
/// A loopback connection that takes longer never comes.
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes of an answer, at most.
const MAX_ANSWER: usize = 64 << 20;

/// A client of one deviced.
#[derive(Debug, Clone)]
pub(super) struct Client {
    address: Address,
}

/// A request that is to be sent.
#[derive(Debug)]
pub(super) struct Call {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

/// An answer that is no problem.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Call {
    /// Without a body. `path` has its query, and what stands in it is encoded.
    pub(super) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// With a header; one that can't be sent is left out, and the server says what it lacks.
    #[must_use]
    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// With a body.
    #[must_use]
    pub(super) fn body(mut self, kind: &'static str, body: impl Into<Bytes>) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        self.body = body.into();
        self
    }
}

impl Answer {
    /// Its body as a value.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let version = env!("CARGO_PKG_VERSION");
            Failure::new(
                Exit::No,
                format!(
                    "the answer is not understood ({error}); this command is of deviced {version}: is the one that runs too?"
                ),
            )
        })
    }

    /// The entity tag, as it is sent back in `If-Match`.
    pub(super) fn etag(&self) -> Option<&str> {
        self.headers.get(ETAG)?.to_str().ok()
    }
}

impl Client {
    pub(super) const fn new(address: Address) -> Self {
        Self { address }
    }

    /// Asks for a resource.
    pub(super) async fn get(&self, path: impl Into<String>) -> Result<Answer> {
        self.send(Call::new(Method::GET, path)).await
    }

    /// Sends a request, and fails when the answer is a problem.
    pub(super) async fn send(&self, call: Call) -> Result<Answer> {
        let (status, headers, body) = self.exchange(call).await?;
        if status.is_success() {
            Ok(Answer { status, headers, body })
        } else {
            Err(problem::failure(status.as_u16(), &body))
        }
    }

    /// Asks for a resource that may not be there.
    pub(super) async fn find(&self, path: impl Into<String>) -> Result<Option<Answer>> {
        let (status, headers, body) = self.exchange(Call::new(Method::GET, path)).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(Some(Answer { status, headers, body })),
            status => Err(problem::failure(status.as_u16(), &body)),
        }
    }

    /// Asks for something whose body goes on as long as it likes.
    pub(super) async fn stream(&self, call: Call) -> Result<Body> {
        let response = self.begin(call).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        let body = self.whole(response.into_body()).await?;
        Err(problem::failure(status.as_u16(), &body))
    }

    async fn exchange(&self, call: Call) -> Result<(StatusCode, HeaderMap, Bytes)> {
        let response = self.begin(call).await?;
        let (head, body) = response.into_parts();
        Ok((head.status, head.headers, self.whole(body).await?))
    }

    async fn whole(&self, body: Body) -> Result<Bytes> {
        let read = timeout(ANSWER, to_bytes(body, MAX_ANSWER)).await;
        read.map_err(|_| self.silent())?.map_err(|error| self.broken(&error))
    }

    /// Sends a request and waits for the head of the answer.
    async fn begin(&self, call: Call) -> Result<Response<Body>> {
        let (host, token) = match &self.address {
            Address::Socket(_) => ("deviced".to_owned(), None),
            Address::Loopback(address, token) => (address.to_string(), Some(token)),
        };
        let mut call = call.header(HOST, &host);
        if let Some(token) = token
            && let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {token}"))
        {
            value.set_sensitive(true);
            call.headers.insert(AUTHORIZATION, value);
        }
        let mut request =
            Request::builder()
                .method(call.method)
                .uri(call.path)
                .body(Body::from(call.body))
                .map_err(|error| Failure::new(Exit::Usage, format!("this can't be asked for: {error}")))?;
        *request.headers_mut() = call.headers;
        let mut sender = self.connect().await?;
        let response = timeout(ANSWER, sender.send_request(request)).await;
        let response = response.map_err(|_| self.silent())?.map_err(|error| self.broken(&error))?;
        Ok(response.map(Body::new))
    }

    async fn connect(&self) -> Result<SendRequest<Body>> {
        let connecting = async {
            match &self.address {
                Address::Socket(path) => Ok(begin(UnixStream::connect(path).await?).await),
                Address::Loopback(address, _) => Ok(begin(TcpStream::connect(address).await?).await),
            }
        };
        let connected: io::Result<_> = timeout(CONNECT, connecting).await.map_err(|_| self.silent())?;
        connected.map_err(|error| self.unreachable(&error))?.map_err(|error| self.broken(&error))
    }

    fn unreachable(&self, error: &io::Error) -> Failure {
        let place = self.address.spoken();
        match error.kind() {
            io::ErrorKind::PermissionDenied => Failure::new(
                Exit::Forbidden,
                format!("{place}: {error}; ask as root, or as one of the socket's group"),
            ),
            io::ErrorKind::NotFound => Failure::new(
                Exit::Unreachable,
                format!(
                    "there is no {place}: deviced does not run here, or its socket is elsewhere (--socket, DEVICED_SOCKET)"
                ),
            ),
            _ => Failure::new(Exit::Unreachable, format!("deviced can't be reached at {place}: {error}")),
        }
    }

    fn silent(&self) -> Failure {
        Failure::new(
            Exit::Unreachable,
            format!("deviced does not answer at {}; its log says more", self.address.spoken()),
        )
    }

    fn broken(&self, error: &dyn std::error::Error) -> Failure {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        Failure::new(
            Exit::Unreachable,
            format!(
                "the connection to deviced at {} broke: {text}; it may have been restarted",
                self.address.spoken()
            ),
        )
    }
}

/// Speaks HTTP over a connection. It ends with the last of what was asked over it.
async fn begin<S>(stream: S) -> hyper::Result<SendRequest<Body>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // Whoever waits for an answer is told of an error.
    tokio::spawn(connection);
    Ok(sender)
}

/// A word as part of a path (RFC 3986, `unreserved`).
pub(super) fn encoded(word: &str) -> String {
    let part = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    word.bytes().map(part).collect()
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
