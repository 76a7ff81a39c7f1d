//! Where things are.

use std::path::{Path, PathBuf};

use crate::call::Call;
use crate::failure::{Failure, Result};

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// `cargo`, in the root of the repository.
pub(crate) fn cargo() -> Call {
    let call = Call::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())).in_directory(root());
    // Set by the cargo that runs this; build scripts that look at it would run again each time.
    call.without_env("CARGO_MANIFEST_DIR")
}

/// The machine's own target triple.
pub(crate) fn host_triple() -> Result<String> {
    let version = Call::new("rustc").args(["--version", "--verbose"]).read()?;
    let triple = version.lines().find_map(|line| line.strip_prefix("host: "));
    triple.map(str::to_owned).ok_or_else(|| Failure::new("rustc doesn't name its host"))
}

/// Where cargo keeps what it downloads and installs.
pub(crate) fn cargo_home() -> PathBuf {
    let default = || std::env::home_dir().unwrap_or_default().join(".cargo");
    std::env::var_os("CARGO_HOME").map_or_else(default, PathBuf::from)
}

/// The full path of a program. Directories of administrators and of cargo count, though not everybody has them in `PATH`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin".into(), "/sbin".into(), cargo_home().join("bin")];
    std::env::split_paths(&path)
        .chain(more)
        .map(|directory| directory.join(name))
        .find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}
