//! One look at the engine: a list of each kind, and an inspection of what is new or has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::own;
use crate::engine::{Container, ContainerId, Engine, Error, Inspection};
use crate::labels;
use crate::observed::Observed;

/// Inspections that are made at once.
const AT_ONCE: usize = 8;

/// What another deviced made is as foreign as anything else.
fn disown(labels: &mut BTreeMap<String, String>, instance: &str) {
    if labels.get(labels::INSTANCE).is_none_or(|owner| owner != instance) {
        labels.retain(|name, _| !name.starts_with(labels::PREFIX));
    }
}

/// What was inspected, and what of it is stale.
#[derive(Debug, Default)]
pub(super) struct Inspections {
    known: BTreeMap<ContainerId, (Stamp, Inspection)>,
    stale: BTreeSet<ContainerId>,
}

/// What a list says of a container that changes when it does.
type Stamp = (crate::engine::State, Option<crate::engine::Health>, String, Vec<String>);

fn stamp(container: &Container) -> Stamp {
    let networks = container.networks.keys().cloned().collect();
    (container.state, container.health, container.name.clone(), networks)
}

impl Inspections {
    /// Something happened to a container.
    pub(super) fn touch(&mut self, id: &ContainerId) {
        self.stale.insert(id.clone());
    }

    /// Anything may have happened: the engine was away.
    pub(super) fn touch_all(&mut self) {
        self.stale.extend(self.known.keys().cloned());
    }

    /// Containers of ours that have to be inspected.
    fn missing(&self, containers: &[Container]) -> Vec<ContainerId> {
        let is_ours = |container: &&Container| container.labels.contains_key(labels::ID);
        let is_known = |container: &Container| {
            !self.stale.contains(&container.id)
                && self.known.get(&container.id).is_some_and(|(then, _)| *then == stamp(container))
        };
        containers
            .iter()
            .filter(is_ours)
            .filter(|container| !is_known(container))
            .map(|container| container.id.clone())
            .collect()
    }

    /// Looks at the engine: four calls, and one for each container of ours that is new or was touched. deviced's own container is nobody's.
    ///
    /// # Errors
    /// When one of the lists can't be had. A container that goes away meanwhile is no error.
    pub(super) async fn look<E: Engine>(
        &mut self,
        engine: &Arc<E>,
        instance: &str,
    ) -> Result<Observed, Error> {
        let (mut containers, images, mut networks, mut volumes) =
            tokio::try_join!(engine.containers(), engine.images(), engine.networks(), engine.volumes())?;
        let own = std::fs::read_to_string("/proc/self/mountinfo").ok().and_then(|mounts| own::find(&mounts));
        for container in containers.iter_mut().filter(|container| Some(&container.id) == own.as_ref()) {
            disown(&mut container.labels, "");
        }
        let labels = containers.iter_mut().map(|container| &mut container.labels);
        let labels = labels.chain(networks.iter_mut().map(|network| &mut network.labels));
        for labels in labels.chain(volumes.iter_mut().map(|volume| &mut volume.labels)) {
            disown(labels, instance);
        }
        let missing = self.missing(&containers);
        let inspections: Vec<_> = stream::iter(missing)
            .map(|id| async move { (engine.inspect(&id).await, id) })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let stamps: BTreeMap<_, _> =
            containers.iter().map(|container| (container.id.clone(), stamp(container))).collect();
        for (inspection, id) in inspections {
            match (inspection, stamps.get(&id)) {
                (Ok(inspection), Some(stamp)) => {
                    self.stale.remove(&id);
                    self.known.insert(id, (stamp.clone(), inspection));
                }
                (Err(Error::Missing { .. }), _) | (Ok(_), None) => {
                    self.known.remove(&id);
                }
                (Err(error), _) => return Err(error),
            }
        }
        self.known.retain(|id, _| stamps.contains_key(id));
        self.stale.retain(|id| stamps.contains_key(id));
        let inspected =
            self.known.iter().map(|(id, (_, inspection))| (id.clone(), inspection.clone())).collect();
        Ok(Observed { containers, images, networks, volumes, inspected })
    }
}
