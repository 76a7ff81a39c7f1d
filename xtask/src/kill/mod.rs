//! `cargo xtask kill`: the real binaries, killed, starved and cut off at every system call that touches the store; and whether they
//! always come back.

mod call;
mod role;

mod tracer;

mod versions;

mod volume;

mod store;

mod case;
mod plan;

mod observe;
mod seen;

mod phase;

mod disturb;

mod check;

mod bed;

mod report;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use clap::Args;

use bed::{Base, Bed, Outcome};
use case::{Case, Setting, Sweep, sweeps};
use plan::{Batch, Density, batches, is_short};
use report::Report;

use crate::failure::{Context as _, Failure, Result};
use crate::images;
use crate::interrupt;
use crate::workspace::{cargo, target};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A few points of each kind of fault, in at most a minute
    #[arg(long)]
    quick: bool,
    /// Where the points begin that a short run takes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this case (several times), such as update/ext4/overlay/kill-puller/17
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<Case>,
    /// Only sweeps whose names contain this word (several times)
    #[arg(long = "sweep", value_name = "WORD")]
    sweeps: Vec<String>,
    /// How many points of each sweep, instead of all
    #[arg(long, value_name = "COUNT")]
    points: Option<u32>,
    /// Suppress these system calls before power cuts, to see that the bed notices: fsync, syncfs
    #[arg(long = "without", value_name = "CALL", value_parser = ["fsync", "syncfs", "fdatasync"])]
    without: Vec<String>,
    /// How many cases at a time
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    jobs: u8,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// Points of each sweep in a short run.
const QUICK: u32 = 2;

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Failure::new("only root can mount file systems and make namespaces: run this as root"));
    }
    eprintln!("building the supervisor and the application");
    let loader = images::build_debug_loader()?;
    let app = build_app()?;
    // What is mounted from here on is nobody else's, and gone with this process, however it ends.
    fixtures::mounts::enter_own_namespace().context("enter a mount namespace")?;
    let folder = tempfile::Builder::new().prefix("kill-").tempdir_in("/dev/shm");
    let folder = folder.context("make a directory in memory")?;
    let logs = target().join("kill");
    let _ = std::fs::remove_dir_all(&logs);
    let skipped = ["fsync", "syncfs", "fdatasync"];
    let skipped = skipped.into_iter().filter(|name| arguments.without.iter().any(|word| word == name));
    let bed = Bed::new(&loader, &app, folder.path(), &logs, skipped.collect())?;
    let began = Instant::now();
    let wanted = wanted(arguments);
    let bases = prepare(&bed, &wanted, folder.path(), arguments.jobs)?;
    let mut report = Report::default();
    let mut batches_left = VecDeque::new();
    for sweep in &wanted {
        let Some(base) = bases.get(&sweep.setting) else { continue };
        let counted = base.points(sweep.fault);
        report.sweep(*sweep, counted);
        if arguments.cases.is_empty() {
            let density = match (arguments.points, arguments.quick) {
                (Some(points), _) => Density::About(points),
                (None, true) => Density::About(QUICK),
                (None, false) => Density::Every,
            };
            batches_left.extend(batches(*sweep, counted, density, arguments.seed));
        }
    }
    batches_left.extend(arguments.cases.iter().map(|case| vec![*case]));
    eprintln!(
        "{} cases, seed {}, after {:.1} s of preparation",
        batches_left.iter().map(Vec::len).sum::<usize>(),
        arguments.seed,
        began.elapsed().as_secs_f64()
    );
    let played = play(&bed, &bases, batches_left, folder.path(), arguments.jobs, &mut report);
    if arguments.json {
        println!("{}", report.json());
    } else {
        println!("{} in {:.0} s", report.text(), began.elapsed().as_secs_f64());
    }
    if report.bad() > 0 {
        eprintln!("logs of the bad cases: {}", logs.display());
    }
    // What was found before a Ctrl-C is told as well.
    played?;
    Ok(if report.bad() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The example application, as tests have it.
fn build_app() -> Result<PathBuf> {
    cargo().args(["build", "--quiet", "--package", "dockerloaded"]).arg("--target-dir", target()).run()?;
    Ok(target().join("debug/dockerloaded"))
}

/// The sweeps that are asked for, as far as this machine has what they need.
fn wanted(arguments: &Arguments) -> Vec<Sweep> {
    let mut wanted: Vec<Sweep> = if arguments.cases.is_empty() {
        let named = |sweep: &Sweep| {
            let name = format!("{}/{}", sweep.setting, sweep.fault);
            arguments.sweeps.iter().all(|word| name.contains(word.as_str()))
        };
        sweeps().into_iter().filter(|sweep| !arguments.quick || is_short(sweep)).filter(named).collect()
    } else {
        arguments.cases.iter().map(|case| Sweep { setting: case.setting, fault: case.fault }).collect()
    };
    wanted.retain(|sweep| {
        let there = sweep.setting.system.is_there();
        if !there {
            eprintln!(
                "skipped: {}/{}: there is no mkfs.{}",
                sweep.setting,
                sweep.fault,
                sweep.setting.system.name()
            );
        }
        there
    });
    wanted
}

/// Makes the file systems that cases begin with.
fn prepare(bed: &Bed, wanted: &[Sweep], folder: &Path, jobs: u8) -> Result<BTreeMap<Setting, Base>> {
    let mut faults = BTreeMap::<Setting, Vec<_>>::new();
    for sweep in wanted {
        faults.entry(sweep.setting).or_default().push(sweep.fault);
    }
    let made = Mutex::new(BTreeMap::new());
    let queue = Mutex::new(VecDeque::from_iter(faults));
    at_once(folder, jobs, &|work| {
        let Some((setting, faults)) = locked(&queue).pop_front() else { return Ok(false) };
        let base = bed.prepare(setting, &faults, work)?;
        locked(&made).insert(setting, base);
        Ok(true)
    })?;
    Ok(made.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Plays all batches, and says how far it is.
fn play(
    bed: &Bed,
    bases: &BTreeMap<Setting, Base>,
    batches: VecDeque<Batch>,
    folder: &Path,
    jobs: u8,
    report: &mut Report,
) -> Result {
    let total: usize = batches.iter().map(Vec::len).sum();
    let queue = Mutex::new(batches);
    let taken = Mutex::new(report);
    at_once(folder, jobs, &|work| {
        let Some(batch) = locked(&queue).pop_front() else { return Ok(false) };
        let Some(base) = batch.first().and_then(|case| bases.get(&case.setting)) else { return Ok(true) };
        let outcomes = bed.play(base, &batch, work)?;
        let mut report = locked(&taken);
        let before = report.cases();
        for outcome in outcomes {
            show(&outcome);
            report.take(outcome);
        }
        let done = report.cases();
        if done / 100 > before / 100 {
            eprintln!("{done} of {total} cases, {} unrecovered", report.bad());
        }
        Ok(true)
    })
}

fn show(outcome: &Outcome) {
    if !outcome.problems.is_empty() {
        let at = outcome.at.as_deref().unwrap_or("the run was over before");
        eprintln!("BAD {} ({at})\n  {}", outcome.case, outcome.problems.join("\n  "));
    }
}

/// Calls `job` in several threads, each with a folder and a mount namespace of its own, until it says that there is no more.
fn at_once(folder: &Path, jobs: u8, job: &(dyn Fn(&Path) -> Result<bool> + Sync)) -> Result {
    let worker = |number: u8| -> Result {
        fixtures::mounts::enter_own_namespace().context("enter a mount namespace")?;
        let work = folder.join(format!("worker-{number}"));
        std::fs::create_dir_all(&work).context("make a folder")?;
        while !interrupt::interrupted() && job(&work)? {}
        if interrupt::interrupted() { Err(Failure::new("interrupted")) } else { Ok(()) }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs).map(|number| scope.spawn(move || worker(number))).collect();
        let ends = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(Failure::new("a worker panicked"))));
        ends.collect::<Vec<_>>().into_iter().collect()
    })
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
