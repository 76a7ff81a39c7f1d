//! The supervisor as process 1: what it costs while nothing happens, and how fast it changes versions.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use fixtures::ground::Ground;

use super::measure::number_after;
use crate::failure::{Context as _, Failure, Result};
use crate::images::{build_app, build_loader};
use crate::interrupt;
use crate::workspace::find_program;

/// What the others are known as.
const OTHERS: [&str; 3] = ["tini", "dumb-init", "catatonit"];
/// An application that does nothing.
const IDLE: &str = "#!/bin/sh\nexec sleep 86400\n";
/// How long the application of the second part runs before it exits with 42, in milliseconds.
const RUN_MS: &str = "300";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How long wake-ups are counted
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many changes of versions are timed
    #[arg(long, default_value_t = 50)]
    changes: usize,
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    let (loader, app) = (build_loader()?, build_app()?);
    idle(&loader, Duration::from_secs(arguments.seconds))?;
    changes(&loader, &app, arguments.changes)
}

/// A process 1 in a namespace of its own; all in there ends with it.
struct Contained {
    name: String,
    unshare: Child,
    process: String,
    before: u64,
}

impl Drop for Contained {
    fn drop(&mut self) {
        // `unshare --kill-child` takes the rest along.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

fn idle(loader: &Path, period: Duration) -> Result {
    let ground = Ground::new();
    ground.link("entrypoint", &ground.plant("idle", IDLE));
    let mut running = vec![contain("dockerloader", loader, None, &ground)?];
    for name in OTHERS {
        match find_program(name) {
            Some(program) => running.push(contain(name, &program, Some(&ground), &ground)?),
            None => println!("{name} is not installed: left out"),
        }
    }
    // The moments after the start are no idleness.
    std::thread::sleep(Duration::from_secs(2));
    for one in &mut running {
        one.before = wake_ups(&one.process)?;
    }
    println!("counting wake-ups for {} s", period.as_secs());
    let began = Instant::now();
    while began.elapsed() < period {
        if interrupt::interrupted() {
            return Err(Failure::new("interrupted"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    println!(
        "\n| process 1, idle | RSS kB | PSS kB | private dirty kB | wake-ups in {} s |",
        period.as_secs()
    );
    println!("|---|---|---|---|---|");
    for one in &running {
        let woken = wake_ups(&one.process)? - one.before;
        let memory = |field| number_after(&format!("/proc/{}/smaps_rollup", one.process), field);
        let (rss, pss, dirty) = (memory("Rss:")?, memory("Pss:")?, memory("Private_Dirty:")?);
        println!("| {} | {rss} | {pss} | {dirty} | {woken} |", one.name);
    }
    Ok(())
}

/// Starts a process 1. Those of others are told what to run; ours finds it in its data directory.
fn contain(name: &str, program: &Path, told: Option<&Ground>, ground: &Ground) -> Result<Contained> {
    let mut command = Command::new("unshare");
    command.args(["--fork", "--pid", "--mount-proc", "--kill-child", "--"]).arg(program);
    if let Some(ground) = told {
        command.arg("--").arg(ground.root().join("entrypoint"));
    }
    command.env_clear().env("PATH", "/usr/bin:/bin").env("DOCKERLOADER_DATA_DIR", ground.data());
    let unshare = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("start unshare, which needs root")?;
    let outside = unshare.id();
    let mut contained = Contained { name: name.to_owned(), unshare, process: String::new(), before: 0 };
    contained.process = wait_for(&format!("{name} to start its application"), || {
        let child = children(outside).pop()?;
        (!children(child.parse().ok()?).is_empty()).then_some(child)
    })?;
    Ok(contained)
}

fn children(process: u32) -> Vec<String> {
    let list =
        std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    list.split_whitespace().map(str::to_owned).collect()
}

/// How often it gave up the processor to wait: each time it must have been woken before.
fn wake_ups(process: &str) -> Result<u64> {
    number_after(&format!("/proc/{process}/status"), "voluntary_ctxt_switches:")
}

/// Two versions of the example application take turns: each exits with 42 when the other one is staged.
fn changes(loader: &Path, app: &Path, wanted: usize) -> Result {
    let ground = Ground::new();
    let versions = [ground.plant_binary("one", app), ground.plant_binary("two", app)];
    ground.link("entrypoint", &versions[0]);
    let stamps = ground.data().join("stamps");
    let mut supervisor = Command::new(loader)
        .env_clear()
        .env("DOCKERLOADER_DATA_DIR", ground.data())
        .env("DOCKERLOADED_MODE", "exit-42")
        .env("DOCKERLOADED_AFTER_MS", RUN_MS)
        .env("DOCKERLOADED_STAMP", &stamps)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context(format_args!("start {}", loader.display()))?;
    let measured = take_turns(&ground, &versions, &stamps, wanted);
    // It takes the application with it.
    let _ = supervisor.kill();
    let _ = supervisor.wait();
    let mut times = measured?;
    times.sort_unstable();
    let at =
        |part: usize| times.get((times.len() - 1) * part / 100).copied().unwrap_or_default() as f64 / 1e6;
    println!("\n| from exit 42 to the first instruction of the new version | ms |\n|---|---|");
    println!(
        "| median of {} | {:.1} |\n| 90 % | {:.1} |\n| slowest | {:.1} |",
        times.len(),
        at(50),
        at(90),
        at(100)
    );
    Ok(())
}

fn take_turns(ground: &Ground, versions: &[String; 2], stamps: &PathBuf, wanted: usize) -> Result<Vec<u64>> {
    for turn in 1..=wanted {
        wait_for("the next start", || (stamped(stamps, "start ").len() == turn).then_some(()))?;
        wait_for("the commit", || {
            let current = ground.read_slot("entrypoint")?;
            (current == versions[(turn - 1) % 2] && ground.read_slot("entrypoint-attempting").is_none())
                .then_some(())
        })?;
        ground.link("entrypoint-attempt", &versions[turn % 2]);
    }
    wait_for("the last start", || (stamped(stamps, "start ").len() == wanted + 1).then_some(()))?;
    let (exits, starts) = (stamped(stamps, "exit "), stamped(stamps, "start "));
    Ok(exits.iter().zip(starts.iter().skip(1)).map(|(exit, start)| start.saturating_sub(*exit)).collect())
}

/// The times of one kind of event, in nanoseconds.
fn stamped(stamps: &PathBuf, event: &str) -> Vec<u64> {
    let text = std::fs::read_to_string(stamps).unwrap_or_default();
    text.lines().filter_map(|line| line.strip_prefix(event)?.split(' ').next()?.parse().ok()).collect()
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if interrupt::interrupted() || began.elapsed() > Duration::from_secs(30) {
            return Err(Failure::new(format!("waited in vain for {what}")));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
