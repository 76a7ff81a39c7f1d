//! Time stamps of the first and the last instruction, for measuring how long an update takes.

use std::io::Write as _;

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC`, which all processes of a machine share.
pub(crate) fn now() -> i128 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| i128::from(time.tv_sec()) * 1_000_000_000 + i128::from(time.tv_nsec()))
}

/// Appends a line to the file that `DOCKERLOADED_STAMP` names, if it does.
pub(crate) fn write(event: &str, nanoseconds: i128) {
    let Some(path) = std::env::var_os("DOCKERLOADED_STAMP").filter(|path| !path.is_empty()) else { return };
    let executable = std::env::current_exe().unwrap_or_default();
    let line = format!("{event} {nanoseconds} {} {}\n", std::process::id(), executable.display());
    let written = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        eprintln!("dockerloaded: cannot write the stamp to {}: {error}", path.display());
    }
}
