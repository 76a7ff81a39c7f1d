//! Programs as process 1 of a process namespace of their own.
#![expect(clippy::disallowed_methods, reason = "a test starts programs")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::children;
use crate::programs::{built, installed, skip};
use crate::supervised::{Running, Stage};
use crate::wait::eventually;

/// A process 1: ours, or one that its users know well and ours is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// The one under test.
    Dockerloader,
    /// `tini`, which is also `docker run --init`.
    Tini,
    /// `dumb-init`.
    DumbInit,
    /// `catatonit`, which is also `podman run --init`.
    Catatonit,
}

impl Init {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Dockerloader, Self::Tini, Self::DumbInit, Self::Catatonit];

    /// Those that can be run here.
    pub fn available() -> Vec<Self> {
        if !namespaces_are_allowed() {
            skip("process namespaces need root");
            return Vec::new();
        }
        Self::ALL.into_iter().filter(|init| init.program().is_some()).collect()
    }

    /// Ours, if a namespace can be had.
    pub fn own() -> Option<Self> {
        if !namespaces_are_allowed() {
            skip("process namespaces need root");
            return None;
        }
        Some(Self::Dockerloader)
    }

    fn program(self) -> Option<PathBuf> {
        match self {
            Self::Dockerloader => Some(built("dockerloader")),
            Self::Tini => installed("tini"),
            Self::DumbInit => installed("dumb-init"),
            Self::Catatonit => installed("catatonit"),
        }
    }

    /// Runs the current version of a stage under this process 1.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn run(self, stage: &Stage) -> Running<'_> {
        self.run_with(stage, &[])
    }

    /// Likewise, with more in the environment.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn run_with<'s>(self, stage: &'s Stage, environment: &[(&str, &str)]) -> Running<'s> {
        self.run_by(stage, &[], environment)
    }

    /// Likewise, by a command that becomes it, such as one that gives up rights.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn run_by<'s>(self, stage: &'s Stage, by: &[&str], environment: &[(&str, &str)]) -> Running<'s> {
        let mut command = Command::new("unshare");
        command.args(["--fork", "--pid", "--mount-proc", "--kill-child", "--"]).args(by);
        command.arg(self.program().expect("an installed program"));
        if self != Self::Dockerloader {
            command.arg("--").arg(stage.ground.root().join("entrypoint"));
        }
        stage.surround(&mut command);
        command.envs(environment.iter().copied());
        let mut running = stage.start(command);
        let outside = running.pid;
        // It may have ended already; then there is nobody to be signalled.
        running.pid = eventually("process 1", || {
            children(outside).first().copied().or_else(|| (!running.runs()).then_some(i32::MAX))
        });
        running
    }
}

fn namespaces_are_allowed() -> bool {
    let tried = Command::new("unshare")
        .args(["--fork", "--pid", "--mount-proc", "--", "/bin/true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    Path::new("/bin/true").exists() && tried.is_ok_and(|status| status.success())
}
