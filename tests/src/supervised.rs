//! A data directory with planted versions, and a supervisor that runs on it.
#![expect(clippy::disallowed_methods, reason = "a test plants files and starts programs")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fixtures::ground::Ground;
use serde_json::Value;

use crate::process::{self, signal};
use crate::programs::{built, text};
use crate::wait::eventually;

/// A data directory, and beside it a folder for what a test's applications write down.
#[derive(Debug)]
pub struct Stage {
    /// The data directory.
    pub ground: Ground,
    notes: tempfile::TempDir,
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

impl Stage {
    /// An empty one.
    ///
    /// # Panics
    /// Without a temporary directory.
    pub fn new() -> Self {
        let notes = tempfile::Builder::new().prefix("notes-").tempdir().expect("a temporary directory");
        Self { ground: Ground::new(), notes }
    }

    /// A stage whose current version is this script.
    pub fn with_current(script: &str) -> Self {
        let stage = Self::new();
        stage.plant("entrypoint", "old", script);
        stage
    }

    /// Plants a script as a version in a slot. `@notes` in it becomes the path of the folder for notes. Returns the digest.
    pub fn plant(&self, slot: &str, seed: &str, script: &str) -> String {
        let digest = self.ground.plant(seed, &self.script(script));
        self.ground.link(slot, &digest);
        digest
    }

    /// A script as it is planted.
    pub fn script(&self, script: &str) -> String {
        format!("#!/bin/sh\n{}\n", script.replace("@notes", text(self.notes.path())))
    }

    /// A note's path.
    pub fn note_path(&self, name: &str) -> PathBuf {
        self.notes.path().join(name)
    }

    /// What is written in a note, as soon as a whole line is.
    pub fn note(&self, name: &str) -> String {
        eventually(&format!("the note {name}"), || self.noted(name).filter(|text| text.ends_with('\n')))
    }

    /// What is written in a note now; `None` when nobody wrote it.
    pub fn noted(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.note_path(name)).ok()
    }

    /// A process id that somebody notes.
    ///
    /// # Panics
    /// When the note holds no number.
    pub fn noted_pid(&self, name: &str) -> i32 {
        self.note(name).trim().parse().expect("a process id")
    }

    /// A command of the binary under test, on this data directory, with nothing else in its environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(built("dockerloader"));
        command.args(arguments);
        self.surround(&mut command);
        command
    }

    /// The environment of a supervisor on this data directory: patient, talkative, and without a registry.
    pub fn surround(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("DOCKERLOADER_DATA_DIR", self.ground.data())
            .env("DOCKERLOADER_LOG", "debug")
            .env("DOCKERLOADER_LOG_FORMAT", "json")
            .env("DOCKERLOADER_STOP_GRACE_MS", "20000")
            .env("DOCKERLOADER_TRIAL_TIMEOUT_MS", "30000")
            .stdin(Stdio::null());
    }

    /// Starts the supervisor.
    pub fn supervise(&self, environment: &[(&str, &str)]) -> Running<'_> {
        let mut command = self.command(&[]);
        command.envs(environment.iter().copied());
        self.start(command)
    }

    /// Starts a command that is, or becomes, a supervisor.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn start(&self, mut command: Command) -> Running<'_> {
        let (out, err) = (self.fresh("stdout"), self.fresh("stderr"));
        let file = |path: &Path| File::create(path).expect("a file for the output");
        let child = command.stdout(file(&out)).stderr(file(&err)).spawn();
        let child = child.expect("the program under test");
        Running { stage: self, pid: child.id().try_into().expect("a process id"), child, out, err }
    }

    fn fresh(&self, name: &str) -> PathBuf {
        let taken = |number: &u32| !self.note_path(&format!("{name}-{number}")).exists();
        let number = (0..).find(taken).expect("a free name");
        self.note_path(&format!("{name}-{number}"))
    }

    /// `dockerloader status --json`.
    ///
    /// # Panics
    /// When it fails.
    pub fn status(&self) -> Value {
        let output = self.command(&["status", "--json"]).output().expect("the program under test");
        let shown = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("no status: {error}: {shown}"))
    }

    /// `state.json`, `Null` without one.
    pub fn memory(&self) -> Value {
        let text = fs::read_to_string(self.ground.root().join("state.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// The digest in `update-attempt`.
    pub fn update_attempt(&self) -> Option<String> {
        fs::read_to_string(self.ground.root().join("update-attempt")).ok().map(|text| text.trim().to_owned())
    }
}

/// A supervisor that runs. It is ended with the test.
#[derive(Debug)]
pub struct Running<'a> {
    stage: &'a Stage,
    child: Child,
    /// Its process id; that of process 1 when it is in a namespace of its own.
    pub pid: i32,
    out: PathBuf,
    err: PathBuf,
}

impl Running<'_> {
    /// What it, and with it the application, wrote to standard output.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.out).unwrap_or_default()).into_owned()
    }

    /// What it wrote to standard error: its log, and what the application wrote there.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.err).unwrap_or_default()).into_owned()
    }

    /// The log so far.
    pub fn log(&self) -> Vec<Value> {
        self.stderr().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The entries of one event so far.
    pub fn seen(&self, event: &str) -> Vec<Value> {
        self.log().into_iter().filter(|entry| entry["event"] == event).collect()
    }

    /// The `count`th entry of an event, as soon as it is there.
    ///
    /// # Panics
    /// When it never is, with the whole log.
    pub fn event(&mut self, event: &str, count: usize) -> Value {
        let what = format!("{event} number {count}");
        eventually(&what, || {
            if let Some(entry) = self.seen(event).into_iter().nth(count - 1) {
                return Some(entry);
            }
            let ended = self.child.try_wait().expect("our own child");
            if let Some(status) = ended
                && self.seen(event).len() < count
            {
                panic!("it ended with {} before {what}: {}", process::code(status), self.stderr());
            }
            None
        })
    }

    /// Waits until `look` finds something in `status --json`.
    pub fn status_when<T>(&self, what: &str, look: impl Fn(&Value) -> Option<T>) -> T {
        eventually(what, || look(&self.stage.status()))
    }

    /// Sends it a signal.
    pub fn signal(&self, number: i32) {
        signal(self.pid, number);
    }

    /// The code with which it ends, as a shell would report it.
    pub fn ended(&mut self) -> i32 {
        eventually("the end of the supervisor", || {
            self.child.try_wait().expect("our own child").map(process::code)
        })
    }

    /// Sends it a signal and says the code with which it ends.
    pub fn stop(&mut self, number: i32) -> i32 {
        self.signal(number);
        self.ended()
    }

    /// Whether it still runs.
    ///
    /// # Panics
    /// When the system can't tell.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("our own child").is_none()
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        if std::thread::panicking() {
            eprintln!("the supervisor's output:\n{}{}", self.stdout(), self.stderr());
        }
        // Orphans outlive a killed supervisor outside a namespace, so they are ended by hand.
        let left = process::descendants(self.pid);
        signal(self.pid, 9);
        for pid in left {
            signal(pid, 9);
        }
        let _ = self.child.wait();
    }
}
