//! `cargo xtask faults`: the registry does everything that a registry may do wrong, to every request of a pull, and the real
//! binary does what is written down for it.

mod phase;

mod fault;

mod expected;

mod table;

mod content;

mod world;

mod script;

mod program;

mod observe;

mod judge;

mod cell;

mod story;

mod alone;

mod mirrors;

mod chunked;

mod start;

mod case;

mod pool;

mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;

use crate::failure::{Context as _, Failure, Result};
use crate::workspace::{cargo, root, target};
use case::Case;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// One phase of each fault, without the pulls after the fault: at most a minute
    #[arg(long)]
    quick: bool,
    /// Only these, such as reset-in-body/blob; the part before the slash alone is all of them
    #[arg(long, value_name = "NAME")]
    case: Vec<String>,
    /// Names the cases and what is expected of each, and runs none
    #[arg(long)]
    list: bool,
    /// How many run at a time: they mostly wait
    #[arg(long, default_value_t = 24)]
    jobs: usize,
    /// Test this binary instead of the one that is built
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Write every case with what was expected and seen into this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the matrix into docs/proofs/faults.md
    #[arg(long)]
    write: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let cases: Vec<Case> = if arguments.case.is_empty() {
        Case::all().into_iter().filter(|case| !arguments.quick || case.is_quick()).collect()
    } else {
        Case::all()
            .into_iter()
            .filter(|case| arguments.case.iter().any(|name| case.is_called(name)))
            .collect()
    };
    if cases.is_empty() {
        return Err(Failure::new("no case has such a name: --list shows them"));
    }
    if arguments.list {
        cases.iter().for_each(|case| println!("{:<36} {}", case.name(), case.expectation()));
        return Ok(ExitCode::SUCCESS);
    }
    let binary = match &arguments.binary {
        Some(binary) => binary.clone(),
        None => build()?,
    };
    let began = Instant::now();
    let done = pool::run(&cases, arguments.jobs.max(1), |case| case.run(&binary, !arguments.quick));
    let report = report::Report::new(&cases, &done, began.elapsed());
    println!("\n{report}");
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&report.json()).context("write JSON")?;
        std::fs::write(path, text).context(format_args!("write {}", path.display()))?;
    }
    if arguments.write {
        report::write(&root().join("docs/proofs/faults.md"), &report.to_string())?;
    }
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The supervisor's binary, as tests have it.
fn build() -> Result<PathBuf> {
    let package = ["--package", "dockerloader", "--features", "loader", "--bin", "dockerloader"];
    cargo().args(["build", "--quiet"]).args(package).run()?;
    Ok(target().join("debug/dockerloader"))
}
