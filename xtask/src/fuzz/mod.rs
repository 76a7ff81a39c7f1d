//! `cargo xtask fuzz`: builds the fuzz targets and runs each for some time, two at a time.

mod seeds;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use clap::Args;

use crate::call::Call;
use crate::failure::{Context as _, Failure, Result};
use crate::interrupt;
use crate::workspace::{find_program, host_triple, root};

/// The targets, and the most bytes of an input that make sense.
const TARGETS: [(&str, u32); 8] = [
    ("entries", 16384),
    ("archives", 16384),
    ("blobs", 16384),
    ("manifests", 16384),
    ("references", 512),
    ("challenges", 1024),
    ("dotenv", 4096),
    ("state", 8192),
];
/// The toolchain of the fuzz targets.
const NIGHTLY: &str = "nightly";

/// Seconds for each target when nobody says otherwise.
const SECONDS: u64 = 20;
/// Targets that run at the same time.
const WORKERS: usize = 2;
/// Beyond its time, how long a target may take to end.
const GRACE: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Seconds for each target
    #[arg(long, default_value_t = SECONDS)]
    seconds: u64,
    /// Only this target
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
}

/// What is missing to fuzz here, if anything.
pub(crate) fn missing() -> Option<String> {
    if find_program("cargo-fuzz").is_none() {
        return Some("cargo-fuzz is not installed: cargo install --locked cargo-fuzz".into());
    }
    (!has_toolchain(NIGHTLY))
        .then(|| format!("there is no such toolchain: rustup toolchain install {NIGHTLY}"))
}

/// Whether rustup can run this toolchain's compiler.
fn has_toolchain(name: &str) -> bool {
    Call::new("rustup").args(["run", name, "rustc", "--version"]).read().is_ok()
}

/// The short run of all targets.
pub(crate) fn smoke() -> Result<bool> {
    fuzz(&Arguments { seconds: SECONDS, target: None })
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if let Some(missing) = missing() {
        return Err(Failure::new(missing));
    }
    Ok(if fuzz(arguments)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether no target found anything.
fn fuzz(arguments: &Arguments) -> Result<bool> {
    let wanted: Vec<_> = TARGETS
        .iter()
        .filter(|(name, _)| arguments.target.as_deref().is_none_or(|only| only == *name))
        .collect();
    if wanted.is_empty() {
        return Err(Failure::new(format!(
            "there is no target of that name; there are {}",
            TARGETS.map(|(name, _)| name).join(", ")
        )));
    }
    build()?;
    let pending = Mutex::new(wanted);
    let ended = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        let work = || -> Result {
            loop {
                let next = pending.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let Some((name, length)) = next else { return Ok(()) };
                let end = run_target(name, *length, arguments.seconds)?;
                ended.lock().unwrap_or_else(PoisonError::into_inner).insert(*name, end);
            }
        };
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    if interrupt::interrupted() {
        return Err(Failure::new("interrupted"));
    }
    let ended = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (name, end) in &ended {
        println!("{name:<12} {}", end.line());
    }
    Ok(ended.values().all(|end| end.finding.is_none()))
}

/// Sanitizers look for what unsafe code does wrong, and there is none; panics and overflows are found without them, faster.
fn build() -> Result {
    // The cargo that runs this, if one does, is of another toolchain.
    Call::new("rustup")
        .args(["run", NIGHTLY, "cargo", "fuzz", "build", "--sanitizer", "none"])
        .in_directory(root())
        .without_env("CARGO")
        .without_env("CARGO_MANIFEST_DIR")
        .run()
        .context("build the fuzz targets")
}

/// Where `cargo fuzz` builds, and all else is that is not committed.
fn folder() -> PathBuf {
    root().join("fuzz/target")
}

/// How a target ended.
#[derive(Debug)]
struct End {
    executions: u64,
    coverage: u64,
    /// What it said, when it did not end well.
    finding: Option<String>,
}

impl End {
    fn line(&self) -> String {
        let Self { executions, coverage, finding } = self;
        let finding =
            finding.as_ref().map_or_else(|| "nothing found".to_owned(), |text| format!("FOUND:\n{text}"));
        format!("{executions:>12} executions, {coverage:>6} edges, {finding}")
    }
}

fn run_target(name: &str, length: u32, seconds: u64) -> Result<End> {
    let make = |kind: &str| {
        let path = folder().join(kind).join(name);
        fs::create_dir_all(&path).context("make a directory for inputs").map(|()| path)
    };
    let (grown, seeded, artifacts) = (make("corpus")?, make("seeds")?, make("artifacts")?);
    for (number, seed) in seeds::of(name)?.into_iter().enumerate() {
        fs::write(seeded.join(number.to_string()), seed).context("write a seed")?;
    }
    let kept = root().join("fuzz/corpus").join(name);
    let program = folder().join(host_triple()?).join("release").join(name);
    let limit = Duration::from_secs(seconds) + GRACE;
    let mut call = Call::new(program)
        .args([format!("-max_total_time={seconds}"), format!("-max_len={length}")])
        .args(["-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=1"])
        .args([format!("-artifact_prefix={}/", artifacts.display())])
        .args([&grown, &seeded])
        .within(limit);
    if kept.is_dir() {
        call = call.args([&kept]);
    }
    let (code, output) = call.code()?;
    Ok(end(code, &output, &artifacts))
}

fn end(code: Option<i32>, output: &str, artifacts: &Path) -> End {
    let executions =
        output.lines().rev().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    // `#1234 DONE cov: 567 ft: 890 ...`
    let coverage =
        output.lines().rev().find_map(|line| line.split_once(" cov: ")?.1.split(' ').next()?.parse().ok());
    let last: Vec<_> = output.lines().rev().take(25).collect();
    let finding = (code != Some(0)).then(|| {
        let lines: Vec<_> = last.into_iter().rev().collect();
        format!("{}\nthe input is in {}", lines.join("\n"), artifacts.display())
    });
    End {
        executions: executions.and_then(|text| text.trim().parse().ok()).unwrap_or(0),
        coverage: coverage.unwrap_or(0),
        finding,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "#2\tINITED cov: 5 ft: 6 corp: 1/1b exec/s: 0 rss: 30Mb\n\
        #9\tDONE   cov: 12 ft: 30 corp: 4/9b lim: 4 exec/s: 3 rss: 30Mb\n\
        Done 9 runs in 3 second(s)\n\
        stat::number_of_executed_units: 9\n";

    #[test]
    fn the_end_of_a_run_is_read() {
        let good = end(Some(0), OUTPUT, Path::new("/a"));
        assert_eq!((good.executions, good.coverage, good.finding), (9, 12, None));
        let bad = end(Some(77), "thread panicked\n", Path::new("/a"));
        assert!(bad.finding.is_some_and(|text| text.contains("panicked") && text.contains("/a")));
        assert!(end(None, "", Path::new("/a")).finding.is_some());
    }

    #[test]
    fn every_target_is_in_the_manifest_and_has_seeds() {
        let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
        for (name, _) in TARGETS {
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
            assert!(!seeds::of(name).unwrap().is_empty(), "{name}");
        }
        assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
    }
}
