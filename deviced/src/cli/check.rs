//! `check` and `schema`: a document without a device.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::arguments::Check;
use crate::document::{Document, MAX_BYTES, Refused, schema};

/// `sysexits.h`, EX_NOINPUT.
const NO_INPUT: u8 = 66;

pub(super) fn check(arguments: &Check) -> ExitCode {
    let name = arguments.file.display();
    let text = match read(&arguments.file) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("deviced: {name}: {error}");
            return ExitCode::from(NO_INPUT);
        }
    };
    let checked = Document::read(&text);
    match &checked {
        _ if arguments.json => println!("{}", as_json(&checked)),
        Ok(document) => println!("{name}: right; {}", summary(document)),
        Err(refused) => refused.to_string().lines().for_each(|line| eprintln!("{name}:{line}")),
    }
    if checked.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

pub(super) fn print_schema() -> ExitCode {
    // A pipe that is closed early is no failure.
    let _ = writeln!(io::stdout(), "{:#}", schema().as_value());
    ExitCode::SUCCESS
}

/// At most one byte more than a document may have, so that what is too large is refused and not read.
fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    let limit = MAX_BYTES as u64 + 1;
    if path == Path::new("-") {
        io::stdin().take(limit).read_to_end(&mut bytes)?;
    } else {
        File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    }
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8 text"))
}

fn summary(document: &Document) -> String {
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let paused = document.containers.iter().filter(|container| container.paused).count();
    let containers = count(document.containers.len(), "container");
    if paused == 0 { containers } else { format!("{containers}, {paused} of them paused") }
}

fn as_json(checked: &Result<Document, Refused>) -> serde_json::Value {
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
