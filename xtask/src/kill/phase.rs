//! One run of a supervisor as process 1 of a container: until it rests, dies, or takes too long.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::call::Call;
use super::case::Method;
use super::observe::{Digests, damage};
use super::role::Role;
use super::seen::Seen;
use super::tracer::{Programs, Tracer, Turn, Verdict};
use super::versions::APP_VARIABLE;
use crate::failure::{Context as _, Failure, Result};
use crate::interrupt;

/// A run that takes longer has failed (I6).
const LIMIT: Duration = Duration::from_secs(30);
/// From SIGTERM to an end: the grace, and something for a busy machine.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// So many looks one after the other, before there is a pause between them.
const YIELDS: u32 = 40;
/// Between two looks.
const PAUSE: Duration = Duration::from_micros(300);
/// Everybody sleeps at each of so many looks, with nothing between them: it rests.
const RESTING_LOOKS: u32 = 6;
/// Between two such looks.
const LOOK: Duration = Duration::from_millis(5);

/// What a run needs to know.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) programs: &'a Programs,
    pub(super) digests: &'a Digests,
    /// `DOCKERLOADER_TARGET`.
    pub(super) target: &'a str,
    pub(super) method: Method,
    /// Where the run's output goes.
    pub(super) output: &'a Path,
}

/// Something that is done at system calls, or at a time.
pub(super) trait Disturbance {
    /// Before a system call. Tells what becomes of it.
    fn call(&mut self, call: &Call) -> Verdict;
    /// Whether all is to be killed now; who, if so.
    fn due(&mut self) -> Option<Role> {
        None
    }
    /// The call that it came at, once it has come.
    fn fired(&self) -> Option<String>;
    /// Whose system calls have to be told from now on.
    fn watched(&self) -> &[Role];
}

/// Nothing is done.
#[derive(Debug)]
pub(super) struct Peace;

impl Disturbance for Peace {
    fn call(&mut self, _: &Call) -> Verdict {
        Verdict::Go
    }

    fn fired(&self) -> Option<String> {
        None
    }

    fn watched(&self) -> &[Role] {
        &[]
    }
}

impl Place<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.output.join(name)
    }

    /// A command in the environment of a supervisor.
    fn surround(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("DOCKERLOADER_DATA_DIR", &self.programs.data)
            .env("DOCKERLOADER_TARGET", self.target)
            // Else each look begins with an attempt at TLS.
            .env("DOCKERLOADER_INSECURE_REGISTRIES", self.target.split('/').next().unwrap_or_default())
            .env("DOCKERLOADER_TREE_METHOD", self.method.name())
            .env("DOCKERLOADER_LOG", "debug")
            .env("DOCKERLOADER_LOG_FORMAT", "json")
            .env("DOCKERLOADER_UPDATE_INTERVAL_SECS", "86400")
            .env("DOCKERLOADER_TRIAL_TIMEOUT_MS", "8000")
            .env("DOCKERLOADER_STOP_GRACE_MS", "5000")
            .env(APP_VARIABLE, &self.programs.app);
    }

    /// Runs a supervisor until it rests, and stops it.
    pub(super) fn run(&self, network: bool, disturbance: &mut dyn Disturbance) -> Result<Seen> {
        let mut command = Command::new("unshare");
        command.args(["--fork", "--pid", "--mount-proc", "--kill-child"]);
        if !network {
            // Not even its own loopback is up.
            command.arg("--net");
        }
        command.arg("--").arg(&self.programs.loader);
        self.surround(&mut command);
        let out = File::create(self.path("stdout")).context("make a file for the output")?;
        let err = File::create(self.path("stderr")).context("make a file for the output")?;
        let mut tracer = Tracer::start(&command, self.programs.clone(), out, err)?;
        let mut run = Run::new(self, network)?;
        let deadline = Instant::now() + LIMIT;
        while run.go_on(&mut tracer, disturbance)? {
            if interrupt::interrupted() {
                return Err(Failure::new("interrupted"));
            }
            if Instant::now() > deadline {
                run.seen.timed_out = true;
                break;
            }
        }
        if run.seen.rested {
            self.look(&mut tracer, &mut run)?;
            run.stop(&mut tracer)?;
        }
        drop(tracer);
        run.read()?;
        run.seen.at = disturbance.fired();
        run.seen.fired = run.seen.at.is_some();
        Ok(run.seen)
    }

    /// Looks at what rests.
    fn look(&self, tracer: &mut Tracer, run: &mut Run) -> Result {
        let Some(supervisor) = tracer.find(Role::Supervisor) else { return Ok(()) };
        run.seen.app_runs = tracer.find(Role::App).is_some();
        let mut command = Command::new("nsenter");
        command.args(["--target", &supervisor.to_string(), "--mount", "--net", "--pid", "--"]);
        command.arg(&self.programs.loader).args(["status", "--json"]);
        self.surround(&mut command);
        command.env("DOCKERLOADER_LOG", "warn").stdin(Stdio::null());
        // By a thread of its own, which waits for it: this one has to answer for the supervisor, and would take the end of the command
        // for one of a process that it traces.
        let asks = std::thread::spawn(move || command.output());
        while !asks.is_finished() {
            // What comes of a question of ours is no part of the run.
            run.go_on(tracer, &mut Peace)?;
        }
        let output = asks.join().ok().and_then(std::io::Result::ok);
        run.seen.status = output.and_then(|output| serde_json::from_slice(&output.stdout).ok());
        if let Some(version) = run.seen.last_printed().filter(|_| run.seen.app_runs) {
            let root = format!("/proc/{supervisor}/root");
            let data = self.programs.data.strip_prefix("/").unwrap_or(&self.programs.data);
            run.seen.damage = damage(&Path::new(&root).join(data), version, self.digests);
        }
        Ok(())
    }

    /// Runs a command of the binary by itself, without a network; its exit code and what it wrote.
    pub(super) fn command(&self, arguments: &[&str]) -> Result<(i32, String)> {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net", "--"]).arg(&self.programs.loader).args(arguments);
        self.surround(&mut command);
        let output = command.env("DOCKERLOADER_LOG", "warn").output().context("run a command")?;
        let text = [output.stdout, output.stderr].concat();
        Ok((output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned()))
    }
}

