//! What somebody wants done to a container.

use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use dockerloader::digest::Digest;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::call::Call;
use super::kinds;
use super::problem::Problem;
use super::route::{Answer, Body, KEY, Parameter, Route, json, of};
use super::{JSON, audit};
use crate::manager::{Accepted, Action};
use crate::report::{AcceptedReport, ForgottenReport};

/// What comes of an action.
const ANSWERS: &[Answer] = &[
    Answer::ok("It was so already, or is done", &[json::<AcceptedReport>(JSON)]),
    Answer::ok("It will be done", &[json::<AcceptedReport>(JSON)])
        .status(202)
        .headers(&[("Location", "The operation to follow: /v1/operations/ID")]),
];
const PROBLEMS: &[u16] = &[404, 409, 413, 415, 422, 502, 503];
const PARAMETERS: &[Parameter] = &[KEY];

/// Where to go back to.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RollbackTo {
    /// A version's number in the history; the one before the one that runs without it.
    to: Option<i64>,
}

macro_rules! action {
    ($name:literal, $id:literal, $summary:literal, $action:expr) => {
        Route::post(concat!("/v1/containers/{id}/", $name), $id, $summary, |call| {
            Box::pin(async move { act(&call, $name, $action).await })
        })
        .takes(PARAMETERS)
        .gives(ANSWERS)
        .or(PROBLEMS)
    };
}

pub(super) const ROUTES: &[Route] = &[
    action!("start", "startContainer", "Starts it; it is no longer stopped by hand", Action::Start),
    action!("stop", "stopContainer", "Stops it, and it stays stopped", Action::Stop),
    action!("restart", "restartContainer", "Stops and starts it", Action::Restart),
    action!("update", "updateContainer", "Asks the registries now, and waits for no window", Action::Update),
    Route::post("/v1/containers/{id}/rollback", "rollBackContainer", "Goes back to a version, and stays there", |call| {
        Box::pin(async move { roll_back(&call).await })
    })
    .takes(PARAMETERS)
    .body(Body { media: &[JSON], limit: 4096, required: false, schema: of::<RollbackTo> })
    .gives(ANSWERS)
    .or(PROBLEMS),
    action!("release", "releaseContainer", "Follows the document again after a rollback", Action::Release),
    action!("pause", "pauseContainer", "Leaves it alone", Action::Pause),
    action!("resume", "resumeContainer", "No longer leaves it alone", Action::Resume),
    Route::delete(
        "/v1/containers/{id}",
        "removeContainer",
        "Removes its container and keeps its volumes; it is made anew unless it is stopped or no longer named",
        |call| Box::pin(async move { act(&call, "remove", Action::Remove).await }),
    )
    .takes(PARAMETERS)
    .gives(ANSWERS)
    .or(PROBLEMS),
    Route::delete("/v1/containers/{id}/verdicts", "forgetVerdicts", "Lifts all verdicts on its versions", |call| {
        Box::pin(async move { forget(&call).await })
    })
    .takes(PARAMETERS)
    .gives(FORGOTTEN)
    .or(PROBLEMS),
    Route::delete(
        "/v1/containers/{id}/verdicts/{digest}",
        "forgetVerdict",
        "Lifts the verdicts on a version, with whatever options",
        |call| Box::pin(async move { forget(&call).await }),
    )
    .takes(PARAMETERS)
    .gives(FORGOTTEN)
    .or(PROBLEMS),
];

const FORGOTTEN: &[Answer] = &[Answer::ok("How many there were", &[json::<ForgottenReport>(JSON)])];

async fn roll_back(call: &Call) -> Result<Response, Problem> {
    let to = if call.body.is_empty() { RollbackTo::default() } else { call.json()? };
    act(call, "rollback", Action::Rollback(to.to)).await
}

async fn forget(call: &Call) -> Result<Response, Problem> {
    let wanted = match call.path.get("digest") {
        "" => None,
        text => {
            Some(text.parse::<Digest>().map_err(|error| Problem::new(&kinds::INVALID, error.to_string()))?)
        }
    };
    let mut digests: Vec<Digest> =
        call.api.history.verdicts_of(call.container())?.into_iter().map(|verdict| verdict.digest).collect();
    digests.retain(|digest| wanted.is_none_or(|wanted| wanted == *digest));
    let forgotten = digests.len();
    digests.sort_unstable();
    digests.dedup();
    if digests.is_empty() {
        super::containers::find(&call.api.handle.report(), call.container())?;
    }
    for digest in digests {
        done(call, "forget", Action::Forget(digest.to_string())).await?;
    }
    Ok(super::json(&ForgottenReport { forgotten }))
}

/// Has something done to the container of the path.
pub(super) async fn act(call: &Call, name: &str, action: Action) -> Result<Response, Problem> {
    let Accepted { operation } = done(call, name, action).await?;
    let Some(operation) = operation else {
        return Ok(super::json(&AcceptedReport::default()));
    };
    let location = HeaderValue::try_from(format!("/v1/operations/{operation}"));
    let mut response = super::json(&AcceptedReport { operation: Some(operation) });
    *response.status_mut() = StatusCode::ACCEPTED;
    if let Ok(location) = location {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// Asks for it, and writes down who did.
async fn done(call: &Call, name: &str, action: Action) -> Result<Accepted, Problem> {
    let mut entry = audit(&call.who, name, Some(call.container()));
    let said = call.api.history.overrides()?.remove(call.container()).unwrap_or_default();
    (entry.before, entry.after) = match &action {
        Action::Tag(tag) => (Some(json!(said.tag)), Some(json!(tag))),
        Action::Arguments(patch) => {
            (Some(super::overrides::masked(said.run)), Some(super::overrides::masked(patch.clone())))
        }
        Action::Rollback(to) => {
            (said.pinned.map(|pinned| json!({ "pinned": pinned })), Some(json!({ "to": to })))
        }
        Action::Forget(digest) => (Some(json!({ "digest": digest })), None),
        _ => (None, None),
    };
    let answer = call.api.handle.act(call.container().to_owned(), action, call.who.clone()).await;
    entry.outcome = match &answer {
        Ok(Accepted { operation: Some(operation) }) => format!("accepted as operation {operation}"),
        Ok(Accepted { operation: None }) => "done".to_owned(),
        Err(refusal) => format!("refused: {refusal}"),
    };
    call.api.audit(&entry);
    Ok(answer?)
}
