//! What somebody says over the document about a container: another tag, other run options.

use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::JSON;
use super::actions::act;
use super::call::Call;
use super::containers::find;
use super::kinds;
use super::problem::Problem;
use super::route::{Answer, Body, KEY, Kind, Parameter, Route, json, of};
use crate::manager::Action;
use crate::report::{AcceptedReport, ArgumentsReport, PlanReport, TagReport};

/// Bytes of a patch, at most.
const PATCH: usize = 256 << 10;
/// A merge patch (RFC 7396).
const MERGE_PATCH: &str = "application/merge-patch+json";

const DRY_RUN: Parameter =
    Parameter::query("dry_run", Kind::Flag, "Changes nothing, and says what would be done.");
const ANSWERS: &[Answer] = &[
    Answer::ok("It is done; for a dry run, what would be done", &[json::<Either>(JSON)]),
    Answer::ok("It is written down, and being done", &[json::<AcceptedReport>(JSON)])
        .status(202)
        .headers(&[("Location", "The operation to follow: /v1/operations/ID")]),
];
const PROBLEMS: &[u16] = &[404, 409, 413, 415, 422, 502, 503];
/// Bytes of a tag, at most, with what is around it.
const SMALL: usize = 4096;

/// What came of it, or would.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Either {
    Accepted(AcceptedReport),
    Plan(PlanReport),
}

/// Another tag.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewTag {
    /// The tag that is followed instead of the document's versions.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"))]
    tag: String,
}

pub(super) const ROUTES: &[Route] = &[
    Route::get(
        "/v1/containers/{id}/tag",
        "getTag",
        "The tag that is followed instead of the document's versions",
        |call| Box::pin(async move { tag(&call) }),
    )
    .gives(&[Answer::ok("The tag", &[json::<TagReport>(JSON)])])
    .or(&[404, 503]),
    Route::put(
        "/v1/containers/{id}/tag",
        "setTag",
        "Follows a tag instead of the document's versions",
        |call| Box::pin(async move { set_tag(&call).await }),
    )
    .takes(&[DRY_RUN, KEY])
    .body(Body { media: &[JSON], limit: SMALL, required: true, schema: of::<NewTag> })
    .gives(ANSWERS)
    .or(PROBLEMS),
    Route::delete("/v1/containers/{id}/tag", "unsetTag", "Follows the document's versions again", |call| {
        Box::pin(async move { change(&call, "untag", Action::Tag(None)).await })
    })
    .takes(&[DRY_RUN, KEY])
    .gives(ANSWERS)
    .or(PROBLEMS),
    Route::get(
        "/v1/containers/{id}/arguments",
        "getArguments",
        "Run options that were changed over the document's",
        |call| Box::pin(async move { arguments(&call) }),
    )
    .gives(&[Answer::ok("The changes", &[json::<ArgumentsReport>(JSON)])])
    .or(&[404, 503]),
    Route::put(
        "/v1/containers/{id}/arguments",
        "setArguments",
        "Changes run options over the document's by a merge patch (RFC 7396), instead of the changes before",
        |call| Box::pin(async move { set_arguments(&call).await }),
    )
    .takes(&[DRY_RUN, KEY])
    .body(Body {
        media: &[JSON, MERGE_PATCH],
        limit: PATCH,
        required: true,
        schema: of::<Map<String, Value>>,
    })
    .gives(ANSWERS)
    .or(PROBLEMS),
    Route::delete(
        "/v1/containers/{id}/arguments",
        "unsetArguments",
        "Uses the document's run options again",
        |call| Box::pin(async move { change(&call, "reset arguments", Action::Arguments(None)).await }),
    )
    .takes(&[DRY_RUN, KEY])
    .gives(ANSWERS)
    .or(PROBLEMS),
];

fn tag(call: &Call) -> Result<Response, Problem> {
    find(&call.api.handle.report(), call.container())?;
    let said = call.api.history.overrides()?.remove(call.container()).unwrap_or_default();
    Ok(super::json(&TagReport { tag: said.tag }))
}

fn arguments(call: &Call) -> Result<Response, Problem> {
    find(&call.api.handle.report(), call.container())?;
    let said = call.api.history.overrides()?.remove(call.container()).unwrap_or_default();
    Ok(super::json(&ArgumentsReport { arguments: said.run }))
}

async fn set_tag(call: &Call) -> Result<Response, Problem> {
    let NewTag { tag } = call.json()?;
    if !is_tag(&tag) {
        let shown: String = tag.chars().take(64).collect();
        return Err(Problem::new(
            &kinds::INVALID,
            format!(
                "{shown:?} is no tag: up to 128 letters, digits, '_', '.' and '-', the first no '.' or '-'"
            ),
        ));
    }
    change(call, "tag", Action::Tag(Some(tag))).await
}

async fn set_arguments(call: &Call) -> Result<Response, Problem> {
    let patch: Map<String, Value> = call.json()?;
    // What changes nothing is nothing said.
    let patch = (!patch.is_empty()).then_some(Value::Object(patch));
    change(call, "set arguments", Action::Arguments(patch)).await
}

async fn change(call: &Call, name: &str, action: Action) -> Result<Response, Problem> {
    if call.query.flag("dry_run") {
        let plan = call.api.handle.would(call.container().to_owned(), action).await?;
        return Ok(super::json(&plan));
    }
    act(call, name, action).await
}

/// OCI distribution specification, "Pulling manifests".
fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

/// A patch as it may be shown to anybody: what the environment holds is often secret.
pub(super) fn masked(patch: Option<Value>) -> Value {
    let Some(Value::Object(mut patch)) = patch else { return Value::Null };
    let hidden = || Value::from("***");
    match patch.get_mut("environment") {
        Some(Value::Object(variables)) => variables.values_mut().for_each(|value| *value = hidden()),
        Some(Value::Array(variables)) => variables.iter_mut().for_each(|variable| {
            let name = variable
                .as_str()
                .and_then(|text| text.split_once('='))
                .map(|(name, _)| format!("{name}=***"));
            *variable = name.map_or_else(hidden, Value::from);
        }),
        Some(other) => *other = hidden(),
        None => {}
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_environment_holds_is_not_shown() {
        for (patch, expected) in [
            (
                json!({"environment": {"A": "secret", "B": null}}),
                json!({"environment": {"A": "***", "B": "***"}}),
            ),
            (
                json!({"environment": ["A=secret", "secret"], "user": "1"}),
                json!({"environment": ["A=***", "***"], "user": "1"}),
            ),
            (json!({"environment": "secret"}), json!({"environment": "***"})),
            (json!({"ports": ["80:80"]}), json!({"ports": ["80:80"]})),
        ] {
            assert_eq!(masked(Some(patch)), expected);
        }
        assert_eq!(masked(None), Value::Null);
    }

    #[test]
    fn tags_are_those_of_registries() {
        for tag in ["1", "latest", "v1.2.3-rc_1", &"x".repeat(128)] {
            assert!(is_tag(tag), "{tag}");
        }
        for tag in ["", ".1", "-1", "a/b", "a b", "é", "sha256:0", &"x".repeat(129)] {
            assert!(!is_tag(tag), "{tag}");
        }
    }
}
