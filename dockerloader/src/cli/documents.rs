//! Completions and manual pages, made from the definitions of the arguments.

use std::path::Path;

use super::arguments::definitions;
use super::exit::Exit;
use super::failure::Failure;
use super::output;

pub(super) fn completions(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut definitions(), "dockerloader", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}

pub(super) fn manual(directory: &Path) -> Result<Exit, Failure> {
    clap_mangen::generate_to(definitions(), directory).map_err(|error| Failure::file(directory, &error))?;
    Ok(Exit::Success)
}
