//! The supervisor on a version that is on disk: it starts, whatever the registry does.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::cell::Outcome;
use super::content::VERSION;
use super::fault::Fault;
use super::observe;
use super::phase::Phase;
use super::program::Program;
use super::script;
use super::story::promote;
use super::world::World;
use crate::failure::{Failure, Result};

/// One start.
pub(super) struct Start {
    pub(super) name: &'static str,
    /// What the registry does.
    fault: Fault,
    /// Whether the version crashed the time before.
    crashed: bool,
    /// The longest until the application runs, in seconds, on a busy machine.
    within: u64,
}

/// Without a look at the registry.
const AT_ONCE: u64 = 5;

/// After a crash an update is looked for first, as it may be what mends it: for 15 s at most.
const AFTER_A_LOOK: u64 = 15 + AT_ONCE;

/// From TERM to the end, with a grace of 2 s.
const STOP: Duration = Duration::from_secs(6);

const fn start(name: &'static str, fault: Fault) -> Start {
    Start { name, fault, crashed: false, within: AT_ONCE }
}

pub(super) const STARTS: &[Start] = &[
    start("refused", Fault::Refused),
    start("unknown-host", Fault::UnknownHost),
    start("silent", Fault::Silent),
    start("no-answer", Fault::NoAnswer),
    start("tls-unknown-ca", Fault::UnknownAuthority),
    start("401-loop", Fault::Unauthorized),
    start("429-absurd", Fault::TooManyAbsurd),
    start("503-always", Fault::Status503Always),
    start("redirect-loop", Fault::RedirectLoop),
    Start { name: "crashed-refused", fault: Fault::Refused, crashed: true, within: AFTER_A_LOOK },
    Start { name: "crashed-silent", fault: Fault::Silent, crashed: true, within: AFTER_A_LOOK },
];

impl Start {
    pub(super) fn is_quick(&self) -> bool {
        matches!(self.name, "refused" | "silent" | "crashed-silent")
    }

    pub(super) fn expectation(&self) -> String {
        let after = if self.crashed { ", after a crash of the version" } else { "" };
        format!(
            "{} The application runs within {} s{after}, and goes on running.",
            self.fault.what(),
            self.within
        )
    }

    pub(super) fn run(&self, binary: &Path) -> Result<Outcome> {
        let mut world = World::new(&script::shape(self.fault))?;
        let installed = observe::pull(binary, &world, &VERSION)?;
        if !installed.is_complete {
            return Err(Failure::new(format!("nothing could be installed: {installed:?}")));
        }
        promote(&world)?;
        world.environment.extend([
            ("DOCKERLOADER_LOG", "info".to_owned()),
            ("DOCKERLOADER_UPDATE_INTERVAL_SECS", "1".to_owned()),
            ("DOCKERLOADER_STOP_GRACE_MS", "2000".to_owned()),
            // As it is by default: a look that waits must not be in the way of a start.
            ("DOCKERLOADER_REGISTRY_TIMEOUT_MS", "30000".to_owned()),
        ]);
        script::set(&mut world, self.fault, Phase::Tag)?;
        let mut outcome = Outcome::default();
        if self.crashed {
            self.crash(binary, &world)?;
            outcome.runs += 1;
        }
        let mut supervisor = Program::start(binary, &[], &world)?;
        outcome.runs += 2;
        let within = Duration::from_secs(self.within);
        let started = supervisor.line("start v1", within);
        outcome.seen.took = started.unwrap_or(within);
        if started.is_none() {
            outcome.bad.push(format!("the application did not run within {within:?}"));
        }
        // Looks at the registry go wrong meanwhile.
        if let Some(after) = supervisor.line("\"event\":\"exited\"", Duration::from_secs(6)) {
            outcome.bad.push(format!("the application ended after {after:?}"));
        }
        supervisor.signal(Signal::SIGTERM);
        let running = supervisor.elapsed();
        let ended = supervisor.end(running + STOP)?;
        if ended.code.is_none() {
            outcome.bad.push(format!("it did not stop within {STOP:?}"));
        }
        let begun = ended.stdout.iter().filter(|line| *line == "start v1").count();
        if begun != 1 {
            outcome.bad.push(format!("the application was started {begun} times"));
        }
        let seen = observe::look(&world, &VERSION, &ended);
        outcome.bad.extend(seen.wrong.into_iter().chain(seen.leaks));
        outcome.seen.said = seen.said;
        Ok(outcome)
    }

    /// A first supervisor, whose application crashes.
    fn crash(&self, binary: &Path, world: &World) -> Result {
        let flag = world.data().join("crash");
        std::fs::write(&flag, "").map_err(|error| Failure::new(error.to_string()))?;
        let ended = Program::start(binary, &[], world)?.end(Duration::from_secs(60))?;
        std::fs::remove_file(&flag).map_err(|error| Failure::new(error.to_string()))?;
        if ended.code == Some(5) { Ok(()) } else { Err(Failure::new(format!("no crash: {ended:?}"))) }
    }
}
