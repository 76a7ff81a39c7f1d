//! One container: its log as it is written, its data, its end.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::docker::{docker, read};
use super::snapshot::Snapshot;

/// Longer than anything here takes on a busy machine; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Both outputs, line by line.
#[derive(Default)]
struct Log {
    written: Mutex<Written>,
    grown: Condvar,
}

#[derive(Default)]
struct Written {
    lines: Vec<String>,
    /// How many of the two outputs are at their end.
    ended: u32,
}

impl Log {
    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Written {
    fn count(&self, text: &str) -> usize {
        self.lines.iter().filter(|line| line.contains(text)).count()
    }
}

/// A container that runs the supervisor.
pub(crate) struct Container {
    id: String,
    log: Arc<Log>,
    follower: Child,
}

impl Container {
    pub(super) fn new(id: String) -> Self {
        let mut follow = docker();
        follow.args(["logs", "--follow", &id]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut follower = follow.spawn().expect("docker starts");
        let log = Arc::new(Log::default());
        collect(follower.stdout.take().expect("it is piped"), Arc::clone(&log));
        collect(follower.stderr.take().expect("it is piped"), Arc::clone(&log));
        Self { id, log, follower }
    }

    /// Waits for a line with `text`.
    pub(crate) fn wait_for(&self, text: &str) {
        self.wait_for_times(text, 1);
    }

    /// Waits until `times` lines with `text` were written since the container started.
    pub(crate) fn wait_for_times(&self, text: &str, times: usize) {
        let too_few = |written: &mut Written| written.count(text) < times && written.ended < 2;
        let waited = self.log.grown.wait_timeout_while(self.log.written(), PATIENCE, too_few);
        let (written, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let (found, all) = (written.count(text), written.lines.join("\n"));
        drop(written);
        assert!(found >= times, "{found} lines instead of {times} with {text:?} in:\n{all}");
    }

    /// How many lines have had `text` so far.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.log.written().count(text)
    }

    /// Waits until the data directory is as `expected` says; `what` is for the reader of a failure.
    pub(crate) fn wait_for_data(&self, what: &str, expected: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // A copy fails when something vanishes while it is made: then the state is changing.
            let snapshot = Snapshot::take(&self.id);
            match snapshot {
                Ok(snapshot) if expected(&snapshot) => return snapshot,
                Ok(snapshot) if Instant::now() > deadline => {
                    panic!("not so: {what}\n{snapshot:#?}\n{}", self.log_text())
                }
                Err(error) if Instant::now() > deadline => panic!("{error}\n{}", self.log_text()),
                _ => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// Waits until the supervisor's own account of the last check has this outcome.
    pub(crate) fn wait_for_check(&self, outcome: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if status["last_check"]["outcome"] == outcome {
                return;
            }
            assert!(Instant::now() < deadline, "no check was {outcome}:\n{status:#}\n{}", self.log_text());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// `dockerloader status --json`, asked inside.
    pub(crate) fn status(&self) -> serde_json::Value {
        let text = self.execute(&["/dockerloader", "status", "--json"]);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// `docker exec`: what the program wrote to standard output.
    pub(crate) fn execute(&self, command: &[&str]) -> String {
        read(docker().args(["exec", &self.id]).args(command))
    }

    /// Copies a file or directory of the machine into the container.
    pub(crate) fn plant(&self, from: &std::path::Path, to: &str) {
        read(docker().arg("cp").arg(from).arg(format!("{}:{to}", self.id)));
    }

    /// Whether it has been running all the time, in one life.
    pub(crate) fn assert_never_restarted(&self) {
        let state = self.inspect("{{.State.Running}} {{.RestartCount}}");
        assert_eq!(state, "true 0", "{}", self.log_text());
    }

    /// `docker stop`; how long it took, and the exit code. The log is complete then.
    pub(crate) fn stop(&self) -> (Duration, i32) {
        let began = Instant::now();
        read(docker().args(["stop", &self.id]));
        let took = began.elapsed();
        let goes_on = |written: &mut Written| written.ended < 2;
        let waited = self.log.grown.wait_timeout_while(self.log.written(), PATIENCE, goes_on);
        let ended = waited.unwrap_or_else(PoisonError::into_inner).0.ended;
        assert_eq!(ended, 2, "`docker logs --follow` ends with the container");
        (took, self.inspect("{{.State.ExitCode}}").parse().expect("a number"))
    }

    fn inspect(&self, format: &str) -> String {
        read(docker().args(["inspect", "--format", format, &self.id]))
    }

    fn log_text(&self) -> String {
        self.log.written().lines.join("\n")
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // The case removes the container; this ends the reader of its log.
        let _ = self.follower.kill();
        let _ = self.follower.wait();
    }
}

fn collect(pipe: impl Read + Send + 'static, log: Arc<Log>) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            println!("    | {line}");
            log.written().lines.push(line);
            log.grown.notify_all();
        }
        log.written().ended += 1;
        log.grown.notify_all();
    });
}
