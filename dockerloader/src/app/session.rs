//! What the calls of one process share.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;

use super::{Client, Error};
use crate::config::Settings;
use crate::control::{GENERATION_VARIABLE, TRIAL_VARIABLE};
use crate::digest::Digest;

/// One run of one version, seen from inside.
#[derive(Debug)]
pub(super) struct Session {
    /// The supervisor; `None` without one.
    pub(super) client: Option<Client>,
    /// The token of this run.
    pub(super) generation: Option<String>,
    /// Whether this run began as a trial.
    pub(super) started_on_trial: bool,
    /// Time between two checks of the loop.
    pub(super) interval: Duration,
    /// The supervisor acknowledged `ready`.
    pub(super) committed: AtomicBool,
    /// The check that follows `ready` was started.
    pub(super) checked: AtomicBool,
    /// The loop was started.
    pub(super) looping: AtomicBool,
    /// `watch_updates` was called: the application ends itself.
    pub(super) watched: AtomicBool,
    /// The version that is staged, once one is.
    pub(super) staged: watch::Sender<Option<Digest>>,
}

impl Session {
    pub(super) fn new(
        client: Option<Client>,
        generation: Option<String>,
        started_on_trial: bool,
        interval: Duration,
    ) -> Self {
        Self {
            client,
            generation,
            started_on_trial,
            interval,
            committed: AtomicBool::new(false),
            checked: AtomicBool::new(false),
            looping: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            staged: watch::Sender::new(None),
        }
    }

    fn from_environment() -> Result<Self, Error> {
        let name = "DOCKERLOADER_UPDATE_INTERVAL_SECS";
        // Only this one: a wrong value of another variable is the supervisor's to refuse.
        let environment: BTreeMap<_, _> =
            std::env::var(name).ok().map(|value| (name.to_owned(), value)).into_iter().collect();
        Ok(Self::new(
            Client::from_environment(),
            std::env::var(GENERATION_VARIABLE).ok(),
            std::env::var(TRIAL_VARIABLE).is_ok_and(|value| value == "1"),
            Settings::parse(&environment)?.update_interval,
        ))
    }
}

/// The session of this process, read from the environment at the first call.
pub(super) fn get() -> Result<&'static Arc<Session>, Error> {
    static SESSION: OnceLock<Arc<Session>> = OnceLock::new();
    if let Some(session) = SESSION.get() {
        return Ok(session);
    }
    let session = Arc::new(Session::from_environment()?);
    Ok(SESSION.get_or_init(|| session))
}
