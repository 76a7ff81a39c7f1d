//! The tools that are compared, each with a place of its own in a round.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::image::TAG;
use crate::docker::Docker;
use crate::failure::{Context as _, Failure, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Ours,
    Docker,
    SkopeoAndUmoci,
}

/// The first is the one that the others are compared with.
pub(super) const TOOLS: [Tool; 3] = [Tool::Ours, Tool::Docker, Tool::SkopeoAndUmoci];

impl Tool {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "dockerloader pull",
            Self::Docker => "docker pull",
            Self::SkopeoAndUmoci => "skopeo copy + umoci unpack",
        }
    }

    /// What is run when the image was pulled already.
    pub(super) const fn name_again(self) -> &'static str {
        match self {
            // A script that asks before it unpacks; one that doesn't pays the whole price each time.
            Self::SkopeoAndUmoci => "skopeo copy alone",
            _ => self.name(),
        }
    }
}

/// Empty places on disk, and a daemon that has never pulled.
#[derive(Debug)]
pub(super) struct Round {
    directory: PathBuf,
    loader: PathBuf,
    image: String,
    docker: Docker,
}

impl Round {
    pub(super) fn new(directory: &Path, loader: &Path, repository: &str) -> Result<Self> {
        for name in ["ours", "home"] {
            let path = directory.join(name);
            std::fs::create_dir_all(&path).context(format_args!("make {}", path.display()))?;
        }
        let image = format!("{repository}:{TAG}");
        Ok(Self {
            directory: directory.to_owned(),
            loader: loader.to_owned(),
            image,
            docker: Docker::start(directory)?,
        })
    }

    /// Pulls and extracts.
    pub(super) fn commands(&self, tool: Tool) -> Vec<Command> {
        let mut commands = self.commands_again(tool);
        if tool == Tool::SkopeoAndUmoci {
            let mut unpack = self.command("umoci");
            unpack.args(["unpack", "--image"]).arg(format!("{}:{TAG}", self.path("skopeo").display()));
            unpack.arg(self.path("umoci"));
            commands.push(unpack);
        }
        commands
    }

    /// Looks whether there is something new.
    pub(super) fn commands_again(&self, tool: Tool) -> Vec<Command> {
        let command = match tool {
            Tool::Ours => {
                let mut pull = self.command(&self.loader);
                pull.args(["pull", "--stage"]);
                pull.env("DOCKERLOADER_TARGET", &self.image).env("DOCKERLOADER_DATA_DIR", self.path("ours"));
                pull
            }
            Tool::Docker => {
                let mut pull = self.command("docker");
                pull.args(["pull", "--quiet", &self.image]).envs(self.docker.environment());
                pull
            }
            Tool::SkopeoAndUmoci => {
                let mut copy = self.command("skopeo");
                copy.args(["copy", "--quiet", "--src-tls-verify=false"])
                    .arg(format!("docker://{}", self.image));
                copy.arg(format!("oci:{}:{TAG}", self.path("skopeo").display()));
                copy
            }
        };
        vec![command]
    }

    /// The process that works for a tool in the background.
    pub(super) fn daemon(&self, tool: Tool) -> Option<u32> {
        (tool == Tool::Docker).then(|| self.docker.process()).flatten()
    }

    /// Makes what we staged the current version, as the supervisor does when a trial succeeds.
    pub(super) fn commit(&self) -> Result {
        let slot = |name: &str| self.path("ours/dockerloader").join(name);
        let renamed = std::fs::rename(slot("entrypoint-attempt"), slot("entrypoint"));
        renamed.context("make the staged version the current one")
    }

    /// Whether what we and umoci extracted has as many files as the image.
    pub(super) fn check(&self, expected: i64) -> Result {
        let trees = self.path("ours/dockerloader/storage/v1/extracted");
        let tree = std::fs::read_dir(&trees).ok().and_then(|mut entries| entries.next()?.ok());
        let tree = tree.ok_or_else(|| Failure::new(format!("there is no tree in {}", trees.display())))?;
        for tree in [tree.path(), self.path("umoci/rootfs")] {
            let found = files(&tree).context(format_args!("count the files in {}", tree.display()))?;
            if found != expected {
                return Err(Failure::new(format!("{} has {found} files, not {expected}", tree.display())));
            }
        }
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// A program without this machine's settings, which finds its own credentials and proxies nowhere.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", self.path("home"));
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command
    }
}

/// Paths of regular files below a directory.
fn files(directory: &Path) -> std::io::Result<i64> {
    let mut found = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            found += files(&entry.path())?;
        } else {
            found += i64::from(kind.is_file());
        }
    }
    Ok(found)
}
