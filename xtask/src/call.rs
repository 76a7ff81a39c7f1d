//! Running other programs.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::failure::{Context as _, Failure, Result};
use crate::interrupt;

/// One call of a program, with its own process group and without standard input.
#[derive(Debug)]
pub(crate) struct Call {
    command: Command,
    /// Cleaning up goes on after Ctrl-C.
    uninterruptible: bool,
    limit: Option<Duration>,
}

impl Call {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).process_group(0);
        Self { command, uninterruptible: false, limit: None }
    }

    /// The program as root: through `sudo` where we are not. It may ask for a password, so it stays in the terminal's
    /// own process group.
    pub(crate) fn as_root(program: impl AsRef<OsStr>) -> Self {
        if nix::unistd::geteuid().is_root() {
            return Self::new(program);
        }
        let mut command = Command::new("sudo");
        command.arg("--").arg(program);
        Self { command, uninterruptible: false, limit: None }
    }

    /// An option and its value.
    pub(crate) fn arg(mut self, option: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.arg(option).arg(value);
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// As this user and group, and no other.
    pub(crate) fn user(mut self, (user, group): (u32, u32)) -> Self {
        self.command.gid(group).uid(user);
        self
    }

    /// Without any variable but those that are set after this.
    pub(crate) fn without_all_env(mut self) -> Self {
        self.command.env_clear();
        self
    }

    pub(crate) fn without_env(mut self, name: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(name);
        self
    }

    pub(crate) fn envs<'a>(mut self, variables: impl IntoIterator<Item = &'a (String, String)>) -> Self {
        self.command.envs(variables.into_iter().map(|(name, value)| (name, value)));
        self
    }

    pub(crate) fn in_directory(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    pub(crate) fn even_when_interrupted(mut self) -> Self {
        self.uninterruptible = true;
        self
    }

    /// It is ended when it takes longer.
    pub(crate) fn within(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Runs it with our own output; anything but exit code 0 is a failure.
    pub(crate) fn run(mut self) -> Result {
        let mut child = self.spawn()?;
        let status = self.wait(&mut child)?;
        self.check(status, "")
    }

    /// Runs it and gives what it wrote to standard output, trimmed; its standard error is part of the failure.
    pub(crate) fn read(mut self) -> Result<String> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.spawn()?;
        let (mut stdout, mut stderr) = (String::new(), String::new());
        let errors = child.stderr.take().map(|mut pipe| {
            std::thread::spawn(move || {
                let _ = pipe.read_to_string(&mut stderr);
                stderr
            })
        });
        if self.limit.is_none()
            && let Some(mut pipe) = child.stdout.take()
        {
            pipe.read_to_string(&mut stdout).context(format_args!("read from {}", self.shown()))?;
        }
        let status = self.wait(&mut child)?;
        if let Some(mut pipe) = child.stdout.take() {
            pipe.read_to_string(&mut stdout).context(format_args!("read from {}", self.shown()))?;
        }
        let stderr = errors.and_then(|thread| thread.join().ok()).unwrap_or_default();
        self.check(status, stderr.trim())?;
        Ok(stdout.trim().to_owned())
    }

    /// Runs it and gives its exit code, `None` when a signal ended it, and both outputs, which have to be small.
    pub(crate) fn code(mut self) -> Result<(Option<i32>, String)> {
        let (mut reader, writer) = std::io::pipe().context("make a pipe")?;
        self.command.stdout(writer.try_clone().context("make a pipe")?).stderr(writer);
        let mut child = self.spawn()?;
        // Our own ends of the pipe go, so that it ends with the program.
        let idle = Command::new("true");
        drop(std::mem::replace(&mut self.command, idle));
        let limit = self.limit.map(|limit| Instant::now() + limit);
        let output = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = reader.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let status = match limit {
            None => child.wait(),
            Some(deadline) => wait_until(&mut child, deadline),
        };
        interrupt::forget(&child);
        let status = status.context("wait for a program")?;
        Ok((status.code(), output.join().unwrap_or_default()))
    }

    /// Runs it and shows each line of both outputs, after `line` saw it. Gives whether it ended with exit code 0.
    pub(crate) fn watch(mut self, mut line: impl FnMut(&str)) -> Result<bool> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.spawn()?;
        let (sender, lines) = mpsc::channel();
        if let Some(pipe) = child.stdout.take() {
            forward(pipe, sender.clone());
        }
        if let Some(pipe) = child.stderr.take() {
            forward(pipe, sender.clone());
        }
        drop(sender);
        for text in lines {
            line(&text);
            println!("{text}");
        }
        Ok(self.wait(&mut child)?.success())
    }

    fn spawn(&mut self) -> Result<Child> {
        if self.uninterruptible {
            return self.command.spawn().context(format_args!("start {}", self.shown()));
        }
        interrupt::spawn(&mut self.command)
    }

    fn wait(&self, child: &mut Child) -> Result<ExitStatus> {
        let status = match self.limit {
            None => child.wait(),
            Some(limit) => wait_until(child, Instant::now() + limit),
        };
        interrupt::forget(child);
        status.context(format_args!("wait for {}", self.shown()))
    }

    fn check(&self, status: ExitStatus, detail: &str) -> Result {
        if status.success() {
            return Ok(());
        }
        if interrupt::interrupted() && !self.uninterruptible {
            return Err(Failure::new("interrupted"));
        }
        let separator = if detail.is_empty() { "" } else { ": " };
        Err(Failure::new(format!("`{}` failed with {status}{separator}{detail}", self.shown())))
    }

    fn shown(&self) -> String {
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
    }
}

/// Looks every 50 ms, which no test waits for: only programs with a limit are waited for like this.
fn wait_until(child: &mut Child, deadline: Instant) -> std::io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            child.kill()?;
            return child.wait();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn forward(pipe: impl std::io::Read + Send + 'static, lines: mpsc::Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { return };
            if lines.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
}
