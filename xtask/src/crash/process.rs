//! The real binary: run to its end, or as a supervisor until something is seen; recorded by strace(1), or not.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::strace::TRACED;
use crate::failure::{Context as _, Failure, Result};
use crate::interrupt;

/// Whatever takes longer hangs: a busy machine needs a second.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// How the binary is started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Loader<'a> {
    pub(super) binary: &'a Path,
    /// `DOCKERLOADER_DATA_DIR`.
    pub(super) data: &'a Path,
    /// `DOCKERLOADER_TARGET`, where there is a registry.
    pub(super) target: Option<&'a str>,
    /// Where strace writes its log to.
    pub(super) trace: Option<&'a Path>,
}

impl Loader<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match self.trace {
            None => Command::new(self.binary),
            Some(log) => {
                let mut strace = Command::new("strace");
                strace.args(["-f", "-y", "-xx", "-s", "16777216", "-ttt", "-T", "--seccomp-bpf"]);
                strace.args(["-e", "signal=none", "-e", &format!("trace={TRACED}"), "-o"]).arg(log);
                strace.arg("--").arg(self.binary);
                strace
            }
        };
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("DOCKERLOADER_DATA_DIR", self.data)
            .env("DOCKERLOADER_TREE_METHOD", "copy")
            .env("DOCKERLOADER_POLL", "never")
            .env("DOCKERLOADER_LOG", "debug")
            .env("DOCKERLOADER_LOG_FORMAT", "json")
            .env("DOCKERLOADER_TRIAL_TIMEOUT_MS", "30000")
            .env("DOCKERLOADER_STOP_GRACE_MS", "10000")
            .envs(self.target.map(|target| ("DOCKERLOADER_TARGET", target)))
            .stdin(Stdio::null())
            .process_group(0);
        command
    }

    /// Runs a command to its end. Gives its code and what it wrote.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<(i32, String)> {
        let mut command = self.command(arguments);
        let mut child = interrupt::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
        let errors = child.stderr.take().map(|mut pipe| {
            std::thread::spawn(move || {
                let mut text = String::new();
                let _ = pipe.read_to_string(&mut text);
                text
            })
        });
        let mut text = String::new();
        if let Some(mut pipe) = child.stdout.take() {
            let _ = pipe.read_to_string(&mut text);
        }
        let status = child.wait();
        interrupt::forget(&child);
        let errors = errors.and_then(|thread| thread.join().ok()).unwrap_or_default();
        let code = status.context("wait for the command")?.code().unwrap_or(-1);
        if code != 0 {
            text.push_str(&errors);
        }
        Ok((code, text))
    }

    /// Likewise; any other code than 0 is a failure.
    pub(super) fn succeed(&self, arguments: &[&str]) -> Result<String> {
        match self.run(arguments)? {
            (0, text) => Ok(text),
            (code, text) => {
                Err(Failure::new(format!("dockerloader {} ended with {code}: {text}", arguments.join(" "))))
            }
        }
    }

    /// Starts the supervisor.
    pub(super) fn supervise(&self) -> Result<Supervisor> {
        let (output, end) = std::io::pipe().context("make a pipe")?;
        let errors = end.try_clone().context("make a pipe")?;
        let mut command = self.command(&[]);
        let child = interrupt::spawn(command.stdout(end).stderr(errors))?;
        drop(command);
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(std::result::Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
        Ok(Supervisor { child, lines, seen: Vec::new(), is_traced: self.trace.is_some(), ended: None })
    }
}

/// A supervisor that runs. Dropped, it is stopped.
#[derive(Debug)]
pub(super) struct Supervisor {
    child: Child,
    lines: Receiver<String>,
    /// What it and the application wrote so far.
    pub(super) seen: Vec<String>,
    is_traced: bool,
    ended: Option<ExitStatus>,
}

/// The versions that were begun, in order, and whether on trial.
pub(super) type Begun = Vec<(usize, bool)>;

/// What the application said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// A version, by its number from 0, was started; whether on trial.
    Begin(usize, bool),
    /// It works, and is committed.
    Up(usize),
}

