//! `cargo xtask bench pull`: the same image from the same registry, by us, by Docker, and by skopeo with umoci.
//!
//! Rounds are interleaved, and another tool begins in each. Every run has a directory of its own, for Docker a daemon with a
//! data root of its own: so all rounds pull the same bytes, nothing is on disk yet, and nothing is deleted before the end. (A
//! file system without a journal allocates slowly for a while after a large deletion, which would be the next tool's loss.)

mod content;
mod image;

mod registry;

mod tools;

mod report;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use self::registry::Registry;
use self::report::{Again, Report};
use self::tools::{Round, TOOLS};
use super::measure::measure;
use super::{machine, section};
use crate::call::Call;
use crate::failure::{Context as _, Failure, Result};
use crate::images;
use crate::workspace::target;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How often each tool pulls
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
    /// The image: `full` for figures, which go to docs/benchmarks.md; `small` to try this command out
    #[arg(long, value_enum, default_value_t = Size::Full)]
    size: Size,
    /// Where the runs write: a file system that is empty and quiet, for figures that are worth something
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Size {
    /// 60,000 files, about 300 MB compressed
    Full,
    /// 2,000 files
    Small,
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    if !nix::unistd::geteuid().is_root() {
        return Err(Failure::new("only root can restore the owners of files: run this as root"));
    }
    machine::warn_if_busy();
    let cache = target().join("bench");
    let files = if arguments.size == Size::Full { 60_000 } else { 2_000 };
    let layout = image::find_or_make(&cache, files)?;
    eprintln!("building the static binary");
    let loader = images::build_loader()?;
    // Deleted at the very end, after the daemons of the rounds have stopped.
    let place = arguments.directory.as_ref().unwrap_or(&cache);
    let place = place.canonicalize().context(format_args!("use {}", place.display()))?;
    let directory = tempfile::Builder::new().prefix("pull-").tempdir_in(place);
    let directory = directory.context("make a directory for the runs")?;
    let mut registry = Registry::start(&directory.path().join("registry"))?;
    push(&layout.directory, &registry)?;

    let log = directory.path().join("log");
    let mut report = Report::new(layout.facts, arguments.rounds);
    // Each keeps its daemon until the end: what it stored is deleted then.
    let mut rounds = Vec::new();
    for number in 0..arguments.rounds {
        let round =
            Round::new(&directory.path().join(format!("round-{number}")), &loader, &registry.repository())?;
        for step in 0..TOOLS.len() {
            let place = (step + number as usize) % TOOLS.len();
            let Some(tool) = TOOLS.get(place) else { continue };
            let cost = measure(round.commands(*tool), round.daemon(*tool), &log)?;
            eprintln!("round {}: {} {:.2} s", number + 1, tool.name(), cost.wall.as_secs_f64());
            report.cold(*tool, cost);
        }
        rounds.push(round);
    }
    for round in &rounds {
        round.check(layout.facts.files)?;
        round.commit()?;
        for tool in TOOLS {
            let from = registry.mark()?;
            let cost = measure(round.commands_again(tool), round.daemon(tool), &log)?;
            let to = registry.mark()?;
            report.again(tool, Again { cost, requests: registry.requests(&from, &to) });
        }
    }
    if arguments.json {
        println!("{}", report.json());
        return Ok(());
    }
    let text = report.markdown(&machine::describe(directory.path()), &versions(&loader));
    println!("{text}");
    if arguments.size == Size::Full { section::write("pull", &text) } else { Ok(()) }
}

fn push(layout: &Path, registry: &Registry) -> Result {
    let call = Call::new("skopeo").args(["copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false"]);
    let from = format!("oci:{}:{}", layout.display(), image::TAG);
    call.args([from, format!("docker://{}:{}", registry.repository(), image::TAG)]).read().map(|_| ())
}

fn versions(loader: &Path) -> String {
    let loader = loader.to_string_lossy();
    machine::versions(&[
        (&loader, "--version"),
        ("dockerd", "--version"),
        ("skopeo", "--version"),
        ("umoci", "--version"),
        ("docker-registry", "--version"),
    ])
}
