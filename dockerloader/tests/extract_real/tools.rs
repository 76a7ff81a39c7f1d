//! The programs that make images and unpack them, and what happens when one is not there.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// Whether all `programs` can be run, as root. When not: a failure where tools are required (`CI`, or
/// `DOCKERLOADER_REQUIRE_TOOLS=1`), else a line that says what was not compared.
pub(crate) fn have(what: &str, programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = |name: &str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    let missing: Vec<&str> = programs.iter().copied().filter(|name| !found(name)).collect();
    if !missing.is_empty() {
        return absent(what, &format!("not installed: {}", missing.join(", ")));
    }
    if !rustix::process::geteuid().is_root() {
        return absent(what, "owners and devices need root");
    }
    true
}

/// Whether a Docker daemon answers.
pub(crate) fn have_docker(what: &str) -> bool {
    let answers = || status(Command::new("docker").arg("info").stdout(Stdio::null()).stderr(Stdio::null()));
    have(what, &["docker"]) && (answers() || absent(what, "no Docker daemon answers"))
}

fn absent(what: &str, why: &str) -> bool {
    let required = std::env::var_os("CI").is_some()
        || std::env::var("DOCKERLOADER_REQUIRE_TOOLS").is_ok_and(|value| value == "1");
    assert!(!required, "{what} cannot be compared: {why}");
    println!("{what}: not compared: {why}");
    false
}

#[expect(clippy::disallowed_methods, reason = "the tools to compare with are programs")]
fn status(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}

/// Runs a program to its end and returns what it printed.
#[expect(clippy::disallowed_methods, reason = "the tools to compare with are programs")]
pub(crate) fn run(program: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
    let mut command = Command::new(program);
    command.args(arguments).env("DOCKER_BUILDKIT", "0").stdin(Stdio::null());
    let output = command.output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
