//! `cargo xtask bench`: the same images from the same registry, by us and by others, case by case.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::json;

use super::cases::{Bench, CASES, Case};
use super::corpus::Corpus;
use super::image::Works;
use super::registry::Registry;
use super::tools::knows_methods;
use super::{machine, section};
use crate::failure::{Context as _, Failure, Result};
use crate::images;
use crate::workspace::{cargo, target};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only these cases (several times); all if not given
    #[arg(long = "case", value_name = "NAME", value_parser = PossibleValuesParser::new(CASES.map(|case| case.name)))]
    cases: Vec<String>,
    /// How often each tool runs in each case
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
    /// Where the runs write instead of a fresh ext4 with a journal, which this command makes in a file below TMPDIR, or
    /// target/bench, and mounts
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// Print one JSON object instead of tables, and leave docs/benchmarks.md alone
    #[arg(long)]
    json: bool,
    /// One round with tiny images of made-up contents: shows that everything works, no figures
    #[arg(long)]
    quick: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result {
    if !nix::unistd::geteuid().is_root() {
        return Err(Failure::new(
            "only root can mount file systems and restore the owners of files: run this as root",
        ));
    }
    if cfg!(debug_assertions) && !arguments.quick {
        return again_in_release();
    }
    machine::warn_if_busy();
    let cache = target().join("bench");
    std::fs::create_dir_all(&cache).context(format_args!("make {}", cache.display()))?;
    let cache = cache.canonicalize().context(format_args!("use {}", cache.display()))?;
    let corpus = Corpus::find_or_make(&cache, arguments.quick)?;
    eprintln!("building the supervisor");
    let loader = if arguments.quick { images::build_debug_loader()? } else { images::build_loader()? };
    let volumes = std::env::var_os("TMPDIR").map_or_else(|| cache.clone(), PathBuf::from);
    let runs = tempfile::Builder::new().prefix("bench-").tempdir_in(&cache);
    let runs = runs.context(format_args!("make a directory in {}", cache.display()))?;
    let works = Works::new(&cache, corpus);
    let mut bench = Bench {
        methods: knows_methods(&loader)?,
        registry: Registry::start(&works.storage(), runs.path())?,
        loader,
        works,
        rounds: if arguments.quick { 1 } else { arguments.rounds },
        quick: arguments.quick,
        volumes,
        place: arguments.directory.clone(),
        log: runs.path().join("log"),
    };
    let wanted =
        |case: &&Case| arguments.cases.is_empty() || arguments.cases.iter().any(|name| name == case.name);
    let mut tables = Vec::new();
    for case in CASES.iter().filter(wanted) {
        let table = case.run(&mut bench)?;
        if arguments.quick
            && let Some(reason) = table.failure_of_ours()
        {
            return Err(Failure::new(format!("{}: {reason}", case.name)));
        }
        if !arguments.json {
            println!("\n### {}\n\n{}", case.name, table.markdown());
        }
        // Each as soon as it is known: what comes later may fail.
        if !arguments.json && !arguments.quick {
            section::write(case.name, &table.markdown())?;
        }
        tables.push(table);
    }
    let facts = facts(&bench);
    if arguments.json {
        let cases = tables.iter().map(super::report::Table::json).collect::<Vec<_>>();
        println!("{}", json!({ "facts": facts, "cases": cases }));
        return Ok(());
    }
    println!("{facts}");
    if arguments.quick { Ok(()) } else { section::write("facts", &facts) }
}

/// What the figures depend on.
fn facts(bench: &Bench) -> String {
    let loader = bench.loader.to_string_lossy();
    let programs = [
        (loader.as_ref(), "--version"),
        ("dockerd", "--version"),
        ("containerd", "--version"),
        ("skopeo", "--version"),
        ("umoci", "--version"),
        ("tar", "--version"),
        ("docker-registry", "--version"),
    ];
    let place = bench.place.as_deref().map_or_else(
        || "a new ext4 with a journal for each round, in a file".to_owned(),
        |place| format!("{}, which was there before", machine::file_system_of(place)),
    );
    format!(
        "{}. Runs write to {place}. {}.\n\n{}",
        machine::describe(),
        machine::versions(&programs),
        bench.works.corpus().describe(),
    )
}

/// Inflating, hashing and sampling in this program have to be as fast as in the others: a debug build is not.
fn again_in_release() -> Result {
    eprintln!("building this command in release mode");
    cargo().args(["build", "--quiet", "--release", "--package", "xtask"]).run()?;
    let mut command = std::process::Command::new(target().join("release/xtask"));
    let error = std::os::unix::process::CommandExt::exec(command.args(std::env::args_os().skip(1)));
    Err(Failure::new(format!("can't start {}: {error}", command.get_program().display())))
}
