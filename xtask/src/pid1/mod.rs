//! `cargo xtask pid1`: the real supervisor as process 1 of process namespaces, beside the inits that people know.

mod row;

mod scene;

mod children;

mod executions;

mod table;

mod signals;

mod terminal;

mod stops;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use self::row::Row;
use crate::contained;
use crate::failure::{Context as _, Failure, Result};
use crate::images::{build_debug_loader, build_loader};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Smaller counts, in less than a minute
    #[arg(long)]
    quick: bool,
    /// Only the cases whose names contain this
    #[arg(long, value_name = "NAME")]
    case: Option<String>,
    /// The static release binary instead of the debug one
    #[arg(long)]
    release: bool,
    /// Writes the figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One thing to be proven: its name, how often in full and in the short mode, and the proof.
struct Case {
    name: &'static str,
    full: usize,
    quick: usize,
    prove: fn(&Path, usize) -> Result<Vec<Row>>,
}

const CASES: [Case; 7] = [
    Case { name: "children", full: 10_000, quick: 1_000, prove: children::storm },
    Case { name: "coalescing", full: 2_000, quick: 200, prove: children::coalescing },
    Case { name: "executions", full: 1_000, quick: 24, prove: executions::failures },
    Case { name: "signals", full: 1, quick: 1, prove: signals::all },
    Case { name: "codes", full: 1, quick: 1, prove: signals::codes },
    Case { name: "terminal", full: 10, quick: 1, prove: terminal::all },
    Case { name: "stops", full: 1_008, quick: 27, prove: stops::stops },
];

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if let Some(why) = contained::obstacle() {
        println!("skipped: {why}");
        return Ok(ExitCode::SUCCESS);
    }
    let built = if arguments.release { build_loader()? } else { build_debug_loader()? };
    // A copy of its own: cargo may build the other one anew meanwhile.
    let copies = tempfile::tempdir().context("make a temporary directory")?;
    let loader = copies.path().join("dockerloader");
    std::fs::copy(&built, &loader).context("copy the supervisor's binary")?;
    let mut rows = Vec::new();
    let wanted = |case: &&Case| arguments.case.as_ref().is_none_or(|part| case.name.contains(part.as_str()));
    for case in CASES.iter().filter(wanted) {
        let count = if arguments.quick { case.quick } else { case.full };
        println!("{} ({count})", case.name);
        let began = Instant::now();
        let found = (case.prove)(&loader, count).map_err(|failure| {
            let again = if arguments.quick { " --quick" } else { "" };
            Failure::new(format!(
                "{}: {failure}\nto repeat it: cargo xtask pid1 --case {}{again}",
                case.name, case.name
            ))
        })?;
        println!("{}\n{:.1} s\n", row::table(&found), began.elapsed().as_secs_f64());
        rows.extend(found);
    }
    if let Some(path) = &arguments.json {
        let text = json!(rows.iter().map(Row::json).collect::<Vec<_>>()).to_string();
        std::fs::write(path, text).context(format_args!("write {}", path.display()))?;
    }
    let bad = rows.iter().filter(|row| !row.is_good).count();
    println!("{} figures, {bad} bad", rows.len());
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
