//! The way to the engine: one connection for each request, the version of the API, and a count of requests.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, SERVER};
use hyper::http::{HeaderValue, Uri};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use super::version::{Api, agree};
use super::{Error, failure, version};

/// An answer that is read whole has at most so many bytes.
const LARGEST: usize = 64 << 20;

/// An engine's socket.
#[derive(Debug)]
pub(super) struct Link {
    socket: PathBuf,
    requests: AtomicU64,
    agreed: Mutex<Option<Agreed>>,
}

/// What was agreed with an engine.
#[derive(Debug, Clone, PartialEq)]
struct Agreed {
    api: Api,
    /// How it calls itself in each answer: another one was started in its place when that changes.
    server: Option<HeaderValue>,
}

impl Link {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket, requests: AtomicU64::new(0), agreed: Mutex::new(None) }
    }

    /// Requests since it was made.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    fn agreed(&self) -> MutexGuard<'_, Option<Agreed>> {
        self.agreed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the version again before the next request.
    pub(super) fn forget(&self) {
        *self.agreed() = None;
    }

    /// The version that is spoken, agreed anew if need be.
    pub(super) async fn api(&self) -> Result<Api, Error> {
        let known = self.agreed().as_ref().map(|agreed| agreed.api);
        match known {
            Some(api) => Ok(api),
            None => Ok(self.negotiate().await?.0),
        }
    }

    /// Asks what the engine is, and agrees on a version.
    pub(super) async fn negotiate(&self) -> Result<(Api, Value), Error> {
        const CALL: &str = "version";
        let request = request(CALL, Method::GET, "/version", None)?;
        let response = self.exchange(request).await?;
        let server = response.headers().get(SERVER).cloned();
        let value = self.json(CALL, response).await?;
        let api = agree(&value).map_err(|problem| failure::answer(CALL, problem))?;
        *self.agreed() = Some(Agreed { api, server });
        Ok((api, value))
    }

    /// Sends a request, whose path has no version, and waits for the answer's headers.
    pub(super) async fn send<B>(&self, mut request: Request<B>) -> Result<Response<Incoming>, Error>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let api = self.api().await?;
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let path = format!("/v{api}{path}");
        *request.uri_mut() = path.parse::<Uri>().map_err(|problem| failure::answer(&path, problem))?;
        let response = self.exchange(request).await?;
        // Where Podman takes a connection over for a command's output, it does not say its name.
        let server = response.headers().get(SERVER);
        let is_another =
            server.is_some() && self.agreed().as_ref().is_some_and(|agreed| agreed.server.as_ref() != server);
        if is_another {
            self.forget();
        }
        Ok(response)
    }

    async fn exchange<B>(&self, mut request: Request<B>) -> Result<Response<Incoming>, Error>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.requests.fetch_add(1, Ordering::Relaxed);
        request.headers_mut().insert(HOST, HeaderValue::from_static("engine"));
        let stream = UnixStream::connect(&self.socket).await.map_err(|problem| self.away(&problem))?;
        let opened = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = opened.map_err(|problem| self.away(&problem))?;
        // It ends with the answer's body, or when nobody wants that any more. Its error is the body's as well.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        sender.send_request(request).await.map_err(|problem| self.away(&problem))
    }

    /// The engine went away: whatever comes next may be another one.
    pub(super) fn away(&self, problem: &dyn std::error::Error) -> Error {
        self.forget();
        let mut text = problem.to_string();
        if let Some(source) = problem.source() {
            text = format!("{text}: {source}");
        }
        Error::Away { at: self.socket.display().to_string(), problem: text }
    }

    /// Sends a request, and reads the answer's JSON.
    pub(super) async fn value(
        &self,
        call: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Error> {
        self.json(call, self.send(request(call, method, path, body)?).await?).await
    }

    /// Sends a request whose answer says no more than that it was done.
    pub(super) async fn done(
        &self,
        call: &str,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<(), Error> {
        let response = self.send(request(call, method, path, Some(body))?).await?;
        self.good(call, response).await.map(drop)
    }

    /// Does it within a time. An engine that was replaced by one with other versions of the API refuses it: then it is done once more with the
    /// version that both speak. Nothing has been done the first time.
    pub(super) async fn within<T, F>(
        &self,
        call: &str,
        deadline: Duration,
        work: impl Fn() -> F + Send,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        let twice = async {
            match work().await {
                Err(Error::Refused { message, .. }) if version::is_about_version(&message) => {
                    self.forget();
                    work().await
                }
                result => result,
            }
        };
        match tokio::time::timeout(deadline, twice).await {
            Ok(result) => result,
            Err(_) => {
                self.forget();
                Err(failure::silent(call, deadline))
            }
        }
    }

    /// Sends a request whose answer comes in pieces.
    pub(super) async fn stream(&self, call: &str, request: Request<String>) -> Result<Incoming, Error> {
        let response = self.send(request).await?;
        self.good(call, response).await
    }

    /// The body of an answer that is none of an error.
    async fn good(&self, call: &str, response: Response<Incoming>) -> Result<Incoming, Error> {
        let status = response.status();
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(response.into_body());
        }
        let body = self.whole(call, response.into_body()).await?;
        Err(failure::of_status(call, status.as_u16(), &failure::message(status.as_u16(), &body)))
    }

    /// The next piece of a body, which has to come within this time; nothing at its end.
    pub(super) async fn piece(
        &self,
        call: &str,
        body: &mut Incoming,
        within: Option<Duration>,
    ) -> Result<Option<Bytes>, Error> {
        let next = async { frame(body).await.transpose().map_err(|problem| self.away(&problem)) };
        match within {
            None => next.await,
            Some(within) => tokio::time::timeout(within, next)
                .await
                .unwrap_or_else(|_| Err(failure::silent(call, within))),
        }
    }

    async fn json(&self, call: &str, response: Response<Incoming>) -> Result<Value, Error> {
        let body = self.good(call, response).await?;
        let body = self.whole(call, body).await?;
        serde_json::from_slice(&body).map_err(|problem| failure::answer(call, problem))
    }

    async fn whole(&self, call: &str, mut body: Incoming) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece(call, &mut body, None).await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > LARGEST {
                return Err(failure::answer(call, format!("it has more than {} MiB", LARGEST >> 20)));
            }
        }
        Ok(bytes)
    }
}

/// A request. Its path has no version yet.
pub(super) fn request(
    call: &str,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Request<String>, Error> {
    let mut builder = Request::builder().method(method).uri(path);
    if body.is_some() {
        builder = builder.header(CONTENT_TYPE, "application/json");
    }
    let body = body.map(Value::to_string).unwrap_or_default();
    builder.body(body).map_err(|problem| failure::answer(call, problem))
}

/// The next piece of a body; nothing at its end.
async fn frame(body: &mut Incoming) -> Option<Result<Bytes, hyper::Error>> {
    loop {
        let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await?;
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => return Some(Ok(data)),
            // Trailers.
            Ok(Err(_)) => {}
            Err(problem) => return Some(Err(problem)),
        }
    }
}

/// A value in a query (RFC 3986).
pub(super) fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_a_query() {
        assert_eq!(encoded("acme/web-1.0_~"), "acme%2Fweb-1.0_~");
        assert_eq!(encoded("a b&c=ä"), "a%20b%26c%3D%C3%A4");
    }
}
