//! `cargo xtask model`: the model of the protocol, which is a test of the library that prints its figures.

use std::process::ExitCode;

use clap::Args;

use crate::failure::Result;
use crate::workspace::cargo;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Visit the nearest states of each scope only
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let call = cargo().args(["test", "--package", "dockerloader", "--all-features", "--lib"]);
    let call = call.args(["machine::model::", "--", "--no-capture", "--test-threads=1"]);
    call.env("DOCKERLOADER_MODEL", if arguments.quick { "quick" } else { "full" }).run()?;
    Ok(ExitCode::SUCCESS)
}
