//! Looks from outside: at links and files of the data directory, at `/proc`, at the registry's log, at the stamps that the
//! application writes when it starts. Never at what the supervisor says.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fixtures::registry::Request;

use super::expect::{Named, Process, Role, Seen};
use super::stamps::{self, Stamp};
use super::versions::{Release, Version};
use crate::failure::{Context as _, Result};

/// Where everything of one demo is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    root: PathBuf,
}

impl Place {
    /// `root` is an absolute path without links in it, as `/proc` shows executables.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// `DOCKERLOADER_DATA_DIR`.
    pub(super) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// This demo's own copy of the supervisor's binary: by its path its processes are told from those of others.
    pub(super) fn loader(&self) -> PathBuf {
        self.root.join("dockerloader")
    }

    /// `DOCKERLOADED_STAMP`.
    pub(super) fn stamps(&self) -> PathBuf {
        self.root.join("stamps")
    }

    /// What the supervisor and the application wrote.
    pub(super) fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    fn own(&self, path: &str) -> PathBuf {
        self.data().join("dockerloader").join(path)
    }

    /// The tree of a version.
    pub(super) fn tree(&self, digest: &str) -> PathBuf {
        self.own("storage/v1/extracted").join(digest)
    }

    fn blob(&self, name: &str) -> PathBuf {
        self.own("storage/v1/blobs").join(name)
    }

    /// Bytes of a blob that are on disk, whole or in part.
    pub(super) fn bytes_of_blob(&self, digest: &str) -> u64 {
        let size = |path: PathBuf| fs::metadata(path).map_or(0, |data| data.len());
        size(self.blob(digest)).max(size(self.blob(&format!("partial-{digest}"))))
    }

    /// The version in whose tree a path lies.
    fn named(&self, path: &Path, release: &Release) -> Named {
        let inside = path.strip_prefix(self.own("storage/v1/extracted")).ok();
        let digest = inside.and_then(|inside| inside.iter().next()).and_then(|name| name.to_str());
        match digest.and_then(|digest| release.version(digest)) {
            Some(version) => Named::Version(version),
            None => Named::Other(path.display().to_string()),
        }
    }

    /// Everything, as it is now.
    pub(super) fn look(&self, release: &Release, requests: &[Request]) -> Result<Seen> {
        let link = |name: &str| {
            let path = self.own(name);
            let target =
                none_if_missing(fs::read_link(&path)).context(format_args!("read {}", path.display()))?;
            Ok(target.map(|target| self.named(&target, release)))
        };
        let failed =
            none_if_missing(fs::read_to_string(self.own("update-attempt"))).context("read update-attempt")?;
        let failed = failed.map(|text| match release.version(text.trim()) {
            Some(version) => Named::Version(version),
            None => Named::Other(text),
        });
        let in_part = |version: &Version| {
            self.blob(&format!("partial-{}", release.own_layer(*version).digest)).exists()
        };
        Ok(Seen {
            current: link("entrypoint")?,
            previous: link("entrypoint-previous")?,
            staged: link("entrypoint-attempt")?,
            trying: link("entrypoint-attempting")?,
            failed,
            downloading: Version::ALL.into_iter().filter(in_part).collect(),
            processes: self.processes(release)?,
            starts: stamps::starts(&self.read_stamps(release)?),
            fetches: Version::ALL.map(|version| fetches(requests, &release.own_layer(version).digest)),
            fetches_of_program: fetches(requests, &release.shared_layer().digest),
        })
    }

    /// What the application wrote down, in order.
    pub(super) fn read_stamps(&self, release: &Release) -> Result<Vec<Stamp>> {
        let text = none_if_missing(fs::read_to_string(self.stamps())).context("read the stamps")?;
        let text = text.unwrap_or_default();
        Ok(text.lines().filter_map(|line| Stamp::parse(line, |path| self.named(path, release))).collect())
    }

    /// The processes whose executable lies in this demo's directory. Zombies have none.
    pub(super) fn processes(&self, release: &Release) -> Result<Vec<Process>> {
        let mut processes = Vec::new();
        for entry in fs::read_dir("/proc").context("read /proc")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // It may end at any time, and those of other users can't be read.
            let Ok(executable) = fs::read_link(entry.path().join("exe")) else { continue };
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
            if !executable.starts_with(&self.root) {
                continue;
            }
            let Some(parent) = parent(&stat) else { continue };
            let role = if executable == self.loader() {
                Role::Loader
            } else {
                Role::App(self.named(&executable, release))
            };
            processes.push(Process { pid, parent, role });
        }
        Ok(processes)
    }

    /// How the files of a version on disk differ from what was packed.
    pub(super) fn content_differences(&self, version: Version, release: &Release) -> Vec<String> {
        let tree = self.tree(&release.image(version).digest);
        let mut differences = Vec::new();
        for (name, expected) in
            [("entrypoint", release.program.clone()), (".env", fixtures::sha256(version.dotenv().as_bytes()))]
        {
            match fs::read(tree.join(name)) {
                Ok(bytes) if fixtures::sha256(&bytes) == expected => {}
                Ok(_) => differences.push(format!("{name} of {version} is not what was packed")),
                Err(error) => differences.push(format!("{name} of {version} can't be read: {error}")),
            }
        }
        differences
    }
}

/// How often a blob was asked for.
fn fetches(requests: &[Request], digest: &str) -> usize {
    requests.iter().filter(|request| request.method == "GET" && request.path.contains(digest)).count()
}

/// The parent in `/proc/<pid>/stat`; the name before it is in parentheses and may itself have some (`proc_pid_stat(5)`).
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn none_if_missing<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}
