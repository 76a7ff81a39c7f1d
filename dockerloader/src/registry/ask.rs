//! One question to one endpoint: which scheme, which credentials, which part.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode, Url};

use super::answer::{self, Asked};
use super::endpoint::Endpoint;
use super::error::Error;
use super::range::{Judgement, judge};
use super::transport::{NO_CONNECTION, Request, host_of};
use super::{Blob, Client};
use crate::clock::{self, Instant};
use crate::digest::Digest;
use crate::manifest::{Descriptor, media_type};

/// How long a mirror that can't be reached is left alone.
const ASIDE: Duration = Duration::from_secs(60);

/// What is asked for.
pub(super) enum What {
    /// A manifest by tag or digest.
    Manifest(String),
    /// A blob.
    Blob(Digest),
    /// The list of tags; its first page, or the one with this query.
    Tags(Option<String>),
}

impl What {
    fn path(&self, endpoint: &Endpoint) -> String {
        match self {
            Self::Manifest(name) => endpoint.path("manifests", name),
            Self::Blob(digest) => endpoint.path("blobs", &digest.to_string()),
            Self::Tags(None) => endpoint.path("tags", "list"),
            Self::Tags(Some(query)) => {
                let first = endpoint.path("tags", "list");
                let joint = if first.contains('?') { '&' } else { '?' };
                format!("{first}{joint}{query}")
            }
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest(name) => write!(f, "the manifest {name}"),
            Self::Blob(digest) => write!(f, "the blob {digest}"),
            Self::Tags(_) => f.write_str("the list of tags"),
        }
    }
}

/// What is known about hosts.
#[derive(Default)]
pub(super) struct Hosts {
    /// Whether a host that may speak plain HTTP does.
    plain: Mutex<HashMap<String, bool>>,
    aside: Mutex<HashMap<String, Instant>>,
}

impl Hosts {
    pub(super) fn is_aside(&self, host: &str) -> bool {
        let aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
        aside.get(host).is_some_and(|until| clock::now() < *until)
    }

    pub(super) fn set_aside(&self, host: &str) {
        let mut aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
        aside.insert(host.to_owned(), clock::now() + ASIDE);
    }

    fn is_plain(&self, host: &str) -> Option<bool> {
        self.plain.lock().unwrap_or_else(PoisonError::into_inner).get(host).copied()
    }

    fn note_plain(&self, host: &str, is_plain: bool) {
        self.plain.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), is_plain);
    }
}

impl Client {
    /// The answer to a question, whatever its status: HTTPS first, and plain HTTP where that is allowed and the host
    /// doesn't speak TLS, as Docker does it. What it speaks is remembered.
    pub(super) async fn ask(
        &self,
        endpoint: &Endpoint,
        method: Method,
        what: &What,
        headers: HeaderMap,
    ) -> Result<Response, Error> {
        self.in_its_language(endpoint, |scheme| {
            self.ask_over(scheme, endpoint, method.clone(), what, headers.clone())
        })
        .await
    }

