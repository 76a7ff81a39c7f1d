//! The real program, with and without a scripted supervisor.
#![expect(clippy::disallowed_methods, reason = "a test starts the program and looks at how it ends")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use dockerloader::control::{Reply, Request};
use dockerloader::digest::Digest;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const DIGEST: Digest = Digest::from_bytes([7; 32]);

fn program(environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dockerloaded"));
    command.env_clear().envs(environment.iter().copied()).stdin(Stdio::null());
    command
}

/// Runs to the end: status, stdout, stderr.
fn run(environment: &[(&str, &str)]) -> (ExitStatus, String, String) {
    let output = program(environment).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status, text(&output.stdout), text(&output.stderr))
}

/// A supervisor that answers until the program is gone; gives back what it was asked.
fn supervisor(directory: &tempfile::TempDir, check: Reply) -> (String, JoinHandle<Vec<Request>>) {
    let path = directory.path().join("control");
    let listener = UnixListener::bind(&path).unwrap();
    let thread = std::thread::spawn(move || {
        let mut asked = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            if line == "end\n" {
                return asked;
            }
            let request: Request = serde_json::from_str(&line).unwrap();
            let reply = match &request {
                Request::Ready { .. } => Reply::Committed { digest: DIGEST },
                Request::Check { .. } => check.clone(),
                Request::Extend { milliseconds, .. } => Reply::Extended { milliseconds: *milliseconds },
                other => panic!("{other:?}"),
            };
            asked.push(request);
            // The program may have ended meanwhile.
            let _ = writeln!(stream, "{}", serde_json::to_string(&reply).unwrap());
        }
    });
    (path.to_str().unwrap().to_owned(), thread)
}

fn asked(address: &str, supervisor: JoinHandle<Vec<Request>>) -> Vec<Request> {
    std::os::unix::net::UnixStream::connect(address).unwrap().write_all(b"end\n").unwrap();
    supervisor.join().unwrap()
}

#[test]
fn a_staged_version_ends_it_with_42_watched_or_not() {
    for mode in ["good", "loop", "once", "ready-twice"] {
        let directory = tempfile::tempdir().unwrap();
        let (address, supervisor) = supervisor(&directory, Reply::Staged { digest: DIGEST });
        let stamp = directory.path().join("stamp");
        let (status, stdout, stderr) = run(&[
            ("DOCKERLOADER_CONTROL", &address),
            ("DOCKERLOADER_GENERATION", "g1"),
            ("DOCKERLOADER_TRIAL", "1"),
            ("DOCKERLOADED_VERSION", "1.0"),
            ("DOCKERLOADED_MODE", mode),
            ("DOCKERLOADED_STAMP", stamp.to_str().unwrap()),
        ]);
        assert_eq!(status.code(), Some(42), "{mode}: {stdout}{stderr}");
        assert!(stdout.starts_with("Version: 1.0\ntrial mode: true\n"), "{mode}: {stdout}");
        assert!(
            stderr.contains("trial successful") && stderr.contains("update available"),
            "{mode}: {stderr}"
        );
        let asked = asked(&address, supervisor);
        assert_eq!(asked[0], Request::Ready { generation: Some("g1".into()) }, "{mode}");
        assert!(asked.contains(&Request::Check { generation: Some("g1".into()) }), "{mode}: {asked:?}");
        let stamps = std::fs::read_to_string(stamp).unwrap();
        let events: Vec<_> = stamps.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(events.first(), Some(&"start"), "{mode}");
        assert_eq!(events.contains(&"exit"), mode != "loop", "in a loop the library exits: {mode}");
    }
}

#[test]
fn a_failed_check_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let failed =
        Reply::CheckFailed { error: "no such host".into(), remedy: dockerloader::remedy::Remedy::Later };
    let (address, supervisor) = supervisor(&directory, failed);
    let (status, _, stderr) = run(&[("DOCKERLOADER_CONTROL", &address), ("DOCKERLOADED_MODE", "once")]);
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("could not check for updates: no such host"), "{stderr}");
    asked(&address, supervisor);
}

#[test]
fn a_slow_migration_asks_for_time() {
    let directory = tempfile::tempdir().unwrap();
    let (address, supervisor) = supervisor(&directory, Reply::UpToDate { digest: DIGEST });
    let (status, _, stderr) = run(&[
        ("DOCKERLOADER_CONTROL", &address),
        ("DOCKERLOADER_TRIAL", "1"),
        ("DOCKERLOADED_MODE", "slow,extend,once"),
        ("DOCKERLOADED_SLOW_MS", "20"),
    ]);
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("already running the latest version"), "{stderr}");
    let asked = asked(&address, supervisor);
    let extended = asked.iter().take_while(|request| matches!(request, Request::Extend { .. })).count();
    assert_eq!(extended, 10, "all before ready: {asked:?}");
}

