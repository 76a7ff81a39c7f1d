//! The example application of dockerloader, and the one that its tests drive: a good citizen by default, and any kind of bad one
//! by environment, which may also come from the image's `.env`.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `DOCKERLOADED_VERSION` | the crate's | printed as `Version: ...` |
//! | `DOCKERLOADED_MODE` | `good` | comma-separated list of the modes below |
//! | `DOCKERLOADED_EXIT_CODE` | 1 | code of `fail` and `crash` |
//! | `DOCKERLOADED_SIGNAL` | | signal by which `fail` and `crash` die instead, for example `SIGSEGV` |
//! | `DOCKERLOADED_SLOW_MS` | 15000 | how long `slow` takes |
//! | `DOCKERLOADED_AFTER_MS` | 0 | how long after ready `crash`, `exit-42` and `exit-0` wait |
//! | `DOCKERLOADED_CHILDREN` | 3 | how many `orphans`, `zombies` |
//! | `DOCKERLOADED_SPAM_LINES` | 10000 | how many lines `spam` writes to each of stdout and stderr |
//! | `DOCKERLOADED_STAMP` | | file that gets a line `start NANOSECONDS PID EXECUTABLE` (`CLOCK_MONOTONIC`, read by the first instruction of `main`), and `exit NANOSECONDS PID EXECUTABLE` right before an exit with 42 |
//! | `FAIL_INIT=1` | | as mode `fail` |
//! | `TIMEOUT_INIT=1` | | as mode `hang` |
//! | `LONG_RUNNING=1` | | as mode `loop` |
//!
//! | mode | what it does |
//! |---|---|
//! | `good` | ready, then runs until SIGTERM (exit 0) or until a newer version is staged (exit 42) |
//! | `ignore-term` | SIGTERM and SIGINT change nothing |
//! | `orphans` | leaves grandchildren in a session of their own, asleep for ten minutes |
//! | `zombies` | children that end and are never waited for, and as many orphans that end at once |
//! | `spam` | writes a lot |
//! | `fail` | ends before it is ready |
//! | `hang` | never does anything again; SIGTERM kills it, unless `ignore-term` |
//! | `slow` | a migration before it is ready |
//! | `extend` | with `slow`: asks for more time as it goes |
//! | `never-ready` | runs like a good one, but never says that it is ready |
//! | `ready-twice` | says it twice |
//! | `loop` | leaves updates to `start_update_loop()`, which exits from within |
//! | `once` | after ready: one check, then exit 0, or 42 if an update is staged |
//! | `crash` | ends after it was ready |
//! | `exit-42` | exits with 42 after it was ready, although nothing is staged |
//! | `exit-0` | ends with 0 after it was ready |
//!
//! `dockerloaded cli ARGUMENTS` prints its version and the arguments.

mod modes;

mod stamp;

mod trouble;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use dockerloader::app::{CheckOutcome, Error};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::modes::{Mode, Plan};

fn main() -> ExitCode {
    let started = stamp::now();
    if let Some(code) = trouble::run_as_child() {
        return code;
    }
    if !matches!(std::env::args_os().nth(1), Some(argument) if argument == "cli") {
        stamp::write("start", started);
    }
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_max_level(tracing::Level::INFO)
        .init();
    // One thread: variables of .env are set while no other thread reads the environment.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(run()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => fail(error.as_ref()),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    tracing::error!("{error}");
    ExitCode::FAILURE
}

async fn run() -> Result<u8, Box<dyn std::error::Error>> {
    dockerloader::init_dockerloaded().await?;
    let plan = Plan::parse(|name| std::env::var(name).ok())?;
    println!("Version: {}", plan.version);
    if let Some(arguments) = dockerloader::is_cli_mode() {
        println!("cli arguments: {arguments:?}");
        return Ok(0);
    }
    println!("trial mode: {}", dockerloader::is_trial());

    let mut stop = None;
    if plan.has(Mode::IgnoreTerm) {
        stop = Some(Stop::new(true)?);
    }
    start(&plan)?;
    let mut stop = match stop {
        Some(stop) => stop,
        None => Stop::new(false)?,
    };
    tokio::select! {
        code = serve(&plan) => Ok(code?),
        name = stop.requested() => {
            tracing::info!("{name}: stopping");
            Ok(0)
        }
    }
}

/// What goes wrong before there is a service.
fn start(plan: &Plan) -> std::io::Result<()> {
    if plan.has(Mode::Orphans) {
        trouble::orphans(plan.children, Duration::from_secs(600))?;
    }
    if plan.has(Mode::Zombies) {
        trouble::zombies(plan.children)?;
        trouble::orphans(plan.children, Duration::ZERO)?;
    }
    if plan.has(Mode::Spam) {
        trouble::spam(plan.spam_lines)?;
    }
    if plan.has(Mode::Fail) {
        tracing::error!("intentional failure for testing");
        trouble::die(plan.signal, plan.exit_code);
    }
    if plan.has(Mode::Hang) {
        tracing::info!("hanging for testing");
        trouble::hang();
    }
    Ok(())
}

async fn serve(plan: &Plan) -> Result<u8, Error> {
    let mut updates = if plan.has(Mode::Loop) || plan.has(Mode::Once) {
        None
    } else {
        Some(dockerloader::watch_updates().await?)
    };
    if plan.has(Mode::Loop) {
        dockerloader::start_update_loop().await?;
    }
    if plan.has(Mode::Slow) {
        migrate(plan).await?;
    }
    if !plan.has(Mode::NeverReady) {
        let times = if plan.has(Mode::ReadyTwice) { 2 } else { 1 };
        for _ in 0..times {
            tracing::info!("ready: {:?}", dockerloader::mark_ready().await?);
        }
        println!("ready");
    }
    if plan.has(Mode::Once) {
        return match dockerloader::check_for_update().await {
            Ok(CheckOutcome::Staged(_)) => restart(),
            Ok(_) | Err(Error::NotSupervised) => Ok(0),
            Err(error) => Err(error),
        };
    }
    if plan.ends_after_ready() {
        tokio::time::sleep(plan.after).await;
        if plan.has(Mode::Exit42) {
            restart();
        }
        if plan.has(Mode::Exit0) {
            return Ok(0);
        }
        tracing::error!("intentional crash for testing");
        trouble::die(plan.signal, plan.exit_code);
    }
    match &mut updates {
        Some(updates) => {
            let digest = updates.staged().await;
            tracing::info!("making way for {digest}");
            restart()
        }
        None => std::future::pending().await,
    }
}

/// A migration in ten parts, each of which may ask for the time of two.
async fn migrate(plan: &Plan) -> Result<(), Error> {
    let part = plan.slow / 10;
    for number in 1..=10 {
        if plan.has(Mode::Extend) {
            let left = dockerloader::extend_trial((part * 2).max(Duration::from_secs(1))).await?;
            tracing::info!("migration, part {number} of 10, the trial lasts {left:?}");
        }
        tokio::time::sleep(part).await;
    }
    Ok(())
}

fn restart() -> ! {
    stamp::write("exit", stamp::now());
    dockerloader::restart()
}

/// The signals that ask to stop.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
    ignore: bool,
}

impl Stop {
    fn new(ignore: bool) -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            ignore,
        })
    }

    async fn requested(&mut self) -> &'static str {
        loop {
            let name = tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
            };
            if !self.ignore {
                return name;
            }
            tracing::info!("{name}: ignored for testing");
        }
    }
}
