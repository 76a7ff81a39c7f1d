//! The loop: one poll over signals, timer, sockets and pipes; every decision is the machine's.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::unistd::{getpid, pipe2, read};

use super::children::Children;
use super::exit::{self, Exit};
use super::ground::{Ground, memory_kills};
use super::helper::Lines;
use super::lock::{LockError, Locked, publish, take_place};
use super::machine::{self, Action, Ground as _, Helper, Input, Machine, Millis, Outcome};
use super::notify::Notice;
use super::relay::Stream;
use super::server::{Asked, Server};
use super::signals::{self, Course};
use super::start;
use crate::clock::{self, Instant};
use crate::config::{Environment, Settings};
use crate::control::{Reply, Request};
use crate::disk::RealDisk;
use crate::launch::Launch;
use crate::layout::Layout;
use crate::remedy::Remedy;
use crate::slots::Named;
use crate::status::{Status, Supervisor as SupervisorStatus};

/// Runs the supervisor until it is told to leave, and returns its exit code.
pub fn run(settings: &Settings, environment: &Environment) -> i32 {
    // Before anything else, so that no signal is lost.
    let own_mask = match signals::blocked().thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_SETMASK) {
        Ok(mask) => mask,
        Err(error) => {
            tracing::error!(event = "internal", "can't block signals: {error}");
            return exit::INTERNAL;
        }
    };
    let layout = Layout::new(&settings.data_dir);
    let lock = match take_place(&layout) {
        Ok(lock) => lock,
        Err(error) => {
            tracing::error!(event = "refused", "{error}");
            return match error {
                LockError::Held { .. } => exit::LOCKED,
                LockError::Unusable { .. } => exit::DATA_DIRECTORY,
            };
        }
    };
    match Supervisor::new(settings, environment, layout, own_mask, lock) {
        Ok(mut supervisor) => supervisor.run(),
        Err(error) => {
            tracing::error!(event = "internal", "can't start: {error}");
            exit::INTERNAL
        }
    }
}

struct Supervisor<'a> {
    settings: &'a Settings,
    environment: &'a Environment,
    binary: PathBuf,
    own_mask: SigSet,
    _lock: Locked,
    begun: Instant,
    machine: Machine,
    ground: Ground,
    children: Children,
    signals: SignalFd,
    timer: TimerFd,
    armed: Option<Millis>,
    server: Server,
    streams: Vec<Stream>,
    helper: Option<HelperPipe>,
    generation: String,
    leave: Option<i32>,
}

/// The output of the helper that runs.
struct HelperPipe {
    helper: Helper,
    output: Option<OwnedFd>,
    lines: Lines,
}

/// Something to poll, and what it is.
#[derive(Clone, Copy)]
enum Source {
    Signals,
    Timer,
    Server,
    Stream(usize),
    Helper,
}

