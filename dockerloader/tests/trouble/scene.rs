//! A registry, a data directory, and the real binary between them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fixtures::image::{BuiltImage, Image};
use fixtures::registry::{Auth, Registry};
use fixtures::scratch::Scratch;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Longest wait for anything, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A registry, a data directory, and what the binary is started with.
pub(crate) struct Scene {
    pub(crate) registry: Registry,
    pub(crate) place: Place,
    environment: BTreeMap<String, String>,
    /// Put before the binary's name.
    wrapper: Vec<String>,
    binary: PathBuf,
    /// For `DOCKER_CONFIG` and the like.
    pub(crate) scratch: tempfile::TempDir,
}

/// A data directory: as the program sees it, and as the test does.
pub(crate) struct Place {
    pub(crate) data: PathBuf,
    pub(crate) view: PathBuf,
    _directory: Option<Scratch>,
}

impl Place {
    pub(crate) fn plain() -> Self {
        let directory = Scratch::new("trouble-");
        let data = directory.path().to_owned();
        Self { view: data.clone(), data, _directory: Some(directory) }
    }

    pub(crate) fn mounted(data: &Path, view: &Path) -> Self {
        Self { data: data.to_owned(), view: view.to_owned(), _directory: None }
    }

    /// `<data>/dockerloader`.
    pub(crate) fn root(&self) -> PathBuf {
        self.view.join("dockerloader")
    }

    pub(crate) fn storage(&self, folder: &str) -> PathBuf {
        self.root().join("storage/v1").join(folder)
    }

    pub(crate) fn tree(&self, digest: &str) -> PathBuf {
        self.storage("extracted").join(digest)
    }

    /// The digest in a slot's link.
    pub(crate) fn slot(&self, slot: &str) -> Option<String> {
        let target = fs::read_link(self.root().join(slot)).ok()?;
        let mut parts = target.iter().skip_while(|part| *part != "extracted").skip(1);
        Some(parts.next()?.to_string_lossy().into_owned())
    }

    /// Current, previous, staged, on trial.
    pub(crate) fn slots(&self) -> [Option<String>; 4] {
        ["entrypoint", "entrypoint-previous", "entrypoint-attempt", "entrypoint-attempting"]
            .map(|slot| self.slot(slot))
    }

    /// Sorted names in a folder of the store.
    pub(crate) fn list(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.storage(folder))
            .map(|entries| {
                entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
            })
            .unwrap_or_default();
        names.sort();
        names
    }

    /// No half-extracted tree, no half-written file anywhere.
    pub(crate) fn assert_no_leftovers(&self) {
        for folder in ["", "blobs", "images", "extracted", "seals", "launch"] {
            let path = if folder.is_empty() { self.root() } else { self.storage(folder) };
            let Ok(entries) = fs::read_dir(&path) else { continue };
            for entry in entries {
                let name = entry.unwrap().file_name().to_string_lossy().into_owned();
                assert!(
                    !name.starts_with("tmp-") && !name.starts_with("removing-"),
                    "{name} was left in {}",
                    path.display()
                );
            }
        }
    }

    pub(crate) fn state(&self) -> Value {
        fs::read(self.root().join("state.json"))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or(Value::Null)
    }
}

