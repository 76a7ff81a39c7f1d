//! Ctrl-C and SIGTERM end the child that runs now; the calls after it are refused, and everything unwinds through its
//! `Drop`. So whatever was started is stopped.

use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::{Context as _, Failure, Result};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// Process groups that a signal ends. Held while a child is spawned, so that none slips in between.
static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Starts to listen. Once.
pub(crate) fn watch() -> Result {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().build().context("listen for signals")?;
    let guard = runtime.enter();
    let mut signals = Vec::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        signals.push(signal(kind).context("listen for signals")?);
    }
    drop(guard);
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let [interrupt, terminate, hangup] = &mut signals[..] else { return };
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
                let again = INTERRUPTED.swap(true, Ordering::SeqCst);
                for group in groups().iter() {
                    // It may be gone already.
                    let _ = killpg(*group, if again { Signal::SIGKILL } else { Signal::SIGTERM });
                }
            }
        });
    });
    Ok(())
}

/// Whether a signal came.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Waits, unless a signal comes.
pub(crate) fn pause(period: Duration) -> Result {
    let end = Instant::now() + period;
    while Instant::now() < end {
        if interrupted() {
            return Err(Failure::new("interrupted"));
        }
        std::thread::sleep(Duration::from_millis(50).min(period));
    }
    Ok(())
}

/// Spawns the leader of a process group that a signal ends; refuses after a signal.
pub(crate) fn spawn(command: &mut Command) -> std::result::Result<Child, Failure> {
    let mut groups = groups();
    if interrupted() {
        return Err(Failure::new("interrupted"));
    }
    let child = command.spawn().context(format_args!("start {}", command.get_program().display()))?;
    groups.push(pid(&child));
    Ok(child)
}

/// The child was waited for: its number may belong to somebody else from now on.
pub(crate) fn forget(child: &Child) {
    groups().retain(|group| *group != pid(child));
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX))
}

fn groups() -> MutexGuard<'static, Vec<Pid>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}