#[test]
fn each_way_to_end_ends_so() {
    let (status, _, stderr) = run(&[("FAIL_INIT", "1"), ("DOCKERLOADED_EXIT_CODE", "9")]);
    assert_eq!(status.code(), Some(9));
    assert!(stderr.contains("intentional failure for testing"), "{stderr}");
    for (environment, code, signal) in [
        (&[("DOCKERLOADED_MODE", "crash"), ("DOCKERLOADED_SIGNAL", "SIGSEGV")][..], None, Some(11)),
        (&[("DOCKERLOADED_MODE", "crash"), ("DOCKERLOADED_SIGNAL", "SIGKILL")], None, Some(9)),
        (&[("DOCKERLOADED_MODE", "crash")], Some(1), None),
        (&[("DOCKERLOADED_MODE", "exit-42")], Some(42), None),
        (&[("DOCKERLOADED_MODE", "exit-0")], Some(0), None),
        (&[("DOCKERLOADED_MODE", "zombies,spam,exit-0"), ("DOCKERLOADED_SPAM_LINES", "10")], Some(0), None),
        (&[("DOCKERLOADED_MODE", "odd")], Some(1), None),
    ] {
        let (status, stdout, stderr) = run(environment);
        assert_eq!((status.code(), status.signal()), (code, signal), "{environment:?}: {stdout}{stderr}");
    }
}

#[test]
fn sigterm_ends_it_with_0_unless_it_ignores_it_or_hangs() {
    for (mode, line, ends) in [
        ("good", "ready", (Some(0), None)),
        ("never-ready", "trial mode: false", (Some(0), None)),
        ("hang", "trial mode: false", (None, Some(15))),
        ("ignore-term", "ready", (None, Some(9))),
    ] {
        let mut command = program(&[("DOCKERLOADED_MODE", mode)]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|found| found == line), "{mode}");
        if mode == "never-ready" {
            // The line comes before the handler is there: wait until the kernel knows of it.
            while !catches_term(pid) {
                std::thread::yield_now();
            }
        }
        kill(pid, Signal::SIGTERM).unwrap();
        if mode == "ignore-term" {
            let mut errors = BufReader::new(child.stderr.as_mut().unwrap()).lines().map(Result::unwrap);
            assert!(errors.any(|line| line.contains("ignored for testing")));
            child.kill().unwrap();
        }
        let status = child.wait().unwrap();
        assert_eq!((status.code(), status.signal()), ends, "{mode}");
    }
}

fn catches_term(pid: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & (1 << 14) != 0
}

#[test]
fn the_file_of_the_image_is_loaded_and_loses_against_the_environment() {
    let directory = tempfile::tempdir().unwrap();
    let dotenv = directory.path().join(".env");
    let root = directory.path().to_str().unwrap();
    std::fs::write(&dotenv, "# version\nDOCKERLOADED_VERSION='2.0 beta'\nDOCKERLOADED_MODE=exit-0\n")
        .unwrap();
    let (status, stdout, _) = run(&[("DOCKERLOADER_IMAGE_ROOT", root)]);
    assert_eq!(status.code(), Some(0));
    assert!(stdout.starts_with("Version: 2.0 beta\n"), "{stdout}");
    let (_, stdout, _) = run(&[("DOCKERLOADER_IMAGE_ROOT", root), ("DOCKERLOADED_VERSION", "3")]);
    assert!(stdout.starts_with("Version: 3\n"), "{stdout}");

    std::fs::write(&dotenv, "DOCKERLOADED_MODE=exit-0\nTOKEN=top secret\n").unwrap();
    let (status, _, stderr) = run(&[("DOCKERLOADER_IMAGE_ROOT", root)]);
    assert_eq!(status.code(), Some(1));
    assert!(stderr.contains(&format!("{}, line 2", dotenv.display())) && !stderr.contains("top"), "{stderr}");

    // A program inside the store finds its image by its own path.
    let tree = directory.path().join(format!("dockerloader/storage/v1/extracted/{DIGEST}"));
    std::fs::create_dir_all(&tree).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_dockerloaded"), tree.join("entrypoint")).unwrap();
    std::fs::write(tree.join(".env"), "DOCKERLOADED_VERSION=4\nDOCKERLOADED_MODE=exit-0\n").unwrap();
    let output = Command::new(tree.join("entrypoint"))
        .env_clear()
        .env("DOCKERLOADER_DATA_DIR", root)
        .output()
        .unwrap();
    assert!(output.stdout.starts_with(b"Version: 4\n"), "{output:?}");
}

#[test]
fn orphans_outlive_it_in_a_session_of_their_own() {
    let mut command = program(&[("DOCKERLOADED_MODE", "orphans,exit-0"), ("DOCKERLOADED_CHILDREN", "2")]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    // The orphans keep the pipe open, so read to the line rather than to the end.
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while line != "ready\n" {
        line.clear();
        assert_ne!(stdout.read_line(&mut line).unwrap(), 0);
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut orphans = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let mut bytes = Vec::new();
        let opened = std::fs::File::open(entry.path().join("cmdline"));
        if opened.is_ok_and(|mut file| file.read_to_end(&mut bytes).is_ok()) {
            let words: Vec<_> = bytes.split(|byte| *byte == 0).collect();
            if words.first() == Some(&env!("CARGO_BIN_EXE_dockerloaded").as_bytes())
                && words.get(1..3) == Some(&[&b"--sleep"[..], b"600000"])
            {
                orphans.push(Pid::from_raw(entry.file_name().to_str().unwrap().parse().unwrap()));
            }
        }
    }
    for orphan in &orphans {
        kill(*orphan, Signal::SIGKILL).unwrap();
    }
    assert_eq!(orphans.len(), 2);
}

#[test]
fn cli_prints_the_version_and_the_arguments() {
    let output = program(&[("DOCKERLOADED_VERSION", "1.0")]).args(["cli", "user", "add"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Version: 1.0\ncli arguments: [\"user\", \"add\"]\n");
    assert!(output.status.success());
}
