//! A registry, a data directory, and a supervisor that lives until its power is cut.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use fixtures::ground::Ground;
use fixtures::registry::Registry;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::figures::Life;
use crate::contained::{Contained, Log, children, command_line, files, resident, wait_for, zombies};
use crate::failure::{Context as _, Failure, Result};

/// `DOCKERLOADER_TRIAL_TIMEOUT_MS`: short, and longer than a busy machine takes to start a script.
const TRIAL_TIMEOUT_MS: &str = "2000";
/// Looks at the supervisor's figures after each update.
const LOOKS: usize = 5;

/// All that an update needs.
pub(super) struct Scene {
    /// A copy of its own: cargo may build the other one anew meanwhile.
    loader: PathBuf,
    _copies: tempfile::TempDir,
    pub(super) registry: Registry,
    pub(super) ground: Ground,
    notes: tempfile::TempDir,
    pub(super) supervisor: Contained,
    pub(super) log: Log,
    /// The version that should run.
    pub(super) running: String,
}

impl Scene {
    /// Starts on a data directory below `place` with a first version, which the supervisor installs.
    pub(super) fn new(loader: &Path, place: &Path, first: &fixtures::image::BuiltImage) -> Result<Self> {
        let registry = Registry::start();
        registry.put("app", "v", first);
        let ground = Ground::within(place);
        let notes = tempfile::tempdir_in(place).context("make a temporary directory")?;
        let copies = tempfile::tempdir().context("make a temporary directory")?;
        let own = copies.path().join("dockerloader");
        std::fs::copy(loader, &own).context("copy the supervisor's binary")?;
        let path = notes.path().join("log");
        let supervisor = start(&own, &registry, &ground, &path)?;
        let scene = Self {
            loader: own,
            _copies: copies,
            registry,
            ground,
            supervisor,
            log: Log::new(&path),
            notes,
            running: first.digest.clone(),
        };
        scene.wait_until_current(&first.digest)?;
        Ok(scene)
    }

    /// Starts a supervisor in the place of one that was killed.
    pub(super) fn start_again(&mut self) -> Result {
        self.supervisor = start(&self.loader, &self.registry, &self.ground, &self.notes.path().join("log"))?;
        Ok(())
    }

    /// A command of the binary on this data directory.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.loader);
        command.args(arguments).env_clear().env("DOCKERLOADER_DATA_DIR", self.ground.data());
        command.env("DOCKERLOADER_TARGET", self.registry.reference("app", "v"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// `check`, which is under way when this returns.
    pub(super) fn begin_check(&self) -> Result<Child> {
        self.command(&["check", "--json"]).spawn().context("start the supervisor's binary")
    }

    /// `check` to its end.
    pub(super) fn check(&self) -> Result<Output> {
        self.command(&["check", "--json"]).output().context("start the supervisor's binary")
    }

    /// `status --json`.
    pub(super) fn status(&self) -> Result<Value> {
        let output = self.command(&["status", "--json"]).output().context("start the supervisor's binary")?;
        serde_json::from_slice(&output.stdout).map_err(|error| {
            Failure::new(format!("no status: {error}: {}", String::from_utf8_lossy(&output.stderr)))
        })
    }

    /// Waits until a version is committed.
    pub(super) fn wait_until_current(&self, digest: &str) -> Result {
        wait_for(&format!("the commit of {digest}"), || {
            self.is_alive()?;
            let is_there = self.ground.read_slot("entrypoint").as_deref() == Some(digest)
                && self.ground.read_slot("entrypoint-attempting").is_none();
            Ok(is_there.then_some(()))
        })
    }

    /// Waits until a version was tried, judged, and the one before runs again.
    pub(super) fn wait_until_rejected(&self, digest: &str) -> Result {
        let mark = self.ground.root().join("update-attempt");
        wait_for(&format!("the verdict on {digest}"), || {
            self.is_alive()?;
            let marked = std::fs::read_to_string(&mark).unwrap_or_default();
            let is_over = marked.trim() == digest && self.ground.read_slot("entrypoint-attempting").is_none();
            Ok(is_over.then_some(()))
        })
    }

    fn is_alive(&self) -> Result {
        match crate::contained::state(self.supervisor.pid) {
            None | Some('Z') => Err(Failure::new("the supervisor has ended")),
            Some(_) => Ok(()),
        }
    }

    /// SIGKILL to the puller, if one is there.
    pub(super) fn kill_puller(&self) {
        for pid in self.helpers() {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }

    fn helpers(&self) -> Vec<Pid> {
        let children = children(self.supervisor.pid).into_iter();
        children.filter(|pid| command_line(*pid).contains(" pull --stage")).collect()
    }

    /// The versions whose programs run, by their command lines: that of a script names its file.
    pub(super) fn versions_that_run(&self) -> Vec<String> {
        let children = children(self.supervisor.pid).into_iter();
        children.filter_map(|pid| version_in(&command_line(pid))).collect()
    }

    /// The supervisor's figures, when it has nothing to do. Of several looks the one with the fewest files counts: the connection of
    /// a command that has just ended is open until the supervisor notices.
    pub(super) fn life(&self) -> Result<Life> {
        let mut fewest: Option<Life> = None;
        let mut looks = 0;
        wait_for("a supervisor without helpers", || {
            if children(self.supervisor.pid).len() != 1 {
                return Ok(None);
            }
            let life = Life {
                files: files(self.supervisor.pid),
                resident: resident(self.supervisor.pid),
                zombies: zombies(self.supervisor.pid),
            };
            fewest = fewest.filter(|before| before.files <= life.files).or(Some(life));
            looks += 1;
            Ok(fewest.filter(|_| looks >= LOOKS))
        })
    }
}

fn start(loader: &Path, registry: &Registry, ground: &Ground, log: &Path) -> Result<Contained> {
    let data = ground.data().to_string_lossy().into_owned();
    let target = registry.reference("app", "v");
    let environment = [
        ("DOCKERLOADER_DATA_DIR", data.as_str()),
        ("DOCKERLOADER_TARGET", &target),
        ("DOCKERLOADER_TRIAL_TIMEOUT_MS", TRIAL_TIMEOUT_MS),
        ("DOCKERLOADER_STOP_GRACE_MS", "1000"),
        ("DOCKERLOADER_POLL", "auto"),
        ("DOCKERLOADER_UPDATE_INTERVAL_SECS", "3600"),
        ("DOCKERLOADER_LOG_FORMAT", "json"),
    ];
    Contained::start(loader, &[], &environment, log)
}

/// The version in whose tree the program lies that a command line names.
fn version_in(command_line: &str) -> Option<String> {
    let (_, inside) = command_line.split_once("/storage/v1/extracted/")?;
    inside.split('/').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_known_by_its_command_line() {
        let line = "/bin/sh /tmp/ground-x/dockerloader/storage/v1/extracted/sha256:ab/entrypoint ";
        assert_eq!(version_in(line).as_deref(), Some("sha256:ab"));
        assert_eq!(version_in("/dockerloader pull --stage --json"), None);
    }
}
