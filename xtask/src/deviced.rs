//! A deviced that runs, and its command line. Dropped, it is ended.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fixtures::scratch::Scratch;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::call::Call;
use crate::failure::{Context as _, Failure, Result};
use crate::interrupt;

/// It answers by then.
const START_LIMIT: Duration = Duration::from_secs(40);
/// From SIGTERM to SIGKILL.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// The device manager, whether it runs or not.
pub(crate) struct Deviced {
    /// Ended first.
    child: Option<Child>,
    binary: PathBuf,
    directory: PathBuf,
    /// The socket's path has to be short.
    runtime: Scratch,
    /// `DEVICED_INSTANCE`: nobody else's containers are this one's.
    instance: String,
}

impl Deviced {
    /// Not started yet. What outlives a restart lies in `directory`.
    pub(crate) fn new(binary: PathBuf, directory: &Path, instance: String) -> Self {
        Self {
            child: None,
            binary,
            directory: directory.to_owned(),
            runtime: Scratch::new("deviced-"),
            instance,
        }
    }

    /// Starts it, with `DOCKER_HOST` or without, and waits until it answers.
    pub(crate) fn start(&mut self, engine: &[(String, String)], (output, errors): (Stdio, Stdio)) -> Result {
        let mut command = Command::new(&self.binary);
        command
            .arg("run")
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("DEVICED_DATA_DIR", self.data())
            .env("DEVICED_SOCKET", self.socket())
            .env("DEVICED_INSTANCE", &self.instance)
            .env("DOCKERLOADER_DATA_DIR", self.directory.join("loader"))
            .envs(engine.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = self.child.insert(interrupt::spawn(&mut command)?);
        // It ends with the process, whose ends of a pipe are the last ones then.
        drop(command);
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if let Some(status) = child.try_wait().context("wait for deviced")? {
                return Err(Failure::new(format!("deviced ended with {status}")));
            }
            let status = command_line(&self.binary, &self.runtime).args(["status"]);
            match status.within(START_LIMIT).code()? {
                (Some(0), _) => return Ok(()),
                _ if interrupt::interrupted() => return Err(Failure::new("interrupted")),
                (_, told) if Instant::now() > deadline => {
                    return Err(Failure::new(format!("deviced does not answer: {told}")));
                }
                _ => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Ends it with this signal, and with SIGKILL if that takes too long.
    pub(crate) fn end(&mut self, signal: Signal) -> Result {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let pid = Pid::from_raw(i32::try_from(child.id()).context("use the process id")?);
        kill(pid, signal).context("send a signal to deviced")?;
        let deadline = Instant::now() + STOP_LIMIT;
        while child.try_wait().context("wait for deviced")?.is_none() {
            if Instant::now() >= deadline {
                child.kill().context("kill deviced")?;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        interrupt::forget(&child);
        Ok(())
    }

    /// A command of its command line.
    pub(crate) fn call(&self, arguments: &[&str]) -> Call {
        command_line(&self.binary, &self.runtime).args(arguments)
    }

    /// The process, if it was started.
    pub(crate) fn process(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Its own directory: the history, and the document in force.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Where its API is.
    pub(crate) fn socket(&self) -> PathBuf {
        socket(&self.runtime)
    }
}

impl Drop for Deviced {
    fn drop(&mut self) {
        if let Err(failure) = self.end(Signal::SIGTERM) {
            eprintln!("{failure}");
        }
    }
}

fn socket(runtime: &Scratch) -> PathBuf {
    runtime.path().join("socket")
}

fn command_line(binary: &Path, runtime: &Scratch) -> Call {
    Call::new(binary).env("DEVICED_SOCKET", socket(runtime)).env("NO_COLOR", "1")
}
