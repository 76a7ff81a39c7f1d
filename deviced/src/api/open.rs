//! What machines ask, and what anybody may read.

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::JSON;
use super::call::Call;
use super::kinds;
use super::problem::Problem;
use super::route::{Answer, Route, json, text};

/// Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// How it is, for machines.
#[derive(Debug, Serialize, JsonSchema)]
struct Alive {
    /// `ok`.
    status: &'static str,
}

pub(super) const ROUTES: &[Route] = &[
    Route::get("/metrics", "getMetrics", "Figures for Prometheus", |call| {
        Box::pin(async move { Ok(plain(METRICS, call.api.metrics.text(&call.api.handle.report()))) })
    })
    .gives(&[Answer::ok("Prometheus' text format", &[text(METRICS)])]),
    Route::get("/healthz", "isAlive", "Whether deviced is alive", |_| {
        Box::pin(async { Ok(super::json(&Alive { status: "ok" })) })
    })
    .gives(&[Answer::ok("It is", &[json::<Alive>(JSON)])])
    .open(),
    Route::get(
        "/readyz",
        "isReady",
        "Whether the engine answers and deviced has looked at the device",
        |call| Box::pin(async move { ready(&call) }),
    )
    .gives(&[Answer::ok("It is ready", &[json::<Alive>(JSON)])])
    .or(&[503])
    .open(),
    Route::get("/openapi.json", "getOpenapi", "This description", |call| {
        Box::pin(async move {
            let mut response = Response::new(Body::from(call.api.openapi.clone()));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
            Ok(response)
        })
    })
    .gives(&[Answer::ok("OpenAPI 3.1", &[json::<Value>(JSON)])]),
    Route::get("/problems", "listProblems", "The kinds of problems", |_| {
        Box::pin(async { Ok(plain(TEXT, kinds::page())) })
    })
    .gives(&[Answer::ok("A line each", &[text(TEXT)])])
    .open(),
    Route::get("/problems/{name}", "getProblem", "What a kind of problem means, and what to do", |call| {
        Box::pin(async move { problem(&call) })
    })
    .gives(&[Answer::ok("Its page", &[text(TEXT)])])
    .or(&[404])
    .open(),
];

fn ready(call: &Call) -> Result<Response, Problem> {
    let report = call.api.handle.report();
    let missing = if !report.engine.up {
        "the engine does not answer"
    } else if report.pass.count == 0 {
        "the device has not been looked at yet"
    } else {
        return Ok(super::json(&Alive { status: "ok" }));
    };
    Err(Problem::new(&kinds::NOT_READY, missing))
}

fn problem(call: &Call) -> Result<Response, Problem> {
    let name = call.path.get("name");
    let kind = kinds::named(name).ok_or_else(|| {
        let shown: String = name.chars().take(64).collect();
        Problem::new(
            &kinds::NOT_FOUND,
            format!("there is no kind of problem {shown:?}; /problems lists them"),
        )
    })?;
    Ok(plain(TEXT, kind.page()))
}

fn plain(media: &'static str, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}
