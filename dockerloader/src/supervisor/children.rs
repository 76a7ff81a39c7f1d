//! Starting, reaping and counting children. The supervisor is one thread, and the only one that waits, so no status is ever
//! stolen.

use std::collections::BTreeSet;
use std::io;

use rustix::process::{Pid, WaitOptions, wait};

use super::exit::Exit;
use super::sys::{Target, send};

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
const SIGCONT: i32 = 18;

/// Rounds in which whatever is left is killed: each ends one process at least.
const ROUNDS: usize = 100_000;

/// Ends all children and those who become ours by that: for a supervisor that can't go on. A process 1 need not, since the kernel
/// ends its whole namespace with it.
pub(super) fn end_all() {
    if nix::unistd::getpid().as_raw() == 1 {
        return;
    }
    for _ in 0..ROUNDS {
        for pid in listed().unwrap_or_default() {
            send(Target::Process(pid), SIGKILL);
            send(Target::Group(pid), SIGKILL);
        }
        match wait(WaitOptions::empty()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // Nobody is left.
            Err(_) => return,
        }
    }
}

/// All children.
fn listed() -> io::Result<Vec<Pid>> {
    let own = nix::unistd::gettid();
    let list = std::fs::read_to_string(format!("/proc/self/task/{own}/children"))?;
    Ok(list.split_ascii_whitespace().filter_map(|word| word.parse().ok().and_then(Pid::from_raw)).collect())
}

/// The processes that the supervisor knows by name.
#[derive(Debug, Default)]
pub(super) struct Children {
    /// The application's main process, which leads its group.
    pub(super) app: Option<Pid>,
    /// The group of the application that runs or ran last; it outlives its leader.
    pub(super) group: Option<Pid>,
    pub(super) helper: Option<Pid>,
    /// Who was asked to stop in this sweep.
    swept: BTreeSet<i32>,
}

/// What a round of reaping found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reaped {
    pub(super) app: Option<Exit>,
    pub(super) helper: Option<Exit>,
    /// Other processes: orphans of the application.
    pub(super) orphans: usize,
}

impl Children {
    /// Waits for everybody who has ended, and for nobody else.
    pub(super) fn reap(&mut self) -> Reaped {
        let mut reaped = Reaped::default();
        // SIGCHLD is not counted by the kernel: one may stand for many.
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let exit = match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Exit::Code(code),
                (None, Some(signal)) => Exit::Signal(signal),
                (None, None) => continue,
            };
            if self.app == Some(pid) {
                self.app = None;
                reaped.app = Some(exit);
            } else if self.helper == Some(pid) {
                self.helper = None;
                reaped.helper = Some(exit);
            } else {
                reaped.orphans = reaped.orphans.saturating_add(1);
            }
        }
        reaped
    }

    /// Whether no process of the application is left. Every process below the supervisor is its child or the descendant of one,
    /// so no child but the helper means that the tree is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.app.is_none() && self.others().is_ok_and(|others| others.is_empty())
    }

    /// All children but the helper.
    fn others(&self) -> io::Result<Vec<Pid>> {
        Ok(listed()?.into_iter().filter(|pid| self.helper != Some(*pid)).collect())
    }

    /// Whether `/proc/<pid>/task/<tid>/children` can be read; without it (`CONFIG_PROC_CHILDREN`, or no `/proc`) orphans can't
    /// be told from the helper.
    pub(super) fn can_be_listed(&self) -> bool {
        self.others().is_ok()
    }

    /// A new sweep begins.
    pub(super) fn begin_sweep(&mut self) {
        self.swept.clear();
    }

    /// TERM, and CONT for the stopped ones, to the application's group and to each of its orphans, once a sweep.
    pub(super) fn ask_all_to_stop(&mut self) {
        for pid in self.others().unwrap_or_default() {
            if self.swept.insert(pid.as_raw_nonzero().get()) {
                send(Target::Process(pid), SIGTERM);
                send(Target::Process(pid), SIGCONT);
            }
        }
        if let Some(group) = self.group
            && self.swept.insert(group.as_raw_nonzero().get().saturating_neg())
        {
            self.to_group(SIGTERM);
            self.to_group(SIGCONT);
        }
    }

    /// KILL to the application's group and to each child but the helper. Called again after each reaping, since the death of a
    /// parent makes its children ours.
    pub(super) fn kill_all(&self) {
        self.to_group(SIGKILL);
        for pid in self.others().unwrap_or_default() {
            send(Target::Process(pid), SIGKILL);
        }
    }

    /// A signal to the application's group.
    pub(super) fn to_group(&self, signal: i32) {
        // A group whose leader was reaped may still have members; its number is not reused while it has.
        if let Some(group) = self.group {
            send(Target::Group(group), signal);
        }
    }

    /// Ends the helper. It may be killed at any time: what it does resumes.
    pub(super) fn kill_helper(&self) {
        if let Some(pid) = self.helper {
            send(Target::Group(pid), SIGKILL);
        }
    }
}