impl<'a> Supervisor<'a> {
    fn new(
        settings: &'a Settings,
        environment: &'a Environment,
        layout: Layout,
        own_mask: SigSet,
        lock: Locked,
    ) -> io::Result<Self> {
        if getpid().as_raw() != 1 {
            // Orphans of the application come to us and not to the machine's own process 1.
            rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1))?;
        }
        let signals =
            SignalFd::with_flags(&signals::blocked(), SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        let server = Server::bind(&random_name())?;
        publish(&layout, &server.control_address());
        let milliseconds = |duration: Duration| Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX);
        let config = machine::Config {
            trial_timeout: milliseconds(settings.trial_timeout),
            stop_grace: milliseconds(settings.stop_grace),
            probation: milliseconds(settings.probation),
            update_interval: milliseconds(settings.update_interval),
            poll: settings.poll,
            on_trial_failure: settings.on_trial_failure,
            has_target: settings.target.is_some(),
        };
        let jitter = 900 + RandomState::new().build_hasher().finish() % 201;
        Ok(Self {
            settings,
            environment,
            binary: std::env::current_exe()?,
            own_mask,
            _lock: lock,
            begun: clock::now(),
            machine: Machine::new(config, jitter),
            ground: Ground {
                layout,
                probation: !settings.probation.is_zero(),
                tail: super::tail::Tail::default(),
                kills_before: 0,
            },
            children: Children::default(),
            signals,
            timer,
            armed: None,
            server,
            streams: Vec::new(),
            helper: None,
            generation: String::new(),
            leave: None,
        })
    }

    fn now(&self) -> Millis {
        Millis::try_from(clock::now().duration_since(self.begun).as_millis()).unwrap_or(Millis::MAX)
    }

    fn run(&mut self) -> i32 {
        tracing::info!(
            event = "start",
            version = env!("CARGO_PKG_VERSION"),
            data = %self.settings.data_dir.display(),
            target = %self.settings.target.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string),
            "supervising as process {}", std::process::id()
        );
        self.input(Input::Begin);
        while self.leave.is_none() {
            if let Err(error) = self.turn() {
                tracing::error!(event = "internal", "{error}");
                self.children.kill_all();
                self.children.kill_helper();
                return exit::INTERNAL;
            }
        }
        self.children.kill_helper();
        let code = self.leave.unwrap_or(exit::INTERNAL);
        tracing::info!(event = "leave", code, "leaving with {code}");
        code
    }

    /// Waits until something happens, and deals with it.
    fn turn(&mut self) -> io::Result<()> {
        self.arm()?;
        let ready = self.wait()?;
        // Signals first: a stop must not wait for a chatty application.
        for source in ready {
            match source {
                Source::Signals => self.take_signals()?,
                Source::Timer => {
                    let _ = self.timer.wait();
                    self.armed = None;
                    self.commit_by_file();
                    self.input(Input::Tick);
                }
                Source::Server => self.serve(),
                Source::Stream(index) => {
                    if let Some(stream) = self.streams.get_mut(index) {
                        stream.step(&mut self.ground.tail);
                    }
                }
                Source::Helper => self.read_helper(),
            }
        }
        Ok(())
    }

    /// Sets the timer to the machine's next deadline; none set means no wake-up.
    fn arm(&mut self) -> io::Result<()> {
        let deadline = self.machine.deadline();
        if deadline == self.armed {
            return Ok(());
        }
        match deadline {
            None => self.timer.unset()?,
            Some(deadline) => {
                let left = Duration::from_millis(deadline.saturating_sub(self.now()).max(1));
                self.timer.set(Expiration::OneShot(TimeSpec::from(left)), TimerSetTimeFlags::empty())?;
            }
        }
        self.armed = deadline;
        Ok(())
    }

    fn wait(&self) -> io::Result<Vec<Source>> {
        let mut sources = vec![
            (Source::Signals, self.signals.as_fd(), PollFlags::POLLIN),
            (Source::Timer, self.timer.as_fd(), PollFlags::POLLIN),
        ];
        for (fd, writes) in self.server.interests() {
            let flags = if writes { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
            sources.push((Source::Server, fd, flags));
        }
        for (index, stream) in self.streams.iter().enumerate() {
            if let Some((fd, flags)) = stream.interest() {
                sources.push((Source::Stream(index), fd, flags));
            }
        }
        if let Some(output) = self.helper.as_ref().and_then(|helper| helper.output.as_ref()) {
            sources.push((Source::Helper, output.as_fd(), PollFlags::POLLIN));
        }
        let mut set: Vec<_> = sources.iter().map(|(_, fd, flags)| PollFd::new(*fd, *flags)).collect();
        match poll(&mut set, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready: Vec<Source> = Vec::new();
        for ((source, _, _), entry) in sources.iter().zip(&set) {
            let server_again =
                matches!(source, Source::Server) && ready.iter().any(|s| matches!(s, Source::Server));
            if entry.any().unwrap_or(false) && !server_again {
                ready.push(*source);
            }
        }
        Ok(ready)
    }

    /// Gives the machine an input and does what it says.
    fn input(&mut self, input: Input) {
        let now = self.now();
        let actions = self.machine.on(now, input, &mut self.ground);
        for action in actions {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Start { version, trial } => self.start(&version, trial),
            Action::Forward(signal) => self.children.to_group(signal),
            Action::AskToStop(signal) => {
                self.children.begin_sweep();
                self.children.to_group(self.stop_signal(signal));
                // A stopped process takes a signal only when it goes on.
                self.children.to_group(18);
            }
            Action::Sweep => {
                self.children.begin_sweep();
                self.children.ask_all_to_stop();
            }
            Action::Kill => self.children.kill_all(),
            Action::StartHelper(helper) => self.start_helper(helper),
            Action::StopHelper => {
                self.children.kill_helper();
                // Its end is reaped as that of a stranger.
                self.children.helper = None;
                self.helper = None;
            }
            Action::Reply(token, reply) => self.server.reply(token, &reply),
            Action::Leave(code) => self.leave = Some(code),
        }
    }

    /// TERM means the image's own stop signal to the application, as it does for `docker stop`.
    fn stop_signal(&self, signal: i32) -> i32 {
        const SIGTERM: i32 = 15;
        if signal != SIGTERM {
            return signal;
        }
        let named = self.machine.run().and_then(|run| self.launch(&run.version).stop_signal);
        named.and_then(|text| signals::parse(&text)).unwrap_or(SIGTERM)
    }

    fn launch(&self, version: &Named) -> Launch {
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

    fn start(&mut self, version: &Named, trial: bool) {
        self.generation = random_name();
        self.server.forget_notices();
        self.streams.clear();
        self.ground.tail = super::tail::Tail::default();
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

    fn start_helper(&mut self, helper: Helper) {
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
                self.helper = Some(HelperPipe { helper, output: Some(output), lines: Lines::default() });
            }
            Err(error) => {
                let error = format!("{} can't be started: {error}", helper.name());
                self.input(Input::HelperDone(Outcome::Failed { error, remedy: Remedy::Later }));
            }
        }
    }

    fn read_helper(&mut self) {
        let mut found_new = false;
        if let Some(pipe) = &mut self.helper
            && let Some(output) = &pipe.output
        {
            let mut buffer = [0; 4096];
            match read(output, &mut buffer) {
                Ok(0) => pipe.output = None,
                Ok(count) => found_new = pipe.lines.push(buffer.get(..count).unwrap_or_default()),
                Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => {}
                Err(_) => pipe.output = None,
            }
        }
        if found_new {
            self.input(Input::FoundNew);
        }
    }

    fn take_signals(&mut self) -> io::Result<()> {
        let mut reap = false;
        while let Some(info) = self.signals.read_signal()? {
            let number = i32::try_from(info.ssi_signo).unwrap_or(0);
            match signals::course(number) {
                Course::Child => reap = true,
                Course::Take => self.input(Input::Signal(number)),
                Course::Fault | Course::Ignore => {}
            }
        }
        if reap {
            self.reap();
        }
        Ok(())
    }

    fn reap(&mut self) {
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

    fn helper_ended(&mut self, exit: Exit) {
        // What it said last is still in the pipe.
        while self.helper.as_ref().is_some_and(|helper| helper.output.is_some()) {
            let before = self.helper.as_ref().map(|helper| helper.lines.received());
            self.read_helper();
            if self.helper.as_ref().map(|helper| helper.lines.received()) == before {
                break;
            }
        }
        if let Some(pipe) = self.helper.take() {
            self.input(Input::HelperDone(pipe.lines.conclude(pipe.helper, exit)));
        }
    }

    /// An application of the file contract commits by renaming its link; noticed where it matters.
    fn commit_by_file(&mut self) {
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

    fn serve(&mut self) {
        for notice in self.server.notices() {
            match notice {
                Notice::Ready => self.input(Input::Ready(None)),
                Notice::Extend(milliseconds) => self.input(Input::Extend { milliseconds, token: None }),
                Notice::Alive => self.input(Input::Watchdog(None)),
                Notice::Watchdog(period) => self.input(Input::Watchdog(Some(period))),
                Notice::Broken => self.input(Input::Watchdog(Some(1))),
                Notice::Stopping => {
                    tracing::info!(event = "app_stopping", "the application says that it is stopping")
                }
            }
        }
        let now = self.now();
        for asked in self.server.serve(now) {
            self.answer(asked);
        }
    }

    fn answer(&mut self, Asked { token, request, trusted }: Asked) {
        let allowed = match &request {
            Request::Ready { generation }
            | Request::Extend { generation, .. }
            | Request::Check { generation } => match generation {
                Some(generation) if *generation == self.generation => Ok(()),
                Some(_) => Err("this run is over: another one has taken its place"),
                None if trusted => Ok(()),
                None => Err("only root, the supervisor's user and the application itself may ask this"),
            },
            Request::Status => Ok(()),
            Request::Rollback | Request::Forget { .. } if trusted => Ok(()),
            Request::Rollback | Request::Forget { .. } => {
                Err("only root and the supervisor's user may ask this")
            }
        };
        if let Err(reason) = allowed {
            self.server.reply(token, &Reply::Refused { reason: reason.to_owned() });
            return;
        }
        match request {
            Request::Ready { .. } => self.input(Input::Ready(Some(token))),
            Request::Extend { milliseconds, .. } => {
                self.input(Input::Extend { milliseconds, token: Some(token) })
            }
            Request::Check { .. } => self.input(Input::Check(token)),
            Request::Rollback => self.input(Input::RollBack(token)),
            Request::Forget { digest } => self.input(Input::Forget(digest, token)),
            Request::Status => {
                let status = Reply::Status(Box::new(self.status()));
                self.server.reply(token, &status);
            }
        }
    }

    fn status(&mut self) -> Status {
        let slots = self.ground.slots();
        let target = self.settings.target.as_ref().map(ToString::to_string);
        let mut status = crate::report::report(&RealDisk, &self.ground.layout, &slots, target);
        let now = self.now();
        let view = self.machine.view(now);
        let left = |at: Millis| at.saturating_sub(now);
        if let (Some(probation), Some(run)) = (&mut status.probation, &view.run) {
            probation.seconds_left = run.probation_ends.map(|at| left(at) / 1000);
        }
        status.supervisor = Some(SupervisorStatus {
            pid: std::process::id(),
            phase: view.phase.to_owned(),
            detail: view.detail,
            app_pid: self.children.app.and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok()),
            running: view.run.as_ref().map(|run| run.version.digest),
            running_seconds: view.run.as_ref().map(|run| now.saturating_sub(run.since) / 1000),
            starts: view.starts,
            trial_ends_in_ms: view.run.as_ref().and_then(|run| run.trial_ends).map(left),
            next_check_seconds: view.next_check.map(|at| left(at) / 1000),
            pulling: view.helper == Some(Helper::Check),
        });
        status
    }
}

/// 128 random bits in hexadecimal: the standard library's own seed comes from the kernel.
fn random_name() -> String {
    let word = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", word(), word())
}
