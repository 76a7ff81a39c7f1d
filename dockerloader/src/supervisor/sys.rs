//! The two things that have no safe form in the standard library: what a child does between fork and exec, and sending a
//! real-time signal. With `volume::subvolume` the only `unsafe` code of the project.
#![expect(unsafe_code, reason = "pre_exec and raw signal numbers; each use says why it is sound")]

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::sys::signal::SigSet;
use rustix::process::{Pid, Signal};

/// A program as `execve(2)` takes it.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) program: CString,
    pub(super) arguments: Vec<CString>,
    pub(super) environment: Vec<CString>,
}

/// What a child does before it becomes its program: takes the terminal if it is given one, dies with the supervisor, and
/// receives signals again. With an `image` it then executes that by `execve(2)` itself: the standard library's `execvp(3)` would
/// hand a file that the kernel refuses (ENOEXEC) to `/bin/sh`, whatever is in it (I2).
pub(super) fn prepare(command: &mut Command, mask: SigSet, terminal: Option<OwnedFd>, image: Option<Image>) {
    let supervisor = nix::unistd::getpid();
    let setup = move || {
        if let Some(terminal) = &terminal {
            // TTOU is still blocked here, so a background process may do this (`tcsetpgrp(3)`). Not fatal: the terminal
            // may have hung up meanwhile.
            let _ = nix::unistd::tcsetpgrp(terminal, nix::unistd::getpid());
        }
        // Follows the thread that forked (`prctl(2)`): the supervisor has only its main one. Dropped by set-user-ID programs.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        if nix::unistd::getppid() != supervisor {
            // The supervisor died between fork and prctl.
            return Err(std::io::Error::from_raw_os_error(nix::errno::Errno::ESRCH as i32));
        }
        mask.thread_set_mask()?;
        match &image {
            None => Ok(()),
            Some(image) => {
                let Err(error) = nix::unistd::execve(&image.program, &image.arguments, &image.environment);
                Err(error.into())
            }
        }
    };
    // SAFETY: the closure makes system calls that are async-signal-safe (ioctl, prctl, getppid, sigprocmask, execve) and touches
    // no lock. execve's list of pointers is allocated, which is sound because the supervisor has one thread: no other can
    // have held the allocator's lock at the fork.
    unsafe {
        command.pre_exec(setup);
    }
}

/// Sends signal `number` to one process, or to a process group. Gone is as good as signalled.
pub(super) fn send(target: Target, number: i32) {
    if !(1..=64).contains(&number) {
        return;
    }
    // SAFETY: the number is one that the kernel knows, and it is only passed to kill(2). rustix keeps the real-time ones from
    // safe code for the sake of libcs that use some of them inside a process; those are never received here.
    let signal = unsafe { Signal::from_raw_unchecked(number) };
    let sent = match target {
        Target::Process(pid) => rustix::process::kill_process(pid, signal),
        Target::Group(pid) => rustix::process::kill_process_group(pid, signal),
    };
    if let Err(error) = sent
        && error != rustix::io::Errno::SRCH
    {
        tracing::debug!(event = "signal_failed", signal = number, "{error}");
    }
}

/// Whom a signal is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    Process(Pid),
    Group(Pid),
}
