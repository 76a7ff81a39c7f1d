//! The programs under test, and those of the system that some tests need.

use std::path::{Path, PathBuf};

/// Makes the absence of a tool a failure instead of a reason to skip.
const REQUIRE_TOOLS: &str = "DOCKERLOADER_REQUIRE_TOOLS";

/// A binary of this workspace. It is built together with the tests by `cargo nextest run --workspace --all-features`, and
/// by `cargo build --workspace --all-features`, which a run of this package alone has to be preceded by.
///
/// # Panics
/// When it is not there.
pub fn built(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the path of this test");
    let folder = own.ancestors().nth(2).expect("target/debug/deps/test");
    let path = folder.join(name);
    assert!(path.is_file(), "{} is not built: cargo build --workspace --all-features", path.display());
    path
}

/// A program of the system; `None`, with a word on standard error, when the test that needs it has to be skipped.
///
/// # Panics
/// When it is not installed and `DOCKERLOADER_REQUIRE_TOOLS=1` asks for it.
pub fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Where the system keeps it comes first: wrappers in a home directory take their time.
    let system = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let found = system
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    if found.is_none() {
        skip(&format!("{name} is not installed"));
    }
    found
}

/// Says why a test is skipped.
///
/// # Panics
/// When `DOCKERLOADER_REQUIRE_TOOLS=1` allows no test to be skipped.
pub fn skip(reason: &str) {
    assert!(
        std::env::var_os(REQUIRE_TOOLS).is_none_or(|value| value != "1"),
        "{REQUIRE_TOOLS}=1, but {reason}"
    );
    eprintln!("skipped: {reason}");
}

/// A path as text, for scripts.
///
/// # Panics
/// When it is not UTF-8.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
