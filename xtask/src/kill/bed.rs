//! The bed: programs, registry, file systems as they are before a case, and how a case is played.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use serde_json::Value;

use super::case::{Case, Fault, Setting};
use super::check::Story;
use super::disturb::{Blow, Census, Cuts};
use super::observe::{self, Digests};
use super::phase::{Disturbance, Peace, Place};
use super::seen::Seen;
use super::store::Source;
use super::tracer::Programs;
use super::versions::{Version, image};
use super::volume::{Mounted, copy_sparse};
use crate::failure::{Context as _, Failure, Result};
use crate::interrupt;

/// Bytes that are in the way while a disk is said to be full, and gone when there is room again.
const BALLAST: usize = 2 << 20;

/// A setting before anything happens, and what an undisturbed run of it comes to.
#[derive(Debug)]
pub(super) struct Base {
    image: PathBuf,
    target: String,
    census: Census,
    names: BTreeSet<String>,
}

impl Base {
    /// How many points a fault has here.
    pub(super) fn points(&self, fault: Fault) -> u32 {
        self.census.points(fault)
    }
}

/// What came of a case.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) case: Case,
    /// The call that the fault came at; `None` when the run was over before.
    pub(super) at: Option<String>,
    pub(super) problems: Vec<String>,
}

/// Everything that all cases share.
#[derive(Debug)]
pub(super) struct Bed {
    programs: Programs,
    digests: Digests,
    source: Source,
    folder: PathBuf,
    /// Where the logs of bad cases go.
    logs: PathBuf,
    /// Calls by these names are suppressed before a power cut: the bed is to notice.
    skipped: Vec<&'static str>,
}

impl Bed {
    /// `folder` is emptied by whoever made it; `logs` stays.
    pub(super) fn new(
        loader: &Path,
        app: &Path,
        folder: &Path,
        logs: &Path,
        skipped: Vec<&'static str>,
    ) -> Result<Self> {
        let digests = Version::ALL.into_iter().map(|version| (version, image(version).digest)).collect();
        // Copies: what is built meanwhile changes nothing, and nobody else runs them.
        let own = |binary: &Path, name: &str| {
            let copy = folder.join(name);
            std::fs::copy(binary, &copy).context(format_args!("copy {}", binary.display())).map(|_| copy)
        };
        let programs = Programs {
            loader: own(loader, "dockerloader")?,
            app: own(app, "dockerloaded")?,
            data: folder.join("data"),
        };
        Ok(Self {
            programs,
            digests: Digests::new(digests),
            source: Source::start(folder)?,
            folder: folder.to_owned(),
            logs: logs.to_owned(),
            skipped,
        })
    }

