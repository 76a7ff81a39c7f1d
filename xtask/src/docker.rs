//! The Docker daemon: the one that runs, or one of our own for as long as it is needed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fixtures::dockerd::Dockerd;

use crate::call::Call;
use crate::failure::{Context as _, Failure, Result};
use crate::interrupt;
use crate::workspace::{find_program, target};

/// A daemon that answers.
#[derive(Debug)]
pub(crate) struct Docker {
    started: Option<Dockerd>,
}

impl Docker {
    /// The daemon that `docker` finds.
    pub(crate) fn find() -> Option<Self> {
        let running = Self { started: None };
        let version = running.version().ok()?;
        eprintln!("using the Docker daemon that runs, {version}");
        Some(running)
    }

    /// The daemon that `docker` finds, else a new one.
    pub(crate) fn find_or_start() -> Result<Self> {
        Self::find().map_or_else(|| Self::start(&target()), Ok)
    }

    /// A new daemon, without any image, that keeps its data in a directory that it makes below `parent`.
    pub(crate) fn start(parent: &Path) -> Result<Self> {
        if find_program("dockerd").is_none() {
            return Err(Failure::new(
                "no Docker daemon runs and there is no dockerd: apt-get install docker.io, or `cargo xtask test`",
            ));
        }
        let docker = Self { started: Some(Dockerd::start(parent).context("start dockerd")?) };
        docker.wait_until_it_answers()?;
        Ok(docker)
    }

    /// Kills a daemon of our own with SIGKILL, and starts it again with its data.
    pub(crate) fn kill_and_restart(&mut self) -> Result {
        let Some(started) = &mut self.started else { return Ok(()) };
        started.kill_and_restart().context("kill dockerd and start it again")?;
        self.wait_until_it_answers()
    }

    fn wait_until_it_answers(&self) -> Result {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match self.version() {
                Ok(version) => {
                    eprintln!("started a Docker daemon of our own, {version}, at {}", self.host());
                    return Ok(());
                }
                Err(failure) if interrupt::interrupted() => return Err(failure),
                Err(failure) if Instant::now() > deadline => {
                    return Err(Failure::new(format!("dockerd doesn't answer: {failure}\n{}", self.log())));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    fn version(&self) -> Result<String> {
        let call = self.call(["version", "--format", "{{.Server.Version}}"]);
        call.within(Duration::from_secs(20)).read()
    }

    /// The process of the daemon, if it is one of our own.
    pub(crate) fn process(&self) -> Option<u32> {
        self.started.as_ref()?.id()
    }

    /// `docker` with these arguments.
    pub(crate) fn call<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Call {
        self.with_environment(Call::new("docker")).args(arguments)
    }

    /// The variables by which other programs find the daemon.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let host = || ("DOCKER_HOST".to_owned(), self.host());
        self.started.iter().map(|_| host()).collect()
    }

    pub(crate) fn with_environment(&self, call: Call) -> Call {
        call.envs(&self.environment())
    }

    /// Builds an image with the classic builder where there is no other. What the builder says is shown when it fails.
    pub(crate) fn build(&self, tag: &str, label: Option<&str>, dockerfile: &Path, context: &Path) -> Result {
        let mut call = self
            .call(["build", "--quiet", "--tag", tag])
            .args(label.iter().flat_map(|label| ["--label", label]));
        call = call.arg("--file", dockerfile).args([context]);
        if self.call(["buildx", "version"]).read().is_err() {
            call = call.env("DOCKER_BUILDKIT", "0");
        }
        call.read().map(|_| ())
    }

    /// Removes every container, volume and image that carries `label`, also after Ctrl-C.
    pub(crate) fn remove_labelled(&self, label: &str) {
        let filter = format!("label={label}");
        for (list, remove) in [
            (["ps", "--all", "--quiet"].as_slice(), ["rm", "--force", "--volumes"].as_slice()),
            (["volume", "ls", "--quiet"].as_slice(), ["volume", "rm", "--force"].as_slice()),
            (["image", "ls", "--quiet"].as_slice(), ["image", "rm", "--force"].as_slice()),
        ] {
            let listed = self.call(list).arg("--filter", &filter).even_when_interrupted().read();
            let mut found = listed.as_deref().unwrap_or_default().lines().collect::<Vec<_>>();
            found.sort_unstable();
            found.dedup();
            if !found.is_empty()
                && let Err(failure) = self.call(remove).args(found).even_when_interrupted().read()
            {
                eprintln!("{failure}");
            }
        }
    }

    /// The socket, if the daemon is one of our own.
    pub(crate) fn socket(&self) -> Option<PathBuf> {
        self.started.as_ref().map(Dockerd::socket)
    }

    fn host(&self) -> String {
        self.socket().map(|socket| format!("unix://{}", socket.display())).unwrap_or_default()
    }

    fn log(&self) -> String {
        self.started.as_ref().map(Dockerd::log).unwrap_or_default()
    }
}
