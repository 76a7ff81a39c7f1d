//! The real recovery of a state: what a crash left is put on a real file system, and the real binary is started on it; first where no
//! registry answers, then with one.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::disk::{Disk, Inode, ROOT};
use super::history::Theatre;
use super::invariants::{Facts, Known, violation};
use super::process::{Loader, Supervisor};
use super::real;
use super::record::Recording;
use super::versions::BAD;
use super::view::{Named, Slot, View};
use crate::failure::{Context as _, Result};

/// `EX_TEMPFAIL`: another supervisor is there.
const LOCKED: i32 = 75;

/// 128 + SIGTERM.
const TERMINATED: i32 = 143;

/// A directory in which states are recovered, one after the other.
#[derive(Debug)]
pub(super) struct Ground<'g> {
    pub(super) theatre: &'g Theatre<'g>,
    /// Below it are the data directory and strace's log.
    pub(super) directory: PathBuf,
}

/// What is wrong with a recovery: the invariant, and how.
pub(super) type Violation = (&'static str, String);

/// The version that ran, and those that were tried.
type Started = (Option<usize>, Vec<usize>);

/// How far a recovery is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// The start without a registry.
    Offline,
    /// The start without a registry, then the way to the target with one.
    Online,
}

impl Ground<'_> {
    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// The state on a real file system. `recorded` is where links in it lead to.
    fn fresh(&self, disk: &Disk, recorded: &Path) -> Result<PathBuf> {
        let data = self.data();
        if data.exists() {
            std::fs::remove_dir_all(&data).context("remove the last state")?;
        }
        real::write(disk, recorded, &data)?;
        Ok(data)
    }

    fn loader<'l>(&'l self, data: &'l Path) -> Loader<'l> {
        Loader { binary: self.theatre.binary, data, target: None, trace: None }
    }

    /// Recovers, and says what is wrong with what came of it, if anything is.
    pub(super) fn recover(
        &self,
        disk: &Disk,
        recorded: &Path,
        known: &Known<'_>,
        facts: &Facts,
        target: usize,
        depth: Depth,
    ) -> Result<Option<Violation>> {
        let data = self.fresh(disk, recorded)?;
        let before = View::new(disk, known.versions);
        let loader = self.loader(&data);
        let mut supervisor = loader.supervise()?;
        let offline = self.start(&mut supervisor, &before, known, &loader);
        let (current, trials) = match offline? {
            Ok(started) => started,
            Err(violation) => return Ok(Some(violation)),
        };
        let mut facts = Facts { is_over: false, runs: false, ..facts.clone() };
        for version in trials {
            facts.trials[version] += 1;
        }
        let found = real::read(&data)?;
        if let Some(violation) = self.settled(&found, current, known, &facts) {
            return Ok(Some(violation));
        }
        match depth {
            Depth::Offline => Ok(None),
            Depth::Online => self.go_on(&found, current, known, &facts, target),
        }
    }

    /// Starts the supervisor without a registry, looks at what runs, and stops it. Gives the version that ran, and those that were
    /// tried.
    fn start(
        &self,
        supervisor: &mut Supervisor,
        before: &View<'_>,
        known: &Known<'_>,
        loader: &Loader<'_>,
    ) -> Result<std::result::Result<Started, Violation>> {
        let (up, begun) = supervisor.until_up()?;
        let tried: Vec<usize> =
            begun.iter().filter(|(_, on_trial)| *on_trial).map(|(version, _)| *version).collect();
        let was_judged = before.verdict(BAD) == Some("app");
        let begun_bad = begun.iter().filter(|(version, _)| *version == BAD).count();
        if begun_bad > usize::from(!was_judged) {
            return Ok(Err(("I4", format!("the version that had failed was started {begun_bad} times"))));
        }
        if let Some((version, _)) = begun.iter().find(|(version, on_trial)| *version == BAD && !on_trial) {
            return Ok(Err(("I1", format!("v{} was started, but not on trial", version + 1))));
        }
        let could = Slot::ALL
            .iter()
            .any(|slot| before.version(*slot).is_some_and(|version| before.has_program(version)));
        let Some(version) = up else {
            let code = supervisor.wait()?;
            if known.had_current || could {
                let last = supervisor.last_words();
                return Ok(Err(("I1", format!("nothing runs: the supervisor left with {code}:\n{last}"))));
            }
            return Ok(Ok((None, tried)));
        };
        if !Slot::ALL.iter().any(|slot| before.version(*slot) == Some(version)) {
            return Ok(Err(("I1", format!("v{} runs, which no slot named", version + 1))));
        }
        let (code, _) = loader.run(&[])?;
        if code != LOCKED {
            return Ok(Err(("I7", format!("a second supervisor was not refused, but ended with {code}"))));
        }
        let status = loader.succeed(&["status", "--json"])?;
        if let Some(why) = lies(&status, version, known) {
            return Ok(Err(("I8", why)));
        }
        let code = supervisor.stop()?;
        // The application's own code: it dies of the signal, or asks what it may do first.
        if code != 0 && code != TERMINATED {
            return Ok(Err(("I1", format!("the supervisor ended with {code} when it was told to stop"))));
        }
        let ups = supervisor.seen.iter().filter(|line| line.starts_with("up v")).count();
        if ups != 1 {
            return Ok(Err(("I1", format!("{ups} versions came up, not one"))));
        }
        Ok(Ok((Some(version), tried)))
    }

    /// After a recovery everything is as without a crash.
    fn settled(
        &self,
        found: &Disk,
        current: Option<usize>,
        known: &Known<'_>,
        facts: &Facts,
    ) -> Option<Violation> {
        let after = View::new(found, known.versions);
        if after.version(Slot::Current) != current {
            return Some((
                "I8",
                format!("{current:?} ran, but entrypoint is {:?}", after.slot(Slot::Current)),
            ));
        }
        if let Some(slot) =
            [Slot::Attempt, Slot::Attempting].iter().find(|slot| *after.slot(**slot) != Named::Nothing)
        {
            return Some(("I6", format!("{} is left: {:?}", slot.name(), after.slot(*slot))));
        }
        violation(&after, known, facts)
            .map(|(invariant, why)| (invariant, format!("after the recovery: {why}")))
    }

    /// From there to the target, with a registry: one pull, one start, one clean-up.
    fn go_on(
        &self,
        found: &Disk,
        current: Option<usize>,
        known: &Known<'_>,
        facts: &Facts,
        target: usize,
    ) -> Result<Option<Violation>> {
        let data = self.data();
        let reference = self.theatre.reference(target);
        let online = Loader { target: Some(&reference), ..self.loader(&data) };
        let is_rejected = View::new(found, known.versions).verdict(target).is_some();
        let (code, text) = online.run(&["pull", "--stage"])?;
        if code != 0 {
            return Ok(Some(("I6", format!("a pull ends with {code}: {text}"))));
        }
        let expected = if is_rejected || target == BAD { current } else { Some(target) };
        // Without any version, nothing could be started; the pull of a version that fails would be no way out.
        if expected.is_none() {
            return Ok(None);
        }
        let mut supervisor = self.loader(&data).supervise()?;
        let (up, begun) = supervisor.until_up()?;
        if up != expected {
            let last = supervisor.last_words();
            return Ok(Some((
                "I6",
                format!("with a registry {up:?} runs in the end, not {expected:?}:\n{last}"),
            )));
        }
        supervisor.stop()?;
        let mut facts = facts.clone();
        begun.iter().filter(|(_, on_trial)| *on_trial).for_each(|(version, _)| facts.trials[*version] += 1);
        if is_rejected && begun.iter().any(|(version, _)| *version == target) {
            return Ok(Some(("I4", "the version that had failed was tried again".into())));
        }
        self.loader(&data).succeed(&["gc"])?;
        let end = real::read(&data)?;
        if let Some(violation) = self.settled(&end, expected, known, &facts) {
            return Ok(Some(violation));
        }
        Ok(leftover(&end).map(|path| ("I6", format!("{path} is left for ever"))))
    }

    /// Does one thing to a state and records it: for crashes in the recovery itself. The path is where it was done.
    pub(super) fn record(&self, disk: &Disk, recorded: &Path, what: Again) -> Result<(Recording, PathBuf)> {
        let data = self.fresh(disk, recorded)?;
        let log = self.directory.join("strace");
        let theatre = Theatre { data: data.clone(), log: log.clone(), ..*self.theatre };
        let start = real::read(&data)?;
        let traced = Loader { trace: Some(&log), ..self.loader(&data) };
        match what {
            Again::Start => {
                let mut supervisor = traced.supervise()?;
                supervisor.until_up()?;
                supervisor.stop()?;
            }
            Again::Pull(target) => {
                let reference = self.theatre.reference(target);
                Loader { target: Some(&reference), ..traced }.run(&["pull", "--stage"])?;
            }
        }
        Ok((theatre.recorded(start)?, data))
    }
}

