//! The supervisor's process, and what it and the application write.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead as _, BufReader, PipeReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::observe::Place;
use super::screen::Screen;
use crate::failure::{Context as _, Result};
use crate::interrupt;

/// Lines that are kept for the person who looks into a failure.
const KEPT_LINES: usize = 40;
/// `DOCKERLOADER_TRIAL_TIMEOUT_MS`.
const TRIAL_TIMEOUT: Duration = Duration::from_millis(1500);
/// From SIGTERM to SIGKILL when everything is cleaned up.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// What was written, by all processes of the demo: the end of it here, all of it in a file.
#[derive(Debug)]
pub(super) struct Log {
    file: Mutex<File>,
    last: Mutex<VecDeque<String>>,
    shown: Option<Screen>,
}

impl Log {
    /// With a screen, each line is shown as it comes.
    pub(super) fn new(file: &Path, shown: Option<Screen>) -> Result<Arc<Self>> {
        let file = File::create(file).context("make the log")?;
        Ok(Arc::new(Self { file: Mutex::new(file), last: Mutex::default(), shown }))
    }

    /// The last lines.
    pub(super) fn last(&self) -> Vec<String> {
        locked(&self.last).iter().cloned().collect()
    }

    fn take(&self, line: String) {
        // A full disk costs the file, not the demo.
        let _ = writeln!(locked(&self.file), "{line}");
        if let Some(screen) = &self.shown {
            screen.log(&line);
        }
        let mut last = locked(&self.last);
        if last.len() == KEPT_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A supervisor that was started. Dropped, it is stopped, and killed if that takes too long.
#[derive(Debug)]
pub(super) struct Supervisor {
    child: Child,
    ended: Option<ExitStatus>,
    reader: Option<JoinHandle<()>>,
}

impl Supervisor {
    pub(super) fn start(place: &Place, target: &str, log: &Arc<Log>) -> Result<Self> {
        let (output, end) = std::io::pipe().context("make a pipe")?;
        let errors = end.try_clone().context("make a pipe")?;
        // In a session of its own it has no terminal, which it would hand to the application. setsid(1) becomes the
        // supervisor: the process id stays.
        let mut command = Command::new("setsid");
        command
            .arg(place.loader())
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("DOCKERLOADER_TARGET", target)
            .env("DOCKERLOADER_DATA_DIR", place.data())
            .env("DOCKERLOADER_UPDATE_INTERVAL_SECS", "1")
            .env("DOCKERLOADER_TRIAL_TIMEOUT_MS", TRIAL_TIMEOUT.as_millis().to_string())
            .env("DOCKERLOADER_STOP_GRACE_MS", "3000")
            .env("DOCKERLOADED_STAMP", place.stamps())
            .stdin(Stdio::null())
            .stdout(end)
            .stderr(errors);
        let child = interrupt::spawn(&mut command)?;
        let reader = follow(output, log);
        Ok(Self { child, ended: None, reader: Some(reader) })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().context("wait for the supervisor")?;
            if self.ended.is_some() {
                interrupt::forget(&self.child);
            }
        }
        Ok(self.ended)
    }

    /// Sends a signal, if it lives.
    pub(super) fn signal(&mut self, signal: Signal) -> Result {
        if self.ended()?.is_some() {
            return Ok(());
        }
        let pid = Pid::from_raw(i32::try_from(self.child.id()).context("use the process id")?);
        kill(pid, signal).context(format_args!("send {signal} to the supervisor"))
    }

    fn end(&mut self) -> Result {
        self.signal(Signal::SIGTERM)?;
        let deadline = Instant::now() + STOP_LIMIT;
        while self.ended()?.is_none() {
            if Instant::now() >= deadline {
                self.signal(Signal::SIGKILL)?;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Whatever can't be ended so is ended by its path, see `Demo`.
        let _ = self.end();
        if let Some(reader) = self.reader.take().filter(JoinHandle::is_finished) {
            let _ = reader.join();
        }
    }
}

/// Takes what comes out of a process into the log, until its end.
pub(super) fn follow(output: PipeReader, log: &Arc<Log>) -> JoinHandle<()> {
    let log = Arc::clone(log);
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n') {
            let Ok(line) = line else { return };
            log.take(String::from_utf8_lossy(&line).into_owned());
        }
    })
}
