//! Looking for newer versions, and leaving the stage to them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Error;
use super::session::{self, Session};
use crate::control::{RESTART_EXIT_CODE, Reply, Request};
use crate::digest::Digest;
use crate::remedy::Remedy;

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckOutcome {
    /// The target names the running version.
    UpToDate(Digest),
    /// A newer version is staged; [`restart`] has it tried.
    Staged(Digest),
    /// The target names a version that was rejected before.
    Skipped {
        /// The version.
        digest: Digest,
        /// Why it was rejected.
        reason: String,
    },
    /// The check failed, and what runs goes on.
    Failed {
        /// What went wrong.
        error: String,
        /// What helps.
        remedy: Remedy,
    },
}

/// The loop of [`start_update_loop`]. Dropping it lets the loop go on.
#[derive(Debug)]
pub struct UpdateLoop(Option<JoinHandle<()>>);

impl UpdateLoop {
    /// Ends the loop. A check that is under way goes on in the supervisor, and nobody hears of it.
    pub fn stop(&self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// Tells of staged versions; from [`watch_updates`].
#[derive(Debug)]
pub struct Updates {
    staged: watch::Receiver<Option<Digest>>,
}

impl Updates {
    /// Resolves when a newer version is staged, at once if one is; never without a supervisor. Safe to be cancelled, so it fits
    /// a branch of `tokio::select!`.
    pub async fn staged(&mut self) -> Digest {
        let staged = match self.staged.wait_for(Option::is_some).await {
            Ok(staged) => *staged,
            Err(_) => None,
        };
        match staged {
            Some(digest) => digest,
            None => std::future::pending().await,
        }
    }
}

/// Looks for a newer version every `DOCKERLOADER_UPDATE_INTERVAL_SECS` (300), for the first time after one interval, since
/// [`mark_ready`](super::mark_ready) has looked already. When one is staged, the process exits with 42 from within,
/// unless [`watch_updates`] was called. A failed check is logged; the loop goes on.
///
/// Only the first call of this function or of [`watch_updates`] starts a loop.
///
/// # Errors
/// `DOCKERLOADER_UPDATE_INTERVAL_SECS` is no number of seconds.
pub async fn start_update_loop() -> Result<UpdateLoop, Error> {
    Ok(UpdateLoop(session::get()?.start_loop()))
}

/// Like [`start_update_loop`], for an application that wants to finish its work before it is replaced: from now on a
/// staged version never ends the process, but is told by [`Updates::staged`]. The application then shuts down and
/// calls [`restart`]. Call it before [`mark_ready`](super::mark_ready).
///
/// # Errors
/// As [`start_update_loop`].
pub async fn watch_updates() -> Result<Updates, Error> {
    Ok(session::get()?.watch())
}

/// Asks the supervisor to look for a newer version and to stage it, and waits until that is done. It never ends the process,
/// and [`Updates`] hear of it too. Most applications need only [`start_update_loop`] or [`watch_updates`].
///
/// # Errors
/// [`Error::NotSupervised`], a refusal, or the supervisor can't be reached; what goes wrong at the registry is
/// [`CheckOutcome::Failed`].
pub async fn check_for_update() -> Result<CheckOutcome, Error> {
    let session = session::get()?;
    let outcome = session.check().await?;
    if let CheckOutcome::Staged(digest) = outcome {
        session.staged.send_replace(Some(digest));
    }
    Ok(outcome)
}

/// Exits with 42: the supervisor tries the staged version, or, if none is, starts this one again. Destructors do not run.
pub fn restart() -> ! {
    std::process::exit(RESTART_EXIT_CODE)
}

impl Session {
    pub(super) fn watch(self: &Arc<Self>) -> Updates {
        self.watched.store(true, Ordering::SeqCst);
        let staged = self.staged.subscribe();
        drop(self.start_loop());
        Updates { staged }
    }

    pub(super) fn start_loop(self: &Arc<Self>) -> Option<JoinHandle<()>> {
        if self.client.is_none() {
            tracing::debug!(event = "update_loop", "no supervisor: no update loop");
            return None;
        }
        if self.looping.swap(true, Ordering::Relaxed) {
            return None;
        }
        let seconds = self.interval.as_secs();
        tracing::info!(event = "update_loop", seconds, "starting update loop, a check every {seconds} s");
        let session = Arc::clone(self);
        Some(tokio::spawn(async move {
            loop {
                // A sleep, not an interval: after a suspend or a long pull there is nothing to catch up on.
                tokio::time::sleep(session.interval).await;
                session.check_and_announce().await;
            }
        }))
    }

    /// One check, logged; a staged version is told to the watcher, or else ends the process.
    pub(super) async fn check_and_announce(&self) {
        match self.check().await {
            Ok(CheckOutcome::Staged(digest)) => {
                self.staged.send_replace(Some(digest));
                if !self.watched.load(Ordering::SeqCst) {
                    tracing::info!(event = "restart", %digest, "exiting with {RESTART_EXIT_CODE} to try it");
                    restart();
                }
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(event = "check", %error, "could not ask for updates: {error}"),
        }
    }

    pub(super) async fn check(&self) -> Result<CheckOutcome, Error> {
        let client = self.client.as_ref().ok_or(Error::NotSupervised)?;
        Ok(match client.ask(&Request::Check { generation: self.generation.clone() }).await? {
            Reply::UpToDate { digest } => {
                tracing::info!(event = "check", %digest, "already running the latest version, {digest}");
                CheckOutcome::UpToDate(digest)
            }
            Reply::Staged { digest } => {
                tracing::info!(event = "check", %digest, "update available: {digest} is staged");
                CheckOutcome::Staged(digest)
            }
            Reply::Skipped { digest, reason } => {
                tracing::warn!(event = "check", %digest, reason, "skipping update to {digest}: {reason}");
                CheckOutcome::Skipped { digest, reason }
            }
            Reply::CheckFailed { error, remedy } => {
                tracing::warn!(event = "check", error, "could not check for updates: {error}");
                CheckOutcome::Failed { error, remedy }
            }
            other => return Err(Error::unexpected(&other)),
        })
    }
}
