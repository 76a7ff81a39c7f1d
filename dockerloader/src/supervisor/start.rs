//! Starts the application and the helpers.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, killpg};
use rustix::process::Pid;

use super::machine::Helper;
use super::sys::{Image, prepare};
use crate::control::{CONTROL_VARIABLE, GENERATION_VARIABLE, TRIAL_VARIABLE};
use crate::launch::Launch;
use crate::tree::Depth;

/// Where the image's root is, for the application.
const IMAGE_ROOT_VARIABLE: &str = "DOCKERLOADER_IMAGE_ROOT";
/// Where this program is, for applications that call its commands.
const BINARY_VARIABLE: &str = "DOCKERLOADER_BINARY";
/// Where `sd_notify(3)` sends to.
const NOTIFY_VARIABLE: &str = "NOTIFY_SOCKET";

/// What an application is started with.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) tree: PathBuf,
    pub(super) launch: &'a Launch,
    pub(super) trial: bool,
    pub(super) generation: &'a str,
    pub(super) control: &'a str,
    pub(super) notify: &'a str,
    pub(super) own_mask: SigSet,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
}

/// The environment of an application: the image's, over it the operator's, over it the supervisor's own words. Pure.
pub(super) fn environment(
    plan: &Plan<'_>,
    operator: &crate::config::Environment,
    binary: &Path,
) -> Vec<(String, String)> {
    let is_ours = |name: &str| {
        [
            CONTROL_VARIABLE,
            GENERATION_VARIABLE,
            TRIAL_VARIABLE,
            IMAGE_ROOT_VARIABLE,
            BINARY_VARIABLE,
            NOTIFY_VARIABLE,
        ]
        .contains(&name)
    };
    let image =
        plan.launch.environment.iter().filter(|(name, _)| !is_ours(name) && !operator.contains_key(name));
    let mut all: Vec<_> = image.cloned().collect();
    let ours = [
        (CONTROL_VARIABLE, plan.control.to_owned()),
        (GENERATION_VARIABLE, plan.generation.to_owned()),
        (IMAGE_ROOT_VARIABLE, plan.tree.display().to_string()),
        (BINARY_VARIABLE, binary.display().to_string()),
        (NOTIFY_VARIABLE, plan.notify.to_owned()),
    ];
    all.extend(ours.map(|(name, value)| (name.to_owned(), value)));
    if plan.trial {
        all.push((TRIAL_VARIABLE.to_owned(), "1".to_owned()));
    }
    all
}

/// Starts the application in its own process group, which gets the terminal if the supervisor has it.
///
/// # Errors
/// The error of `fork(2)` or `execve(2)`.
pub(super) fn application(
    plan: Plan<'_>,
    operator: &crate::config::Environment,
    binary: &Path,
) -> io::Result<Pid> {
    let program = plan.tree.join(&plan.launch.program);
    let image = image(&program, &plan, environment(&plan, operator, binary))?;
    let mut command = Command::new(&program);
    command.process_group(0);
    if let Some(directory) = &plan.launch.working_directory {
        let directory = plan.tree.join(directory);
        if directory.is_dir() {
            command.current_dir(directory);
        } else {
            tracing::warn!(
                event = "no_working_directory",
                "{} is not there; starting in /",
                directory.display()
            );
        }
    }
    if let Some(stdout) = plan.stdout {
        command.stdout(Stdio::from(stdout));
    }
    if let Some(stderr) = plan.stderr {
        command.stderr(Stdio::from(stderr));
    }
    prepare(&mut command, plan.own_mask, terminal(), Some(image));
    spawn(command)
}

/// The program, its arguments and its whole environment. What is in the supervisor's own environment and not UTF-8 is passed on
/// as it is.
fn image(program: &Path, plan: &Plan<'_>, chosen: Vec<(String, String)>) -> io::Result<Image> {
    let mut all: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    all.remove(OsStr::new(TRIAL_VARIABLE));
    all.extend(chosen.into_iter().map(|(name, value)| (name.into(), value.into())));
    let text = |bytes: &OsStr| CString::new(bytes.as_bytes()).map_err(io::Error::from);
    let arguments = std::iter::once(program.as_os_str()).chain(plan.launch.arguments.iter().map(OsStr::new));
    Ok(Image {
        program: text(program.as_os_str())?,
        arguments: arguments.map(text).collect::<io::Result<_>>()?,
        environment: all
            .into_iter()
            .map(|(mut pair, value)| {
                pair.push("=");
                pair.push(value);
                text(&pair)
            })
            .collect::<io::Result<_>>()?,
    })
}

/// The controlling terminal, not whatever stdin happens to be, if it is ours to give. As a shell's background job we would
/// take it from the shell, which then reads the end of its input and exits.
fn terminal() -> Option<OwnedFd> {
    let terminal = File::options().read(true).write(true).open("/dev/tty").ok()?;
    let foreground = nix::unistd::tcgetpgrp(&terminal).ok()?;
    let is_gone = killpg(foreground, None) == Err(Errno::ESRCH);
    is_ours(foreground, nix::unistd::getpgrp(), is_gone).then(|| OwnedFd::from(terminal))
}

