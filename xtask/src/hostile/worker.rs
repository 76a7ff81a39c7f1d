//! The extraction of one row in a process of its own: as whoever started it, and within limits.

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use dockerloader::limits::{Limit, Limits};
use dockerloader::tree::{Depth, Error, Extraction, Rule, verify};
use nix::sys::resource::{Resource, setrlimit};
use serde_json::{Value, json};

use crate::failure::{Context as _, Failure, Result};

/// Bytes of memory that a process may write to. Far above what is measured and looked at: this ends what runs away.
const MEMORY: u64 = 512 << 20;
/// Bytes of one file.
const FILE: u64 = 1 << 30;
/// Seconds of processor time.
const TIME: u64 = 60;

#[derive(Debug, Args)]
pub(crate) struct WorkerArguments {
    /// The empty directory to extract into
    root: PathBuf,
    /// The blobs of the layers, lowest first
    layers: Vec<PathBuf>,
    /// Limits to lower: NAME=VALUE
    #[arg(long)]
    limit: Vec<String>,
}

pub(crate) fn work(arguments: &WorkerArguments) -> Result<ExitCode> {
    for (resource, value) in
        [(Resource::RLIMIT_DATA, MEMORY), (Resource::RLIMIT_FSIZE, FILE), (Resource::RLIMIT_CPU, TIME)]
    {
        setrlimit(resource, value, value).context("set a limit")?;
    }
    let limits = limits(&arguments.limit)?;
    let before = peak();
    let result = extract(arguments, limits);
    let mut answer = match result? {
        Ok(findings) => json!({ "findings": findings }),
        Err(error) => json!({ "refused": name(&error), "message": error.to_string() }),
    };
    answer["peak"] = json!(peak());
    answer["before"] = json!(before);
    println!("{answer}");
    Ok(ExitCode::SUCCESS)
}

/// What the tree has that its seal does not say, or why there is no tree.
fn extract(arguments: &WorkerArguments, limits: Limits) -> Result<std::result::Result<Vec<String>, Error>> {
    let mut layers = Vec::new();
    for path in &arguments.layers {
        layers.push(File::open(path).context(format_args!("open {}", path.display()))?);
    }
    Ok((|| {
        let mut extraction = Extraction::new(&arguments.root, limits, |_| ())?;
        for layer in layers {
            extraction.apply(layer, None)?;
        }
        let extracted = extraction.finish()?;
        let findings = verify(&arguments.root, &extracted.seal, Depth::Full);
        Ok(findings.iter().map(|finding| format!("{finding:?}")).collect())
    })())
}

fn limits(lowered: &[String]) -> Result<Limits> {
    let mut limits = Limits::default();
    for text in lowered {
        let known: [&mut Limit; 3] =
            [&mut limits.tree_bytes, &mut limits.tree_entries, &mut limits.layer_entries];
        let (name, value) = text.split_once('=').ok_or_else(|| Failure::new("a limit is NAME=VALUE"))?;
        let limit = known.into_iter().find(|limit| limit.name == name);
        let limit = limit.ok_or_else(|| Failure::new(format!("no limit is lowered by the name {name}")))?;
        limit.max = value.parse().context(format_args!("read {text}"))?;
    }
    Ok(limits)
}

/// The name of the rule or error; `limit` and the name of a limit.
fn name(error: &Error) -> String {
    let of =
        |debug: String| debug.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned();
    match error {
        Error::Limit(over) => format!("limit {}", over.limit.name),
        Error::Refused(refusal) => match &refusal.rule {
            Rule::Limit(over) => format!("limit {}", over.limit.name),
            rule => of(format!("{rule:?}")),
        },
        error => of(format!("{error:?}")),
    }
}

/// The most memory that this process had, in KiB (`proc_pid_status(5)`, `VmHWM`).
fn peak() -> Value {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    json!(line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0))
}
