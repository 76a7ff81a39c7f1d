//! Time, processor time and memory of programs, and of a daemon that works for them.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::traffic::Traffic;
use super::volume::Volume;
use crate::failure::{Context as _, Failure, Result};
use crate::interrupt;

/// What a run took.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Cost {
    /// From the start of the first program to the end of the last one.
    pub(super) wall: Duration,
    /// A `syncfs` of the file system that it wrote to, right after it.
    pub(super) sync: Duration,
    /// User and system time of the programs, of all that they waited for, and of the daemon.
    pub(super) processor: Duration,
    /// Resident memory of all of them at once, in KiB, at its highest.
    pub(super) memory: u64,
    /// Bytes that reached the disk, with those of the sync; `None` where nobody counts them.
    pub(super) written: Option<u64>,
    /// What the registry did for it.
    pub(super) traffic: Traffic,
}

/// How often memory is looked at, and how often in the beginning, so that a short run is seen at all.
const INTERVAL: Duration = Duration::from_millis(10);
const FIRST_INTERVAL: Duration = Duration::from_millis(1);
const BEGINNING: Duration = Duration::from_millis(50);

/// Runs programs one after the other; what they write is appended to the file `log`. Their volume is synced before, so that
/// nobody pays for the dirty pages of somebody else.
pub(super) fn measure(
    commands: Vec<Command>,
    daemon: Option<u32>,
    volume: &Volume,
    log: &Path,
) -> Result<Cost> {
    volume.sync()?;
    let written = volume.written();
    let before = processor_time(daemon);
    let began = Instant::now();
    let mut memory = 0;
    for command in commands {
        memory = memory.max(run(command, daemon, log)?);
    }
    let wall = began.elapsed();
    // The daemon may still be at work, but what it was asked for is done.
    let processor = processor_time(daemon).saturating_sub(before);
    let began = Instant::now();
    volume.sync()?;
    let sync = began.elapsed();
    let written = volume.written().zip(written).map(|(after, before)| after.saturating_sub(before));
    Ok(Cost { wall, sync, processor, memory, written, traffic: Traffic::default() })
}

/// Runs one program. Gives the highest sum of resident memory that was seen.
fn run(command: Command, daemon: Option<u32>, log: &Path) -> Result<u64> {
    let (mut child, shown) = start(command, log)?;
    let (ended, roots) = (AtomicBool::new(false), [Some(child.id()), daemon]);
    let (status, peak) = std::thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let (mut peak, began) = (0, Instant::now());
            while !ended.load(Ordering::Relaxed) {
                let sum = roots.iter().flatten().flat_map(|root| tree(*root)).filter_map(resident).sum();
                peak = u64::max(peak, sum);
                std::thread::sleep(if began.elapsed() < BEGINNING { FIRST_INTERVAL } else { INTERVAL });
            }
            peak
        });
        let status = child.wait();
        ended.store(true, Ordering::Relaxed);
        (status, sampler.join().unwrap_or_default())
    });
    interrupt::forget(&child);
    if status.context(format_args!("wait for {shown}"))?.success() {
        return Ok(peak);
    }
    Err(Failure::new(format!("{shown} failed:\n{}", last_lines(log))))
}

