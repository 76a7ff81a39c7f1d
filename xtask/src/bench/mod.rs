//! `cargo xtask bench`: figures, and where they stand in the documentation.

mod machine;
mod section;

mod measure;
mod pull;

mod sizes;

use clap::Subcommand;

use crate::failure::Result;

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Pull and extract beside docker pull and skopeo with umoci; as root, since owners are restored
    Pull(pull::Arguments),
    /// How big the supervisor is, and what an application gets by linking the library
    Sizes,
}

pub(crate) fn run(bench: &Bench) -> Result {
    match bench {
        Bench::Pull(arguments) => pull::run(arguments),
        Bench::Sizes => sizes::run(),
    }
}