/// A command that has ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The last line of `--json`.
    pub(crate) fn result(&self) -> Value {
        let last = self.stdout.lines().last().unwrap_or_else(|| panic!("nothing said: {}", self.stderr));
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}"))
    }

    /// All that it said.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Each of the words is in what it said.
    pub(crate) fn says(&self, words: &[&str]) {
        let all = self.all();
        for word in words {
            assert!(all.contains(word), "{word:?} is not in: {all}");
        }
    }
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with(Registry::start(), Place::plain())
    }

    pub(crate) fn guarded(auth: Auth) -> Self {
        Self::with(Registry::builder().auth(auth).start(), Place::plain())
    }

    pub(crate) fn with(registry: Registry, place: Place) -> Self {
        let target = registry.reference("app", "v");
        let scratch = tempfile::tempdir().unwrap();
        let scene = Self {
            registry,
            place,
            environment: BTreeMap::new(),
            wrapper: Vec::new(),
            binary: env!("CARGO_BIN_EXE_dockerloader").into(),
            scratch,
        };
        scene
            .set("DOCKERLOADER_TARGET", &target)
            .set("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .set("DOCKERLOADER_STOP_GRACE_MS", "2000")
            .set("DOCKERLOADER_LOG_FORMAT", "json")
            // Whoever checks too often is a finding, and not a race with the test.
            .set("DOCKERLOADER_UPDATE_INTERVAL_SECS", "3600")
            .set("DOCKERLOADER_TRIAL_TIMEOUT_MS", "30000")
    }

    #[must_use]
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    #[must_use]
    pub(crate) fn unset(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// Puts words before the binary's name, as `env(1)` and the like have them.
    #[must_use]
    pub(crate) fn wrapped(mut self, words: &[&str]) -> Self {
        self.wrapper = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Starts a copy of the binary that any user can execute.
    #[must_use]
    pub(crate) fn for_everybody(mut self) -> Self {
        let copy = self.scratch.path().join("dockerloader");
        fs::copy(&self.binary, &copy).unwrap();
        for path in [self.scratch.path(), &copy] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        self.binary = copy;
        self
    }

    /// Points the tag to an image.
    pub(crate) fn push(&self, image: &BuiltImage) {
        self.registry.put("app", "v", image);
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match self.wrapper.split_first() {
            None => Command::new(&self.binary),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(&self.binary);
                command
            }
        };
        command
            .args(arguments)
            .env_clear()
            .envs(&self.environment)
            .env("DOCKERLOADER_DATA_DIR", &self.place.data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        let output = self.command(arguments).output().unwrap();
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// One pull, as the supervisor has it.
    pub(crate) fn pull(&self) -> Ended {
        self.run(&["pull", "--stage", "--json"])
    }

    /// Brings an image on disk and makes it the current version.
    pub(crate) fn install(&self, image: &BuiltImage) {
        self.push(image);
        let pulled = self.pull();
        assert_eq!(pulled.result()["outcome"], "staged", "{}", pulled.all());
        let root = self.place.root();
        fs::rename(root.join("entrypoint-attempt"), root.join("entrypoint")).unwrap();
    }

    /// Starts the supervisor.
    pub(crate) fn start(&self) -> Supervisor {
        let mut child = self.command(&[]).spawn().unwrap();
        let said = Arc::new(Said::default());
        let readers = [
            read(child.stdout.take().unwrap(), 0, Arc::clone(&said)),
            read(child.stderr.take().unwrap(), 1, Arc::clone(&said)),
        ];
        Supervisor { child, said, readers: readers.into(), seen: [0; 2] }
    }

    /// Runs the supervisor to its end.
    pub(crate) fn supervise(&self) -> Ended {
        let supervisor = self.start();
        let said = Arc::clone(&supervisor.said);
        let status = supervisor.wait();
        let all = said.text();
        Ended { code: status.code(), stdout: String::new(), stderr: all }
    }
}

/// What a supervisor and its application said so far: stdout (0) and stderr (1), whose order among each other is not known.
#[derive(Default)]
struct Said {
    lines: Mutex<Vec<(usize, String)>>,
    changed: Condvar,
    closed: AtomicUsize,
}

impl Said {
    fn lines(&self) -> MutexGuard<'_, Vec<(usize, String)>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn text(&self) -> String {
        text(&self.lines())
    }
}

fn text(lines: &[(usize, String)]) -> String {
    lines.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n")
}

fn read(pipe: impl Read + Send + 'static, stream: usize, said: Arc<Said>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            said.lines().push((stream, String::from_utf8_lossy(&line).into_owned()));
            said.changed.notify_all();
        }
        let lines = said.lines();
        said.closed.fetch_add(1, Ordering::SeqCst);
        drop(lines);
        said.changed.notify_all();
    })
}

