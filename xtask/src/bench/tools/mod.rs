//! The tools that are compared, each with a place of its own.

mod containerd;
mod docker;
mod ours;
mod skopeo;
mod tar;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) use self::containerd::Containerd;
pub(super) use self::docker::DockerPull;
pub(super) use self::ours::{Method, Ours, knows_methods};
pub(super) use self::skopeo::Skopeo;
pub(super) use self::tar::Tar;
use super::image::{Image, TAG};
use crate::failure::Result;

/// What is pulled.
#[derive(Debug)]
pub(super) struct Target<'i> {
    /// `127.0.0.1:port/repository:tag`.
    pub(super) reference: String,
    /// What the tag points to now.
    pub(super) image: &'i Image,
}

impl<'i> Target<'i> {
    pub(super) fn new(registry: std::net::SocketAddr, repository: &str, image: &'i Image) -> Self {
        Self { reference: format!("{registry}/{repository}:{TAG}"), image }
    }
}

/// Something that pulls images and extracts them.
pub(super) trait Tool {
    /// How a table names it.
    fn name(&self) -> String;

    /// Pulls and extracts what is new.
    fn pull(&self, target: &Target<'_>) -> Vec<Command>;

    /// Looks whether there is something new, when there is nothing.
    fn look(&self, target: &Target<'_>) -> Vec<Command> {
        self.pull(target)
    }

    /// How a table names that.
    fn look_name(&self) -> String {
        self.name()
    }

    /// The process that works for it in the background.
    fn daemon(&self) -> Option<u32> {
        None
    }

    /// Whether an update costs it as much as an empty place.
    fn starts_anew(&self) -> bool {
        false
    }

    /// Makes what was pulled the version from which the next update starts. Not measured.
    fn settle(&mut self) -> Result {
        Ok(())
    }

    /// What a power failure does to the daemon: it is gone at once, and comes back.
    fn crash(&mut self) -> Result {
        Ok(())
    }

    /// The file system that was extracted last, where it can be looked at.
    fn tree(&self) -> Option<PathBuf> {
        None
    }
}

/// A program without this machine's settings, which finds its own credentials and proxies nowhere.
fn command(program: impl AsRef<OsStr>, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("HOME", home);
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command
}

/// Paths of regular files below a directory.
pub(super) fn files(directory: &Path) -> std::io::Result<i64> {
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
