//! What a bad application does to its supervisor.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

/// First argument of a child that leaves a sleeping grandchild in a session of its own.
const ORPHAN: &str = "--orphan";
/// First argument of a child that sleeps.
const SLEEP: &str = "--sleep";

/// Runs this process as one of the children below, if it was started as one.
pub(crate) fn run_as_child() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let (role, milliseconds) = (arguments.next()?, arguments.next());
    let milliseconds = milliseconds.unwrap_or_default();
    match role.as_str() {
        ORPHAN => {
            let left = nix::unistd::setsid().is_ok() && start(&[SLEEP, &milliseconds]).is_ok();
            Some(if left { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        SLEEP => {
            std::thread::sleep(Duration::from_millis(milliseconds.parse().unwrap_or(0)));
            Some(ExitCode::SUCCESS)
        }
        _ => None,
    }
}

/// Leaves `count` grandchildren to whoever adopts them; each lives for `life`.
pub(crate) fn orphans(count: u32, life: Duration) -> io::Result<()> {
    let milliseconds = life.as_millis().to_string();
    for _ in 0..count {
        start(&[ORPHAN, &milliseconds])?.wait()?;
    }
    Ok(())
}

/// Starts `count` children that end at once, and never waits for them.
pub(crate) fn zombies(count: u32) -> io::Result<()> {
    (0..count).try_for_each(|_| start(&[SLEEP, "0"]).map(drop))
}

#[expect(clippy::disallowed_methods, reason = "an application may have children; these try the supervisor")]
fn start(arguments: &[impl AsRef<OsStr>]) -> io::Result<Child> {
    Command::new(std::env::current_exe()?).args(arguments).stdin(Stdio::null()).spawn()
}

/// Writes `lines` lines of 100 bytes to stdout and to stderr.
pub(crate) fn spam(lines: u32) -> io::Result<()> {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    for number in 0..lines {
        writeln!(out, "{number:>8} {}", "o".repeat(90))?;
        writeln!(err, "{number:>8} {}", "e".repeat(90))?;
    }
    Ok(())
}

/// Dies by the signal, else exits with the code.
pub(crate) fn die(signal: Option<Signal>, exit_code: u8) -> ! {
    match signal {
        None => std::process::exit(exit_code.into()),
        // More than once: Rust's own SIGSEGV handler only steps aside at the first.
        Some(signal) => loop {
            if nix::sys::signal::raise(signal).is_err() {
                std::process::abort();
            }
        },
    }
}

/// Does nothing for ever.
pub(crate) fn hang() -> ! {
    loop {
        std::thread::park();
    }
}
