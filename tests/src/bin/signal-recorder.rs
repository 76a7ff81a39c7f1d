//! Writes down which signals reach it: `signal-recorder FILE` appends a line `ready`, then one line with the number of each
//! signal. SIGQUIT ends it with code 7.

use std::fs::File;
use std::io::Write as _;

use nix::sys::signal::SigSet;
use nix::sys::signalfd::SignalFd;

const SIGQUIT: u32 = 3;

fn main() -> std::io::Result<()> {
    let path = std::env::args_os().nth(1).unwrap_or_default();
    let mut file = File::options().append(true).create(true).open(path)?;
    // All that the C library leaves to programs, real-time signals included.
    let all = SigSet::all();
    all.thread_block()?;
    let signals = SignalFd::new(&all)?;
    writeln!(file, "ready")?;
    while let Some(signal) = signals.read_signal()? {
        writeln!(file, "{}", signal.ssi_signo)?;
        if signal.ssi_signo == SIGQUIT {
            std::process::exit(7);
        }
    }
    Ok(())
}