/// What is done to a state that a crash left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// The supervisor is started, without a registry.
    Start,
    /// The pull is done again.
    Pull(usize),
}

/// How `status --json` differs from what runs.
fn lies(status: &str, version: usize, known: &Known<'_>) -> Option<String> {
    let Ok(status) = serde_json::from_str::<Value>(status) else {
        return Some(format!("status is no JSON: {status}"));
    };
    let digest = known.versions.digest(version);
    for pointer in ["/current/digest", "/supervisor/running"] {
        let said = status.pointer(pointer).and_then(Value::as_str);
        if said != Some(digest) {
            return Some(format!("v{} runs, but status says {said:?} in {pointer}", version + 1));
        }
    }
    let staged =
        ["/staged", "/trying"].into_iter().find(|pointer| status.pointer(pointer) != Some(&Value::Null))?;
    Some(format!("status says that something is {}", staged.trim_start_matches('/')))
}

/// Something without a name that nobody will ever remove.
fn leftover(disk: &Disk) -> Option<String> {
    let starts: [&[u8]; 2] = [b"tmp-", b"removing-"];
    let found = disk.walk().into_iter().find(|found| {
        found.path.split(|byte| *byte == b'/').any(|part| starts.iter().any(|start| part.starts_with(start)))
    })?;
    Some(String::from_utf8_lossy(&found.path).into_owned())
}

