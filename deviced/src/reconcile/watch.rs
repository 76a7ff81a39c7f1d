//! Watching a version that has to prove itself, until it has, or has failed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dockerloader::clock;
use serde_json::Value;
use tokio::sync::mpsc;

use super::wake::Wake;
use crate::document::update::Health as Policy;
use crate::engine::{ContainerId, Engine, Error, Inspection, State};
use crate::health::{self, Proof, Watch};
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
/// Between two looks, at least.
const AT_MOST_EVERY: Duration = Duration::from_millis(50);

/// Looks at a container at intervals, and says each time that what is known about it has changed.
pub(super) async fn watch<E: Engine, P: Probe>(
    engine: Arc<E>,
    probe: Arc<P>,
    watched: Watched,
    wakes: mpsc::Sender<Wake>,
) {
    let (began, mut looks) = (clock::now(), Watch::default());
    let (mut last, mut away) = (None, false);
    loop {
        let proof = match engine.inspect(&watched.id).await {
            Ok(inspection) => {
                let probed = probed(&*engine, &*probe, &watched, &inspection).await;
                let seen = looks.see(&inspection, began.elapsed(), probed, away, watched.memory_limited);
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
        tokio::time::sleep(watched.policy.interval.0.max(AT_MOST_EVERY)).await;
    }
}

/// What the document's probes say, the first that is not content; `None` where there are none.
async fn probed<E: Engine, P: Probe>(
    engine: &E,
    probe: &P,
    watched: &Watched,
    inspection: &Inspection,
) -> Option<Result<(), String>> {
    let Policy { http, tcp, exec, .. } = &watched.policy;
    if http.is_none() && tcp.is_none() && exec.is_none() {
        return None;
    }
    if inspection.state != State::Running {
        return Some(Err("it does not run".to_owned()));
    }
    let ask = async {
        if http.is_some() || tcp.is_some() {
            let address = address(engine, inspection).await?;
            if let Some(page) = http {
                probe.http(SocketAddr::new(address, page.port), &page.path, PROBE_DEADLINE).await?;
            }
            if let Some(port) = tcp {
                probe.tcp(SocketAddr::new(address, port.port), PROBE_DEADLINE).await?;
            }
        }
        if let Some(command) = exec {
            let ended = engine
                .exec(&watched.id, &command.0, PROBE_DEADLINE)
                .await
                .map_err(|error| error.to_string())?;
            if ended.code != 0 {
                return Err(format!(
                    "{:?} ended with {}: {}",
                    command.0.join(" "),
                    ended.code,
                    ended.output.trim()
                ));
            }
        }
        Ok(())
    };
    Some(ask.await)
}

/// Where a container can be asked: its own address, that of the container whose network it shares, or the device itself.
async fn address<E: Engine>(engine: &E, inspection: &Inspection) -> Result<IpAddr, String> {
    let mode = |body: &Value| {
        body.pointer("/HostConfig/NetworkMode").and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let own = mode(&inspection.body);
    let owner = match own.strip_prefix("container:") {
        Some(owner) => Some(
            engine.inspect(&ContainerId(owner.to_owned())).await.map_err(|error| error.to_string())?.body,
        ),
        None => None,
    };
    let body = owner.as_ref().unwrap_or(&inspection.body);
    if mode(body) == "host" {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    let networks = body.pointer("/NetworkSettings/Networks").and_then(Value::as_object);
    let mut addresses = networks.into_iter().flat_map(serde_json::Map::values).flat_map(|network| {
        let text = |name: &str| network.get(name).and_then(Value::as_str)?.parse::<IpAddr>().ok();
        text("IPAddress").or_else(|| text("GlobalIPv6Address"))
    });
    addresses.next().ok_or_else(|| "it has no address in any network yet".to_owned())
}
