//! System calls, counted by strace.

use std::path::Path;
use std::process::Command;

use tests::programs::installed;

/// How often these happen depends on who waits for whom, and not on the work.
const WAITING: &[&str] = &[
    "futex",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "poll",
    "ppoll",
    "sched_yield",
    "restart_syscall",
    "nanosleep",
    "clock_nanosleep",
    "madvise",
    "mprotect",
    "mmap",
    "munmap",
    "brk",
    "recvfrom",
    "recvmsg",
];

/// strace, counting into a file; `None` where it isn't installed.
pub(crate) fn counting(into: &Path) -> Option<Command> {
    let mut strace = Command::new(installed("strace")?);
    strace.args(["-f", "-c", "-o"]).arg(into).arg("--");
    Some(strace)
}

/// The system calls in a summary, without those that wait.
pub(crate) fn total(summary: &str) -> u64 {
    sum(summary, |name| !WAITING.contains(&name))
}

/// How often somebody looked whether there is something on a socket, or waited for it.
pub(crate) fn looks_at_sockets(summary: &str) -> u64 {
    sum(summary, |name| name.starts_with("epoll_"))
}

fn sum(summary: &str, counts: impl Fn(&str) -> bool) -> u64 {
    // % time, seconds, µs a call, calls, errors where there were any, name.
    let calls = |line: &str| {
        let words = line.split_whitespace().collect::<Vec<_>>();
        let (name, number) = (words.last()?, words.get(3)?.parse::<u64>().ok()?);
        (*name != "total" && counts(name)).then_some(number)
    };
    summary.lines().filter_map(calls).sum()
}

#[test]
fn a_summary_is_read() {
    let summary = "% time     seconds  usecs/call     calls    errors syscall\n\
        ------ ----------- ----------- --------- --------- ----------------\n \
        60.00    0.000600           6       100           openat\n \
        30.00    0.000300           3        90        10 futex\n \
        10.00    0.000100           3        20         2 mkdirat\n\
        ------ ----------- ----------- --------- --------- ----------------\n\
        100.00    0.001000                   210        12 total\n";
    assert_eq!(total(summary), 120);
}