    /// HTTPS first, and plain HTTP where that is allowed and the host doesn't speak TLS.
    async fn in_its_language<T, F: Future<Output = Result<T, Error>>>(
        &self,
        endpoint: &Endpoint,
        ask: impl Fn(&'static str) -> F,
    ) -> Result<T, Error> {
        let host = &endpoint.host;
        let known = if endpoint.plain_http { self.hosts.is_plain(host) } else { Some(false) };
        match known {
            Some(false) => ask("https").await,
            Some(true) => ask("http").await,
            None => match ask("https").await {
                Err(error) if may_speak_http(&error, host) => {
                    tracing::debug!(event = "plain_http", host, %error, "no TLS there, trying plain HTTP");
                    ask("http").await
                }
                answer => answer,
            },
        }
    }

    async fn ask_over(
        &self,
        scheme: &str,
        endpoint: &Endpoint,
        method: Method,
        what: &What,
        mut headers: HeaderMap,
    ) -> Result<Response, Error> {
        let url = url_at(scheme, endpoint, &what.path(endpoint))?;
        if let What::Manifest(_) = what {
            headers.insert(ACCEPT, HeaderValue::from_static(media_type::ACCEPT));
        }
        let mut request = Request { headers, ..Request::new(method, url.clone()) };
        request.authorization = self.authenticator.current(&self.transport, endpoint, &url).await?;
        let response = self.transport.send(request.clone()).await?;
        self.note_language(endpoint, scheme);
        // A 401 of another host, behind a redirect, is not about what the registry knows us by.
        if response.status() != StatusCode::UNAUTHORIZED || response.url().origin() != url.origin() {
            return Ok(response);
        }
        let refused = request.authorization.as_ref();
        let renewed =
            self.authenticator.renew(&self.transport, endpoint, &url, response.headers(), refused).await?;
        match renewed {
            Some(authorization) => {
                request.authorization = Some(authorization);
                self.transport.send(request).await
            }
            None => Ok(response),
        }
    }

    /// Whatever comes of an answer: another try must not ask in the other language, and take the challenge along.
    fn note_language(&self, endpoint: &Endpoint, scheme: &str) {
        if endpoint.plain_http {
            self.hosts.note_plain(&endpoint.host, scheme == "http");
        }
    }

    /// The answer to a stranger's `GET /v2/`, whatever its status, and how long it took.
    pub(super) async fn greet(&self, endpoint: &Endpoint) -> Result<(Response, Duration), Error> {
        self.in_its_language(endpoint, |scheme| async move {
            let request = Request::new(Method::GET, url_at(scheme, endpoint, "/v2/")?);
            let began = clock::now();
            let response = self.transport.send(request).await?;
            self.note_language(endpoint, scheme);
            Ok((response, clock::now().saturating_duration_since(began)))
        })
        .await
    }

    /// The error that an answer without success stands for.
    pub(super) async fn refusal(&self, endpoint: &Endpoint, what: &What, response: Response) -> Error {
        let credentials = match response.status().as_u16() {
            401 | 403 => self.authenticator.describe(&self.transport, &endpoint.host).await,
            _ => String::new(),
        };
        let what = what.to_string();
        let asked =
            Asked { host: &endpoint.host, repository: &endpoint.repository, what: &what, credentials };
        answer::refusal(&self.transport, response, self.limits.error_bytes, asked).await
    }

    pub(super) async fn blob_at(
        &self,
        endpoint: &Endpoint,
        descriptor: &Descriptor,
        mut range: Range<u64>,
    ) -> Result<Blob, Error> {
        let what = What::Blob(descriptor.digest);
        loop {
            let response = self.ask(endpoint, Method::GET, &what, part(&range, descriptor.size)).await?;
            if !is_usable(&response) {
                return Err(self.refusal(endpoint, &what, response).await);
            }
            match self.begin(endpoint.host.clone(), descriptor, &range, response)? {
                Some(blob) => return Ok(blob),
                None => range = 0..descriptor.size,
            }
        }
    }

    /// A foreign layer from one of its own addresses: never with credentials.
    pub(super) async fn foreign(
        &self,
        url: &str,
        descriptor: &Descriptor,
        mut range: Range<u64>,
    ) -> Result<Blob, Error> {
        let malformed = |host: String, problem: String| Error::Malformed {
            host,
            what: "the address of a foreign layer",
            problem,
        };
        let url = Url::parse(url).map_err(|error| malformed(String::new(), error.to_string()))?;
        let host = host_of(&url);
        if !url.username().is_empty() || url.password().is_some() {
            return Err(malformed(host, "there is a user name in it".to_owned()));
        }
        loop {
            let request =
                Request { headers: part(&range, descriptor.size), ..Request::new(Method::GET, url.clone()) };
            let response = self.transport.send(request).await?;
            if !is_usable(&response) {
                let what = What::Blob(descriptor.digest).to_string();
                let credentials = "without credentials: a foreign layer never gets any".to_owned();
                let asked = Asked { host: &host, repository: "a foreign layer", what: &what, credentials };
                return Err(answer::refusal(&self.transport, response, self.limits.error_bytes, asked).await);
            }
            match self.begin(host.clone(), descriptor, &range, response)? {
                Some(blob) => return Ok(blob),
                None => range = 0..descriptor.size,
            }
        }
    }

    /// The body that begins with this answer; `None` when the whole is to be asked for instead.
    fn begin(
        &self,
        host: String,
        descriptor: &Descriptor,
        range: &Range<u64>,
        response: Response,
    ) -> Result<Option<Blob>, Error> {
        let (digest, expected) = (descriptor.digest, descriptor.size);
        let content_range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
        let (status, content_range) = (response.status().as_u16(), content_range.map(str::to_owned));
        let length = response.content_length();
        let whole = 0..expected;
        let blob = |range: &Range<u64>| {
            let transport = Arc::clone(&self.transport);
            Ok(Some(Blob::new(transport, host.clone(), descriptor, range.clone(), Some(response))))
        };
        match judge(status, content_range.as_deref(), length, range, expected) {
            Judgement::Part => blob(range),
            Judgement::Whole => blob(&whole),
            Judgement::WrongSize(found) => Err(Error::Size { host, digest, expected, found }),
            Judgement::AskForWhole if *range != whole => Ok(None),
            Judgement::AskForWhole => Err(Error::Malformed {
                host,
                what: "the answer to a request for a whole blob",
                problem: "it is a part".to_owned(),
            }),
        }
    }
}

fn url_at(scheme: &str, endpoint: &Endpoint, path: &str) -> Result<Url, Error> {
    Url::parse(&format!("{scheme}://{}{path}", endpoint.host)).map_err(|error| Error::Malformed {
        host: endpoint.host.clone(),
        what: "the address",
        problem: error.to_string(),
    })
}

/// `Docker-Content-Digest`, if there is one that we can verify.
pub(super) fn content_digest(response: &Response) -> Option<Digest> {
    response.headers().get("docker-content-digest")?.to_str().ok()?.trim().parse().ok()
}

/// The headers for some bytes of a blob; never compressed on the way, since a part of that would be of no use.
fn part(range: &Range<u64>, size: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let value = match (range.start, range.end) {
        (0, end) if end == size => return headers,
        (start, end) if end == size => format!("bytes={start}-"),
        (start, end) => format!("bytes={start}-{}", end.saturating_sub(1)),
    };
    if let Ok(value) = HeaderValue::from_str(&value) {
        headers.insert(RANGE, value);
    }
    headers
}

fn is_usable(response: &Response) -> bool {
    response.status().is_success() || response.status() == StatusCode::RANGE_NOT_SATISFIABLE
}

/// Whether a failed HTTPS request leaves plain HTTP to be tried. A certificate that is not trusted was TLS; a refused
/// connection is refused for both, unless there is no port, which means another one for each.
pub(super) fn may_speak_http(error: &Error, host: &str) -> bool {
    match error {
        Error::NoTls { .. } | Error::NoConnection { .. } => true,
        Error::Timeout { what, .. } => *what == NO_CONNECTION,
        Error::Refused { .. } => !host.rsplit(']').next().unwrap_or_default().contains(':'),
        _ => false,
    }
}
