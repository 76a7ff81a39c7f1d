//! Starting and reaping, as the machine says: the application, the helpers, and what they leave behind.

use std::io;
use std::os::fd::AsFd as _;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{pipe2, read};

use super::{HelperPipe, Supervisor, random_name};
use crate::disk::RealDisk;
use crate::launch::Launch;
use crate::remedy::Remedy;
use crate::slots::Named;
use crate::supervisor::exit::Exit;
use crate::supervisor::ground::memory_kills;
use crate::supervisor::helper::Lines;
use crate::supervisor::machine::{Action, Ground as _, Helper, Input, Outcome};
use crate::supervisor::relay::Stream;
use crate::supervisor::tail::Tail;
use crate::supervisor::{signals, start};

impl Supervisor<'_> {
    /// TERM means the image's own stop signal to the application, as it does for `docker stop`.
    pub(super) fn stop_signal(&self, signal: i32) -> i32 {
        const SIGTERM: i32 = 15;
        if signal != SIGTERM {
            return signal;
        }
        let named = self.machine.run().and_then(|run| self.launch(&run.version).stop_signal);
        named.and_then(|text| signals::parse(&text)).unwrap_or(SIGTERM)
    }

    pub(super) fn launch(&self, version: &Named) -> Launch {
        let layout = &self.ground.layout;
        let why = match Launch::read(&RealDisk, layout, &version.digest) {
            Ok(Some(launch)) if launch.program == version.program => return launch,
            // The link decides what is executed; a file that speaks of another program is not about it.
            Ok(Some(_)) => "the launch file speaks of another program".to_owned(),
            Ok(None) => "there is no launch file".to_owned(),
            Err(error) => error.to_string(),
        };
        match crate::pull::launch_of(&version.digest, &self.settings.registry, layout) {
            Ok(launch) if launch.program == version.program => {
                tracing::warn!(event = "launch_file", digest = %version.digest, "{why}; going by the image's config");
                launch
            }
            _ => {
                tracing::warn!(event = "launch_file", digest = %version.digest, "{why}; going without arguments");
                Launch::of_program(version.program.as_ref())
            }
        }
    }

    pub(super) fn start(&mut self, version: &Named, trial: bool) {
        self.generation = random_name();
        self.server.forget_notices();
        self.streams.clear();
        self.ground.tail = Tail::default();
        self.ground.kills_before = memory_kills();
        let launch = self.launch(version);
        let mut ends = Vec::new();
        for target in [std::io::stdout().as_fd(), std::io::stderr().as_fd()] {
            ends.push(match Stream::towards(target) {
                Ok(Some((stream, end))) => {
                    self.streams.push(stream);
                    Some(end)
                }
                Ok(None) => None,
                Err(error) => {
                    tracing::warn!(event = "no_relay", "the application's output can't be kept: {error}");
                    None
                }
            });
        }
        let mut ends = ends.into_iter();
        let plan = start::Plan {
            tree: self.ground.layout.tree(&version.digest),
            launch: &launch,
            trial,
            generation: &self.generation,
            control: &self.server.control_address(),
            notify: &self.server.notify_address(),
            own_mask: self.own_mask,
            stdout: ends.next().flatten(),
            stderr: ends.next().flatten(),
        };
        let program = plan.tree.join(&launch.program);
        match start::application(plan, self.environment, &self.binary) {
            Ok(pid) => {
                self.children.app = Some(pid);
                self.children.group = Some(pid);
                let pid = pid.as_raw_nonzero().get();
                if trial {
                    tracing::info!(event = "try", digest = %version.digest, pid, "trying {}", version.program);
                } else {
                    tracing::info!(event = "run", digest = %version.digest, pid, "running {}", version.program);
                }
            }
            Err(error) => {
                let number = error.raw_os_error().unwrap_or(nix::errno::Errno::EIO as i32);
                tracing::error!(
                    event = "exec_failed", digest = %version.digest, "{}",
                    start::explain(&program, &error)
                );
                self.children.app = None;
                self.input(Input::Reaped { main: Some(Exit::Exec(number)), empty: true });
            }
        }
    }

    pub(super) fn start_helper(&mut self, helper: Helper) {
        let started = pipe2(OFlag::O_CLOEXEC).map_err(io::Error::from).and_then(|(output, end)| {
            fcntl(&output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            let pid = start::helper(helper, &self.binary, self.own_mask, end)?;
            Ok((output, pid))
        });
        match started {
            Ok((output, pid)) => {
                tracing::debug!(
                    event = "helper",
                    pid = pid.as_raw_nonzero().get(),
                    "started {}",
                    helper.name()
                );
                self.children.helper = Some(pid);
                self.helper = Some(HelperPipe {
                    helper,
                    output: Some(output),
                    lines: Lines::begin(self.now()),
                    kills_before: memory_kills(),
                });
            }
            Err(error) => {
                let error = format!("{} can't be started: {error}", helper.name());
                self.input(Input::HelperDone(Outcome::Failed { error, remedy: Remedy::Later }));
            }
        }
    }

    pub(super) fn read_helper(&mut self) {
        let now = self.now();
        let mut found_new = false;
        if let Some(pipe) = &mut self.helper
            && let Some(output) = &pipe.output
        {
            let mut buffer = [0; 4096];
            match read(output, &mut buffer) {
                Ok(0) => pipe.output = None,
                Ok(count) => found_new = pipe.lines.push(now, buffer.get(..count).unwrap_or_default()),
                Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => {}
                Err(_) => pipe.output = None,
            }
        }
        if found_new {
            self.input(Input::FoundNew);
        }
        self.end_defective_helper();
    }

    /// Ends a helper that hangs, is stopped or floods us: whatever waits for it would wait for ever.
    pub(super) fn end_defective_helper(&mut self) {
        let now = self.now();
        let Some(defect) = self.helper.as_ref().and_then(|pipe| pipe.lines.defect(now)) else { return };
        let Some(pipe) = self.helper.take() else { return };
        self.children.kill_helper();
        // Its end is reaped as that of a stranger.
        self.children.helper = None;
        let error = format!("{} {defect}", pipe.helper.name());
        self.input(Input::HelperDone(Outcome::Failed { error, remedy: Remedy::Later }));
    }

    pub(super) fn reap(&mut self) {
        let reaped = self.children.reap();
        if reaped.orphans > 0 {
            tracing::debug!(event = "reaped", orphans = reaped.orphans, "reaped orphans");
        }
        if let Some(exit) = reaped.helper {
            self.helper_ended(exit);
        }
        if reaped.app.is_some() {
            // Whatever it wrote last is passed on before anybody speaks about it.
            for stream in &mut self.streams {
                stream.finish(&mut self.ground.tail);
            }
            self.commit_by_file();
            if !self.children.can_be_listed() {
                // Without a list the helper can't be told from orphans; it resumes later.
                self.perform(Action::StopHelper);
                self.input(Input::HelperDone(Outcome::Failed {
                    error: "interrupted by the end of the application".to_owned(),
                    remedy: Remedy::Retry,
                }));
            }
        }
        let empty = self.children.is_empty();
        if reaped.app.is_some() || self.machine.is_stopping() {
            self.input(Input::Reaped { main: reaped.app, empty });
        }
        if !empty && self.machine.is_sweeping() {
            // The death of a parent makes its children ours: they are asked, or killed, as well.
            if self.machine.has_killed() {
                self.children.kill_all();
            } else {
                self.children.ask_all_to_stop();
            }
        }
    }

    pub(super) fn helper_ended(&mut self, exit: Exit) {
        // What it said last is still in the pipe.
        while self.helper.as_ref().is_some_and(|helper| helper.output.is_some()) {
            let before = self.helper.as_ref().map(|helper| helper.lines.received());
            self.read_helper();
            if self.helper.as_ref().map(|helper| helper.lines.received()) == before {
                break;
            }
        }
        if let Some(pipe) = self.helper.take() {
            let out_of_memory = memory_kills() > pipe.kills_before;
            self.input(Input::HelperDone(pipe.lines.conclude(pipe.helper, exit, out_of_memory)));
        }
    }

    /// An application of the file contract commits by renaming its link; noticed where it matters.
    pub(super) fn commit_by_file(&mut self) {
        let Some(run) = self.machine.run() else { return };
        if run.trial_ends.is_none() {
            return;
        }
        let digest = run.version.digest;
        let slots = self.ground.slots();
        if slots.attempting.digest() != Some(digest) && slots.current.digest() == Some(digest) {
            self.input(Input::CommittedByFile);
        }
    }
}