/// Starts programs one after the other, and kills the one that runs when `when` says so. Gives whether that happened.
pub(super) fn run_until(commands: Vec<Command>, log: &Path, when: impl Fn() -> bool) -> Result<bool> {
    for command in commands {
        let (mut child, shown) = start(command, log)?;
        let group = i32::try_from(child.id()).map(Pid::from_raw).context("know the process")?;
        loop {
            if let Some(status) = child.try_wait().context(format_args!("wait for {shown}"))? {
                interrupt::forget(&child);
                if !status.success() {
                    return Err(Failure::new(format!("{shown} failed:\n{}", last_lines(log))));
                }
                break;
            }
            if when() {
                killpg(group, Signal::SIGKILL).context(format_args!("kill {shown}"))?;
                let ended = child.wait();
                interrupt::forget(&child);
                return ended.map(|_| true).context(format_args!("wait for {shown}"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(false)
}

fn start(mut command: Command, log: &Path) -> Result<(std::process::Child, String)> {
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().map(std::ffi::OsStr::to_string_lossy));
    let shown = words.join(" ");
    let output = File::options().create(true).append(true).open(log).context("open the log")?;
    command.stdin(Stdio::null()).stdout(output.try_clone().context("open the log")?).stderr(output);
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    Ok((interrupt::spawn(&mut command)?, shown))
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines = text.lines().rev().take(5).collect::<Vec<_>>();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// A process and its descendants.
fn tree(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(process) = found.get(next).copied() {
        next += 1;
        let threads = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
        for thread in threads {
            let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    found
}

/// Resident memory of a process in KiB; `None` when it has ended.
fn resident(process: u32) -> Option<u64> {
    number_after(&format!("/proc/{process}/status"), "VmRSS:").ok()
}

/// The number behind a word that begins a line of a file of `/proc`.
pub(super) fn number_after(path: &str, field: &str) -> Result<u64> {
    let text = std::fs::read_to_string(path).context(format_args!("read {path}"))?;
    let value =
        text.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next()?.parse().ok());
    value.ok_or_else(|| Failure::new(format!("{path} says nothing of {field}")))
}

/// User and system time of a process so far, without its children's; `None` when it has ended.
pub(super) fn used_by(process: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    times(&stat).map(|times| ticks(times.own))
}

/// A tick of /proc is 10 ms on every architecture (`USER_HZ`).
const fn ticks(count: u64) -> Duration {
    Duration::from_millis(count * 10)
}

/// What the children of this process that have ended took, and what the daemon's processes took so far.
fn processor_time(daemon: Option<u32>) -> Duration {
    let stat = |process: &str| std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let ours = times(&stat("self")).map_or(0, |times| times.waited);
    let daemons = daemon.into_iter().flat_map(tree);
    let daemons = daemons.filter_map(|process| times(&stat(&process.to_string())));
    ticks(ours + daemons.map(|times| times.own + times.waited).sum::<u64>())
}

/// User and system time in ticks.
#[derive(Debug, PartialEq, Eq)]
struct Times {
    own: u64,
    /// Of children that were waited for.
    waited: u64,
}

/// Fields 14 to 17 of `/proc/PID/stat` (proc_pid_stat(5)), counted from behind the name, which may hold anything.
fn times(stat: &str) -> Option<Times> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut numbers = fields.split_whitespace().skip(11).map(|field| field.parse::<u64>().ok());
    let mut pair = || Some(numbers.next()?? + numbers.next()??);
    Some(Times { own: pair()?, waited: pair()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_behind_any_name() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 1 2 3 4 10 20 300 400 20 0 1 0 5 6 7\n";
        assert_eq!(times(stat), Some(Times { own: 30, waited: 700 }));
        assert_eq!(times("42 (a) S 1"), None);
    }

    #[test]
    fn work_of_grandchildren_counts_and_a_failure_shows_the_last_words() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let volume = Volume::within(directory.path()).expect("a volume");
        let log = directory.path().join("log");
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let burn = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        let cost =
            measure(vec![shell(&format!("sh -c '{burn}'; :"))], None, &volume, &log).expect("it ends well");
        assert!(cost.processor >= Duration::from_millis(20) && cost.memory > 0, "{cost:?}");
        let began = Instant::now();
        let late = || began.elapsed() > Duration::from_millis(50);
        let killed = run_until(vec![shell("exec sleep 600")], &log, late).expect("it is killed");
        assert!(killed && !run_until(vec![shell(":")], &log, || false).expect("it ends by itself"));
        let failure =
            measure(vec![shell("echo the reason; exit 3")], None, &volume, &log).expect_err("it failed");
        assert!(failure.to_string().contains("the reason"), "{failure}");
    }
}
