//! The document, its revisions, and what it would lead to.

use axum::body::Body as HttpBody;
use axum::http::header::{CONTENT_TYPE, ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH, VARY};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::call::Call;
use super::etag::{self, Condition};
use super::kinds;
use super::problem::Problem;
use super::route::{self, Answer, Body, Content, KEY, Kind, Parameter, Route, of, text};
use super::{JSON, accept, audit};
use crate::document::{Document, MAX_BYTES};
use crate::history::Revision;
use crate::report::{AppliedReport, PlanReport, RevisionReport, RevisionsReport};

/// YAML's media type (RFC 9512).
const YAML: &str = "application/yaml";
/// What documents are sent as. YAML has had no type of its own for long.
const DOCUMENTS: &[&str] = &[
    YAML,
    JSON,
    "text/yaml",
    "text/x-yaml",
    "application/x-yaml",
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/octet-stream",
];
/// Room for a document that is too large to be answered by what reads it.
const BYTES: usize = MAX_BYTES + (64 << 10);

const ETAG_HEADER: (&str, &str) = ("ETag", "The revision's entity tag, for `If-Match`");

pub(super) const ROUTES: &[Route] = &[
    Route::get("/v1/document", "getDocument", "The document in force", |call| {
        Box::pin(async move { document(&call) })
    })
    .takes(&[Parameter::header("If-None-Match", "The revision that is known already.")])
    .gives(&[
        Answer::ok(
            "The document, as it was written or as JSON",
            &[text(YAML), Content { media: JSON, schema: Some(as_it_is_read) }],
        )
        .headers(&[ETAG_HEADER]),
        Answer::ok("It is the one that is known already", &[]).status(304).headers(&[ETAG_HEADER]),
    ])
    .or(&[404, 406, 503]),
    Route::put("/v1/document", "putDocument", "Puts a document in force", |call| {
        Box::pin(async move { put(&call).await })
    })
    .takes(&[
        Parameter::query("dry_run", Kind::Flag, "Changes nothing, and says what would be done."),
        Parameter::query(
            "remove_all",
            Kind::Flag,
            "It may name none of the containers that are managed now.",
        ),
        Parameter::header("If-Match", "The revision that it is based on."),
        Parameter::header("If-None-Match", "`*` for the first document."),
        KEY,
    ])
    .body(Body { media: DOCUMENTS, limit: BYTES, required: false, schema: of::<Document> })
    .gives(&[
        Answer::ok("It is in force; for a dry run, what would be done", &[route::json::<Either>(JSON)])
            .headers(&[ETAG_HEADER]),
        Answer::ok("It is in force, and the first", &[route::json::<AppliedReport>(JSON)])
            .status(201)
            .headers(&[ETAG_HEADER]),
    ])
    .or(&[409, 412, 413, 415, 422, 428, 502, 503]),
    Route::get("/v1/document/revisions", "listRevisions", "The last documents", |call| {
        Box::pin(async move { revisions(&call) })
    })
    .takes(&[Parameter::query("limit", Kind::Number(1000), "At most so many, all without it.")])
    .gives(&[Answer::ok("The newest first, without their texts", &[route::json::<RevisionsReport>(JSON)])])
    .or(&[503]),
    Route::get("/v1/document/revisions/{revision}", "getRevision", "A document that was in force", |call| {
        Box::pin(async move { revision(&call) })
    })
    .gives(&[Answer::ok("The document with its text", &[route::json::<RevisionReport>(JSON)])])
    .or(&[404, 503]),
    Route::get("/v1/plan", "getPlan", "What is about to be done", |call| {
        Box::pin(async move { plan(&call, None).await })
    })
    .gives(&[Answer::ok("The plan", &[route::json::<PlanReport>(JSON)])])
    .or(&[422, 502, 503]),
    Route::post("/v1/plan", "planDocument", "What a document would lead to", |call| {
        Box::pin(async move { plan(&call, Some(call.text()?.to_owned())).await })
    })
    .takes(&[KEY])
    .body(Body { media: DOCUMENTS, limit: BYTES, required: false, schema: of::<Document> })
    .gives(&[Answer::ok("The plan", &[route::json::<PlanReport>(JSON)])])
    .or(&[409, 413, 415, 422, 502, 503]),
    Route::get("/v1/schema", "getSchema", "The JSON Schema of documents", |_| {
        Box::pin(async { Ok(schema()) })
    })
    .gives(&[Answer::ok("The schema", &[route::json::<Value>("application/schema+json")])]),
];

/// A document that is shown is described like one that is sent: it can be sent again.
fn as_it_is_read(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/components/schemas/Document" })
}

/// What came of a document, or would.
#[derive(schemars::JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Either {
    Applied(AppliedReport),
    Plan(PlanReport),
}

