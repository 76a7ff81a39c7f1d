//! The Docker daemon: the one that runs, or one of our own for as long as it is needed.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fixtures::mounts;

use crate::call::Call;
use crate::failure::{Context as _, Failure, Result};
use crate::interrupt;
use crate::workspace::{find_program, target};

/// A daemon that answers.
#[derive(Debug)]
pub(crate) struct Docker {
    started: Option<Started>,
}

/// A daemon that this run started, and stops.
#[derive(Debug)]
struct Started {
    process: Child,
    /// Socket, process id, log and what containerd keeps while it runs; short, as a socket's path may have 107 bytes.
    runtime: PathBuf,
    /// Images and containers.
    data: PathBuf,
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
        let docker = Self { started: Some(Started::spawn(parent)?) };
        docker.wait_until_it_answers()?;
        Ok(docker)
    }

    /// Kills a daemon of our own with SIGKILL, and starts it again with its data.
    pub(crate) fn kill_and_restart(&mut self) -> Result {
        let Some(started) = &mut self.started else { return Ok(()) };
        started.process.kill().context("kill dockerd")?;
        started.process.wait().context("wait for dockerd")?;
        // As after a power failure: what says that containerd runs is gone with it.
        for name in ["containerd.pid", "containerd.sock"] {
            let path = started.runtime.join("exec/containerd").join(name);
            std::fs::remove_file(&path).context(format_args!("remove {}", path.display()))?;
        }
        started.process = Started::launch(&started.runtime, &started.data)?;
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
        let text = std::fs::read_to_string(self.started.as_ref()?.runtime.join("pid")).ok()?;
        text.trim().parse().ok()
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

    fn host(&self) -> String {
        self.started
            .as_ref()
            .map(|started| format!("unix://{}", started.socket().display()))
            .unwrap_or_default()
    }

    fn log(&self) -> String {
        let log = self.started.as_ref().map(|started| started.runtime.join("log"));
        let text = log.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        let lines = text.lines().collect::<Vec<_>>();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }
}

impl Started {
    /// Containers of the tests use the machine's own network, so this daemon makes no bridge and no firewall rule: nothing
    /// of it stays on the machine.
    fn spawn(parent: &Path) -> Result<Self> {
        let make = |prefix: &str, parent: &Path| {
            let made = tempfile::Builder::new().prefix(prefix).tempdir_in(parent);
            made.map(tempfile::TempDir::keep)
                .context(format_args!("make a directory in {}", parent.display()))
        };
        let runtime = make("dockerd-", &std::env::temp_dir())?;
        let data = make("dockerd-data-", parent)?;
        let process = Self::launch(&runtime, &data)?;
        Ok(Self { process, runtime, data })
    }

    fn launch(runtime: &Path, data: &Path) -> Result<Child> {
        let dockerd = find_program("dockerd").ok_or_else(|| {
            Failure::new("no Docker daemon runs and there is no dockerd: apt-get install docker.io, or `cargo xtask test`")
        })?;
        let log = File::create(runtime.join("log")).context("make the log of dockerd")?;
        let errors = log.try_clone().context("make the log of dockerd")?;
        // When this process is killed, the kernel stops the daemon.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]);
        if !nix::unistd::geteuid().is_root() {
            command.args(["sudo", "--"]);
        }
        command.arg(dockerd).arg("--host").arg(format!("unix://{}", runtime.join("socket").display()));
        command.arg("--data-root").arg(data).arg("--exec-root").arg(runtime.join("exec"));
        command
            .arg("--pidfile")
            .arg(runtime.join("pid"))
            .args(["--group", &nix::unistd::getegid().to_string()]);
        command.args(["--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"]);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().context("start dockerd")
    }

    fn socket(&self) -> PathBuf {
        self.runtime.join("socket")
    }

    /// Asks it to stop; it may take its time to stop containers.
    fn stop(&mut self) -> Result {
        let Ok(pid) = std::fs::read_to_string(self.runtime.join("pid")) else {
            // It never came up, or has ended.
            let _ = self.process.kill();
            self.process.wait().context("wait for dockerd")?;
            return Ok(());
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut signal = "-TERM";
        loop {
            Call::as_root("kill").args([signal, pid.trim()]).even_when_interrupted().read()?;
            while signal == "-KILL" || Instant::now() < deadline {
                if self.process.try_wait().context("wait for dockerd")?.is_some() {
                    return Ok(());
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            signal = "-KILL";
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Err(failure) = self.stop() {
            eprintln!("dockerd may still run: {failure}");
            return;
        }
        // What the kernel still has mounted there: dockerd keeps a network namespace that way.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        for mounted in mounts::below(&mounts, &[&self.runtime, &self.data]) {
            if let Err(failure) = Call::as_root("umount").args([mounted]).even_when_interrupted().read() {
                eprintln!("{failure}");
            }
        }
        let removed = Call::as_root("rm").args(["--recursive", "--force", "--one-file-system"]);
        if let Err(failure) = removed.args([&self.runtime, &self.data]).even_when_interrupted().read() {
            eprintln!("{failure}");
        }
    }
}
