//! A deviced that manages as many containers as are wanted. Dropped, all of it goes.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use fixtures::engine_proxy::EngineProxy;
use fixtures::registry::Registry;
use fixtures::scratch::Scratch;
use nix::sys::signal::Signal;

use crate::bench::measure::{number_after, used_by};
use crate::demo::{Images, Nature};
use crate::deviced::Deviced;
use crate::docker::Docker;
use crate::failure::{Context as _, Failure, Result};
use crate::workspace::target;

/// All containers are there by then.
const LIMIT: Duration = Duration::from_secs(1800);

/// deviced, and what it drives.
pub(super) struct Fleet {
    /// Ended first.
    manager: Deviced,
    docker: Docker,
    proxy: EngineProxy,
    registry: Registry,
    label: String,
    directory: Scratch,
}

impl Fleet {
    pub(super) fn new(binary: PathBuf, docker: Docker) -> Result<Self> {
        let registry = Registry::start();
        let instance = format!("bench-{}", std::process::id());
        let label = ("dockerloader.bench".to_owned(), instance.clone());
        let found_by = format!("{}={}", label.0, label.1);
        registry.put("app", "1.0.0", &Images::new(label)?.version("app", "1.0.0", Nature::Waits));
        let root = target().canonicalize().context("find the target directory")?;
        let directory = Scratch::within(&root, "bench-deviced-").context("make a directory")?;
        let engine = docker.socket().ok_or_else(|| Failure::new("the daemon is not our own"))?;
        let proxy = EngineProxy::before(&engine);
        let manager = Deviced::new(binary, directory.path(), instance);
        let mut fleet = Self { manager, docker, proxy, registry, label: found_by, directory };
        let log = std::fs::File::create(fleet.directory.path().join("log")).context("make the log")?;
        let errors = log.try_clone().context("open the log")?;
        let host = format!("unix://{}", fleet.proxy.socket().display());
        fleet.manager.start(&[("DOCKER_HOST".to_owned(), host)], (log.into(), errors.into()))?;
        Ok(fleet)
    }

    /// Has so many containers, and waits until they run and are proven.
    pub(super) fn bring_up(&self, count: usize) -> Result {
        let path = self.directory.path().join("device.yaml");
        std::fs::write(&path, document(&self.registry.host(), count)).context("write the document")?;
        let apply = self.manager.call(&["apply", "--timeout", "30m"]).args([&path]);
        apply.within(LIMIT).read().map(|_| ())
    }

    /// The same document once more: a pass, in which nothing is to be done.
    pub(super) fn touch_document(&self) -> Result {
        let path = self.manager.data().join("device.yaml");
        let text = std::fs::read(&path).context("read the document in force")?;
        std::fs::write(&path, text).context("write the document")
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.manager.socket()
    }

    /// Calls to Docker so far.
    pub(super) fn calls(&self) -> usize {
        self.proxy.requests().len()
    }

    /// User and system time so far.
    pub(super) fn processor_time(&self) -> Result<Duration> {
        used_by(self.process()?).ok_or_else(|| Failure::new("deviced has ended"))
    }

    /// Resident memory, and what of it is nobody else's and no clean page of a file, in KiB (`proc_pid_smaps_rollup(5)`).
    pub(super) fn memory(&self) -> Result<(u64, u64)> {
        let path = format!("/proc/{}/smaps_rollup", self.process()?);
        Ok((number_after(&path, "Rss:")?, number_after(&path, "Private_Dirty:")?))
    }

    fn process(&self) -> Result<u32> {
        self.manager.process().ok_or_else(|| Failure::new("deviced does not run"))
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if let Err(failure) = self.manager.end(Signal::SIGTERM) {
            eprintln!("{failure}");
        }
        self.docker.remove_labelled(&self.label);
    }
}

fn document(registry: &str, count: usize) -> String {
    let mut text = "apiVersion: deviced/v1\ncontainers:\n".to_owned();
    for number in 0..count {
        // A String takes whatever is written to it.
        let _ = write!(
            text,
            "  - id: bench-{number:03}\n    image: {registry}/app\n    versions: [\"1.0.0\"]\n    \
             run: {{network_mode: none, init: true}}\n    update: {{interval: 1h, health: {{running: 1s}}}}\n"
        );
    }
    text
}
