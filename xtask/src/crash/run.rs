//! A run from its beginning to its end.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use clap::Args;
use fixtures::registry::Registry;
use fixtures::scratch::Scratch;

use super::choose::{Bounds, Random};
use super::disk::Disk;
use super::explore::{Place, disk_at, shown};
use super::history::{Action, EPISODES, Played, REPOSITORY, Theatre};
use super::invariants::Facts;
use super::mutants::{Fate, Mutant, Mutation, mutants};
use super::record::Deed;
use super::recover::{Again, Depth, at_start, by_names, decisive};
use super::report::{Counts, Report};
use super::study::{Beginning, Study};
use super::versions::{COUNT, Versions};
use super::view::Reference;
use super::workers::{Job, each, recover, representatives};
use super::{commuting, real};
use crate::failure::{Context as _, Failure, Result};
use crate::workspace::{cargo, find_program, target};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Recover from a sample of the states only: in at most a minute
    #[arg(long)]
    quick: bool,
    /// What is sampled is sampled by this number
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this episode; those before it are played, and not looked at
    #[arg(long, value_name = "EPISODE", value_parser = EPISODES.iter().map(|episode| episode.name).collect::<Vec<_>>())]
    case: Option<String>,
    /// Write the figures to this file as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// How much is looked at.
#[derive(Debug, Clone, Copy)]
struct Extent {
    bounds: Bounds,
    /// Of crashes in recoveries.
    bounds_again: Bounds,
    /// States of an episode that are recovered all the way, at most.
    online: usize,
    /// States of an episode that are recovered without a registry, at most.
    offline: usize,
    /// Recoveries of an episode that are recorded: starts, and pulls.
    starts: usize,
    pulls: usize,
    /// States of a recorded recovery that are recovered.
    again: usize,
}

const FULL: Extent = Extent {
    bounds: Bounds { combinations: 1024, parts: 3, random: 200 },
    bounds_again: Bounds { combinations: 256, parts: 1, random: 20 },
    online: usize::MAX,
    offline: usize::MAX,
    starts: usize::MAX,
    pulls: 16,
    again: 12,
};

const QUICK: Extent = Extent {
    bounds: Bounds { combinations: 256, parts: 1, random: 20 },
    bounds_again: Bounds { combinations: 64, parts: 0, random: 3 },
    online: 10,
    offline: 10,
    starts: 3,
    pulls: 1,
    again: 2,
};

/// Where what is bad is kept, to be looked at.
const KEPT: &str = "crash";

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let began = Instant::now();
    if find_program("strace").is_none() {
        return Err(Failure::new("strace is not installed: apt-get install strace"));
    }
    println!("building the supervisor");
    cargo()
        .args(["build", "--package", "dockerloader", "--features", "loader", "--bin", "dockerloader"])
        .run()?;
    let binary =
        target().join("debug/dockerloader").canonicalize().context("find the supervisor's binary")?;
    let scratch = Scratch::within(&fast_directory(), "crash-").context("make a directory")?;
    let root = scratch.path().canonicalize().context("find the directory")?;
    let versions = Versions::build();
    let registry = Registry::start();
    for (number, image) in versions.images.iter().enumerate() {
        registry.put(REPOSITORY, &format!("v{}", number + 1), image);
    }
    let (data, log) = (root.join("data"), root.join("strace"));
    std::fs::create_dir(&data).context("make the data directory")?;
    let umask = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let theatre =
        Theatre { binary: &binary, registry: &registry, versions: &versions, data, log, umask: 0o022 };
    println!("playing {} episodes under strace, seed {}", EPISODES.len(), arguments.seed);
    let (life, references) = play(&theatre)?;

    let mut run = Run {
        arguments,
        extent: if arguments.quick { QUICK } else { FULL },
        theatre: &theatre,
        references: &references,
        root: &root,
        report: Report::default(),
        done: HashSet::new(),
    };
    for played in life {
        if arguments.case.as_ref().is_none_or(|case| case == played.episode.name) {
            run.episode(played)?;
        }
    }
    nix::sys::stat::umask(umask);
    run.report.seconds = began.elapsed().as_secs_f64();
    conclude(&run.report, arguments)
}

