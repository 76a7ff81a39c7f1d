//! The things that have no safe form in the standard library: what a child does between fork and exec, and sending a
//! real-time signal. The only `unsafe` code of the project.
#![expect(unsafe_code, reason = "pre_exec and raw signal numbers; each use says why it is sound")]

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::sys::signal::SigSet;
use rustix::process::{Pid, Signal};

/// What a child does before it becomes its program: takes the terminal if it is given one, dies with the supervisor, and
/// receives signals again.
pub(super) fn prepare(command: &mut Command, mask: SigSet, terminal: Option<OwnedFd>) {
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
            return Err(io::Error::from_raw_os_error(nix::errno::Errno::ESRCH as i32));
        }
        mask.thread_set_mask()?;
        Ok(())
    };
    // SAFETY: the closure only makes system calls that are async-signal-safe (ioctl, prctl, getppid, sigprocmask), allocates
    // nothing and touches no lock.
    unsafe {
        command.pre_exec(setup);
    }
}

/// Has the child execute exactly its file. The standard library calls `execvp(3)`, which hands to `/bin/sh` what the kernel
/// refuses: a program of another architecture would be run as a script. To be called last.
///
/// # Errors
/// An argument or a variable holds a NUL.
pub(super) fn execute_exactly(command: &mut Command) -> io::Result<()> {
    let mut variables: BTreeMap<_, _> = std::env::vars_os().collect();
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => variables.insert(name.to_owned(), value.to_owned()),
            None => variables.remove(name),
        };
    }
    let environment = variables
        .iter()
        .map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()))
        .collect::<Result<Vec<_>, _>>()?;
    let program = CString::new(command.get_program().as_bytes())?;
    let arguments = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|argument| CString::new(argument.as_bytes()))
        .collect::<Result<Vec<_>, _>>()?;
    let execute = move || match nix::unistd::execve(&program, &arguments, &environment) {
        Ok(never) => match never {},
        Err(errno) => Err(errno.into()),
    };
    // SAFETY: execve(2) is async-signal-safe. The two arrays of pointers that it is given are allocated after the fork, which
    // is sound since the supervisor has one thread: nobody else can have held the allocator's lock.
    unsafe {
        command.pre_exec(execute);
    }
    Ok(())
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
