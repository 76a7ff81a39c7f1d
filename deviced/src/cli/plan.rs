//! `plan`: what would be done.

use std::path::Path;

use axum::http::Method;

use super::arguments::Plan;
use super::client::{Answer, Call, Client};
use super::exit::Exit;
use super::failure::{Failure, Result};
use super::{output, read, text};
use crate::report::PlanReport;

/// What a document is sent as; YAML is what JSON is as well.
pub(super) const DOCUMENT: &str = "application/yaml";

pub(super) async fn plan(client: &Client, arguments: &Plan) -> Result<Exit> {
    let answer = match &arguments.file {
        Some(file) => of_document(client, file, read::text(file)?).await?,
        None => client.get("/v1/plan").await?,
    };
    let plan: PlanReport = answer.json()?;
    if arguments.json {
        output::json(&answer.body)?;
    } else {
        output::print(&text::plan(&plan, &output::view()))?;
    }
    Ok(if arguments.exit_code && plan.changes { Exit::Changes } else { Exit::Done })
}

/// What a document would change.
pub(super) async fn of_document(client: &Client, file: &Path, text: String) -> Result<Answer> {
    let call = Call::new(Method::POST, "/v1/plan").body(DOCUMENT, text);
    client.send(call).await.map_err(|failure| in_file(failure, file))
}

/// Findings with the name of the file that they are about, as compilers write them and editors find them.
pub(super) fn in_file(failure: Failure, file: &Path) -> Failure {
    let findings = failure.findings.iter().map(|finding| format!("{}:{finding}", file.display())).collect();
    failure.with(findings)
}
