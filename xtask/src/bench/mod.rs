//! `cargo xtask bench`: figures, and where they stand in the documentation.

mod machine;
mod section;

mod measure;
mod pull;

mod pid1;

mod sizes;

use clap::Subcommand;

use crate::failure::Result;

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Memory and wake-ups of the idle supervisor beside other process 1s, and how long a change of versions takes; as root
    Pid1(pid1::Arguments),
    /// Pull and extract beside docker pull and skopeo with umoci; as root, since owners are restored
    Pull(pull::Arguments),
    /// How big the supervisor is, and what an application gets by linking the library
    Sizes,
}

pub(crate) fn run(bench: &Bench) -> Result {
    match bench {
        Bench::Pid1(arguments) => pid1::run(arguments),
        Bench::Pull(arguments) => pull::run(arguments),
        Bench::Sizes => sizes::run(),
    }
}
