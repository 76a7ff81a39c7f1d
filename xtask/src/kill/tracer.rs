//! A process tree under `ptrace(2)`: each system call that matters is told before it is done, and may be refused, skipped or
//! turned into a death. Nothing of the programs is changed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::call::{Call, Opens, Place, entry_of};
use super::role::Role;
use crate::failure::{Context as _, Failure, Result};
use crate::interrupt;

/// What is done about a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done.
    Go,
    /// It is not done, and fails.
    Fail(Errno),
    /// It is not done, and succeeds.
    Skip,
    /// The process dies before it.
    Kill,
    /// The whole container dies before it.
    KillAll,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Code(i32),
    Signal(Signal),
}

/// What one turn of the tracer came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nobody did anything.
    Idle,
    /// Somebody did.
    Busy,
    /// A process became something.
    Became(Role),
    /// A process ended.
    Ended(Role, End),
    /// No process is left.
    Over,
}

/// How programs are told from each other.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    pub(super) loader: PathBuf,
    pub(super) app: PathBuf,
    pub(super) data: PathBuf,
}

/// Waits until its standard input says a line, and becomes what its arguments say: so it can be seized before it does anything.
const WAITS: &str = r#"read line; exec "$@" < /dev/null"#;

/// The tree. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Tracer {
    first: Child,
    programs: Programs,
    /// Whose system calls are told: to be told of one costs two stops.
    watched: Vec<Role>,
    threads: BTreeMap<i32, Thread>,
    roles: BTreeMap<i32, Role>,
}

#[derive(Debug, Clone, Copy)]
struct Thread {
    process: i32,
    /// What the system call under way is to return instead of what it did.
    answer: Option<i64>,
}

