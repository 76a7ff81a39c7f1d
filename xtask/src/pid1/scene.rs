//! A data directory with a planted application, and the process 1 that runs it: ours, or one that people know.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fixtures::ground::Ground;
use nix::unistd::Pid;

use crate::contained::{Contained, Log, children, wait_for};
use crate::failure::{Context as _, Failure, Result};
use crate::workspace::find_program;

/// A process 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Init {
    Dockerloader,
    Tini,
    Dumb,
    Catatonit,
}

impl Init {
    pub(super) const ALL: [Self; 4] = [Self::Dockerloader, Self::Tini, Self::Dumb, Self::Catatonit];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Dockerloader => "dockerloader",
            Self::Tini => "tini",
            Self::Dumb => "dumb-init",
            Self::Catatonit => "catatonit",
        }
    }
}

/// A data directory, and beside it a folder for notes and the log.
pub(super) struct Scene {
    loader: PathBuf,
    pub(super) ground: Ground,
    notes: tempfile::TempDir,
}

impl Scene {
    /// A scene whose current version is this script; `@notes` in it becomes the path of the folder for notes.
    pub(super) fn new(loader: &Path, script: &str) -> Result<Self> {
        let place = Path::new("/dev/shm");
        let place = if place.is_dir() { place.to_owned() } else { std::env::temp_dir() };
        let notes = tempfile::Builder::new().prefix("notes-").tempdir_in(&place);
        let notes = notes.context("make a temporary directory")?;
        let scene = Self { loader: loader.to_owned(), ground: Ground::within(&place), notes };
        let digest = scene.ground.plant("current", &scene.script(script));
        scene.ground.link("entrypoint", &digest);
        Ok(scene)
    }

    /// A script as it is planted.
    pub(super) fn script(&self, script: &str) -> String {
        let notes = self.notes.path().to_string_lossy();
        let data = self.ground.data().to_string_lossy();
        format!("#!/bin/sh\n{}\n", script.replace("@notes", &notes).replace("@data", &data))
    }

    /// Writes an executable script beside the notes.
    pub(super) fn helper(&self, name: &str, script: &str) -> Result {
        let path = self.note_path(name);
        std::fs::write(&path, self.script(script)).context("write a script")?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).context("make it executable")
    }

    pub(super) fn note_path(&self, name: &str) -> PathBuf {
        self.notes.path().join(name)
    }

    /// What is noted, "" if nothing is.
    pub(super) fn noted(&self, name: &str) -> String {
        std::fs::read_to_string(self.note_path(name)).unwrap_or_default()
    }

    /// What is noted, as soon as a whole line is.
    pub(super) fn note(&self, name: &str) -> Result<String> {
        wait_for(&format!("the note {name}"), || {
            Ok(Some(self.noted(name)).filter(|text| text.ends_with('\n')))
        })
    }

    pub(super) fn log(&self) -> Log {
        Log::new(&self.note_path("log"))
    }

    /// The environment of a supervisor with this grace.
    pub(super) fn environment(&self, grace_ms: u64) -> Vec<(&'static str, String)> {
        vec![
            ("DOCKERLOADER_DATA_DIR", self.ground.data().to_string_lossy().into_owned()),
            ("DOCKERLOADER_LOG", "debug".to_owned()),
            ("DOCKERLOADER_LOG_FORMAT", "json".to_owned()),
            ("DOCKERLOADER_STOP_GRACE_MS", grace_ms.to_string()),
            ("DOCKERLOADER_TRIAL_TIMEOUT_MS", "30000".to_owned()),
        ]
    }

    /// Starts our process 1.
    pub(super) fn start(&self, grace_ms: u64) -> Result<Contained> {
        self.start_under(Init::Dockerloader, grace_ms)?.ok_or_else(|| Failure::new("it is always there"))
    }

    /// Starts a process 1; `None` when it is not installed.
    pub(super) fn start_under(&self, init: Init, grace_ms: u64) -> Result<Option<Contained>> {
        let environment = self.environment(grace_ms);
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let log = self.note_path("log");
        if init == Init::Dockerloader {
            return Contained::start(&self.loader, &[], &environment, &log).map(Some);
        }
        let Some(program) = find_program(init.name()) else { return Ok(None) };
        let entrypoint = self.ground.root().join("entrypoint");
        Contained::start(&program, &[Path::new("--"), &entrypoint], &environment, &log).map(Some)
    }

    /// The application, as soon as it is the only child.
    pub(super) fn only_child(contained: &Contained) -> Result<Pid> {
        wait_for("the application alone", || {
            let children = children(contained.pid);
            Ok(if let [only] = children[..] { Some(only) } else { None })
        })
    }
}
