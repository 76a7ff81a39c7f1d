//! The trial, from inside: still at it, ready.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Error;
use super::session::{self, Session};
use crate::control::{Reply, Request};
use crate::digest::Digest;

/// What [`mark_ready`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// This version was on trial; now it is the current one, and that is on disk.
    Committed(Digest),
    /// This version was the current one already.
    AlreadyCommitted(Digest),
    /// There is no supervisor, and so nothing to commit.
    NotSupervised,
}

/// Says that this version works: ends its trial and makes it the version that always comes back.
///
/// Returns when the commit is durable. Then, once a process, a check for a newer version is started in the background; its
/// failure is logged and changes nothing, so **no state of the network can make this function fail**. What happens
/// when it finds one is said in the [module's documentation](crate::app#who-ends-the-process).
///
/// # Errors
/// The supervisor refused (the trial is over, another run has begun) or can't be reached.
pub async fn mark_ready() -> Result<Readiness, Error> {
    let session = session::get()?;
    let readiness = session.mark_ready().await?;
    if session.client.is_some() && !session.checked.swap(true, Ordering::Relaxed) {
        let session = Arc::clone(session);
        tokio::spawn(async move { session.check_and_announce().await });
    }
    Ok(readiness)
}

/// Asks that the trial end only `duration` from now, at most an hour; for a migration that takes its time. Call it again while it lasts.
///
/// Returns how long the trial lasts from now on, or `None` when there is no trial.
///
/// # Errors
/// The supervisor refused or can't be reached.
pub async fn extend_trial(duration: Duration) -> Result<Option<Duration>, Error> {
    session::get()?.extend_trial(duration).await
}

/// Whether this process runs on trial: it was started so, and [`mark_ready`] has not been acknowledged.
pub fn is_trial() -> bool {
    session::get().is_ok_and(|session| session.is_trial())
}

impl Session {
    pub(super) fn is_trial(&self) -> bool {
        self.started_on_trial && !self.committed.load(Ordering::Relaxed)
    }

    pub(super) async fn mark_ready(&self) -> Result<Readiness, Error> {
        let Some(client) = &self.client else {
            tracing::debug!(event = "ready", "no supervisor: nothing to commit");
            return Ok(Readiness::NotSupervised);
        };
        let readiness = match client.ask(&Request::Ready { generation: self.generation.clone() }).await? {
            Reply::Committed { digest } => {
                tracing::info!(event = "ready", %digest, "trial successful, committed to version {digest}");
                Readiness::Committed(digest)
            }
            Reply::AlreadyCommitted { digest } => {
                tracing::debug!(event = "ready", %digest, "ready; this version was committed already");
                Readiness::AlreadyCommitted(digest)
            }
            other => return Err(Error::unexpected(&other)),
        };
        self.committed.store(true, Ordering::Relaxed);
        Ok(readiness)
    }

    pub(super) async fn extend_trial(&self, duration: Duration) -> Result<Option<Duration>, Error> {
        let Some(client) = self.client.as_ref().filter(|_| self.is_trial()) else { return Ok(None) };
        // Rounded up: a millisecond too many harms nobody, and 0 would end the trial.
        let milliseconds = u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        match client.ask(&Request::Extend { generation: self.generation.clone(), milliseconds }).await? {
            Reply::Extended { milliseconds } => Ok(Some(Duration::from_millis(milliseconds))),
            other => Err(Error::unexpected(&other)),
        }
    }
}
