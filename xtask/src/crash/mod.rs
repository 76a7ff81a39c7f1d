//! `cargo xtask crash`: every state that a crash may leave, and what comes of it.

mod strace;

mod disk;

mod record;

mod real;

mod pending;

mod units;

mod choose;

mod versions;

mod process;

mod history;

use std::process::ExitCode;

use clap::Args;
use fixtures::registry::Registry;
use fixtures::scratch::Scratch;

use self::history::{EPISODES, REPOSITORY, Theatre};
use self::versions::Versions;
use crate::failure::{Context as _, Result};
use crate::workspace::{cargo, target};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A part of it, in at most a minute
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let binary = target().join("debug/dockerloader");
    let scratch = Scratch::within(std::path::Path::new("/dev/shm"), "crash-").context("make a directory")?;
    let root = scratch.path().canonicalize().context("find the directory")?;
    let versions = Versions::build();
    let registry = Registry::start();
    for (number, image) in versions.images.iter().enumerate() {
        registry.put(REPOSITORY, &format!("v{}", number + 1), image);
    }
    let theatre = Theatre {
        binary: &binary,
        registry: &registry,
        versions: &versions,
        data: root.join("data"),
        log: root.join("strace"),
        umask: 0o022,
    };
    std::fs::create_dir(&theatre.data).context("make the data directory")?;
    for episode in EPISODES {
        let began = std::time::Instant::now();
        let played = theatre.play(*episode)?;
        println!("{}: {} operations, {} ms", episode.name, played.recording.operations.len(), began.elapsed().as_millis());
        for (number, operation) in played.recording.operations.iter().enumerate() {
            println!("   {number} ({}) {}", operation.began, versions.named(&operation.label));
        }
    }
    let _ = (cargo(), arguments);
    Ok(ExitCode::SUCCESS)
}
