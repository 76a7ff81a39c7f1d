//! Does the steps of the script with real processes, and waits for what must then be seen.

mod measure;

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fixtures::registry::{Gate, Kind, Registry, Rule};
use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use super::expect::{Expected, Seen};
use super::observe::Place;
use super::screen::{Progress, Screen};
use super::script::{Action, Step};
use super::supervisor::{Log, Supervisor};
use super::versions::{Release, Version};
use crate::call::Call;
use crate::failure::{Context as _, Failure, Result};
use crate::interrupt;

/// The repository, and the tag that is moved from version to version.
const REPOSITORY: &str = "demo/app";
const TAG: &str = "stable";
/// A step that takes longer has failed; a slow machine needs a few seconds.
const LIMIT: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// The demo under way. Dropped, it leaves no process behind.
pub(super) struct Play<'a> {
    place: &'a Place,
    release: &'a Release,
    registry: &'a Registry,
    screen: &'a Screen,
    log: Arc<Log>,
    supervisor: Option<Supervisor>,
    gates: Vec<Gate>,
    /// When the supervisor was started last, by the clock of the stamps.
    started: Duration,
    /// How many requests had been answered when the step began.
    answered: usize,
    /// Bytes of the held download that were on disk when the supervisor was started again.
    held: u64,
}