/// The state without what is scratch, and without locks: what decisions are made by.
pub(super) fn decisive(disk: &Disk) -> u128 {
    let mut decisive = disk.clone();
    prune(&mut decisive, ROOT);
    decisive.fingerprint()
}

/// What a start without a registry reads: slots, memory, and which versions are there.
pub(super) fn at_start(disk: &Disk) -> u128 {
    let mut part = disk.clone();
    prune(&mut part, ROOT);
    if let Some(store) = part.find(b"dockerloader/storage/v1") {
        let mut names = part.directory(store).cloned().unwrap_or_default();
        names.retain(|name, _| **name == *b"extracted" || **name == *b"launch");
        part.set_directory(store, names);
    }
    part.fingerprint()
}

/// What a pull goes on from: which names are there, whatever is behind them.
pub(super) fn by_names(disk: &Disk) -> u128 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    for found in disk.walk() {
        // Down to what is in the store's folders.
        if found.path.iter().filter(|byte| **byte == b'/').count() <= 4 {
            found.path.hash(&mut hasher);
        }
    }
    hasher.finish().into()
}

fn prune(disk: &mut Disk, directory: Inode) {
    let Some(mut names) = disk.directory(directory).cloned() else { return };
    names.retain(|name, _| {
        ![b"tmp-".as_slice(), b"removing-", b"partial-"].iter().any(|start| name.starts_with(start))
            && !name.ends_with(b".lock")
            && **name != *b"supervisor.json"
    });
    let below: Vec<Inode> = names.values().copied().collect();
    disk.set_directory(directory, names);
    for inode in below {
        prune(disk, inode);
    }
}
