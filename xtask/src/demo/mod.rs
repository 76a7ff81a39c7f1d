//! `cargo xtask demo`: the main job on one machine, without Docker: an app updates itself from a registry, and comes back.
//! [`device`] is `cargo xtask demo deviced`.
//!
//! [`script`] is the table of the steps and of what must be seen after each; [`play`] does them with real processes; [`observe`]
//! looks from outside, and [`expect`] compares.

mod versions;

mod expect;

mod script;

mod stamps;

mod observe;

mod text;

mod screen;

mod supervisor;

mod build;

mod play;

mod device;

#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Subcommand};
use fixtures::registry::Registry;
use fixtures::scratch::Scratch;

pub(crate) use self::build::deviced;
pub(crate) use self::device::{Images, Nature};
use self::observe::Place;
use self::play::Play;
use self::screen::Screen;
use self::script::STEPS;
use self::supervisor::Log;
use self::text::seconds;
use self::versions::{Release, Version};
use crate::failure::{Context as _, Result};
use crate::interrupt;
use crate::workspace::target;

/// Bytes a second of each download, so that it can be watched.
const BANDWIDTH: u64 = 8 << 20;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    other: Option<Other>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Subcommand)]
enum Other {
    /// Show deviced on a machine with Docker: install, update, roll back, fall through, refuse
    Deviced(Options),
}

#[derive(Debug, Args)]
struct Options {
    /// Leave the data directory and the log there, and say where
    #[arg(long)]
    keep: bool,
    /// Show what the supervisor and the app write, as they do
    #[arg(long)]
    verbose: bool,
    /// Build without optimisation: quicker to build, slower to run
    #[arg(long)]
    debug: bool,
}

/// Runs the demo. Success only if every step was verified.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.other {
        Some(Other::Deviced(options)) => device::run(options),
        None => updates(&arguments.options),
    }
}

fn updates(options: &Options) -> Result<ExitCode> {
    println!("building the supervisor and the app");
    let binaries = build::build(options.debug)?;
    let directory = Directory::new(options.keep)?;
    let place = &directory.place;
    std::fs::create_dir(place.data()).context("make the data directory")?;
    std::fs::copy(&binaries.loader, place.loader()).context("copy the supervisor")?;
    let release = Release::pack(&std::fs::read(&binaries.app).context("read the app")?);
    let registry = Registry::start();
    registry.throttle(BANDWIDTH);
    let screen = Screen::new();
    introduce(&screen, place, &release, &registry);

    let log = Log::new(&place.log(), options.verbose.then(|| screen.clone()))?;
    let begin = Instant::now();
    let mut play = Play::new(place, &release, &registry, &screen, log.clone());
    let mut verified = 0;
    for step in STEPS {
        let began = Instant::now();
        screen.begin(step.title);
        let done = play.step(step);
        let (at, took) = (begin.elapsed(), began.elapsed());
        match done {
            Ok(measured) => {
                screen.done(step, at, took, &measured, &step.expected.claims(step.action.about()));
                verified += 1;
            }
            Err(_) if interrupt::interrupted() => break,
            Err(failure) => {
                screen.failed(step, at, took, &failure.to_string());
                break;
            }
        }
    }
    screen.clear();
    drop(play);
    let complete = verified == STEPS.len();
    let total = format!("{verified} of {} steps verified in {}", STEPS.len(), seconds(begin.elapsed()));
    if complete {
        conclude(&screen, &total);
    } else {
        complain(&screen, &total, &log, options);
    }
    directory.leave();
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn introduce(screen: &Screen, place: &Place, release: &Release, registry: &Registry) {
    screen.line("");
    screen
        .line(&screen.paint("1", "An app updates itself from a registry, and comes back whatever happens."));
    screen.line(
        "The supervisor and the app are real processes on this machine; the registry runs inside this one.",
    );
    screen.line("");
    screen.paragraph("  image", &Play::target(registry));
    screen.paragraph("  data", &place.data().display().to_string());
    for version in Version::ALL {
        let digest: String = release.image(version).digest.chars().take(19).collect();
        let head = if version == Version::V1 { "  versions" } else { "" };
        screen.paragraph(head, &format!("{version} = {digest}, {}", version.nature()));
    }
    screen.line("");
    let sources = "Each step is verified from outside: by the links and files in the data directory, the processes in /proc, \
                   the registry's log of requests, and the stamp that the app writes as it starts.";
    screen.text(sources);
    screen.line("");
    screen.line(&screen.paint("1", "     at    took   step"));
}

fn conclude(screen: &Screen, total: &str) {
    screen.line("");
    screen.line(&screen.paint("1;32", &format!("{total}.")));
    screen.line("");
    screen.line("What next:");
    for (command, what) in [
        ("README.md", "put the supervisor into a container of yours, step by step"),
        ("docs/writing-an-app.md", "make an app update itself: five lines of Rust, or any language"),
        ("docs/architecture.md", "what is on disk, and how a version lives"),
        ("cargo xtask demo --verbose", "this again, with the supervisor's log"),
        ("cargo xtask demo --keep", "this again, and look at the data directory afterwards"),
        ("cargo xtask test", "every check and test"),
    ] {
        screen.line(&format!("  {command:27} {what}"));
    }
}

fn complain(screen: &Screen, total: &str, log: &Log, options: &Options) {
    if interrupt::interrupted() {
        screen.line(&format!("\nInterrupted: {total}; everything was stopped."));
        return;
    }
    if !options.verbose {
        screen.line("\nThe last lines of the supervisor and the app:");
        for line in log.last() {
            screen.log(&line);
        }
    }
    screen.line("");
    screen.line(&screen.paint("1;31", &format!("FAILED: {total}.")));
    screen.line("`cargo xtask demo --keep --verbose` shows more, and leaves the data directory to look at.");
}

/// Where everything of the demo is. Removed when dropped, unless it is to stay; what the supervisor mounted goes in any case.
#[derive(Debug)]
struct Directory {
    place: Place,
    temporary: Scratch,
    keep: bool,
}

impl Directory {
    /// Where cargo builds, since programs may be executed there; on some machines they may not in `/tmp`.
    fn new(keep: bool) -> Result<Self> {
        let root = target().canonicalize().context("find the target directory")?;
        let mut temporary = Scratch::within(&root, "demo-").context("make a directory")?;
        if keep {
            temporary.keep();
        }
        Ok(Self { place: Place::new(temporary.path()), temporary, keep })
    }

    fn leave(&self) {
        if self.keep {
            let path = self.temporary.path().display();
            println!("\nKept: {path} (data: the data directory; log: what the supervisor and the app wrote)");
        }
    }
}
