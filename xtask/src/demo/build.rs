//! The binaries, as they are shipped.

use std::path::PathBuf;

use crate::failure::{Failure, Result};
use crate::workspace::{cargo, target};

/// Paths of the supervisor and of the example application.
#[derive(Debug)]
pub(super) struct Binaries {
    pub(super) loader: PathBuf,
    pub(super) app: PathBuf,
}

/// Builds both. One after the other: built together, the application would link the library with the supervisor's features.
pub(super) fn build(debug: bool) -> Result<Binaries> {
    let loader = &["--package", "dockerloader", "--features", "loader", "--bin", "dockerloader"];
    Ok(Binaries {
        loader: binary(debug, "dockerloader", loader)?,
        app: binary(debug, "dockerloaded", &["--package", "dockerloaded"])?,
    })
}

/// Builds the device manager.
pub(crate) fn deviced(debug: bool) -> Result<PathBuf> {
    binary(debug, "deviced", &["--package", "deviced"])
}

fn binary(debug: bool, name: &str, arguments: &[&str]) -> Result<PathBuf> {
    let (profile, directory) = if debug { ("dev", "debug") } else { ("release", "release") };
    cargo().args(["build", "--profile", profile]).arg("--target-dir", target()).args(arguments).run()?;
    let binary = target().join(directory).join(name);
    if binary.is_file() {
        Ok(binary)
    } else {
        Err(Failure::new(format!("cargo built no {}", binary.display())))
    }
}
