//! `cargo xtask bench`: figures, and where they stand in the documentation.

mod pid1;

use clap::Subcommand;

use crate::failure::Result;

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Memory and wake-ups of the idle supervisor beside other process 1s, and how long a change of versions takes; as root
    Pid1(pid1::Arguments),
}

pub(crate) fn run(bench: &Bench) -> Result {
    match bench {
        Bench::Pid1(arguments) => pid1::run(arguments),
    }
}
