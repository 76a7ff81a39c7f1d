//! `cargo xtask hostile`: layers and images that attack whoever extracts them, as root and as somebody else, with a canary outside.

mod cases;
mod differential;
mod pulls;
mod report;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;

use crate::failure::{Context as _, Failure, Result};

pub(crate) use worker::{WorkerArguments, work};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The short mode: the same attacks, fewer pulls and fewer generated archives
    #[arg(long)]
    quick: bool,
    /// Only the rows whose names contain this
    #[arg(long, value_name = "NAME")]
    case: Option<String>,
    /// Of the generated archives
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many archives to generate for the comparison with GNU tar and umoci
    #[arg(long, value_name = "NUMBER")]
    archives: Option<u64>,
    /// Write the table as JSON as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Who extracts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum User {
    Root,
    Nobody,
}

impl User {
    const BOTH: [Self; 2] = [Self::Root, Self::Nobody];

    const fn ids(self) -> (u32, u32) {
        match self {
            Self::Root => (0, 0),
            Self::Nobody => (65534, 65534),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Nobody => "user",
        }
    }
}

/// One cell of the table.
#[derive(Debug, Clone)]
struct Cell {
    row: String,
    /// `layer`, `odd layer`, `image` or `generated`.
    kind: &'static str,
    compression: &'static str,
    user: User,
    /// What became of it, in a word or two.
    outcome: String,
    /// Empty when that is as it should be.
    problems: Vec<String>,
    /// Most memory that the extraction had, in KiB; 0 where it was not looked at.
    peak: u64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Failure::new("hostile layers are extracted as root too: run it as root"));
    }
    let began = Instant::now();
    let scratch = cases::scratch()?;
    let wanted = |name: &str| arguments.case.as_deref().is_none_or(|part| name.contains(part));
    let mut cells = cases::run(scratch.path(), &wanted)?;
    cells.extend(pulls::run(scratch.path(), arguments.quick, &wanted)?);
    let archives = arguments.archives.unwrap_or(if arguments.quick { 300 } else { 10_000 });
    let compared = match &arguments.case {
        None => Some(differential::run(scratch.path(), arguments.seed, archives)?),
        Some(case) => case
            .strip_prefix("archive-")
            .and_then(|number| number.parse().ok())
            .map_or(Ok(None), |number| {
                differential::run_one(scratch.path(), arguments.seed, number).map(Some)
            })?,
    };
    print!("{}", report::table(&cells, arguments.quick));
    if let Some(compared) = &compared {
        print!("{}", report::differential(compared, arguments.seed));
    }
    if let Some(path) = &arguments.json {
        std::fs::write(path, report::json(&cells, compared.as_ref()))
            .context(format_args!("write {}", path.display()))?;
    }
    let bad = cells.iter().filter(|cell| !cell.problems.is_empty()).count();
    let different = compared.as_ref().map_or(0, |compared| compared.differences.len());
    println!("{}", report::summary(&cells, compared.as_ref(), began.elapsed()));
    Ok(if bad + different == 0 && !cells.is_empty() | compared.is_some() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