    fn place<'a>(&'a self, setting: Setting, target: &'a str, output: &'a Path) -> Place<'a> {
        Place { programs: &self.programs, digests: &self.digests, target, method: setting.method, output }
    }

    fn mount(&self, setting: Setting, image: &Path) -> Result<Mounted> {
        setting.system.mount(image, &self.programs.data)
    }

    /// Installs what a setting begins with, and counts the points of an undisturbed run. `work` is a folder of the caller's own.
    pub(super) fn prepare(&self, setting: Setting, faults: &[Fault], work: &Path) -> Result<Base> {
        let name = setting.to_string().replace('/', "-");
        let repository = format!("kill/{name}");
        let target = self.source.reference(&repository);
        let base = self.folder.join(format!("base-{name}"));
        let place = self.place(setting, &target, work);
        setting.system.make(&base)?;
        let mounted = self.mount(setting, &base)?;
        for version in setting.scenario.before() {
            self.source.publish(&repository, &image(*version))?;
            self.undisturbed(&place, *version, &mut Peace)?;
        }
        drop(mounted);
        self.source.publish(&repository, &image(setting.scenario.offered()))?;
        let mut census = Census::new(faults);
        let rehearsal = work.join("image");
        copy_sparse(&base, &rehearsal).context("copy an image")?;
        let mounted = self.mount(setting, &rehearsal)?;
        self.undisturbed(&place, setting.scenario.goal(), &mut census)?;
        place.command(&["gc", "--json"])?;
        let names = observe::names(&self.programs.data)?;
        drop(mounted);
        Ok(Base { image: base, target, census, names })
    }

    /// A run that has to come to a version.
    fn undisturbed(&self, place: &Place<'_>, version: Version, watcher: &mut dyn Disturbance) -> Result {
        let seen = place.run(true, watcher)?;
        if seen.rested && seen.app_runs && seen.last_printed() == Some(version) {
            return Ok(());
        }
        let last: Vec<_> = seen.log.iter().rev().take(8).map(Value::to_string).collect();
        let words = seen.noise.join("\n");
        Err(Failure::new(format!(
            "an undisturbed run doesn't come to {version}: {}\n{words}",
            last.join("\n")
        )))
    }

    /// Plays cases of one sweep. All but power cuts are played one by one; those share a run.
    pub(super) fn play(&self, base: &Base, cases: &[Case], work: &Path) -> Result<Vec<Outcome>> {
        let Some(first) = cases.first() else { return Ok(Vec::new()) };
        if first.fault == Fault::Cut {
            return self.play_cuts(base, cases, work);
        }
        cases.iter().map(|case| self.play_one(base, *case, work)).collect()
    }

    fn play_one(&self, base: &Base, case: Case, work: &Path) -> Result<Outcome> {
        let at = work.join("image");
        copy_sparse(&base.image, &at).context("copy an image")?;
        let mounted = self.mount(case.setting, &at)?;
        let place = self.place(case.setting, &base.target, work);
        let ballast = self.programs.data.join("ballast");
        if needs_room(case.fault) {
            std::fs::write(&ballast, vec![1; BALLAST]).context("fill a file system")?;
        }
        let before = observe::names(&self.programs.data)?;
        let disturbed = place.run(true, &mut Blow::new(case.fault, case.n))?;
        let _ = std::fs::rename(work.join("stderr"), work.join("disturbed"));
        let outcome = self.recover(base, case, &place, &disturbed, &before, disturbed.at.clone());
        drop(mounted);
        outcome
    }

    fn play_cuts(&self, base: &Base, cases: &[Case], work: &Path) -> Result<Vec<Outcome>> {
        let Some(setting) = cases.first().map(|case| case.setting) else { return Ok(Vec::new()) };
        let at = work.join("image");
        copy_sparse(&base.image, &at).context("copy an image")?;
        let mounted = self.mount(setting, &at)?;
        let place = self.place(setting, &base.target, work);
        let mut cuts = Cuts {
            points: cases.iter().map(|case| case.n).collect(),
            mounted: &mounted,
            folder: work.to_owned(),
            log: work.join("stderr"),
            skipped: &self.skipped,
            seen: 0,
            taken: Vec::new(),
            failure: None,
        };
        let whole = place.run(true, &mut cuts)?;
        let (taken, failure) = (cuts.taken, cuts.failure);
        drop(mounted);
        if let Some(failure) = failure {
            return Err(failure);
        }
        if !whole.rested {
            return Err(Failure::new("the run in which the power was to be cut did not come to rest"));
        }
        let log = std::fs::read(work.join("stderr")).context("read the log")?;
        let mut outcomes = Vec::new();
        for cut in taken {
            let case = Case { setting, fault: Fault::Cut, n: cut.n };
            let told = log.get(..usize::try_from(cut.logged).unwrap_or(usize::MAX)).unwrap_or(&log);
            let told = String::from_utf8_lossy(told);
            let _ = std::fs::write(work.join("disturbed"), told.as_bytes());
            let disturbed = Seen {
                log: told.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
                ..Seen::default()
            };
            let outcome = match self.mount(setting, &cut.image) {
                Ok(mounted) => {
                    let outcome =
                        self.recover(base, case, &place, &disturbed, &BTreeSet::new(), Some(cut.at));
                    drop(mounted);
                    outcome?
                }
                Err(failure) => Outcome { case, at: Some(cut.at), problems: vec![failure.to_string()] },
            };
            std::fs::remove_file(&cut.image).context("remove an image")?;
            outcomes.push(outcome);
        }
        let absent = cases.iter().filter(|case| outcomes.iter().all(|outcome| outcome.case != **case));
        let absent: Vec<_> =
            absent.map(|case| Outcome { case: *case, at: None, problems: Vec::new() }).collect();
        outcomes.extend(absent);
        Ok(outcomes)
    }

    /// Starts again: without a registry, then with it; cleans up, and judges it all.
    fn recover(
        &self,
        base: &Base,
        case: Case,
        place: &Place<'_>,
        disturbed: &Seen,
        names_before: &BTreeSet<String>,
        at: Option<String>,
    ) -> Result<Outcome> {
        let data = &self.programs.data;
        let keep = |name: &str| {
            let _ = std::fs::rename(place.output.join("stderr"), place.output.join(name));
        };
        let slots = observe::slots(data, &self.digests);
        let names_after = observe::names(data)?;
        let offline = place.run(false, &mut Peace)?;
        keep("offline");
        if needs_room(case.fault) {
            std::fs::remove_file(data.join("ballast")).context("make room")?;
        }
        let _ = let_time_pass(&data.join("dockerloader/state.json"));
        let online = place.run(true, &mut Peace)?;
        keep("online");
        let collected = place.command(&["gc", "--json"])?;
        let verified = place.command(&["verify", "--full"])?;
        let names = observe::names(data)?;
        let story = Story {
            case,
            digests: &self.digests,
            disturbed,
            slots: &slots,
            names_before,
            names_after: &names_after,
            offline: &offline,
            online: &online,
            collected: &collected,
            verified: &verified,
            names: &names,
            expected_names: &base.names,
        };
        let problems = story.problems();
        if !problems.is_empty() && !interrupt::interrupted() {
            self.keep_logs(case, place.output, &slots, &problems)?;
        }
        Ok(Outcome { case, at, problems })
    }

    /// Keeps what the person needs who looks into a bad case.
    fn keep_logs(
        &self,
        case: Case,
        from: &Path,
        slots: &BTreeMap<&'static str, Version>,
        problems: &[String],
    ) -> Result {
        let name = case.to_string().replace('/', "-");
        let mut text = format!("{case}\n{}\nslots after the fault: {slots:?}\n", problems.join("\n"));
        for phase in ["disturbed", "offline", "online"] {
            text.push_str(&format!("\n== {phase}\n"));
            text.push_str(&std::fs::read_to_string(from.join(phase)).unwrap_or_default());
        }
        std::fs::create_dir_all(&self.logs).context("make a folder for logs")?;
        std::fs::write(self.logs.join(name), text).context("keep a log")
    }
}

