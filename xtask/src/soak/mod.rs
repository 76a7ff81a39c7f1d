//! `cargo xtask soak`: many updates of every kind, one after the other, by the real supervisor and the real puller from a registry
//! inside this process. After each the right version runs and `status` is true; in the end nothing has grown.

mod schedule;

mod versions;

mod figures;

mod scene;

mod update;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;

use self::figures::{Disk, Figures};
use self::scene::Scene;
use self::schedule::Kind;
use crate::contained;
use crate::failure::{Context as _, Failure, Result};
use crate::images::{build_debug_loader, build_loader};
use crate::interrupt;
use crate::seeded::Seeded;

/// How long the short mode goes on.
const SHORT: Duration = Duration::from_secs(45);
/// Most updates of the short mode.
const SHORT_UPDATES: usize = 200;
/// After so many updates the disk holds what it will hold.
const DISK_WARM: usize = 10;
/// Between two looks at the disk, in updates.
const DISK_EVERY: usize = 10;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// As many updates as fit into 45 seconds
    #[arg(long, conflicts_with = "updates")]
    quick: bool,
    /// How many updates
    #[arg(long, default_value_t = 10_000)]
    updates: usize,
    /// Draws the kinds of the updates and the moments of the kills
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only the update of this number, after a first good version
    #[arg(long, value_name = "NUMBER")]
    case: Option<usize>,
    /// The static release binary instead of the debug one
    #[arg(long)]
    release: bool,
    /// Where the data directory is made; by default in memory, else where temporary files are
    #[arg(long)]
    place: Option<PathBuf>,
    /// Writes the figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if let Some(why) = contained::obstacle() {
        println!("skipped: {why}");
        return Ok(ExitCode::SUCCESS);
    }
    let loader = if arguments.release { build_loader()? } else { build_debug_loader()? };
    let updates = if arguments.quick { SHORT_UPDATES } else { arguments.updates };
    let kinds = schedule::draw(arguments.seed, updates);
    println!("seed {}, {updates} updates at most, {}", arguments.seed, loader.display());
    let place = arguments.place.clone().unwrap_or_else(default_place);
    let first = versions::image(usize::MAX, Kind::Good);
    let mut scene = Scene::new(&loader, &place, &first)?;
    // A warm supervisor has seen each path once or twice; the promise speaks of the first hundred updates.
    let mut figures = Figures::new((updates / 10).clamp(5, 100));
    figures.born();
    let began = Instant::now();
    let (mut version, mut done) = (Disk::default(), 0);
    for (number, kind) in kinds.into_iter().enumerate() {
        if arguments.case.is_some_and(|case| case != number) {
            continue;
        }
        if interrupt::interrupted() {
            return Err(Failure::new("interrupted"));
        }
        if arguments.quick && began.elapsed() > SHORT {
            break;
        }
        let image = versions::image(number, kind);
        // Its own sequence, so that one update can be repeated alone.
        let mut seeded = Seeded::new(arguments.seed ^ (number as u64).wrapping_mul(0x9e37_79b9));
        if kind == Kind::PowerCut {
            figures.born();
        }
        update::perform(&mut scene, &image, kind, &mut seeded).map_err(|failure| {
            Failure::new(format!(
                "update {number} ({}): {failure}\nthe last lines of the log:\n{}\nto repeat it: cargo xtask soak --seed {} \
                 --updates {updates} --case {number}",
                kind.name(),
                scene.log.last(40),
                arguments.seed
            ))
        })?;
        figures.updated(kind, scene.life()?);
        scene.registry.clear_requests();
        if number % DISK_EVERY == 0 && number >= DISK_WARM {
            version = largest_version(&scene);
            figures.disk(Disk::of(scene.ground.data()));
        }
        done += 1;
        if done % 100 == 0 {
            let rate = done as f64 / began.elapsed().as_secs_f64();
            println!("{done} updates, {rate:.1} a second, {:?}", scene.life()?);
            scene.log.clear()?;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("\n{}\n\n{done} updates in {seconds:.0} s, seed {}", figures.table(), arguments.seed);
    if let Some(path) = &arguments.json {
        std::fs::write(path, figures.json().to_string()).context(format_args!("write {}", path.display()))?;
    }
    let faults = figures.faults(version);
    for fault in &faults {
        println!("not flat: {fault}");
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What one version takes on disk: its tree, its blobs, and what the loader writes about it.
fn largest_version(scene: &Scene) -> Disk {
    let all = Disk::of(scene.ground.data());
    let trees = scene.ground.list("extracted").len().max(1) as u64;
    Disk { bytes: all.bytes / trees, entries: all.entries / trees }
}

/// Memory, where a file system can be had there: thousands of small trees take their time on disks.
fn default_place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}
