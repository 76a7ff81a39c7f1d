//! Static binaries and the images made of them.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::docker::Docker;
use crate::failure::{Context as _, Failure, Result};
use crate::workspace::{cargo, host_triple, root, target};

/// The machine's own certificate authorities, which go into the image.
const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

#[derive(Debug, Args)]
pub(crate) struct ImageArguments {
    /// Name of the image
    #[arg(long, default_value = "dockerloader:latest")]
    tag: String,
    /// Only fill this directory, for `docker build --file Dockerfile DIRECTORY` or any other builder
    #[arg(long, value_name = "DIRECTORY")]
    context: Option<PathBuf>,
}

/// `cargo xtask image`.
pub(crate) fn build_for_release(arguments: &ImageArguments) -> Result {
    if let Some(context) = &arguments.context {
        std::fs::create_dir_all(context).context(format_args!("make {}", context.display()))?;
        return fill_loader_context(context, &build_loader()?);
    }
    // One that is started for this would take the image with it.
    let docker = Docker::find().ok_or_else(|| {
        Failure::new(
            "no Docker daemon answers: start one, or prepare the build with --context DIRECTORY and run on another machine: \
             docker build --file Dockerfile --tag dockerloader DIRECTORY",
        )
    })?;
    let binary = build_loader()?;
    let context = tempfile::tempdir().context("make a temporary directory")?;
    fill_loader_context(context.path(), &binary)?;
    docker.build(&arguments.tag, None, &root().join("Dockerfile"), context.path())?;
    println!("{}", docker.call(["image", "ls", &arguments.tag]).read()?);
    Ok(())
}

/// The static binary of the supervisor.
pub(crate) fn build_loader() -> Result<PathBuf> {
    build_static(&["--package", "dockerloader", "--features", "loader"], "dockerloader")
}

/// The supervisor as tests use it: quickly built, and slow.
pub(crate) fn build_debug_loader() -> Result<PathBuf> {
    let binary = ["--package", "dockerloader", "--features", "loader", "--bin", "dockerloader"];
    cargo().args(["build", "--quiet"]).args(binary).arg("--target-dir", target()).run()?;
    Ok(target().join("debug/dockerloader"))
}

/// The static binary of the example application, built by itself so that it has the library's default features.
pub(crate) fn build_app() -> Result<PathBuf> {
    build_static(&["--package", "dockerloaded"], "dockerloaded")
}

/// Fills the build context of `Dockerfile`.
pub(crate) fn fill_loader_context(context: &Path, binary: &Path) -> Result {
    copy(binary, &context.join("dockerloader"))?;
    copy(Path::new(ROOTS), &context.join("ca-certificates.crt"))?;
    let (directory, link) = (context.join("bin"), context.join("bin/cli"));
    std::fs::create_dir_all(&directory).context(format_args!("make {}", directory.display()))?;
    match std::fs::remove_file(&link) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => std::os::unix::fs::symlink("/dockerloader", &link),
    }
    .context(format_args!("make the link {}", link.display()))
}

/// Fills the build context of `fixtures/images/app/Dockerfile`, which is copied into it.
pub(crate) fn fill_app_context(context: &Path, binary: &Path) -> Result {
    std::fs::create_dir(context).context(format_args!("make {}", context.display()))?;
    copy(binary, &context.join("dockerloaded"))?;
    for name in ["Dockerfile", "app.env"] {
        copy(&root().join("fixtures/images/app").join(name), &context.join(name))?;
    }
    Ok(())
}

/// Builds a binary that needs no library at run time. Naming the target keeps the flag from build scripts and macros.
fn build_static(arguments: &[&str], name: &str) -> Result<PathBuf> {
    let triple = host_triple()?;
    let flags = format!("{} -C target-feature=+crt-static", std::env::var("RUSTFLAGS").unwrap_or_default());
    cargo()
        .args(["build", "--quiet", "--release", "--bin", name, "--target", &triple])
        .arg("--target-dir", target())
        .args(arguments)
        .env("RUSTFLAGS", flags.trim())
        .run()?;
    let binary = target().join(triple).join("release").join(name);
    if binary.is_file() {
        Ok(binary)
    } else {
        Err(Failure::new(format!("cargo built no {}", binary.display())))
    }
}

fn copy(from: &Path, to: &Path) -> Result {
    std::fs::copy(from, to).map(|_| ()).context(format_args!("copy {} to {}", from.display(), to.display()))
}
