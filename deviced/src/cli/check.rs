//! `check` and `schema`: a document without a device.

use serde_json::json;

use super::arguments::Check;
use super::exit::Exit;
use super::failure::{Failure, Result};
use super::{output, read};
use crate::document::{Document, Refused, schema};

pub(super) fn check(arguments: &Check) -> Result<Exit> {
    let name = arguments.file.display();
    let checked = Document::read(&read::text(&arguments.file)?);
    if arguments.json {
        output::print(&format!("{}\n", as_json(&checked)))?;
        return Ok(if checked.is_ok() { Exit::Done } else { Exit::No });
    }
    match checked {
        Ok(document) => output::print(&format!("{name}: right; {}\n", summary(&document)))?,
        Err(refused) => {
            let findings = refused.to_string().lines().map(|line| format!("{name}:{line}")).collect();
            return Err(Failure::silent(Exit::No).with(findings));
        }
    }
    Ok(Exit::Done)
}

pub(super) fn print_schema() -> Result<Exit> {
    output::print(&format!("{:#}\n", schema().as_value()))?;
    Ok(Exit::Done)
}

fn summary(document: &Document) -> String {
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let paused = document.containers.iter().filter(|container| container.paused).count();
    let containers = count(document.containers.len(), "container");
    if paused == 0 { containers } else { format!("{containers}, {paused} of them paused") }
}

fn as_json(checked: &std::result::Result<Document, Refused>) -> serde_json::Value {
    let findings = checked.as_ref().err().map_or(&[][..], |refused| &refused.findings);
    let findings: Vec<_> = findings
        .iter()
        .map(|finding| {
            json!({
                "pointer": finding.pointer.to_string(),
                "line": finding.place.map(|place| place.line),
                "column": finding.place.map(|place| place.column),
                "problem": finding.problem,
                "advice": finding.advice,
            })
        })
        .collect();
    json!({"valid": checked.is_ok(), "findings": findings})
}