fn document(call: &Call) -> Result<Response, Problem> {
    let known = condition(call, &IF_NONE_MATCH)?;
    let Some(latest) = call.api.history.latest_revision()? else {
        return Err(Problem::new(
            &kinds::NOT_FOUND,
            "no document is in force yet; put one with If-None-Match: *, or write deviced's file",
        ));
    };
    let Revision { revision, text, .. } = latest;
    let written_as_json = serde_json::from_str::<IgnoredAny>(&text).is_ok();
    let forms = if written_as_json { [JSON, YAML] } else { [YAML, JSON] };
    let form = accept::best(call.accept(), &forms).ok_or_else(|| {
        Problem::new(&kinds::NOT_ACCEPTABLE, format!("it can be had as {}", forms.join(" or ")))
    })?;
    // JSON is YAML as well, but not the other way round.
    let (etag, body) = if form == JSON && !written_as_json {
        let document = Document::read(&text).map_err(|refused| {
            let detail = format!("revision {revision} can't be read as JSON: {refused}; ask for {YAML}");
            Problem::new(&kinds::NOT_ACCEPTABLE, detail)
        })?;
        (etag::of_revision_as_json(revision), serde_json::to_string(&document).unwrap_or_default())
    } else {
        (etag::of_revision(revision), text)
    };
    let is_known = known.is_some_and(|known| known.has(&etag));
    let mut response = Response::new(if is_known { HttpBody::empty() } else { HttpBody::from(body) });
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(form));
    }
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    Ok(tagged(response, &etag))
}

async fn put(call: &Call) -> Result<Response, Problem> {
    let document = call.text()?.to_owned();
    let based_on = based_on(call)?;
    if call.query.flag("dry_run") {
        return plan(call, Some(document)).await;
    }
    let based_on = based_on.ok_or_else(|| {
        Problem::new(
            &kinds::PRECONDITION_REQUIRED,
            "say which revision it is based on: If-Match with the ETag that you read, or If-None-Match: * for the first",
        )
    })?;
    let mut entry = audit(&call.who, "put document", None);
    let before = call.api.history.revision_in_force()?;
    entry.before = Some(json!({ "revision": before }));
    let may_remove_all = call.query.flag("remove_all");
    let answer = call.api.handle.put(document, based_on, may_remove_all, call.who.clone()).await;
    match &answer {
        Ok(revision) => {
            entry.after = Some(json!({ "revision": revision }));
            "accepted".clone_into(&mut entry.outcome);
        }
        Err(refusal) => entry.outcome = format!("refused: {refusal}"),
    }
    call.api.audit(&entry);
    let revision = answer?;
    let etag = etag::of_revision(revision);
    let mut response = super::json(&AppliedReport { revision, etag: etag.clone() });
    if before == 0 {
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(tagged(response, &etag))
}

/// The revision that a change is based on, as the manager takes it: `Some(None)` for any. `None` when nothing is said about it.
fn based_on(call: &Call) -> Result<Option<Option<u64>>, Problem> {
    let in_force = call.api.history.revision_in_force()?;
    let etag = || (in_force > 0).then(|| etag::of_revision(in_force));
    match (condition(call, &IF_MATCH)?, condition(call, &IF_NONE_MATCH)?) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(Problem::new(
            &kinds::MALFORMED,
            "If-Match and If-None-Match can't both be true of a document",
        )),
        (Some(wanted), None) if !wanted.permits_change_of(in_force) => {
            let detail = match in_force {
                0 => "no document is in force yet; put the first one with If-None-Match: *".to_owned(),
                in_force => {
                    format!("revision {in_force} is in force; read it again, and apply your change to it")
                }
            };
            Err(Problem::stale(detail, etag()))
        }
        (Some(Condition::Any), None) => Ok(Some(None)),
        (Some(Condition::Tags(_)), None) => Ok(Some(Some(in_force))),
        (None, Some(Condition::Any)) if in_force > 0 => Err(Problem::stale(
            format!("revision {in_force} is in force; it is not the first document"),
            etag(),
        )),
        (None, Some(Condition::Any)) => Ok(Some(Some(0))),
        (None, Some(Condition::Tags(_))) => Err(Problem::new(
            &kinds::MALFORMED,
            "If-None-Match can only be * here; If-Match takes entity tags",
        )),
    }
}

fn condition(call: &Call, name: &HeaderName) -> Result<Option<Condition>, Problem> {
    let malformed = |detail| Problem::new(&kinds::MALFORMED, format!("{name}: {detail}"));
    call.header(name)?.map(|text| Condition::parse(text).map_err(malformed)).transpose()
}

fn tagged(mut response: Response, etag: &str) -> Response {
    if let Ok(etag) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(ETAG, etag);
    }
    response
}

fn revisions(call: &Call) -> Result<Response, Problem> {
    let limit =
        call.query.number("limit").map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let revisions = call.api.history.revisions(limit)?.into_iter().map(RevisionReport::listed).collect();
    Ok(super::json(&RevisionsReport { revisions }))
}

fn revision(call: &Call) -> Result<Response, Problem> {
    let text = call.path.get("revision");
    let found = match text.parse() {
        Ok(number) => call.api.history.revision(number)?,
        Err(_) => None,
    };
    let found = found.ok_or_else(|| {
        let shown: String = text.chars().take(64).collect();
        Problem::new(&kinds::NOT_FOUND, format!("there is no revision {shown:?}, or it is forgotten"))
    })?;
    Ok(super::json(&RevisionReport::whole(found)))
}

async fn plan(call: &Call, document: Option<String>) -> Result<Response, Problem> {
    Ok(super::json(&call.api.handle.plan(document).await?))
}

fn schema() -> Response {
    let mut response = super::json(crate::document::schema());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/schema+json"));
    response
}
