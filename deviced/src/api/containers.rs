//! What is known about each container.

use axum::response::Response;

use super::JSON;
use super::call::{Call, near};
use super::kinds;
use super::problem::Problem;
use super::route::{Answer, Route, json};
use crate::report::{
    ContainerReport, ContainersReport, DevicesReport, DriftsReport, HistoryReport, MountsReport, RanReport,
    Report, VerdictsReport, WhyReport,
};

pub(super) const ROUTES: &[Route] = &[
    Route::get("/v1/containers", "listContainers", "All containers", |call| {
        Box::pin(async move { Ok(list(&call)) })
    })
    .gives(&[Answer::ok(
        "Those of the document, and those that it does not name",
        &[json::<ContainersReport>(JSON)],
    )]),
    Route::get("/v1/containers/{id}", "getContainer", "One container", |call| {
        Box::pin(async move { of(&call, Clone::clone) })
    })
    .gives(&[Answer::ok("The container", &[json::<ContainerReport>(JSON)])])
    .or(&[404]),
    Route::get("/v1/containers/{id}/why", "explainContainer", "Why it is as it is", |call| {
        Box::pin(async move { why(&call) })
    })
    .gives(&[Answer::ok("The answer", &[json::<WhyReport>(JSON)])])
    .or(&[404]),
    Route::get("/v1/containers/{id}/history", "getHistory", "The versions that it ran", |call| {
        Box::pin(async move { history(&call) })
    })
    .gives(&[Answer::ok("Versions, the newest first", &[json::<HistoryReport>(JSON)])])
    .or(&[404, 503]),
    Route::get("/v1/containers/{id}/verdicts", "getVerdicts", "The versions that failed", |call| {
        Box::pin(async move { verdicts(&call) })
    })
    .gives(&[Answer::ok("Verdicts, the newest first", &[json::<VerdictsReport>(JSON)])])
    .or(&[404, 503]),
    Route::get("/v1/containers/{id}/drift", "getDrift", "What differs from the document", |call| {
        Box::pin(async move { of(&call, |found| DriftsReport { drift: found.drift.clone() }) })
    })
    .gives(&[Answer::ok("Differences", &[json::<DriftsReport>(JSON)])])
    .or(&[404]),
    Route::get("/v1/containers/{id}/devices", "getDevices", "Its devices", |call| {
        Box::pin(async move { of(&call, |found| DevicesReport { devices: found.devices.clone() }) })
    })
    .gives(&[Answer::ok("Devices", &[json::<DevicesReport>(JSON)])])
    .or(&[404]),
    Route::get("/v1/containers/{id}/mounts", "getMounts", "Its mounts", |call| {
        Box::pin(async move { of(&call, |found| MountsReport { mounts: found.mounts.clone() }) })
    })
    .gives(&[Answer::ok("Mounts", &[json::<MountsReport>(JSON)])])
    .or(&[404]),
];

fn list(call: &Call) -> Response {
    let report = call.api.handle.report();
    super::json(&ContainersReport { containers: report.containers.clone(), strays: report.strays.clone() })
}

fn of<T: serde::Serialize>(
    call: &Call,
    told: impl FnOnce(&ContainerReport) -> T,
) -> Result<Response, Problem> {
    let report = call.api.handle.report();
    Ok(super::json(&told(find(&report, call.container())?)))
}

fn why(call: &Call) -> Result<Response, Problem> {
    let report = call.api.handle.report();
    let found = find(&report, call.container())?.clone();
    Ok(super::json(&WhyReport {
        id: found.id,
        status: found.status,
        why: found.why,
        wanted: found.wanted,
        current: found.current,
        passed_over: found.passed_over,
        drift: found.drift,
        overrides: found.overrides,
        next_look: found.next_look,
        document_problem: report.document.problem.clone(),
        engine_problem: report.engine.problem.clone(),
    }))
}

fn history(call: &Call) -> Result<Response, Problem> {
    let versions = call.api.history.versions_of(call.container())?;
    if versions.is_empty() {
        // One that is gone from the document has a history still.
        find(&call.api.handle.report(), call.container())?;
    }
    let pinned = call.api.history.overrides()?.get(call.container()).and_then(|said| said.pinned);
    let versions = versions.into_iter().map(|version| RanReport::new(version, pinned)).collect();
    Ok(super::json(&HistoryReport { versions }))
}

fn verdicts(call: &Call) -> Result<Response, Problem> {
    let verdicts = call.api.history.verdicts_of(call.container())?;
    if verdicts.is_empty() {
        find(&call.api.handle.report(), call.container())?;
    }
    Ok(super::json(&VerdictsReport { verdicts: verdicts.into_iter().rev().map(Into::into).collect() }))
}

/// The container with this id, of the document or not.
pub(super) fn find<'a>(report: &'a Report, id: &str) -> Result<&'a ContainerReport, Problem> {
    let mut all = report.containers.iter().chain(&report.strays);
    if let Some(found) = all.find(|container| container.id == id) {
        return Ok(found);
    }
    let names: Vec<_> =
        report.containers.iter().chain(&report.strays).map(|container| container.id.as_str()).collect();
    let shown: String = id.chars().take(64).collect();
    let problem = |advice: &str| {
        let detail = format!("the document has no container {shown:?}{advice}");
        Problem::new(&kinds::UNKNOWN_CONTAINER, detail).with("container", shown.as_str())
    };
    Err(match near(id, &names) {
        Some(near) => problem(&format!("; did you mean {near:?}?")).with("near", near),
        None => problem(""),
    })
}