/// A supervisor that runs; stopped when dropped.
pub(crate) struct Supervisor {
    child: Child,
    said: Arc<Said>,
    readers: Vec<std::thread::JoinHandle<()>>,
    /// In each stream, the lines up to the one that was waited for last.
    seen: [usize; 2],
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Its children die with it (`PR_SET_PDEATHSIG`), and its helpers likewise.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Supervisor {
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// All lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.said.lines().iter().map(|(_, line)| line.clone()).collect()
    }

    /// How often this version was started, or any for an empty name.
    pub(crate) fn starts(&self, name: &str) -> usize {
        let is = |line: &&String| {
            line.strip_prefix("start ").is_some_and(|found| name.is_empty() || found == name)
        };
        self.lines().iter().filter(is).count()
    }

    /// From now on only lines that are still to come are waited for.
    pub(crate) fn skip_to_now(&mut self) {
        self.seen = [self.said.lines().len(); 2];
    }

    /// Waits for a line, after the one of the same stream that was waited for last, and returns it.
    pub(crate) fn until(&mut self, what: &str, matches: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.said.lines();
        loop {
            let found = lines
                .iter()
                .enumerate()
                .find(|(index, (stream, line))| *index >= self.seen[*stream] && matches(line));
            if let Some((index, (stream, line))) = found {
                self.seen[*stream] = index + 1;
                return line.clone();
            }
            let closed = self.said.closed.load(Ordering::SeqCst) == 2;
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !closed && !left.is_zero(),
                "{what} did not come after {:?}:\n{}",
                self.seen,
                text(&lines)
            );
            lines = self.said.changed.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for a line with this in it.
    pub(crate) fn line(&mut self, part: &str) -> String {
        self.until(part, |line| line.contains(part))
    }

    /// Waits for an event of the log.
    pub(crate) fn event(&mut self, name: &str) -> Value {
        let is = |line: &str| serde_json::from_str::<Value>(line).ok().filter(|value| value["event"] == name);
        let line = self.until(name, |line| is(line).is_some());
        is(&line).unwrap()
    }

    /// How many such events there were.
    pub(crate) fn events(&self, name: &str) -> usize {
        let is =
            |line: &&String| serde_json::from_str::<Value>(line).is_ok_and(|value| value["event"] == name);
        self.lines().iter().filter(is).count()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        // Its pipes are closed when it and all that it started have ended.
        let mut lines = self.said.lines();
        while self.said.closed.load(Ordering::SeqCst) < 2 {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "it did not end:\n{}", text(&lines));
            lines = self.said.changed.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(lines);
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        self.child.wait().unwrap()
    }

    /// Tells it to stop, and says how long it took and the code.
    pub(crate) fn stop(self) -> (Duration, Option<i32>) {
        let begin = Instant::now();
        self.signal(Signal::SIGTERM);
        let status = self.wait();
        (begin.elapsed(), status.code())
    }
}

/// A shell script as an image. `{v}` in it stands for the name.
pub(crate) fn script(name: &str, body: &str) -> BuiltImage {
    Image::with_entrypoint(program(name, body).as_bytes()).annotation("v", name).build()
}

/// The script alone.
pub(crate) fn program(name: &str, body: &str) -> String {
    format!("#!/bin/sh\necho \"start {name}\"\n{}\n", body.replace("{v}", name))
}

/// Becomes ready, then waits to be stopped.
pub(crate) const GOOD: &str =
    r#""$DOCKERLOADER_BINARY" ready && echo "ready {v}" || echo "not ready {v}"; exec sleep 1000"#;

/// Never says that it is ready, and waits.
pub(crate) const SILENT: &str = "exec sleep 1000";

/// Ready; then looks for updates in a tight loop, and makes way for one.
pub(crate) const LOOP: &str = r#""$DOCKERLOADER_BINARY" ready && echo "ready {v}"
while "$DOCKERLOADER_BINARY" check; do echo "checked {v}"; sleep 0.1; done; exit 42"#;

/// A good version.
pub(crate) fn good(name: &str) -> BuiltImage {
    script(name, GOOD)
}

/// A version that ends before it is ready.
pub(crate) fn bad(name: &str) -> BuiltImage {
    script(name, "echo 'broken {v}' >&2; exit 3")
}