/// On a file system in memory, where there is one: syncs cost nothing, and what they would make durable is the model's to say.
fn fast_directory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

/// The life, and what each version looks like when nothing happens to it.
fn play(theatre: &Theatre<'_>) -> Result<(Vec<Played>, Vec<Option<Reference>>)> {
    let mut references: Vec<Option<Reference>> = (0..COUNT).map(|_| None).collect();
    let mut life = Vec::new();
    for episode in EPISODES {
        let played = theatre.play(*episode).context(format_args!("play {}", episode.name))?;
        for (version, reference) in references.iter_mut().enumerate() {
            if reference.is_none() {
                *reference = Reference::of(&played.recording.end, theatre.versions, version);
            }
        }
        life.push(played);
    }
    Ok((life, references))
}

struct Run<'r> {
    arguments: &'r Arguments,
    extent: Extent,
    theatre: &'r Theatre<'r>,
    references: &'r [Option<Reference>],
    root: &'r Path,
    report: Report,
    /// What was recovered in another episode or recovery already.
    done: HashSet<(u128, Facts, usize)>,
}

impl Run<'_> {
    fn episode(&mut self, played: Played) -> Result {
        let began = Instant::now();
        let seed = self.arguments.seed;
        let beginning = Beginning {
            name: played.episode.name.to_owned(),
            recorded: self.theatre.data.clone(),
            facts: Facts::default(),
            target: played.episode.target,
            versions: self.theatre.versions,
            references: self.references,
        };
        let study = Study::new(played.recording, beginning, self.extent.bounds, seed);
        let operations = &study.recording.operations;
        let mut counts = Counts {
            name: study.name.clone(),
            operations: operations.len(),
            syncs: operations.iter().filter(|operation| matches!(operation.deed, Deed::Sync(_))).count(),
            states: study.explored.total,
            distinct: study.explored.distinct.len(),
            ..Counts::default()
        };
        self.note_bad(&study, &mut counts);
        let classes = representatives(&study, decisive);
        let mut random = Random(seed | 1);
        let online = sample(&classes, self.extent.online, &mut random);
        let chosen: HashSet<usize> = online.iter().copied().collect();
        let rest: Vec<usize> =
            (0..study.explored.distinct.len()).filter(|state| !chosen.contains(state)).collect();
        let offline = sample(&rest, self.extent.offline, &mut random);
        let mut jobs = self.jobs(&study, &online, Depth::Online);
        jobs.extend(self.jobs(&study, &offline, Depth::Offline));
        counts.recovered += jobs.len();
        let findings = recover(&jobs, self.theatre, self.root)?;
        for finding in &findings {
            let state = jobs[finding.job].state;
            let (_, place) = &study.explored.distinct[state];
            self.bad(&study, place, finding.violation.0, &finding.violation.1, &mut counts);
        }
        self.again(&study, played.episode.action, &mut counts, &mut random)?;
        self.mutants(&study, &mut counts)?;
        println!(
            "{:<15} {} states, {} distinct; {} and {} in recoveries; {} recovered, {} bad ({:.0} s)",
            counts.name,
            counts.states,
            counts.distinct,
            counts.again_states,
            counts.again_distinct,
            counts.recovered,
            counts.bad,
            began.elapsed().as_secs_f64()
        );
        self.report.episodes.push(counts);
        Ok(())
    }

    /// Jobs for those states that were not recovered in the same way before.
    fn jobs<'j, 's>(&mut self, study: &'j Study<'s>, states: &[usize], depth: Depth) -> Vec<Job<'j, 's>> {
        let target = if depth == Depth::Online { study.target } else { COUNT };
        let mut fresh = |state: &usize| {
            let ((fingerprint, facts), _) = &study.explored.distinct[*state];
            // Links lead to where the state was recorded: only there are two states the same.
            study.recorded != self.theatre.data || self.done.insert((*fingerprint, facts.clone(), target))
        };
        let states = states.iter().filter(|state| fresh(state));
        states.map(|state| Job { study, state: *state, depth }).collect()
    }

    /// Crashes in the recovery from what crashes left.
    fn again(
        &mut self,
        study: &Study<'_>,
        action: Action,
        counts: &mut Counts,
        random: &mut Random,
    ) -> Result {
        let starts = sample(&representatives(study, at_start), self.extent.starts, random);
        let mut wanted: Vec<(usize, Again)> = starts.into_iter().map(|state| (state, Again::Start)).collect();
        if let Action::Install(target) | Action::Pull(target) = action {
            let pulls = sample(&representatives(study, by_names), self.extent.pulls, random);
            wanted.extend(pulls.into_iter().map(|state| (state, Again::Pull(target))));
        }
        let found = Mutex::new(Vec::new());
        let (seed, bounds) = (self.arguments.seed, self.extent.bounds_again);
        each(wanted.len(), self.theatre, self.root, "recorded again", |ground, number| {
            let (state, what) = wanted[number];
            let (key, place) = &study.explored.distinct[state];
            let (recording, recorded) =
                ground.record(&disk_at(&study.steps, place), &study.recorded, what)?;
            let beginning = Beginning {
                name: format!("{}, then {what:?} again", study.name),
                recorded,
                facts: Facts { is_over: false, runs: false, ..key.1.clone() },
                target: study.target,
                versions: self.theatre.versions,
                references: self.references,
            };
            let again = Study::new(recording, beginning, bounds, seed);
            found.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((number, again));
            Ok(())
        })?;
        let mut found = found.into_inner().unwrap_or_default();
        found.sort_by_key(|(number, _)| *number);
        for (_, again) in &found {
            counts.again_states += again.explored.total;
            counts.again_distinct += again.explored.distinct.len();
            self.note_bad(again, counts);
        }
        let mut jobs = Vec::new();
        for (_, again) in &found {
            let classes = sample(&representatives(again, decisive), self.extent.again, random);
            jobs.extend(self.jobs(again, &classes, Depth::Online));
        }
        counts.recovered += jobs.len();
        for finding in recover(&jobs, self.theatre, self.root)? {
            let Job { study, state, .. } = jobs[finding.job];
            let (_, place) = &study.explored.distinct[state];
            self.bad(study, place, finding.violation.0, &finding.violation.1, counts);
        }
        Ok(())
    }

    fn note_bad(&mut self, study: &Study<'_>, counts: &mut Counts) {
        for bad in &study.explored.bad {
            self.bad(study, &bad.place, bad.invariant, &bad.why, counts);
        }
    }

    /// Notes a state that is bad, and keeps it.
    fn bad(&mut self, study: &Study<'_>, place: &Place, invariant: &str, why: &str, counts: &mut Counts) {
        counts.bad += 1;
        let number = self.report.bad.len();
        let told = shown(&study.steps, &study.recording.operations, place, self.theatre.versions);
        let why = self.theatre.versions.named(why);
        let kept = if number < 10 { self.keep(study, place, number) } else { String::new() };
        let text = format!("{} ({}): {why}\n  {told}{kept}", study.name, invariant);
        println!("BAD {text}");
        self.report.bad.push(text);
    }

    fn keep(&self, study: &Study<'_>, place: &Place, number: usize) -> String {
        let path = target().join(KEPT).join(number.to_string());
        let _ = std::fs::remove_dir_all(&path);
        let made = std::fs::create_dir_all(target().join(KEPT)).context("make a directory");
        let made = made.and_then(|()| real::write(&disk_at(&study.steps, place), &study.recorded, &path));
        match made {
            Ok(()) => format!("\n  kept: DOCKERLOADER_DATA_DIR={}", path.display()),
            Err(failure) => format!("\n  it could not be kept: {failure}"),
        }
    }

    fn mutants(&mut self, study: &Study<'_>, counts: &mut Counts) -> Result {
        let operations = &study.recording.operations;
        let (bounds, seed) = (self.extent.bounds, self.arguments.seed);
        let found = mutants(&study.steps, operations, &study.explored, &study.known, bounds, seed);
        for mutant in &found {
            let (rows, kind) = match mutant.mutation {
                Mutation::Without(_) => (commuting::SYNCS, "without"),
                Mutation::Swapped(..) => (commuting::SWAPS, "swapped"),
            };
            let row = commuting::row(rows, &mutant.label);
            match &mutant.fate {
                Fate::Caught(invariant, _) => {
                    counts.mutants.caught += 1;
                    self.note_sync(mutant, invariant);
                }
                Fate::Same => {
                    counts.mutants.same += 1;
                    self.note_sync(mutant, "covered");
                }
                Fate::Harmless => match row {
                    Some(row) => {
                        counts.mutants.listed += 1;
                        *self.report.listed.entry((row.pattern, row.reason)).or_default() += 1;
                        self.note_sync(mutant, "listed");
                    }
                    None => {
                        counts.mutants.unknown += 1;
                        let label = &mutant.label;
                        self.report.bad.push(format!("{}: a mutant survived: {kind} `{label}`", study.name));
                    }
                },
            }
        }
        if !self.arguments.quick {
            self.recover_mutants(study, &found, counts)?;
        }
        Ok(())
    }

    fn note_sync(&mut self, mutant: &Mutant, invariant: &'static str) {
        if let Mutation::Without(_) = mutant.mutation {
            let by = self.report.syncs.entry(mutant.label.clone()).or_default();
            *by.entry(invariant).or_default() += 1;
        }
    }

    /// What no property minds is shown to the real binary as well.
    fn recover_mutants(&mut self, study: &Study<'_>, found: &[Mutant], counts: &mut Counts) -> Result {
        let fresh: Vec<(&Mutant, &Disk)> =
            found.iter().flat_map(|mutant| mutant.fresh.iter().map(move |disk| (mutant, disk))).collect();
        let bad = Mutex::new(Vec::new());
        each(fresh.len(), self.theatre, self.root, "mutants recovered", |ground, number| {
            let (mutant, disk) = fresh[number];
            let facts = Facts::default();
            let violation =
                ground.recover(disk, &study.recorded, &study.known, &facts, study.target, Depth::Online);
            if let Some((invariant, why)) =
                violation.unwrap_or_else(|failure| Some(("I6", failure.to_string())))
            {
                let (name, label) = (&study.name, &mutant.label);
                let text = format!("{name}: the mutant `{label}` is not harmless ({invariant}): {why}");
                bad.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(text);
            }
            Ok(())
        })?;
        let bad = bad.into_inner().unwrap_or_default();
        counts.recovered += fresh.len();
        counts.mutants.unknown += bad.len();
        self.report.bad.extend(bad.iter().map(|text| self.theatre.versions.named(text)));
        Ok(())
    }
}