impl Tracer {
    /// Starts a command and watches it with all that descend from it. Its standard input is empty.
    pub(super) fn start(command: &Command, programs: Programs, stdout: File, stderr: File) -> Result<Self> {
        let arguments: Vec<_> = command.get_args().map(std::ffi::OsStr::to_owned).collect();
        let program = command.get_program().to_owned();
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", WAITS, "sh"]).arg(program).args(arguments);
        shell.env_clear();
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                shell.env(name, value);
            }
        }
        shell.stdout(stdout).stderr(stderr);
        Self::seize(shell, programs)
    }

    fn seize(mut shell: Command, programs: Programs) -> Result<Self> {
        shell.stdin(Stdio::piped());
        std::os::unix::process::CommandExt::process_group(&mut shell, 0);
        let mut child = interrupt::spawn(&mut shell)?;
        let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_EXITKILL;
        let input = child.stdin.take();
        let threads = BTreeMap::from([(pid, Thread { process: pid, answer: None })]);
        let roles = BTreeMap::from([(pid, Role::Other)]);
        let tracer = Self { first: child, programs, watched: Vec::new(), threads, roles };
        ptrace::seize(Pid::from_raw(pid), options).context("trace a process")?;
        input.map_or(Ok(()), |mut input| input.write_all(b"\n")).context("let a process go on")?;
        Ok(tracer)
    }

    /// From the next stop of each thread on, the system calls of these roles are told, and no others.
    pub(super) fn watch(&mut self, roles: &[Role]) {
        if self.watched != roles {
            self.watched = roles.to_vec();
        }
    }

    /// The processes that are something, with what they are.
    pub(super) fn processes(&self) -> impl Iterator<Item = (i32, Role)> + '_ {
        self.roles.iter().map(|(process, role)| (*process, *role))
    }

    /// The process of a role.
    pub(super) fn find(&self, wanted: Role) -> Option<i32> {
        self.processes().find(|(_, role)| *role == wanted).map(|(process, _)| process)
    }

    /// Whether every thread sleeps, so that nothing happens before a deadline or a message from outside.
    pub(super) fn sleeps(&self) -> bool {
        self.threads.keys().all(|thread| {
            let stat = std::fs::read_to_string(format!("/proc/{thread}/stat")).unwrap_or_default();
            // One that is gone does nothing either.
            stat.is_empty() || is_asleep(&stat)
        })
    }

    /// Kills all of it, as the end of a container does.
    pub(super) fn kill_all(&self) {
        for process in self.roles.keys() {
            // It may be gone.
            let _ = kill(Pid::from_raw(*process), Signal::SIGKILL);
        }
    }

    /// Deals with one thing that happened, if anything did.
    pub(super) fn turn(&mut self, watcher: &mut dyn FnMut(&Call) -> Verdict) -> Result<Turn> {
        let flags = WaitPidFlag::WNOHANG | WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        let status = match waitpid(Pid::from_raw(-1), Some(flags)) {
            Ok(status) => status,
            Err(Errno::ECHILD) => return Ok(Turn::Over),
            Err(error) => return Err(Failure::new(format!("can't wait for processes: {error}"))),
        };
        match status {
            WaitStatus::StillAlive => Ok(if self.roles.is_empty() { Turn::Over } else { Turn::Idle }),
            WaitStatus::Exited(pid, code) => Ok(self.ended(pid.as_raw(), End::Code(code))),
            WaitStatus::Signaled(pid, signal, _) => Ok(self.ended(pid.as_raw(), End::Signal(signal))),
            WaitStatus::PtraceSyscall(pid) => {
                self.enter(pid, watcher);
                Ok(Turn::Busy)
            }
            WaitStatus::PtraceEvent(pid, _, event) => {
                let thread = self.thread(pid.as_raw());
                let role = (event == libc::PTRACE_EVENT_EXEC).then(|| self.executed(thread.process));
                let births = [libc::PTRACE_EVENT_FORK, libc::PTRACE_EVENT_VFORK, libc::PTRACE_EVENT_CLONE];
                if births.contains(&event)
                    && let Ok(born) = ptrace::getevent(pid)
                {
                    // It tells of itself only when it gets a processor; from now on it is somebody who does not sleep.
                    if let Ok(born) = i32::try_from(born) {
                        self.thread(born);
                    }
                }
                self.resume(pid, None);
                Ok(role.map_or(Turn::Busy, Turn::Became))
            }
            WaitStatus::Stopped(pid, signal) => {
                self.thread(pid.as_raw());
                self.resume(pid, Some(signal));
                Ok(Turn::Busy)
            }
            WaitStatus::Continued(_) => Ok(Turn::Busy),
        }
    }

    /// The thread, met for the first time or again.
    fn thread(&mut self, id: i32) -> Thread {
        if let Some(thread) = self.threads.get(&id) {
            return *thread;
        }
        let field = |name: &str| {
            let text = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t")?.parse::<i32>().ok())
        };
        let process = field("Tgid").unwrap_or(id);
        let thread = Thread { process, answer: None };
        self.threads.insert(id, thread);
        self.roles.entry(process).or_insert(Role::Other);
        thread
    }

    /// A process executed something.
    fn executed(&mut self, process: i32) -> Role {
        let line = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        let arguments: Vec<_> = line
            .split(|byte| *byte == 0)
            .filter(|argument| !argument.is_empty())
            .map(|argument| String::from_utf8_lossy(argument).into_owned())
            .collect();
        let role = Role::of(&arguments, &self.programs.loader, &self.programs.app, &self.programs.data);
        self.roles.insert(process, role);
        role
    }

    fn ended(&mut self, id: i32, end: End) -> Turn {
        self.threads.remove(&id);
        match self.roles.remove(&id) {
            Some(role) => {
                self.threads.retain(|_, thread| thread.process != id);
                Turn::Ended(role, end)
            }
            None => Turn::Busy,
        }
    }

    /// A thread enters a system call, or comes back from one.
    fn enter(&mut self, pid: Pid, watcher: &mut dyn FnMut(&Call) -> Verdict) {
        let mut thread = self.thread(pid.as_raw());
        // An error here means that the thread is dying, which is told next.
        let (Ok(info), Ok(mut registers)) = (ptrace::syscall_info(pid), ptrace::getregs(pid)) else {
            self.resume(pid, None);
            return;
        };
        if info.op == libc::PTRACE_SYSCALL_INFO_EXIT {
            if let Some(answer) = thread.answer.take() {
                registers.rax = answer.cast_unsigned();
                let _ = ptrace::setregs(pid, registers);
                self.threads.insert(pid.as_raw(), thread);
            }
            self.resume(pid, None);
            return;
        }
        let verdict = self.call(pid, thread.process, &registers).map_or(Verdict::Go, |call| watcher(&call));
        let answer = match verdict {
            Verdict::Go => None,
            Verdict::Fail(error) => Some(-i64::from(error as i32)),
            Verdict::Skip => Some(0),
            Verdict::Kill => {
                let _ = kill(Pid::from_raw(thread.process), Signal::SIGKILL);
                None
            }
            Verdict::KillAll => {
                self.kill_all();
                None
            }
        };
        if let Some(answer) = answer {
            // A number that no call has: the kernel does nothing.
            registers.orig_rax = u64::MAX;
            if ptrace::setregs(pid, registers).is_ok() {
                self.threads.insert(pid.as_raw(), Thread { answer: Some(answer), ..thread });
            }
        }
        self.resume(pid, None);
    }

    /// What a thread is about to do, if it matters.
    fn call(&self, pid: Pid, process: i32, registers: &libc::user_regs_struct) -> Option<Call> {
        let role = self.roles.get(&process).copied().unwrap_or(Role::Other);
        if role == Role::Other {
            return None;
        }
        let entry = entry_of(registers.orig_rax.cast_signed())?;
        let arguments =
            [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9];
        let argument = |index: usize| arguments.get(index).copied().unwrap_or(0);
        let path = match entry.place {
            Place::Nowhere => None,
            Place::Descriptor(index) => behind(pid, argument(index)),
            Place::Path(index) => text(pid, argument(index)).map(|path| below(pid, AT_FDCWD, &path)),
            Place::At => text(pid, argument(1)).map(|path| below(pid, argument(0), &path)),
            Place::SecondAt => text(pid, argument(3)).map(|path| below(pid, argument(2), &path)),
        };
        let flags = match entry.name {
            "open" => argument(1),
            "openat" => argument(2),
            "openat2" => bytes(pid, argument(2), 8)
                .and_then(|how| Some(u64::from_ne_bytes(how.try_into().ok()?)))
                .unwrap_or(0),
            _ => 0,
        };
        let writing = libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC;
        let writes = flags & u64::from(writing.cast_unsigned()) != 0;
        // As the process sees it: what it has mounted is nowhere else.
        let is_there = |path: &PathBuf| {
            let seen = Path::new("/proc").join(process.to_string()).join("root");
            std::fs::symlink_metadata(seen.join(path.strip_prefix("/").unwrap_or(path))).is_ok()
        };
        let opens = Opens { writes, is_new: writes && !path.as_ref().is_some_and(is_there) };
        Call::new(role, process, entry, path, opens, &self.programs.data)
    }

    fn resume(&self, pid: Pid, signal: Option<Signal>) {
        let thread = self.threads.get(&pid.as_raw());
        let role = thread.and_then(|thread| self.roles.get(&thread.process));
        // The end of a call that was not made has to be seen: there it gets its answer.
        let is_told = role.is_some_and(|role| self.watched.contains(role))
            || thread.is_some_and(|thread| thread.answer.is_some());
        // It may have been killed meanwhile, which is told next.
        let _ = if is_told { ptrace::syscall(pid, signal) } else { ptrace::cont(pid, signal) };
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.kill_all();
        // Everybody who is traced is waited for, so that nobody of this case is left when the next one begins.
        while !self.roles.is_empty() {
            let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
            match waitpid(Pid::from_raw(-1), Some(flags)) {
                Ok(WaitStatus::Exited(pid, code)) => {
                    self.ended(pid.as_raw(), End::Code(code));
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) => {
                    self.ended(pid.as_raw(), End::Signal(signal));
                }
                Ok(WaitStatus::StillAlive) | Err(_) => break,
                Ok(other) => {
                    // Somebody who was being born: he dies as well.
                    if let Some(pid) = other.pid() {
                        self.thread(pid.as_raw());
                        let _ = kill(pid, Signal::SIGKILL);
                        let _ = ptrace::cont(pid, None);
                    }
                }
            }
        }
        interrupt::forget(&self.first);
    }
}

