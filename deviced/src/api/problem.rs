//! How the API says no: problem details (RFC 9457), for every error without exception.

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, ETAG, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::kinds::{self, Kind};
use crate::document::Refused;
use crate::history;
use crate::manager::Refusal;

/// What a problem's media type is.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request is not answered with what it asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Problem {
    kind: &'static Kind,
    detail: String,
    more: Map<String, Value>,
    headers: Vec<(HeaderName, String)>,
}

impl Problem {
    /// One of a kind; the detail says what, which, and what to do.
    pub(super) fn new(kind: &'static Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), more: Map::new(), headers: Vec::new() }
    }

    /// With one more member.
    #[must_use]
    pub(super) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.more.insert(member.to_owned(), value.into());
        self
    }

    #[must_use]
    fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The method is none of those that an address has.
    pub(super) fn method(method: &str, allowed: &[&str]) -> Self {
        let allowed = allowed.join(", ");
        let detail = format!("{method} can't be done here; what can: {allowed}");
        Self::new(&kinds::METHOD_NOT_ALLOWED, detail).header(ALLOW, allowed)
    }

    /// Who asks is not known.
    pub(super) fn unauthorized(detail: &str) -> Self {
        Self::new(&kinds::UNAUTHORIZED, detail).header(WWW_AUTHENTICATE, "Bearer realm=\"deviced\"")
    }

    /// Another document is in force.
    pub(super) fn stale(detail: impl Into<String>, etag: Option<String>) -> Self {
        let problem = Self::new(&kinds::STALE, detail);
        match etag {
            Some(etag) => problem.with("etag", etag.as_str()).header(ETAG, etag),
            None => problem,
        }
    }

    /// It may be otherwise after some seconds.
    #[must_use]
    pub(super) fn after(self, seconds: u32) -> Self {
        self.with("retry_after_seconds", seconds).header(RETRY_AFTER, seconds.to_string())
    }

    /// The kind's name.
    pub(super) const fn name(&self) -> &'static str {
        self.kind.name
    }

    /// What is said about it.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// Its status.
    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The answer to the request with this id.
    pub(super) fn response(self, request: &str) -> Response {
        let mut body = Map::from_iter([
            ("type".to_owned(), json!(self.kind.address())),
            ("title".to_owned(), json!(self.kind.title)),
            ("status".to_owned(), json!(self.kind.status)),
            ("detail".to_owned(), json!(self.detail)),
            ("instance".to_owned(), json!(format!("urn:deviced:request:{request}"))),
        ]);
        let status = self.status();
        body.extend(self.more);
        let mut response = Response::new(Body::from(Value::Object(body).to_string()));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::Unknown { container, near } => {
                let problem = Self::new(&kinds::UNKNOWN_CONTAINER, detail).with("container", container);
                near.into_iter().fold(problem, |problem, near| problem.with("near", near))
            }
            Refusal::Protected { container, .. } => {
                Self::new(&kinds::PROTECTED, detail).with("container", container)
            }
            Refusal::Busy { container, operation } => {
                Self::new(&kinds::BUSY, detail).with("container", container).with("operation", operation)
            }
            Refusal::NoVersion(_) => Self::new(&kinds::NO_VERSION, detail),
            Refusal::Wrong(_) => Self::new(&kinds::INVALID, detail),
            Refusal::Document(refused) => refused.into(),
            Refusal::RemovesAll { count } => Self::new(
                &kinds::REMOVES_ALL,
                format!(
                    "this document names none of the {count} containers that deviced runs here; if all of them shall go, say so: \
                     ?remove_all=true"
                ),
            ),
            Refusal::Stale { found, .. } => {
                Self::stale(detail, (found > 0).then(|| super::etag::of_revision(found)))
            }
            Refusal::Engine(error) if error.is_about_engine() => {
                Self::new(&kinds::ENGINE_AWAY, detail).after(5)
            }
            Refusal::Engine(_) => Self::new(&kinds::ENGINE_REFUSED, detail),
            Refusal::Storage(_) => Self::new(&kinds::STORAGE, detail).after(5),
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let errors: Vec<Value> = refused
            .findings
            .iter()
            .map(|finding| {
                let mut error = Map::new();
                error.insert("pointer".to_owned(), json!(finding.pointer.to_string()));
                if let Some(place) = finding.place {
                    error.insert("line".to_owned(), json!(place.line));
                    error.insert("column".to_owned(), json!(place.column));
                }
                error.insert("detail".to_owned(), json!(finding.problem));
                error.extend(finding.advice.iter().map(|advice| ("advice".to_owned(), json!(advice))));
                Value::Object(error)
            })
            .collect();
        Self::new(&kinds::DOCUMENT_REFUSED, refused.to_string()).with("errors", errors)
    }
}

impl From<history::Error> for Problem {
    fn from(error: history::Error) -> Self {
        Self::new(&kinds::STORAGE, error.to_string()).after(5)
    }
}
