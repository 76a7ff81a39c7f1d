//! The loop: one poll over signals, timer, sockets and pipes; every decision is the machine's.

mod processes;
pub(super) mod requests;

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::unistd::getpid;

use super::children::{Children, end_all};
use super::exit;
use super::ground::Ground;
use super::helper::Lines;
use super::lock::{LockError, Locked, remove_unfinished, take_place};
use super::machine::{self, Action, Helper, Input, Machine, Millis};
use super::relay::Stream;
use super::server::Server;
use super::session::{self, Doubts, Ended, Farewell, Session};
use super::signals::{self, Course};
use crate::clock::{self, Instant};
use crate::config::{Environment, Settings};
use crate::defect;
use crate::disk::RealDisk;
use crate::layout::Layout;
use crate::slots;
use crate::status::Condition;
use crate::tree::Depth;

/// Runs the supervisor until it is told to leave, and returns its exit code.
pub fn run(settings: &Settings, environment: &Environment) -> i32 {
    defect::on_panic(end_all);
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
    remove_unfinished(&layout);
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
    /// What the machine has not been told yet, and whether it is being told.
    inputs: VecDeque<Input>,
    busy: bool,
    generation: String,
    leave: Option<i32>,
    session: Session,
    /// Whether commands find this supervisor.
    is_published: bool,
}

/// The output of the helper that runs.
struct HelperPipe {
    helper: Helper,
    output: Option<OwnedFd>,
    lines: Lines,
    /// The kernel's count of processes killed for memory when it started.
    kills_before: u64,
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
        let (session, doubts, look_after_start) = begin_session(&layout, server.control_address());
        let milliseconds = |duration: Duration| Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX);
        let config = machine::Config {
            trial_timeout: milliseconds(settings.trial_timeout),
            stop_grace: milliseconds(settings.stop_grace),
            probation: milliseconds(settings.probation),
            update_interval: milliseconds(settings.update_interval),
            poll: settings.poll,
            on_trial_failure: settings.on_trial_failure,
            has_target: settings.target.is_some(),
            doubts,
            look_after_start,
        };
        let jitter = (RandomState::new().build_hasher().finish() % 201).saturating_add(900);
        let mut supervisor = Self {
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
            inputs: VecDeque::new(),
            busy: false,
            generation: String::new(),
            leave: None,
            session,
            is_published: false,
        };
        if let Err(error) = supervisor.publish() {
            tracing::warn!(
                event = "not_published",
                "commands outside the application can't reach this supervisor yet: {error}"
            );
        }
        Ok(supervisor)
    }

    fn publish(&mut self) -> io::Result<()> {
        session::publish(&self.ground.layout, &self.session)?;
        self.is_published = true;
        Ok(())
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
        for finding in self.status().findings {
            tracing::warn!(event = "finding", "{finding}");
        }
        self.input(Input::Begin);
        while self.leave.is_none() {
            if let Err(error) = self.turn() {
                tracing::error!(event = "internal", "{error}");
                end_all();
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
                    self.end_defective_helper();
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

    /// Sets the timer to the next deadline of the machine or the helper; none set means no wake-up.
    fn arm(&mut self) -> io::Result<()> {
        let helper = self.helper.as_ref().map(|helper| helper.lines.deadline());
        let deadline = [self.machine.deadline(), helper].into_iter().flatten().min();
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

    /// Gives the machine an input and does what it says. What an action brings about, such as a program that can't be executed, waits
    /// until all actions are done: else the later ones would undo what the machine said about that.
    fn input(&mut self, input: Input) {
        self.inputs.push_back(input);
        if self.busy {
            return;
        }
        self.busy = true;
        while let Some(input) = self.inputs.pop_front() {
            let now = self.now();
            for action in self.machine.on(now, input, &mut self.ground) {
                self.perform(action);
            }
        }
        self.busy = false;
        if !self.is_published {
            // The disk was full or failed; it may be better by now. What kept it was told once.
            let _ = self.publish();
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
            Action::Settled => {
                let named = slots::read(&RealDisk, &self.ground.layout).map(|slots| slots.named());
                self.session.settled = named.unwrap_or_default();
                self.is_published = self.publish().is_ok();
            }
            Action::Leave(code) => {
                let suspect = self.machine.suspect().cloned();
                session::say_farewell(&self.ground.layout, &Farewell::new(suspect));
                self.leave = Some(code);
            }
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
}

/// Finds out how the last supervisor ended, and says that this one has begun: what is to be doubted, and how closely everything is to be
/// looked at once something runs.
fn begin_session(layout: &Layout, control: String) -> (Session, Doubts, Option<Depth>) {
    let boot = session::boot();
    let before = session::read_session(&RealDisk, layout);
    let ended = session::judge(before.as_ref(), session::read_farewell(&RealDisk, layout), &boot);
    let named = slots::read(&RealDisk, layout).map(|slots| slots.named()).unwrap_or_default();
    let settled = session::settled(&ended, before.as_ref(), &named);
    let mut doubts = Doubts { settled: settled.clone(), ..Doubts::default() };
    for health in crate::health::read(&RealDisk, layout) {
        if health.condition == Condition::Damaged {
            doubts.suspect(health.digest);
        }
    }
    let look_after_start = match &ended {
        Ended::Never | Ended::Orderly => None,
        Ended::Suspicious { version, reason } => {
            tracing::warn!(event = "suspect", digest = %version, "the last run {reason}: looking at its files before it starts");
            doubts.suspect(*version);
            None
        }
        Ended::Killed => {
            tracing::warn!(event = "unclean_stop", power = false, "the last supervisor was killed");
            Some(Depth::Quick)
        }
        Ended::PowerLoss => {
            tracing::warn!(
                event = "unclean_stop",
                power = true,
                "the machine stopped without a word, as by a loss of power: looking at what is to be started first"
            );
            doubts.all = true;
            Some(Depth::Full)
        }
    };
    let session = Session { pid: std::process::id(), control, boot, settled };
    session::forget_farewell(layout);
    (session, doubts, look_after_start.filter(|_| !named.is_empty()))
}

/// 128 random bits in hexadecimal: the standard library's own seed comes from the kernel.
fn random_name() -> String {
    let word = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", word(), word())
}