/// The directory of the process (`open(2)`).
const AT_FDCWD: u64 = libc::AT_FDCWD as u32 as u64;

/// Bytes of a process's memory.
fn bytes(pid: Pid, address: u64, length: usize) -> Option<Vec<u8>> {
    let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut buffer = vec![0; length];
    let count = memory.read_at(&mut buffer, address).ok()?;
    buffer.truncate(count);
    Some(buffer)
}

/// A path in a process's memory.
fn text(pid: Pid, address: u64) -> Option<PathBuf> {
    if address == 0 {
        return None;
    }
    // Not beyond the page: the next one may not be there.
    let page = 4096 - usize::try_from(address % 4096).unwrap_or(0);
    let mut found = bytes(pid, address, page)?;
    if !found.contains(&0) {
        found.extend(bytes(pid, address + u64::try_from(page).unwrap_or(0), 4096)?);
    }
    let end = found.iter().position(|byte| *byte == 0)?;
    found.truncate(end);
    Some(PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(found)))
}

/// A path as the process means it.
fn below(pid: Pid, directory: u64, path: &Path) -> PathBuf {
    if path.is_absolute() {
        return path.to_owned();
    }
    // Of a descriptor only the lower half counts.
    let base = if directory & 0xffff_ffff == AT_FDCWD {
        std::fs::read_link(format!("/proc/{pid}/cwd")).ok()
    } else {
        behind(pid, directory)
    };
    base.unwrap_or_default().join(path)
}

/// What is behind a descriptor of a process.
fn behind(pid: Pid, descriptor: u64) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/fd/{}", descriptor & 0xffff_ffff)).ok()
}

/// Whether `/proc/THREAD/stat` (proc_pid_stat(5), fields 3 and 9) tells of one that waits for something, and not of one that is ending: process 1 of a
/// namespace that is killed waits for the others to go first, asleep.
fn is_asleep(stat: &str) -> bool {
    /// `include/linux/sched.h`.
    const PF_EXITING: u64 = 0x4;
    let Some((_, fields)) = stat.rsplit_once(") ") else { return false };
    let mut fields = fields.split(' ');
    let (state, flags) = (fields.next(), fields.nth(5).and_then(|flags| flags.parse::<u64>().ok()));
    state == Some("S") && flags.is_some_and(|flags| flags & PF_EXITING == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_ending_does_not_rest() {
        for (stat, is_so) in [
            ("42 (a) b) S 1 42 42 0 -1 4194560 1 2 3", true),
            ("42 (a) R 1 42 42 0 -1 4194560 1 2 3", false),
            ("42 (a) Z 1 42 42 0 -1 4194564 1 2 3", false),
            ("42 (loader) S 1 42 42 0 -1 4194564 1 2 3", false),
            ("", false),
        ] {
            assert_eq!(is_asleep(stat), is_so, "{stat}");
        }
    }
}
