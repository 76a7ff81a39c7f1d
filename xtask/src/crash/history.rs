//! A life in episodes, each recorded: installs, updates, commits, rollbacks and clean-ups, by the real binary and a real registry.

use std::path::{Path, PathBuf};

use fixtures::registry::Registry;

use super::disk::Disk;
use super::process::Loader;
use super::record::{Recording, record};
use super::versions::Versions;
use super::{real, strace};
use crate::failure::{Context as _, Failure, Result};

/// What is done in an episode. Versions are numbers from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// The supervisor installs the first version, runs it and cleans up.
    Install(usize),
    /// A pull stages a version.
    Pull(usize),
    /// The supervisor tries what is staged, until this version is up, and cleans up.
    Try(usize),
    /// A person rolls back while the first version runs, until the second is up.
    RollBack(usize, usize),
    /// A clean-up by hand; of the spare tree as well, if `all`.
    CleanUp { all: bool },
}

/// One episode: what is done to the data directory that the one before left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Episode {
    pub(super) name: &'static str,
    pub(super) action: Action,
    /// The version that the target's tag stands for after it: what a recovery with a registry must come to.
    pub(super) target: usize,
}

/// The life. The third version fails in its trial.
pub(super) const EPISODES: &[Episode] = &[
    Episode { name: "install", action: Action::Install(0), target: 0 },
    Episode { name: "update", action: Action::Pull(1), target: 1 },
    Episode { name: "commit", action: Action::Try(1), target: 1 },
    Episode { name: "update-bad", action: Action::Pull(2), target: 2 },
    Episode { name: "trial-failure", action: Action::Try(1), target: 2 },
    Episode { name: "update-again", action: Action::Pull(3), target: 3 },
    Episode { name: "commit-again", action: Action::Try(3), target: 3 },
    Episode { name: "update-spare", action: Action::Pull(4), target: 4 },
    Episode { name: "commit-spare", action: Action::Try(4), target: 4 },
    Episode { name: "rollback", action: Action::RollBack(4, 3), target: 4 },
    Episode { name: "gc", action: Action::CleanUp { all: true }, target: 4 },
];

/// The repository; tags are the versions' names.
pub(super) const REPOSITORY: &str = "crash/app";

/// What an episode is played with.
#[derive(Debug)]
pub(super) struct Theatre<'t> {
    pub(super) binary: &'t Path,
    pub(super) registry: &'t Registry,
    pub(super) versions: &'t Versions,
    /// The data directory, a path without links in it.
    pub(super) data: PathBuf,
    /// Where strace writes.
    pub(super) log: PathBuf,
    pub(super) umask: u32,
}

/// An episode that was recorded.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) episode: Episode,
    pub(super) recording: Recording,
}

impl Theatre<'_> {
    /// The reference of a version's tag.
    pub(super) fn reference(&self, version: usize) -> String {
        self.registry.reference(REPOSITORY, &format!("v{}", version + 1))
    }

    /// Plays an episode, and checks that what was recorded leads to what is there.
    pub(super) fn play(&self, episode: Episode) -> Result<Played> {
        let start = real::read(&self.data)?;
        self.act(episode.action)?;
        Ok(Played { episode, recording: self.recorded(start)? })
    }

    /// The recording of what strace just saw, from `start` on.
    pub(super) fn recorded(&self, start: Disk) -> Result<Recording> {
        let log = std::fs::read_to_string(&self.log).context("read strace's log")?;
        let calls = strace::parse(&log).map_err(Failure::new)?;
        let root = self.data.to_string_lossy();
        let recording = record(start, &root, self.umask, &calls).map_err(Failure::new)?;
        let differences = real::differences(&recording.end, &real::read(&self.data)?);
        if differences.is_empty() {
            return Ok(recording);
        }
        Err(Failure::new(format!("what was recorded is not what was done:\n  {}", differences.join("\n  "))))
    }

    fn act(&self, action: Action) -> Result {
        let loader = Loader { binary: self.binary, data: &self.data, target: None, trace: Some(&self.log) };
        match action {
            Action::Install(version) => {
                let target = self.reference(version);
                self.supervise(Loader { target: Some(&target), ..loader }, version)
            }
            Action::Pull(version) => {
                let target = self.reference(version);
                Loader { target: Some(&target), ..loader }.succeed(&["pull", "--stage"]).map(drop)
            }
            Action::Try(version) => self.supervise(loader, version),
            Action::RollBack(from, to) => {
                let mut supervisor = loader.supervise()?;
                expect(supervisor.until_up()?.0, from)?;
                Loader { trace: None, ..loader }.succeed(&["rollback"])?;
                expect(supervisor.until_up()?.0, to)?;
                supervisor.stop().map(drop)
            }
            Action::CleanUp { all } => {
                let arguments: &[&str] = if all { &["gc", "--all"] } else { &["gc"] };
                loader.succeed(arguments).map(drop)
            }
        }
    }

    fn supervise(&self, loader: Loader<'_>, version: usize) -> Result {
        let mut supervisor = loader.supervise()?;
        expect(supervisor.until_up()?.0, version)
            .context(format_args!("go on:\n{}", supervisor.last_words()))?;
        supervisor.until_cleaned_up()?;
        supervisor.stop().map(drop)
    }
}

fn expect(found: Option<usize>, wanted: usize) -> Result {
    if found == Some(wanted) {
        return Ok(());
    }
    Err(Failure::new(format!("expected v{}, found {:?}", wanted + 1, found.map(|version| version + 1))))
}
