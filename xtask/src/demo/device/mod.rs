//! `cargo xtask demo deviced`: one document, and the device runs it; every step is verified by `docker inspect`.
//!
//! [`steps`] is the table of the steps; [`stage`] has what they need, and removes it; [`seen`] looks from outside.

mod document;
mod images;
mod seen;
mod stage;
mod steps;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use fixtures::scratch::Scratch;

pub(crate) use self::images::{Images, Nature};
use self::stage::Stage;
use self::steps::{STEPS, Step};
use super::screen::Screen;
use super::text::seconds;
use super::{Options, build};
use crate::docker::Docker;
use crate::failure::{Context as _, Result};
use crate::interrupt;
use crate::workspace::target;

/// Where the text of a step begins.
const INDENT: usize = 18;

/// Runs the demo. Success only if every step was verified.
pub(super) fn run(options: &Options) -> Result<ExitCode> {
    println!("building deviced");
    let binary = build::deviced(options.debug)?;
    let docker = Docker::find_or_start()?;
    let root = target().canonicalize().context("find the target directory")?;
    let mut directory = Scratch::within(&root, "demo-deviced-").context("make a directory")?;
    if options.keep {
        directory.keep();
    }
    let screen = Screen::new();
    let mut stage = Stage::new(binary, docker, directory, options.verbose.then(|| screen.clone()))?;
    introduce(&screen, &stage);

    let begin = Instant::now();
    let mut verified = 0;
    for (index, step) in STEPS.iter().enumerate() {
        let began = Instant::now();
        screen.begin(step.title);
        stage.commands.clear();
        let done = (step.act)(&mut stage);
        tell(&screen, index + 1, step, began.elapsed(), &stage.commands, done.as_ref());
        match done {
            Ok(_) => verified += 1,
            Err(_) => break,
        }
    }
    screen.clear();
    let complete = verified == STEPS.len();
    let total = format!("{verified} of {} steps verified in {}", STEPS.len(), seconds(begin.elapsed()));
    if complete {
        conclude(&screen, &total);
    } else {
        complain(&screen, &total, &stage, options);
    }
    if options.keep {
        println!("\nKept: {} (data: deviced's; log: what it wrote)", stage.directory.path().display());
    }
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn introduce(screen: &Screen, stage: &Stage) {
    screen.line("");
    screen.line(&screen.paint("1", "One document, and the device runs it."));
    screen.line("");
    screen.paragraph("  registry", &format!("{}, in this process", stage.registry.origin()));
    screen.paragraph(
        "  images",
        "database, web and sensor: a busybox and a script, pushed as the story goes on",
    );
    screen.paragraph("  data", &stage.directory.path().display().to_string());
    screen.line("");
    screen.text(
        "Each step is verified from outside: by `docker ps` and `docker inspect` (which manifest, which container, since when, which \
         network), and by asking the programs in the containers which version they are.",
    );
    screen.line("");
}

/// `15 ✓  3.2 s`, the story, the commands, and what was verified.
fn tell(
    screen: &Screen,
    number: usize,
    step: &Step,
    took: Duration,
    commands: &[String],
    done: std::result::Result<&String, &crate::failure::Failure>,
) {
    if done.is_err() && interrupt::interrupted() {
        return;
    }
    let mark = if done.is_ok() { '✓' } else { '✗' };
    let head = format!("{number:>3} {mark} {:>8}", seconds(took));
    screen.paragraph(&head, &format!("{}: {}", step.title, step.story));
    for command in commands {
        screen.line(&screen.paint("2", &format!("{:INDENT$}$ {command}", "")));
    }
    let (colour, text) = match done {
        Ok(verified) => ("32", format!("verified: {verified}")),
        Err(failure) => ("31", format!("FAILED: {failure}")),
    };
    // What deviced says has lines of its own.
    for line in text.lines() {
        for line in screen.paragraph_lines("", line) {
            screen.line(&screen.paint(colour, &line));
        }
    }
}

fn conclude(screen: &Screen, total: &str) {
    screen.line("");
    screen.line(&screen.paint("1;32", &format!("{total}; nothing is left on the machine.")));
    screen.line("");
    screen.line("What next:");
    for (command, what) in [
        ("docs/deviced-operating.md", "put it on a device: install, document, commands, symptoms"),
        ("docs/examples/device.yaml", "a document with most of what can be said"),
        ("docs/deviced.md", "how it works inside"),
        ("deviced --help", "every command, with examples"),
    ] {
        screen.line(&format!("  {command:27} {what}"));
    }
}

fn complain(screen: &Screen, total: &str, stage: &Stage, options: &Options) {
    if interrupt::interrupted() {
        screen.line(&format!("\nInterrupted: {total}; everything is removed."));
        return;
    }
    if !options.verbose {
        screen.line("\nThe last lines of deviced:");
        for line in stage.log.last() {
            screen.log(&line);
        }
    }
    screen.line("");
    screen.line(&screen.paint("1;31", &format!("FAILED: {total}.")));
    if !options.keep {
        screen.line("`cargo xtask demo deviced --keep` leaves its data and its log to look at.");
    }
}