const fn needs_room(fault: Fault) -> bool {
    matches!(fault, Fault::Full | Fault::Fail(_, Errno::ENOSPC | Errno::EDQUOT))
}

/// Verdicts of a passing kind end after hours at most. Nobody waits here: they are made older.
fn let_time_pass(state: &Path) -> std::io::Result<()> {
    const HOURS: u64 = 24 * 3600;
    let mut memory: Value = serde_json::from_slice(&std::fs::read(state)?)?;
    let verdicts = memory["verdicts"].as_array_mut().map(Vec::as_mut_slice).unwrap_or_default();
    let passing =
        |verdict: &&mut Value| matches!(verdict["kind"].as_str(), Some("environment" | "interrupted"));
    let mut changed = false;
    for verdict in verdicts.iter_mut().filter(passing) {
        // As in another start of the machine: then the date alone counts.
        verdict["uptime"] = Value::Null;
        verdict["at"] = verdict["at"].as_u64().unwrap_or(0).saturating_sub(HOURS).into();
        changed = true;
    }
    if changed { std::fs::write(state, memory.to_string()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_passing_verdicts_grow_old() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let state = folder.path().join("state.json");
        let memory = json!({ "verdicts": [{ "kind": "app", "at": 100_000 }, { "kind": "environment", "at": 100_000 }] });
        std::fs::write(&state, memory.to_string()).expect("room");
        let_time_pass(&state).expect("it can be read");
        let memory: Value = serde_json::from_slice(&std::fs::read(&state).expect("a file")).expect("JSON");
        assert_eq!(memory["verdicts"][0]["at"], 100_000);
        assert_eq!(memory["verdicts"][1]["at"], 13_600);
    }
}
