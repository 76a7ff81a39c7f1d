//! The real binary as a process, what it writes, and its end.

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::world::World;
use crate::failure::{Context as _, Result};
use crate::interrupt;

/// A process that was started. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    began: Instant,
    lines: Receiver<(Stream, String)>,
    stdout: Vec<String>,
    stderr: Vec<String>,
    is_over: bool,
}

#[derive(Debug, Clone, Copy)]
enum Stream {
    Out,
    Err,
}

/// A process that has ended.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    /// `None` when it was killed.
    pub(super) code: Option<i32>,
    pub(super) stdout: Vec<String>,
    pub(super) stderr: Vec<String>,
    pub(super) took: Duration,
}

impl Program {
    pub(super) fn start(binary: &Path, arguments: &[&str], world: &World) -> Result<Self> {
        let mut command = Command::new("setsid");
        command.arg(binary).args(arguments).env_clear().envs(&world.environment);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let began = Instant::now();
        let mut child = interrupt::spawn(&mut command)?;
        let (sender, lines) = channel();
        if let Some(pipe) = child.stdout.take() {
            forward(pipe, Stream::Out, sender.clone());
        }
        if let Some(pipe) = child.stderr.take() {
            forward(pipe, Stream::Err, sender);
        }
        Ok(Self { child, began, lines, stdout: Vec::new(), stderr: Vec::new(), is_over: false })
    }

    /// Waits for a line with this in it; how long after the start it came.
    pub(super) fn line(&mut self, part: &str, within: Duration) -> Option<Duration> {
        let deadline = Instant::now() + within;
        while let Ok((stream, line)) =
            self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            let is_found = line.contains(part);
            self.keep(stream, line);
            if is_found {
                return Some(self.began.elapsed());
            }
        }
        None
    }

    /// How long it has been running.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn signal(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // It may have ended; nobody has waited for it.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Waits for its end, and kills it when that takes longer than `within` from the start.
    pub(super) fn end(mut self, within: Duration) -> Result<Ended> {
        let deadline = self.began + within;
        let mut is_killed = false;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok((stream, line)) => self.keep(stream, line),
                // Its pipes are closed.
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if is_killed => break,
                Err(RecvTimeoutError::Timeout) => {
                    is_killed = true;
                    self.signal(Signal::SIGKILL);
                    break;
                }
            }
        }
        let status = self.child.wait().context("wait for the program")?;
        let took = self.began.elapsed();
        interrupt::forget(&self.child);
        self.is_over = true;
        while let Ok((stream, line)) = self.lines.recv_timeout(Duration::from_millis(200)) {
            self.keep(stream, line);
        }
        let (stdout, stderr) = (std::mem::take(&mut self.stdout), std::mem::take(&mut self.stderr));
        Ok(Ended { code: status.code().filter(|_| !is_killed), stdout, stderr, took })
    }

    fn keep(&mut self, stream: Stream, line: String) {
        match stream {
            Stream::Out => self.stdout.push(line),
            Stream::Err => self.stderr.push(line),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !self.is_over {
            // What it started dies with it (`PR_SET_PDEATHSIG`).
            let _ = self.child.kill();
            let _ = self.child.wait();
            interrupt::forget(&self.child);
        }
    }
}

fn forward(pipe: impl Read + Send + 'static, stream: Stream, lines: Sender<(Stream, String)>) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(std::io::Result::ok) {
            if lines.send((stream, String::from_utf8_lossy(&line).into_owned())).is_err() {
                return;
            }
        }
    });
}
