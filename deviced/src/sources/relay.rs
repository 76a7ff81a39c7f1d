//! A registry on loopback, through which the engine pulls what it can't pull itself.
//!
//! The engine knows neither the authorities nor the headers of a document's registries, and has one place to pull from. It pulls from here
//! instead: Docker allows plain HTTP with loopback. Each pull has a key that nobody can guess, and gets by it what was announced and what that
//! names, by digest alone. Nothing is kept: bytes are handed on as they come, and the last of them only when all have been found to be right.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::feed::Feed;
use super::route::{Route, route};
use super::ticket::Ticket;

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// The relay. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct Relay {
    address: SocketAddr,
    pulls: Arc<Pulls>,
    server: JoinHandle<()>,
}

/// Pulls under way, by their keys.
#[derive(Debug, Default)]
struct Pulls(Mutex<HashMap<String, Arc<Ticket>>>);

impl Pulls {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Ticket>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A pull that may use the relay, until it is dropped.
#[derive(Debug)]
pub(super) struct Open {
    relay: Arc<Relay>,
    key: String,
}

impl Open {
    /// `host:port/key`, before the name of a repository.
    pub(super) fn prefix(&self) -> String {
        format!("{}/{}", self.relay.address, self.key)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.relay.pulls.all().remove(&self.key);
    }
}

impl Relay {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let pulls = Arc::<Pulls>::default();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&pulls));
        let server = tokio::spawn(async move {
            // It has no end but that of the task.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, pulls, server })
    }

    /// Lets the engine fetch what a pull needs.
    ///
    /// # Errors
    /// When no key can be made.
    pub(super) fn open(self: &Arc<Self>, ticket: Ticket) -> io::Result<Open> {
        let key = key()?;
        self.pulls.all().insert(key.clone(), Arc::new(ticket));
        Ok(Open { relay: Arc::clone(self), key })
    }
}

/// Whether an image that has this name, without its digest, was pulled through a relay: `127.0.0.1:PORT/KEY/repository`.
pub(crate) fn is_name(name: &str) -> bool {
    let mut parts = name.splitn(3, '/');
    let port = parts.next().and_then(|host| host.strip_prefix("127.0.0.1:"));
    let key = parts.next().unwrap_or_default();
    port.is_some_and(|port| port.parse::<u16>().is_ok())
        && key.len() == 32
        && key.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && parts.next().is_some_and(|repository| !repository.is_empty())
}

/// 128 random bits in hexadecimal digits: other users of this machine can connect as well.
fn key() -> io::Result<String> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

async fn answer(State(pulls): State<Arc<Pulls>>, method: Method, uri: Uri) -> Response {
    let is_head = match method {
        Method::GET => false,
        Method::HEAD => true,
        _ => {
            return refuse(
                StatusCode::METHOD_NOT_ALLOWED,
                "UNSUPPORTED",
                "only GET and HEAD are answered here",
            );
        }
    };
    let ticket = |key: &str| pulls.all().get(key).cloned();
    let nothing = || refuse(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "no pull under way has this");
    match route(uri.path()) {
        None => nothing(),
        Some(Route::Base) => {
            ([(API_VERSION, "registry/2.0"), (CONTENT_TYPE, "application/json")], "{}").into_response()
        }
        Some(Route::Manifest(key, digest)) => {
            let Some(ticket) = ticket(key) else { return nothing() };
            match ticket.manifest(&digest).await {
                Ok(Some(manifest)) => {
                    let length = manifest.bytes.len() as u64;
                    let body = if is_head { Body::empty() } else { manifest.bytes.into() };
                    content(&manifest.media_type, &digest.to_string(), length, body)
                }
                Ok(None) => nothing(),
                // Docker shows what stands with a 404, and asks again after a 5xx.
                Err(problem) => refuse(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", &problem),
            }
        }
        Some(Route::Blob(key, digest)) => {
            let Some(ticket) = ticket(key) else { return nothing() };
            let Some(descriptor) = ticket.blob(&digest) else { return nothing() };
            let length = descriptor.size;
            let body = if is_head {
                Body::empty()
            } else {
                let mut feed = Feed::new(ticket, descriptor);
                match feed.next().await {
                    Ok(first) => body(first, feed),
                    Err(problem) => return refuse(StatusCode::BAD_GATEWAY, "UNKNOWN", &problem),
                }
            };
            // The whole is sent whatever part was asked for: only a whole can be verified.
            content("application/octet-stream", &digest.to_string(), length, body)
        }
    }
}

/// The rest of a blob. An error in it ends the connection, so that the engine gets fewer bytes than it was promised.
fn body(first: Option<bytes::Bytes>, feed: Feed) -> Body {
    Body::from_stream(stream::try_unfold((first, feed), |(first, mut feed)| async move {
        let bytes = match first {
            Some(first) => Some(first),
            None => feed.next().await?,
        };
        Ok::<_, String>(bytes.map(|bytes| (bytes, (None, feed))))
    }))
}

fn content(media_type: &str, digest: &str, length: u64, body: Body) -> Response {
    let headers = [
        (CONTENT_TYPE, media_type.to_owned()),
        (CONTENT_LENGTH, length.to_string()),
        (CONTENT_DIGEST, digest.to_owned()),
        (API_VERSION, "registry/2.0".to_owned()),
    ];
    (headers, body).into_response()
}

/// An error as registries write it (OCI distribution spec, "Error Codes").
fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    let errors = serde_json::json!({"errors": [{"code": code, "message": message}]});
    (status, [(CONTENT_TYPE, "application/json")], errors.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images_that_came_through_a_relay() {
        let key = key().unwrap();
        for (name, expected) in [
            (format!("127.0.0.1:4711/{key}/acme/web"), true),
            (format!("127.0.0.1:4711/{key}"), false),
            (format!("127.0.0.1:4711/{key}/"), false),
            (format!("127.0.0.1/{key}/acme/web"), false),
            (format!("registry.example:4711/{key}/acme/web"), false),
            ("127.0.0.1:4711/acme/web".to_owned(), false),
            ("acme/web".to_owned(), false),
        ] {
            assert_eq!(is_name(&name), expected, "{name}");
        }
    }
}
