//! `dockerloader pull`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Target, Tool, command};
use crate::bench::volume::FileSystem;
use crate::call::Call;
use crate::failure::{Context as _, Result};

/// How an update makes the tree of the new version (`DOCKERLOADER_TREE_METHOD`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bench) enum Method {
    Overlay,
    Snapshot,
    Reflink,
    Copy,
    /// What it chooses by itself.
    Chosen,
}

impl Method {
    /// Where it works.
    pub(in crate::bench) const fn file_system(self) -> FileSystem {
        match self {
            Self::Snapshot => FileSystem::Btrfs,
            Self::Reflink => FileSystem::Xfs,
            Self::Overlay | Self::Copy | Self::Chosen => FileSystem::Ext4,
        }
    }

    /// Whether a spare tree makes a difference.
    pub(in crate::bench) const fn has_spare(self) -> bool {
        matches!(self, Self::Reflink | Self::Copy)
    }

    const fn setting(self) -> Option<&'static str> {
        match self {
            Self::Overlay => Some("overlay"),
            Self::Snapshot => Some("snapshot"),
            Self::Reflink => Some("reflink"),
            Self::Copy => Some("copy"),
            Self::Chosen => None,
        }
    }
}

/// Whether this build can be told a method.
pub(in crate::bench) fn knows_methods(loader: &Path) -> Result<bool> {
    Ok(Call::new(loader).args(["--help"]).read()?.contains("DOCKERLOADER_TREE_METHOD"))
}

/// A data directory, and a method.
#[derive(Debug)]
pub(in crate::bench) struct Ours {
    loader: PathBuf,
    data: PathBuf,
    method: Method,
    /// Behind the name, in brackets.
    remark: String,
}

impl Ours {
    pub(in crate::bench) fn new(loader: &Path, place: &Path, method: Method, remark: &str) -> Result<Self> {
        let data = place.join(format!("ours-{method:?}"));
        std::fs::create_dir_all(&data).context(format_args!("make {}", data.display()))?;
        Ok(Self { loader: loader.to_owned(), data, method, remark: remark.to_owned() })
    }

    fn command(&self) -> Command {
        let mut command = command(&self.loader, &self.data);
        command.env("DOCKERLOADER_DATA_DIR", &self.data);
        command.envs(self.method.setting().map(|method| ("DOCKERLOADER_TREE_METHOD", method)));
        command
    }

    fn slot(&self, name: &str) -> PathBuf {
        self.data.join("dockerloader").join(name)
    }
}

impl Tool for Ours {
    fn name(&self) -> String {
        let method =
            self.method.setting().map(|method| format!("{method} on {}", self.method.file_system().name()));
        let words = method.into_iter().chain((!self.remark.is_empty()).then(|| self.remark.clone()));
        let words = words.collect::<Vec<_>>().join(", ");
        if words.is_empty() { "dockerloader pull".to_owned() } else { format!("dockerloader pull ({words})") }
    }

    fn pull(&self, target: &Target<'_>) -> Vec<Command> {
        let mut pull = self.command();
        pull.args(["pull", "--stage"]).env("DOCKERLOADER_TARGET", &target.reference);
        vec![pull]
    }

    /// Commits the version, as the supervisor does when a trial succeeds, and cleans up as it does then.
    fn settle(&mut self) -> Result {
        let (attempt, current) = (self.slot("entrypoint-attempt"), self.slot("entrypoint"));
        if current.symlink_metadata().is_ok() {
            let renamed = std::fs::rename(&current, self.slot("entrypoint-previous"));
            renamed.context("keep the version before")?;
        }
        std::fs::rename(attempt, current).context("make the staged version the current one")?;
        let mut gc = self.command();
        let output = gc.arg("gc").output().context("clean up")?;
        if output.status.success() {
            return Ok(());
        }
        Err(crate::failure::Failure::new(format!(
            "dockerloader gc failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )))
    }

    /// The tree of the staged version, else of the current one; under overlay it is not mounted, but frozen.
    fn tree(&self) -> Option<PathBuf> {
        let link = ["entrypoint-attempt", "entrypoint"]
            .iter()
            .find_map(|slot| std::fs::read_link(self.slot(slot)).ok())?;
        let storage = self.slot("storage/v1");
        let version = link.strip_prefix(storage.join("extracted")).ok()?.components().next()?;
        let tree = storage.join("extracted").join(version);
        let entries = |directory: &Path| std::fs::read_dir(directory).into_iter().flatten().flatten();
        if entries(&tree).next().is_some() {
            return Some(tree);
        }
        let frozen = storage.join("frozen");
        entries(&frozen).next().map(|_| frozen)
    }
}
