//! The loop: it wakes, looks, decides and has it carried out, for ever.
//!
//! One task owns everything that is known. What takes long — pulls, steps, questions to registries, watching a new version — runs in tasks of
//! its own, which tell the loop by one bounded queue. So a pull of an hour never delays starting another container again.

mod act;
mod budget;
mod door;
mod own;
mod pause;
mod surveys;

mod wake;

mod listen;
mod look;
mod watch;

mod state;

mod dispatch;
mod document;
mod pass;
mod pulls;
mod report;
mod requests;
mod specs;
mod try_out;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dockerloader::clock;
use tokio::sync::{mpsc, watch as channel};

use crate::engine::Engine;
use crate::history::History;
use crate::manager::Request;
use crate::metrics::Metrics;
use crate::probe::Probe;
use crate::report::Report;

use state::Loop;

/// What the loop works with.
#[derive(Debug)]
pub struct Device<E, P> {
    /// The engine.
    pub engine: Arc<E>,
    /// How new versions are probed.
    pub probe: Arc<P>,
    /// What outlives a restart.
    pub history: History,
    /// What is counted.
    pub metrics: Metrics,
    /// The document's file.
    pub document: PathBuf,
    /// Whose things in the engine are ours.
    pub instance: String,
    /// What registries need besides what the document says.
    pub registry: dockerloader::config::RegistrySettings,
    /// deviced's own environment, for names without a value.
    pub environment: std::collections::BTreeMap<String, String>,
}

/// Wakes that wait, at most. Who has one more waits.
const WAKES: usize = 256;
/// A look although nothing seems to have happened.
const AT_LEAST_EVERY: Duration = Duration::from_secs(60);
/// Between two looks, at least: what happens meanwhile is one.
const AT_MOST_EVERY: Duration = Duration::from_millis(100);

/// Brings the engine to what the document says and keeps it there, until `stop` says so. What is under way then is found again by the next start.
pub async fn run<E: Engine, P: Probe>(
    device: Device<E, P>,
    mut requests: mpsc::Receiver<Request>,
    report: channel::Sender<Arc<Report>>,
    mut stop: channel::Receiver<bool>,
) {
    let (wakes, mut woken) = mpsc::channel(WAKES);
    let listeners = [
        tokio::spawn(listen::events(Arc::clone(&device.engine), wakes.clone())),
        tokio::spawn(listen::file(device.document.clone(), wakes.clone())),
    ];
    let mut state = Loop::new(device, wakes, report);
    state.read_file();
    loop {
        let next = state.pass().await;
        let (earliest, latest) = (clock::now() + AT_MOST_EVERY, clock::now() + next.min(AT_LEAST_EVERY));
        tokio::select! {
            biased;
            () = ended(&mut stop) => break,
            Some(request) = requests.recv() => state.answer(request).await,
            Some(wake) = woken.recv() => state.wake(wake),
            () = tokio::time::sleep_until(latest.into()) => {}
        }
        // What else has happened, or happens within a moment, is part of the same look.
        loop {
            tokio::select! {
                biased;
                Some(request) = requests.recv() => {
                    state.answer(request).await;
                }
                Some(wake) = woken.recv() => state.wake(wake),
                () = tokio::time::sleep_until(earliest.into()) => break,
            }
        }
    }
    for listener in listeners {
        listener.abort();
    }
    state.stop().await;
}

/// A sender that is gone is an end as well.
async fn ended(stop: &mut channel::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