/// So many of them, spread over all; the first one always.
fn sample(all: &[usize], most: usize, random: &mut Random) -> Vec<usize> {
    if all.len() <= most {
        return all.to_vec();
    }
    let mut left = all.to_vec();
    let mut chosen = vec![left.remove(0)];
    while chosen.len() < most {
        chosen.push(left.swap_remove(random.below(left.len())));
    }
    chosen.sort_unstable();
    chosen
}

fn conclude(report: &Report, arguments: &Arguments) -> Result<ExitCode> {
    println!("\nsyncs, and which invariant is violated without them:");
    for (label, by) in &report.syncs {
        let by: Vec<String> = by.iter().map(|(invariant, count)| format!("{invariant} x {count}")).collect();
        println!("  {:<22} {label}", by.join(", "));
    }
    println!("\nmutants that do no harm, and why:");
    for ((pattern, reason), count) in &report.listed {
        println!("  {count:>3} x {pattern}: {reason}");
    }
    for bad in report.bad.iter().filter(|bad| bad.contains("mutant")) {
        println!("BAD {bad}");
    }
    println!("\n{}", report.table());
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&report.json()).context("write the figures")?;
        std::fs::write(path, text).context(format_args!("write {}", path.display()))?;
    }
    let sum = report.sum();
    println!(
        "{} states, {} distinct, {} recovered by the real binary; {} bad; {:.0} s, seed {}",
        sum.states + sum.again_states,
        sum.distinct + sum.again_distinct,
        sum.recovered,
        report.bad.len(),
        report.seconds,
        arguments.seed
    );
    Ok(if report.bad.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
