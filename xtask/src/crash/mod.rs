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

mod view;

mod invariants;

mod explore;

mod recover;

mod mutants;

use std::process::ExitCode;

use clap::Args;
use fixtures::registry::Registry;
use fixtures::scratch::Scratch;

use self::history::{EPISODES, REPOSITORY, Theatre};
use self::choose::Bounds;
use self::invariants::{Facts, Known};
use self::versions::{COUNT, Versions};
use self::view::{Memory, Reference, Slot, View};
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
    let mut references: Vec<Option<Reference>> = (0..COUNT).map(|_| None).collect();
    let mut life = Vec::new();
    for episode in EPISODES {
        let played = theatre.play(*episode)?;
        for version in 0..COUNT {
            let found = Reference::of(&played.recording.end, &versions, version);
            let slot = &mut references[version];
            if slot.is_none() {
                *slot = found;
            }
        }
        life.push(played);
    }
    let bounds = Bounds { combinations: 1024, parts: 3, random: 200 };
    for played in &life {
        let began = std::time::Instant::now();
        let recording = &played.recording;
        let start = View::new(&recording.start, &versions);
        let known = Known {
            versions: &versions,
            references: &references,
            had_current: start.version(Slot::Current).is_some(),
            had_memory: start.memory != Memory::Absent,
            failed: std::array::from_fn(|version| start.verdict(version) == Some("app")),
            end: View::new(&recording.end, &versions).slots,
        };
        let steps = explore::steps(&recording.start, &Facts::default(), &recording.operations, &versions);
        let explored = explore::explore(&steps, &known, bounds, 1);
        println!(
            "{}: {} operations, {} states, {} distinct, {} bad, {} ms",
            played.episode.name,
            recording.operations.len(),
            explored.total,
            explored.distinct.len(),
            explored.bad.len(),
            began.elapsed().as_millis()
        );
        let began = std::time::Instant::now();
        let mutants = mutants::mutants(&steps, &recording.operations, &explored, &known, bounds, 1);
        for mutant in &mutants {
            println!("   {:?} {} => {}", mutant.mutation, mutant.label, versions.named(&format!("{:?}", mutant.fate)));
        }
        println!("   {} mutants, {} ms", mutants.len(), began.elapsed().as_millis());
        for bad in explored.bad.iter().take(12) {
            println!("   {} {}: {}", bad.invariant, versions.named(&bad.why), explore::shown(&steps, &recording.operations, &bad.place, &versions));
        }
    }
    let _ = (cargo(), arguments);
    Ok(ExitCode::SUCCESS)
}