impl Supervisor {
    /// The next line, or `None` when all have ended.
    fn line(&mut self, deadline: Instant) -> Result<Option<String>> {
        match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                self.seen.push(line.clone());
                Ok(Some(line))
            }
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) if interrupt::interrupted() => Err(Failure::new("interrupted")),
            Err(RecvTimeoutError::Timeout) => Err(Failure::new(format!(
                "nothing happens any more; what was written last:\n{}",
                self.last_words()
            ))),
        }
    }

    pub(super) fn last_words(&self) -> String {
        self.seen[self.seen.len().saturating_sub(30)..].join("\n")
    }

    /// Reads on until the application says that it is up: the version, and those that were begun before, with whether on trial.
    /// `None` when the supervisor ended instead.
    pub(super) fn until_up(&mut self) -> Result<(Option<usize>, Begun)> {
        let (deadline, mut begun) = (Instant::now() + LIMIT, Vec::new());
        while let Some(line) = self.line(deadline)? {
            match said(&line) {
                Some(Said::Begin(version, trial)) => begun.push((version, trial)),
                Some(Said::Up(version)) => return Ok((Some(version), begun)),
                None => {}
            }
        }
        Ok((None, begun))
    }

    /// Waits until a clean-up was started, and has ended.
    pub(super) fn until_cleaned_up(&mut self) -> Result {
        let deadline = Instant::now() + LIMIT;
        let is_clean_up = |line: &str| {
            let event: Value = serde_json::from_str(line).ok()?;
            (event["event"] == "helper" && line.contains("clean-up")).then(|| event["pid"].as_u64())?
        };
        let pid = loop {
            if let Some(pid) = self.seen.iter().find_map(|line| is_clean_up(line)) {
                break pid;
            }
            if self.line(deadline)?.is_none() {
                return Err(Failure::new("the supervisor ended before its clean-up"));
            }
        };
        while Path::new("/proc").join(pid.to_string()).exists() {
            if Instant::now() > deadline {
                return Err(Failure::new("the clean-up hangs"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// The supervisor's own process, below strace.
    fn pid(&self) -> Option<Pid> {
        let own = self.child.id();
        let list = || std::fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
        let pid = if self.is_traced { list().ok()?.split_whitespace().next()?.parse().ok()? } else { own };
        Some(Pid::from_raw(i32::try_from(pid).ok()?))
    }

    /// Asks it to stop, and waits. Gives its code.
    pub(super) fn stop(&mut self) -> Result<i32> {
        if let Some(pid) = self.pid() {
            // It may have ended already.
            let _ = kill(pid, Signal::SIGTERM);
        }
        self.wait()
    }

    /// Waits until it has ended. Gives its code.
    pub(super) fn wait(&mut self) -> Result<i32> {
        let deadline = Instant::now() + LIMIT;
        while self.line(deadline)?.is_some() {}
        if self.ended.is_none() {
            self.ended = Some(self.child.wait().context("wait for the supervisor")?);
            interrupt::forget(&self.child);
        }
        Ok(self.ended.and_then(|status| status.code()).unwrap_or(-1))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if self.ended.is_some() {
            return;
        }
        let pid = self.pid();
        if self.stop().is_err() {
            // It hangs: what it started dies with it.
            let _ = pid.map(|pid| kill(pid, Signal::SIGKILL));
            let _ = self.child.kill();
            let _ = self.child.wait();
            interrupt::forget(&self.child);
        }
    }
}

fn said(line: &str) -> Option<Said> {
    let number = |text: &str| text.strip_prefix('v')?.parse::<usize>().ok()?.checked_sub(1);
    let mut words = line.split(' ');
    match (words.next()?, number(words.next()?)?, words.next()) {
        ("begin", version, Some(trial)) => Some(Said::Begin(version, trial == "1")),
        ("up", version, None) => Some(Said::Up(version)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_application_says_is_told_from_all_else() {
        assert_eq!(said("begin v3 1"), Some(Said::Begin(2, true)));
        assert_eq!(said("up v1"), Some(Said::Up(0)));
        for line in ["", "up", "up v0", "up v1 now", "{\"event\":\"up\"}"] {
            assert_eq!(said(line), None, "{line}");
        }
    }
}
