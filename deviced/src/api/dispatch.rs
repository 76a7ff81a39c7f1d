//! From a request to its answer: who asks, what for, the body, the key, the handler.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::BodyDataStream;
use axum::extract::{FromRequestParts as _, RawPathParams, Request};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, EXPECT, HeaderName};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method as HttpMethod};
use axum::response::Response;
use axum::routing::any;
use bytes::{Bytes, BytesMut};
use dockerloader::clock;
use futures_util::StreamExt as _;

use super::Api;
use super::call::{Call, Path, Query};
use super::guard::{self, Peer, Who};
use super::kinds;
use super::problem::Problem;
use super::route::{Body, Method, Route};
use super::{keys, table};

/// How long a body may take to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(30);
/// Bytes that are read and thrown away of a body that is refused, and how long that may take.
const DRAINED: usize = 16 << 20;
const DRAIN_PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of a body where none is expected, at most: what is said to be empty.
const NO_BODY: usize = 0;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A router of the table's entries.
pub(super) fn router(api: &Arc<Api>) -> Router {
    let mut paths: BTreeMap<&'static str, Vec<&'static Route>> = BTreeMap::new();
    for route in table::routes() {
        paths.entry(route.path).or_default().push(route);
    }
    let mut router = Router::new();
    for (path, routes) in paths {
        let (api, routes) = (Arc::clone(api), Arc::<[&'static Route]>::from(routes));
        let answer = move |request| answer(Arc::clone(&api), path, Arc::clone(&routes), request);
        router = router.route(path, any(answer));
    }
    let api = Arc::clone(api);
    router.fallback(move |request| answer(Arc::clone(&api), "", Arc::from([]), request))
}

/// Ids of requests, growing from the process's start.
static REQUESTS: AtomicU64 = AtomicU64::new(1);

async fn answer(
    api: Arc<Api>,
    path: &'static str,
    routes: Arc<[&'static Route]>,
    request: Request,
) -> Response {
    let begin = clock::now();
    let id = format!("{:x}-{}", api.started, REQUESTS.fetch_add(1, Ordering::Relaxed));
    let (mut parts, body) = request.into_parts();
    let method = parts.method.clone();
    let answered = find(path, &routes, &mut parts).await;
    let answered = match answered {
        Ok(wanted) => serve(Arc::clone(&api), id.clone(), wanted, parts, body).await,
        Err(problem) => {
            drain(&parts, &mut body.into_data_stream()).await;
            Err(problem)
        }
    };
    let mut response = answered.unwrap_or_else(|problem| {
        if problem.status().is_server_error() {
            tracing::warn!(event = "request", request = %id, %method, path, problem = problem.name(), "{}", problem.detail());
        }
        problem.response(&id)
    });
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    api.metrics.answered(known(&method), path, response.status().as_u16(), begin.elapsed());
    response
}

/// A method as a label: there is a handful of them.
fn known(method: &HttpMethod) -> &'static str {
    match *method {
        HttpMethod::GET => "GET",
        HttpMethod::HEAD => "HEAD",
        HttpMethod::PUT => "PUT",
        HttpMethod::POST => "POST",
        HttpMethod::DELETE => "DELETE",
        _ => "other",
    }
}

async fn find(path: &str, routes: &[&'static Route], parts: &mut Parts) -> Result<Wanted, Problem> {
    // Without a peer nobody is let in; every connection has one.
    let peer = parts.extensions.get::<Peer>().cloned();
    let peer = peer.ok_or_else(|| Problem::unauthorized("who asks is not known"))?;
    let asked = if parts.method == HttpMethod::HEAD { "GET" } else { parts.method.as_str() };
    let route = routes.iter().find(|route| route.method.name() == asked).copied();
    let who = guard::admit(&peer, &parts.uri, &parts.headers, route.is_some_and(|route| route.open))?;
    if routes.is_empty() {
        let shown: String = parts.uri.path().chars().take(128).collect();
        return Err(Problem::new(
            &kinds::NOT_FOUND,
            format!("there is nothing at {shown:?}; see /openapi.json"),
        ));
    }
    let Some(route) = route else {
        let mut allowed: Vec<_> = routes.iter().map(|route| route.method.name()).collect();
        if allowed.contains(&"GET") {
            allowed.push("HEAD");
        }
        allowed.sort_unstable();
        let shown: String = parts.method.as_str().chars().take(32).collect();
        return Err(Problem::method(&shown, &allowed));
    };
    let mut found = Vec::new();
    if path.contains('{') {
        let parameters = RawPathParams::from_request_parts(parts, &()).await.map_err(|_| {
            Problem::new(&kinds::MALFORMED, "the address is no UTF-8 when its escapes are resolved")
        })?;
        found = parameters.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    }
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
        .map_err(|_| Problem::new(&kinds::MALFORMED, "the query can't be understood"))?;
    let query = Query::read(pairs.0, route.parameters)?;
    Ok(Wanted { route, who, path: Path(found), query })
}

/// What is asked for, and by whom.
struct Wanted {
    route: &'static Route,
    who: Who,
    path: Path,
    query: Query,
}

async fn serve(
    api: Arc<Api>,
    id: String,
    wanted: Wanted,
    parts: Parts,
    body: axum::body::Body,
) -> Result<Response, Problem> {
    let Wanted { route, who, path, query } = wanted;
    let body = match (route.method, &route.body) {
        (Method::Get, _) => Bytes::new(),
        (_, None) => read(&parts, body, NO_BODY).await?,
        (_, Some(expected)) => read(&parts, body, expected.limit).await?,
    };
    let key = if route.method.changes() { keys::of(&who, &parts, &body)? } else { None };
    let call =
        Call { api: Arc::clone(&api), who: who.to_string(), path, query, headers: parts.headers, body };
    if let Some(expected) = &route.body {
        is_taken(&call, expected)?;
    }
    // A change is finished, and its answer kept, also when who asked has gone meanwhile.
    let answering = tokio::spawn(async move {
        match key {
            Some(key) => keys::once(&api, &key, &id, (route.handler)(call)).await,
            None => (route.handler)(call).await,
        }
    });
    answering.await.unwrap_or_else(|_| {
        Err(Problem::new(&kinds::INTERNAL, "deviced has failed in answering; its log says more"))
    })
}

/// The whole body.
async fn read(parts: &Parts, body: axum::body::Body, limit: usize) -> Result<Bytes, Problem> {
    let too_large = || {
        let detail = match limit {
            NO_BODY => "no body is taken here".to_owned(),
            limit => format!("{limit} bytes are taken at most"),
        };
        Problem::new(if limit == NO_BODY { &kinds::MALFORMED } else { &kinds::TOO_LARGE }, detail)
    };
    let said = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let mut stream = body.into_data_stream();
    if said.is_some_and(|said| said > limit as u64) {
        drain(parts, &mut stream).await;
        return Err(too_large());
    }
    let collect = async {
        let mut all = BytesMut::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk
                .map_err(|error| Problem::new(&kinds::MALFORMED, format!("the body broke off: {error}")))?;
            if all.len().saturating_add(chunk.len()) > limit {
                drain(parts, &mut stream).await;
                return Err(too_large());
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    };
    tokio::time::timeout(BODY_PATIENCE, collect).await.unwrap_or_else(|_| {
        Err(Problem::new(
            &kinds::TOO_SLOW,
            format!("the body was not there after {} s", BODY_PATIENCE.as_secs()),
        ))
    })
}

/// Reads what is still on its way, to a limit: a client that can't get rid of its body may not read the answer.
async fn drain(parts: &Parts, stream: &mut BodyDataStream) {
    // It waits to be told to send any, and is not.
    if parts.headers.contains_key(EXPECT) {
        return;
    }
    let read = async {
        let mut left = DRAINED;
        while let Some(Ok(chunk)) = stream.next().await {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                break;
            }
        }
    };
    // Who is slower has its connection closed.
    let _ = tokio::time::timeout(DRAIN_PATIENCE, read).await;
}

/// Whether the body is one that the route takes.
fn is_taken(call: &Call, expected: &Body) -> Result<(), Problem> {
    if call.body.is_empty() {
        return if expected.required {
            Err(Problem::new(&kinds::MALFORMED, "there is no body"))
        } else {
            Ok(())
        };
    }
    match call.media()? {
        Some(media) if !expected.media.contains(&media.as_str()) => {
            let shown: String = media.chars().take(64).collect();
            let taken = expected.media.join(", ");
            Err(Problem::new(&kinds::MEDIA_TYPE, format!("{shown:?} is not taken here; what is: {taken}")))
        }
        _ => Ok(()),
    }
}
