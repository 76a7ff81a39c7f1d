//! Processes, as `/proc` shows them.
#![expect(clippy::disallowed_methods, reason = "a test starts programs")]

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};

/// The code as a shell would report it: 0..=255, or 128+n for signal n.
///
/// # Panics
/// When the process has neither exited nor been killed.
pub fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).expect("an end")
}

/// Sends any signal, real-time ones included, to one process. It may be gone.
///
/// # Panics
/// When no shell can be started.
pub fn signal(pid: i32, number: i32) {
    Command::new("/bin/sh")
        .args(["-c", &format!("kill -{number} {pid}")])
        .stderr(Stdio::null())
        .status()
        .expect("a shell");
}

/// The children of a process, zombies among them, oldest first.
pub fn children(pid: i32) -> Vec<i32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// All that descend from a process, as far as one look can tell.
pub fn descendants(pid: i32) -> Vec<i32> {
    let mut found = children(pid);
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        found.extend(children(pid));
        next += 1;
    }
    found
}

/// A field of `/proc/PID/status`, for example `SigBlk`; `None` when the process is gone.
pub fn status_field(pid: i32, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
}

/// The letter of a process's state: `S`, `Z`, `T`, ...; `None` when it is gone.
pub fn state(pid: i32) -> Option<char> {
    status_field(pid, "State")?.chars().next()
}

/// Whether a process is there and runs: neither gone nor a zombie.
pub fn is_alive(pid: i32) -> bool {
    state(pid).is_some_and(|state| state != 'Z')
}

/// How many of those below a process are zombies.
pub fn zombies(pid: i32) -> usize {
    descendants(pid).into_iter().filter(|pid| state(*pid) == Some('Z')).count()
}

/// The fields of `/proc/PID/stat` after the name: state, parent, group, session, terminal, foreground group, ...
///
/// # Panics
/// When the process is gone.
pub fn stat(pid: i32) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let (_, fields) = text.rsplit_once(") ").expect("a name in brackets");
    fields.split_ascii_whitespace().map(str::to_owned).collect()
}
