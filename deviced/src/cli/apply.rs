//! `apply`: puts a document in force, and follows.

use axum::http::Method;
use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use serde_json::Value;

use super::arguments::Apply;
use super::client::{Answer, Call, Client};
use super::exit::Exit;
use super::failure::Result;
use super::following::Following;
use super::plan::{DOCUMENT, in_file, of_document};
use super::screen::Screen;
use super::{follow, output, read, text};
use crate::report::{OperationsReport, Report};

const PATH: &str = "/v1/document";

pub(super) async fn apply(client: &Client, arguments: &Apply) -> Result<Exit> {
    let document = read::text(&arguments.file)?;
    // Before the plan: what somebody else puts in force after it is noticed.
    let current = client.find(PATH).await?;
    if !arguments.json {
        match of_document(client, &arguments.file, document.clone()).await {
            Ok(answer) => output::print(&text::plan(&answer.json()?, &output::view()))?,
            Err(failure) if arguments.remove_all && failure.kind == "removes-all" => {
                output::print("All containers are removed.\n")?;
            }
            Err(failure) => return Err(failure),
        }
    }
    let before: Report = client.get("/v1/status").await?.json()?;
    let known: OperationsReport = client.get("/v1/operations").await?.json()?;
    let answer = put(client, arguments, document, current.as_ref()).await?;
    let revision = revision(&answer).unwrap_or(before.document.revision);
    if arguments.json {
        output::json(&answer.body)?;
    }
    if arguments.wait.no_wait {
        if !arguments.json {
            output::print(&format!(
                "Document r{revision} is in force; `deviced status` says how far it is.\n"
            ))?;
        }
        return Ok(Exit::Done);
    }
    let mut following = Following::new(revision, before.pass.count, &known.operations);
    follow::everything(client, &mut following, &arguments.wait, &mut Screen::new(arguments.json)).await
}

async fn put(
    client: &Client,
    arguments: &Apply,
    document: String,
    current: Option<&Answer>,
) -> Result<Answer> {
    let query = if arguments.remove_all { "?remove_all=true" } else { "" };
    let call = Call::new(Method::PUT, format!("{PATH}{query}")).body(DOCUMENT, document);
    let call = match current.and_then(Answer::etag) {
        Some(etag) => call.header(IF_MATCH, etag),
        None => call.header(IF_NONE_MATCH, "*"),
    };
    client.send(call).await.map_err(|failure| in_file(failure, &arguments.file))
}

/// The revision that an answer is about: its entity tag is `"rNUMBER"`.
fn revision(answer: &Answer) -> Option<u64> {
    let of_tag = answer.etag().and_then(|etag| etag.trim_matches('"').strip_prefix('r')?.parse().ok());
    of_tag.or_else(|| answer.json::<Value>().ok()?.get("revision")?.as_u64())
}