impl Drop for Play<'_> {
    fn drop(&mut self) {
        self.supervisor = None;
        // Whoever is left now is a defect of the supervisor; it must not outlive the demo.
        for process in self.place.processes(self.release).unwrap_or_default() {
            if let Ok(pid) = i32::try_from(process.pid) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
}

impl<'a> Play<'a> {
    pub(super) fn new(
        place: &'a Place,
        release: &'a Release,
        registry: &'a Registry,
        screen: &'a Screen,
        log: Arc<Log>,
    ) -> Self {
        Self {
            place,
            release,
            registry,
            screen,
            log,
            supervisor: None,
            gates: Vec::new(),
            started: Duration::ZERO,
            answered: 0,
            held: 0,
        }
    }

    /// What `DOCKERLOADER_TARGET` is.
    pub(super) fn target(registry: &Registry) -> String {
        registry.reference(REPOSITORY, TAG)
    }

    /// Does a step and verifies it. Gives what was measured, for people.
    pub(super) fn step(&mut self, step: &Step) -> Result<String> {
        self.answered = self.registry.requests().len();
        let done = self.act(step.action)?;
        self.settle(&step.expected)?;
        self.check_requests(step.action)?;
        Ok(self.measured(step.action, done))
    }

    fn act(&mut self, action: Action) -> Result<Option<ExitStatus>> {
        match action {
            Action::Install(version) => {
                self.push(version);
                self.start()?;
            }
            Action::Push(version) => self.push(version),
            Action::Watch { polls, .. } => self.watch(polls)?,
            Action::KillInDownload(version) => {
                let half = self.size(version) / 2;
                self.hold(version, half);
                self.push(version);
                self.until("half of the download is on disk", |play| Ok(play.on_disk(version) == half))?;
                self.supervisor()?.signal(Signal::SIGKILL)?;
                return self.ended().map(Some);
            }
            Action::Restart(version) => {
                self.held = self.on_disk(version);
                self.hold(version, (self.size(version) - self.held) / 2);
                self.start()?;
            }
            Action::Release(_) => self.gates.drain(..).for_each(|gate| gate.release()),
            Action::RollBack => {
                let call = Call::new(self.place.loader()).args(["rollback"]);
                let call = call.env("DOCKERLOADER_DATA_DIR", self.place.data()).within(LIMIT);
                call.env("DOCKERLOADER_CONTROL", "").read()?;
            }
            Action::Stop => {
                self.supervisor()?.signal(Signal::SIGTERM)?;
                let status = self.ended()?;
                if status.code() != Some(0) {
                    return Err(Failure::new(format!("the supervisor ended with {status}, not with code 0")));
                }
            }
        }
        Ok(None)
    }

    /// Waits until everything is as expected.
    fn settle(&mut self, expected: &Expected) -> Result {
        let supervisor = self.supervisor()?.pid();
        let deadline = Instant::now() + LIMIT;
        loop {
            let seen = self.place.look(self.release, &self.registry.requests())?;
            let differences = expected.differences(&seen, supervisor);
            if differences.is_empty() {
                break;
            }
            self.check_patience(deadline, expected.alive, || differences.join("; "))?;
            self.show(&seen);
            std::thread::sleep(PAUSE);
        }
        let versions = [expected.current, expected.previous].into_iter().flatten();
        let differences: Vec<_> =
            versions.flat_map(|version| self.place.content_differences(version, self.release)).collect();
        if differences.is_empty() { Ok(()) } else { Err(Failure::new(differences.join("; "))) }
    }

    fn until(&mut self, what: &str, reached: impl Fn(&Self) -> Result<bool>) -> Result {
        let deadline = Instant::now() + LIMIT;
        while !reached(self)? {
            self.check_patience(deadline, true, || format!("not seen: {what}"))?;
            let seen = self.place.look(self.release, &self.registry.requests())?;
            self.show(&seen);
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// An error when it makes no sense to wait any longer.
    fn check_patience(&mut self, deadline: Instant, alive: bool, why: impl FnOnce() -> String) -> Result {
        if interrupt::interrupted() {
            return Err(Failure::new("interrupted"));
        }
        if alive && let Some(status) = self.supervisor()?.ended()? {
            return Err(Failure::new(format!("the supervisor ended unasked with {status}; {}", why())));
        }
        if Instant::now() >= deadline {
            return Err(Failure::new(format!("after {} s: {}", LIMIT.as_secs(), why())));
        }
        Ok(())
    }

    /// The step under way, for the person who watches.
    fn show(&self, seen: &Seen) {
        let progress = if let Some(trying) = &seen.trying {
            Progress { what: format!("{trying} is on trial"), bytes: None }
        } else if let Some(version) = seen.downloading.first() {
            let bytes = (self.on_disk(*version), self.size(*version));
            Progress { what: format!("downloading {version}"), bytes: Some(bytes) }
        } else if let Some(current) = &seen.current {
            Progress { what: format!("{current} runs"), bytes: None }
        } else {
            Progress { what: "installing".to_owned(), bytes: None }
        };
        self.screen.progress(&progress);
    }

    fn push(&self, version: Version) {
        self.registry.put(REPOSITORY, TAG, self.release.image(version));
    }

    /// Holds the next answer with the version's own layer after so many bytes.
    fn hold(&mut self, version: Version, bytes: u64) {
        let rule = Rule::on(Kind::Blob).path(&self.release.own_layer(version).digest);
        self.gates.push(self.registry.gate(rule, bytes));
    }

    /// Bytes of the version's own layer.
    fn size(&self, version: Version) -> u64 {
        self.release.own_layer(version).bytes.len() as u64
    }

    fn on_disk(&self, version: Version) -> u64 {
        self.place.bytes_of_blob(&self.release.own_layer(version).digest)
    }

    fn start(&mut self) -> Result {
        self.started = clock_gettime(ClockId::CLOCK_MONOTONIC).context("read the clock")?.into();
        self.supervisor = Some(Supervisor::start(self.place, &Self::target(self.registry), &self.log)?);
        Ok(())
    }

    fn supervisor(&mut self) -> Result<&mut Supervisor> {
        self.supervisor.as_mut().ok_or_else(|| Failure::new("no supervisor was started"))
    }

    fn ended(&mut self) -> Result<ExitStatus> {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.supervisor()?.ended()? {
                return Ok(status);
            }
            self.check_patience(deadline, false, || "the supervisor has not ended".to_owned())?;
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until the registry was asked so many times more what the tag names.
    fn watch(&mut self, polls: usize) -> Result {
        let wanted = self.registry.count("HEAD", Kind::Manifest) + polls;
        self.until("further looks at the tag", |play| {
            Ok(play.registry.count("HEAD", Kind::Manifest) >= wanted)
        })
    }
}