/// Whether the terminal may be given away: our own group has it, or one that is gone, as that of the version before.
fn is_ours(foreground: nix::unistd::Pid, own: nix::unistd::Pid, is_gone: bool) -> bool {
    foreground == own || is_gone
}

/// Starts a helper: this program again, with its answers on `stdout`.
///
/// # Errors
/// The error of `fork(2)` or `execve(2)`.
pub(super) fn helper(helper: Helper, binary: &Path, own_mask: SigSet, stdout: OwnedFd) -> io::Result<Pid> {
    let mut command = Command::new(binary);
    match helper {
        Helper::Check => command.args(["pull", "--stage", "--json"]),
        // A registry that does not answer must not keep the previous version waiting.
        Helper::Restore(digest) => command.args(["restore", "--offline", "--json", &digest.to_string()]),
        Helper::CleanUp => command.args(["gc", "--json"]),
        Helper::Verify(digest, depth) => {
            command.args(["verify", "--repair", "--offline", "--supervised", "start", "--json"]);
            command.args((depth == Depth::Full).then_some("--full")).arg(digest.to_string())
        }
        Helper::VerifyAll(depth) => {
            command.args(["verify", "--repair", "--supervised", "background", "--json"]);
            command.args((depth == Depth::Full).then_some("--full"))
        }
    };
    command.stdin(Stdio::null()).stdout(Stdio::from(stdout)).process_group(0);
    prepare(&mut command, own_mask, None, None);
    let pid = spawn(command)?;
    sacrifice(pid);
    Ok(pid)
}

/// When memory is used up, the helper is the one to be killed, and not the application: its work resumes (`proc_pid_oom_score_adj(5)`).
fn sacrifice(pid: Pid) {
    let path = format!("/proc/{}/oom_score_adj", pid.as_raw_nonzero());
    let written = File::options().write(true).open(path).and_then(|mut file| file.write_all(b"1000"));
    if let Err(error) = written {
        tracing::debug!(
            event = "no_sacrifice",
            "the kernel may kill the application before a helper: {error}"
        );
    }
}

#[expect(clippy::disallowed_methods, reason = "the supervisor is the one that spawns")]
fn spawn(mut command: Command) -> io::Result<Pid> {
    // The handle is dropped without waiting: `Children::reap` waits for everybody.
    let child = command.spawn()?;
    i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other("the kernel gave a process id that is none"))
}

/// An exec failure for people: which file, what the kernel said, and what that mostly means (`execve(2)`, "ERRORS").
pub(super) fn explain(program: &Path, error: &io::Error) -> String {
    use nix::errno::Errno;
    let hint = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT) if program.exists() => {
            "; it is there, so what is missing is its interpreter: the one of its #! line, or the dynamic loader that it was \
             linked for. Link it statically, or use a loader image that has it"
        }
        Some(Errno::EACCES) => "; it needs the executable bit, on a volume that is not mounted noexec",
        Some(Errno::ENOEXEC) => {
            "; it is no program for this machine's architecture, or a script without a #! line"
        }
        _ => "",
    };
    format!("can't execute {}: {error}{hint}", program.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_that_others_use_is_left_to_them() {
        let pid = nix::unistd::Pid::from_raw;
        for (foreground, is_gone, expected) in [(7, false, true), (8, false, false), (8, true, true)] {
            assert_eq!(is_ours(pid(foreground), pid(7), is_gone), expected, "{foreground} {is_gone}");
        }
    }

    #[test]
    fn what_the_operator_set_wins_and_the_supervisors_words_are_its_own() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let launch = Launch {
            program: "entrypoint".into(),
            environment: vec![
                pair("A", "image"),
                pair("B", "image"),
                pair("NOTIFY_SOCKET", "evil"),
                pair("DOCKERLOADER_TRIAL", "1"),
                pair("DOCKERLOADER_CONTROL", "evil"),
            ],
            ..Launch::default()
        };
        let plan = Plan {
            tree: "/t".into(),
            launch: &launch,
            trial: false,
            generation: "g",
            control: "@c",
            notify: "@n",
            own_mask: SigSet::empty(),
            stdout: None,
            stderr: None,
        };
        let operator = [pair("B", "operator")].into();
        let all = environment(&plan, &operator, Path::new("/dockerloader"));
        assert!(all.contains(&pair("A", "image")) && !all.iter().any(|(name, _)| name == "B"));
        assert!(
            all.contains(&pair("NOTIFY_SOCKET", "@n")) && all.contains(&pair("DOCKERLOADER_CONTROL", "@c"))
        );
        assert!(!all.iter().any(|(name, value)| name == "DOCKERLOADER_TRIAL" || value == "evil"));
        let on_trial = environment(&Plan { trial: true, ..plan }, &operator, Path::new("/dockerloader"));
        assert!(on_trial.contains(&pair("DOCKERLOADER_TRIAL", "1")));
    }
}