/// A run under way.
struct Run {
    network: bool,
    seen: Seen,
    stdout: Tail,
    stderr: Tail,
    /// Looks since something happened.
    idle: u32,
    resting: u32,
    /// It rested once: what comes now is a look at it, and its end.
    stopping: bool,
}

impl Run {
    fn new(place: &Place<'_>, network: bool) -> Result<Self> {
        let open = |name: &str| Tail::open(&place.path(name));
        let (stdout, stderr) = (open("stdout")?, open("stderr")?);
        Ok(Self { network, seen: Seen::default(), stdout, stderr, idle: 0, resting: 0, stopping: false })
    }

    /// Takes one turn; whether there is another.
    fn go_on(&mut self, tracer: &mut Tracer, disturbance: &mut dyn Disturbance) -> Result<bool> {
        if let Some(role) = disturbance.due() {
            match tracer.find(role) {
                Some(_) if role == Role::Supervisor => tracer.kill_all(),
                Some(process) => drop(kill(Pid::from_raw(process), Signal::SIGKILL)),
                None => {}
            }
        }
        tracer.watch(disturbance.watched());
        match tracer.turn(&mut |call| disturbance.call(call))? {
            Turn::Over => return Ok(false),
            Turn::Idle => {
                self.idle += 1;
                if self.idle < YIELDS {
                    // The next system call is mostly a few microseconds away.
                    std::thread::yield_now();
                    return Ok(true);
                }
                if !self.rests(tracer)? {
                    std::thread::sleep(if self.resting > 0 { LOOK } else { PAUSE });
                    return Ok(true);
                }
                self.seen.rested = true;
                self.stopping = true;
                return Ok(false);
            }
            Turn::Busy => {}
            Turn::Became(role) => *self.seen.starts.entry(role).or_default() += 1,
            Turn::Ended(Role::Supervisor, end) => self.seen.supervisor = Some(end),
            Turn::Ended(role, end) => {
                if role.is_helper() && !self.stopping {
                    self.seen.helpers.push((role, end));
                }
            }
        }
        (self.idle, self.resting) = (0, 0);
        Ok(true)
    }

    /// Whether nothing happens any more: no helper works, no trial is under way, and everybody sleeps, at several looks.
    fn rests(&mut self, tracer: &Tracer) -> Result<bool> {
        let there = tracer.find(Role::Supervisor).is_some();
        // Without a network a look is tried again and again, and comes to nothing; unless the start of a version waits for it.
        let in_vain = !self.network && (tracer.find(Role::App).is_some() || self.seen.is_installing());
        let works =
            tracer.processes().any(|(_, role)| role.is_helper() && !(in_vain && role == Role::Puller));
        if self.stopping || !there || works || !tracer.sleeps() {
            self.resting = 0;
            return Ok(false);
        }
        self.resting += 1;
        self.read()?;
        if self.resting < RESTING_LOOKS {
            return Ok(false);
        }
        Ok(!self.seen.is_on_the_way())
    }

    /// Tells the supervisor to stop, and waits until all is gone.
    fn stop(&mut self, tracer: &mut Tracer) -> Result {
        if let Some(supervisor) = tracer.find(Role::Supervisor) {
            let _ = kill(Pid::from_raw(supervisor), Signal::SIGTERM);
        }
        let deadline = Instant::now() + STOP_LIMIT;
        while self.go_on(tracer, &mut Peace)? {
            if Instant::now() > deadline {
                self.seen.timed_out = true;
                break;
            }
        }
        Ok(())
    }

    /// Reads what was written since the last time.
    fn read(&mut self) -> Result {
        for line in self.stderr.lines()? {
            match serde_json::from_str::<Value>(&line) {
                Ok(entry) if entry.is_object() => self.seen.log.push(entry),
                _ => self.seen.noise.push(line),
            }
        }
        let printed = self.stdout.lines()?;
        let versions = printed.iter().filter_map(|line| line.strip_prefix("Version: "));
        self.seen.printed.extend(versions.map(str::to_owned));
        Ok(())
    }
}

/// A file that grows, line by line.
struct Tail {
    file: File,
    open: String,
}

impl Tail {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).context(format_args!("open {}", path.display()))?;
        Ok(Self { file, open: String::new() })
    }

    /// The lines that are new.
    fn lines(&mut self) -> Result<Vec<String>> {
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes).context("read the output")?;
        self.open.push_str(&String::from_utf8_lossy(&bytes));
        let Some(end) = self.open.rfind('\n') else { return Ok(Vec::new()) };
        let rest = self.open.split_off(end + 1);
        let lines = std::mem::replace(&mut self.open, rest);
        Ok(lines.lines().map(str::to_owned).collect())
    }
}
