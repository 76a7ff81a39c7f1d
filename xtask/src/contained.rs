//! A program as process 1 of a process namespace of its own, its log, and what `/proc` says of it.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::failure::{Context as _, Failure, Result};
use crate::interrupt;

/// Longer than anything may take, also on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const STEP: Duration = Duration::from_millis(2);

/// Why no process namespace can be had here, if so.
pub(crate) fn obstacle() -> Option<&'static str> {
    (!nix::unistd::geteuid().is_root()).then_some("only root can make process namespaces")
}

/// Looks until there is an answer.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if interrupt::interrupted() {
            return Err(Failure::new("interrupted"));
        }
        if began.elapsed() > PATIENCE {
            return Err(Failure::new(format!("waited {} s in vain: {what}", PATIENCE.as_secs())));
        }
        std::thread::sleep(STEP);
    }
}

/// The process 1. When it is dropped, all in its namespace ends with it.
#[derive(Debug)]
pub(crate) struct Contained {
    unshare: Child,
    /// Its process id, seen from outside.
    pub(crate) pid: Pid,
}

impl Contained {
    /// Starts a program with these arguments and nothing but this in its environment. What it writes is added to the file.
    pub(crate) fn start(
        program: &Path,
        arguments: &[&Path],
        environment: &[(&str, &str)],
        output: &Path,
    ) -> Result<Self> {
        let file = File::options().append(true).create(true).open(output).context("open the log")?;
        let errors = file.try_clone().context("open the log twice")?;
        // A shell's `&` and nohup(1) leave signals ignored, which some of those who are process 1 hand on.
        let mut command = Command::new("env");
        command
            .args(["--default-signal", "unshare", "--fork", "--pid", "--mount-proc", "--kill-child", "--"])
            .arg(program)
            .args(arguments);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        Self::of(command.spawn().context("start unshare(1)")?)
    }

    /// The process 1 below an `unshare --fork --kill-child`.
    pub(crate) fn of(unshare: Child) -> Result<Self> {
        let outside = Pid::from_raw(i32::try_from(unshare.id()).context("use the process id")?);
        let mut contained = Self { unshare, pid: outside };
        contained.pid = wait_for("process 1", || {
            if let Some(child) = children(outside).first() {
                return Ok(Some(*child));
            }
            let ended = contained.unshare.try_wait().context("wait for unshare(1)")?;
            // It may be over already; then there is nobody to be signalled.
            Ok(ended.map(|_| Pid::from_raw(i32::MAX)))
        })?;
        Ok(contained)
    }

    /// The code with which it ended, as a shell would report it; `None` while it runs.
    pub(crate) fn code(&mut self) -> Result<Option<i32>> {
        Ok(self.unshare.try_wait().context("wait for unshare(1)")?.map(code))
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> Result<i32> {
        wait_for("the end of process 1", || self.code())
    }

    /// Sends it a signal; it may be gone.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = kill(self.pid, signal);
    }

    /// SIGKILL to it, and so to all in its namespace, which is empty when this returns.
    pub(crate) fn cut_power(&mut self) -> Result {
        self.signal(Signal::SIGKILL);
        self.ended().map(drop)
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        if !matches!(self.unshare.try_wait(), Ok(None)) {
            return;
        }
        if self.pid.as_raw() != i32::MAX {
            self.signal(Signal::SIGKILL);
        }
        // `unshare --kill-child` takes the rest along.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

/// 0..=255, or 128+n for signal n.
pub(crate) fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

/// Any signal, real-time ones included, to one process. It may be gone.
pub(crate) fn send(pid: Pid, number: i32) -> Result {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("kill -{number} {pid}")]).stderr(Stdio::null());
    shell.status().context("start a shell").map(drop)
}

/// The children of a process, zombies among them, oldest first.
pub(crate) fn children(pid: Pid) -> Vec<Pid> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_ascii_whitespace().filter_map(|word| word.parse().ok().map(Pid::from_raw)).collect()
}

/// The letter of a process's state: `S`, `Z`, `T`, ...; `None` when it is gone.
pub(crate) fn state(pid: Pid) -> Option<char> {
    field(pid, "State:")?.chars().next()
}

/// How many children of a process are zombies.
pub(crate) fn zombies(pid: Pid) -> usize {
    children(pid).into_iter().filter(|child| state(*child) == Some('Z')).count()
}

/// How many files a process has open.
pub(crate) fn files(pid: Pid) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// The fewest of several looks: what a moment's work has open is no leak.
pub(crate) fn fewest_files(pid: Pid) -> Result<usize> {
    let (mut fewest, mut looks) = (usize::MAX, 0);
    wait_for("some looks", || {
        fewest = fewest.min(files(pid));
        looks += 1;
        Ok((looks >= 10).then_some(fewest))
    })
}

/// Kilobytes of a process that are in memory.
pub(crate) fn resident(pid: Pid) -> u64 {
    field(pid, "VmRSS:").and_then(|text| text.strip_suffix(" kB")?.trim().parse().ok()).unwrap_or(0)
}

/// The words of a process's command line.
pub(crate) fn command_line(pid: Pid) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// A field of `/proc/PID/status`, named with its colon.
pub(crate) fn field(pid: Pid, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
}

/// The JSON lines of a log, as they come.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    offset: u64,
    open: String,
}

impl Log {
    /// A log from its beginning.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), offset: 0, open: String::new() }
    }

    /// The entries since the last call. What is no JSON, as an application's output, is left out.
    pub(crate) fn entries(&mut self) -> Result<Vec<Value>> {
        let mut file = File::open(&self.path).context("open the log")?;
        file.seek(SeekFrom::Start(self.offset)).context("go on in the log")?;
        let mut bytes = Vec::new();
        self.offset += file.read_to_end(&mut bytes).context("read the log")? as u64;
        self.open.push_str(&String::from_utf8_lossy(&bytes));
        let whole = self.open.rfind('\n').map_or(0, |end| end + 1);
        let lines: String = self.open.drain(..whole).collect();
        Ok(lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// Empties the file, whose writers add to its end, after all in it was read.
    pub(crate) fn clear(&mut self) -> Result {
        File::options()
            .write(true)
            .open(&self.path)
            .and_then(|file| file.set_len(0))
            .context("empty the log")?;
        (self.offset, self.open) = (0, String::new());
        Ok(())
    }

    /// Its last lines, for whoever looks into a failure.
    pub(crate) fn last(&self, lines: usize) -> String {
        let text = std::fs::read(&self.path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<_> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}
