//! Watching a version that has to prove itself, until it has, or has failed.

use std::sync::Arc;
use std::time::Duration;

use dockerloader::clock;
use tokio::sync::mpsc;

use super::wake::Wake;
use crate::document::update::Health as Policy;
use crate::engine::{ContainerId, Engine, Error};
use crate::health::{self, Proof, Seen};
use crate::probe::Probe;

/// What is watched.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    pub(super) container: String,
    pub(super) operation: String,
    pub(super) id: ContainerId,
    pub(super) policy: Policy,
    pub(super) memory_limited: bool,
}

/// A probe may take so long.
const PROBE_DEADLINE: Duration = Duration::from_secs(5);

/// Looks at a container at intervals, and says each time that what is known about it has changed.
pub(super) async fn watch<E: Engine, P: Probe>(
    engine: Arc<E>,
    probe: Arc<P>,
    watched: Watched,
    wakes: mpsc::Sender<Wake>,
) {
    let began = clock::now();
    let mut last = None;
    let mut away = false;
    loop {
        let proof = match engine.inspect(&watched.id).await {
            Ok(inspection) => {
                let probed = probes(&*engine, &*probe, &watched, &inspection).await;
                let seen = Seen::new(&inspection, began.elapsed(), probed, away, watched.memory_limited);
                health::judge(&watched.policy, &seen)
            }
            Err(Error::Missing { .. }) => Proof::Failed(health::gone()),
            Err(error) => {
                away = true;
                Proof::Waiting(error.to_string())
            }
        };
        let is_over = !matches!(proof, Proof::Waiting(_));
        if last.as_ref() != Some(&proof) {
            let (container, operation) = (watched.container.clone(), watched.operation.clone());
            if wakes.send(Wake::Proof { container, operation, proof: proof.clone() }).await.is_err() {
                return;
            }
            last = Some(proof);
        }
        if is_over {
            return;
        }
        tokio::time::sleep(watched.policy.interval.0.max(Duration::from_millis(50))).await;
    }
}
