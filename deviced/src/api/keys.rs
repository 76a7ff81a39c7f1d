//! Keys by which a request is recognised that is sent again (draft-ietf-httpapi-idempotency-key-header).

use std::future::Future;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::Api;
use super::call::single;
use super::guard::Who;
use super::kinds;
use super::problem::Problem;
use crate::history::{Answer, Asked};

const NAME: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Characters of a key, at most.
const LONGEST: usize = 255;
/// Bytes of an answer that is kept, at most.
const LARGEST: usize = 1 << 20;

/// A key, and what stands for all that the request says.
#[derive(Debug)]
pub(super) struct Key {
    text: String,
    fingerprint: String,
}

/// The key of a request, if it has one.
pub(super) fn of(who: &Who, parts: &Parts, body: &Bytes) -> Result<Option<Key>, Problem> {
    let Some(text) = single(&parts.headers, &NAME)? else { return Ok(None) };
    // The draft writes it as a string with quotes; many send it without.
    let text = text.trim().trim_matches('"');
    if text.is_empty() || text.len() > LONGEST {
        let detail = format!("an Idempotency-Key has 1 to {LONGEST} characters");
        return Err(Problem::new(&kinds::MALFORMED, detail));
    }
    let mut hasher = Sha256::new();
    let address = parts.uri.path_and_query().map_or("", |address| address.as_str());
    let mut add = |part: &[u8]| {
        hasher.update(part.len().to_le_bytes());
        hasher.update(part);
    };
    for part in [who.to_string().as_str(), parts.method.as_str(), address] {
        add(part.as_bytes());
    }
    for name in [IF_MATCH, IF_NONE_MATCH, CONTENT_TYPE] {
        add(parts.headers.get(name).map_or(b"", HeaderValue::as_bytes));
    }
    add(body);
    let fingerprint = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Some(Key { text: text.to_owned(), fingerprint }))
}

/// Answers a request with a key once.
pub(super) async fn once(
    api: &Api,
    key: &Key,
    request: &str,
    answering: impl Future<Output = Result<Response, Problem>>,
) -> Result<Response, Problem> {
    match api.history.idempotency(&key.text, &key.fingerprint)? {
        Asked::New => {}
        Asked::Same(answer) => return Ok(again(answer)),
        Asked::Different => {
            return Err(Problem::new(
                &kinds::KEY_REUSED,
                "this Idempotency-Key came with another request; make a new one for each",
            ));
        }
        Asked::Running => {
            let detail =
                "the request with this Idempotency-Key is being answered; ask again with the same key";
            return Err(Problem::new(&kinds::KEY_RUNNING, detail).after(1));
        }
    }
    let given_back = GivenBack { api, key: &key.text, armed: true };
    match answering.await {
        Err(problem) if may_pass(problem.status()) => Err(problem),
        Err(problem) => given_back.keep(problem.response(request)).await,
        Ok(response) => given_back.keep(response).await,
    }
}

/// What may go better in a moment is tried again.
fn may_pass(status: StatusCode) -> bool {
    status.is_server_error() || [StatusCode::CONFLICT, StatusCode::REQUEST_TIMEOUT].contains(&status)
}

/// Gives a key back that got no answer, also when the handler panics.
struct GivenBack<'a> {
    api: &'a Api,
    key: &'a str,
    armed: bool,
}

impl GivenBack<'_> {
    async fn keep(mut self, response: Response) -> Result<Response, Problem> {
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, LARGEST)
            .await
            .map_err(|error| Problem::new(&kinds::INTERNAL, format!("the answer broke off: {error}")))?;
        let headers = [LOCATION, ETAG, CONTENT_TYPE].into_iter().filter_map(|name| {
            let value = parts.headers.get(&name)?.to_str().ok()?;
            Some((name.to_string(), value.to_owned()))
        });
        let answer = Answer {
            status: parts.status.as_u16(),
            headers: headers.collect(),
            body: String::from_utf8_lossy(&body).into_owned(),
        };
        // What was asked for is done. That a second request would not be recognised is worth a word, not a refusal.
        match self.api.history.answer(self.key, Some(&answer)) {
            Ok(()) => self.armed = false,
            Err(error) => tracing::warn!(event = "request", "an answer can't be kept for its key: {error}"),
        }
        Ok(Response::from_parts(parts, Body::from(body)))
    }
}

impl Drop for GivenBack<'_> {
    fn drop(&mut self) {
        if self.armed {
            // One that can't be given back is given back at the next start.
            let _ = self.api.history.answer(self.key, None);
        }
    }
}

fn again(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
