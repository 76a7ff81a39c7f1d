//! An engine in memory: what a step does to it, and what its lists say.

use std::collections::{BTreeMap, BTreeSet};

use dockerloader::digest::Digest;
use serde_json::{Value, json};

use crate::engine::{
    Address, Container, ContainerId, Image, ImageId, Inspection, Network, PublishedPort, State, Volume,
};
use crate::labels;
use crate::observed::Observed;
use crate::plan::Step;
use crate::spec::Spec;

/// How a version behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    Good,
    /// It ends as soon as it is started.
    Bad,
    /// It proves itself, and ends again and again afterwards.
    Late,
}

#[derive(Debug, Clone)]
pub(super) struct Real {
    pub(super) id: ContainerId,
    pub(super) name: String,
    pub(super) image: ImageId,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) spec: Spec,
    pub(super) state: State,
    pub(super) started: i64,
    pub(super) created: i64,
    pub(super) exit_code: i64,
    pub(super) error: String,
    pub(super) restarts: i64,
    pub(super) networks: BTreeSet<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Engine {
    pub(super) containers: Vec<Real>,
    pub(super) images: BTreeMap<String, (Digest, BTreeSet<String>)>,
    pub(super) networks: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) volumes: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) behaviours: BTreeMap<Digest, Behaviour>,
    /// Kinds of calls that fail, and how often.
    pub(super) faults: BTreeMap<&'static str, u32>,
    clock: i64,
    made: u32,
}

impl Real {
    pub(super) fn is_ours(&self) -> bool {
        self.labels.contains_key(labels::ID)
    }

    pub(super) fn is_of(&self, id: &str) -> bool {
        self.labels.get(labels::ID).is_some_and(|own| own == id)
    }

    pub(super) fn digest(&self) -> Option<Digest> {
        self.labels.get(labels::DIGEST)?.parse().ok()
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, State::Running | State::Paused | State::Restarting)
    }

    fn policy(&self) -> &str {
        self.spec.get("/HostConfig/RestartPolicy/Name").and_then(Value::as_str).unwrap_or("no")
    }

    fn mode(&self) -> String {
        let mode = self.spec.get("/HostConfig/NetworkMode").and_then(Value::as_str);
        mode.unwrap_or("default").to_owned()
    }

    fn ports(&self) -> Vec<PublishedPort> {
        let bindings = self.spec.get("/HostConfig/PortBindings").and_then(Value::as_object);
        let published = bindings.into_iter().flatten().filter_map(|(inside, bindings)| {
            let published = bindings.get(0)?.get("HostPort")?.as_str()?.parse().ok()?;
            let (target, protocol) = inside.split_once('/')?;
            let target = target.parse().ok()?;
            Some(PublishedPort { address: None, published, target, protocol: protocol.to_owned() })
        });
        published.collect()
    }
}

pub(super) fn image_id(digest: &Digest) -> ImageId {
    ImageId(format!("image-{}", digest.short()))
}

fn time(clock: i64) -> String {
    jiff::Timestamp::from_second(1_700_000_000 + clock).unwrap().to_string()
}

impl Engine {
    fn tick(&mut self) -> i64 {
        self.clock += 1;
        self.clock
    }

    fn fault(&mut self, call: &'static str) -> Result<(), String> {
        match self.faults.get_mut(call) {
            Some(left) if *left > 0 => {
                *left -= 1;
                Err(format!("{call}: the engine failed"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn get(&self, id: &ContainerId) -> Result<&Real, String> {
        self.containers
            .iter()
            .find(|container| container.id == *id)
            .ok_or_else(|| format!("no container {id}"))
    }

    fn get_mut(&mut self, id: &ContainerId) -> Result<&mut Real, String> {
        let found = self.containers.iter_mut().find(|container| container.id == *id);
        found.ok_or_else(|| format!("no container {id}"))
    }

    /// Adds an image with its name by digest, as a pull does.
    pub(super) fn pull(&mut self, repository: &str, digest: Digest) {
        let names = &mut self.images.entry(image_id(&digest).0).or_insert((digest, BTreeSet::new())).1;
        names.insert(format!("{repository}@{digest}"));
    }

    /// Creates a container, as somebody who is not deviced does too.
    pub(super) fn create(
        &mut self,
        name: &str,
        image: &ImageId,
        spec: Spec,
        labels: BTreeMap<String, String>,
    ) -> Result<ContainerId, String> {
        self.fault("create")?;
        if self.containers.iter().any(|container| container.name == name) {
            return Err(format!("the name {name} is taken"));
        }
        if !self.images.contains_key(&image.0) && labels.contains_key(labels::ID) {
            return Err(format!("no image {image}"));
        }
        let endpoints = spec.get("/NetworkingConfig/EndpointsConfig").and_then(Value::as_object);
        let networks: BTreeSet<_> = endpoints.into_iter().flatten().map(|(name, _)| name.clone()).collect();
        if let Some(missing) = networks.iter().find(|name| !self.networks.contains_key(*name)) {
            return Err(format!("no network {missing}"));
        }
        self.made += 1;
        let id = ContainerId(format!("{:012x}{:052x}", self.made, 0));
        let created = self.tick();
        self.containers.push(Real {
            id: id.clone(),
            name: name.to_owned(),
            image: image.clone(),
            labels,
            spec,
            state: State::Created,
            started: 0,
            created,
            exit_code: 0,
            error: String::new(),
            restarts: 0,
            networks,
        });
        Ok(id)
    }

    pub(super) fn start(&mut self, id: &ContainerId) -> Result<(), String> {
        self.fault("start")?;
        let container = self.get(id)?.clone();
        match container.state {
            State::Running => return Ok(()),
            State::Created | State::Exited | State::Restarting => {}
            state => return Err(format!("it is {state:?}")),
        }
        let problem = self.unstartable(&container);
        let behaviour = container.digest().and_then(|digest| self.behaviours.get(&digest).copied());
        let started = self.tick();
        let container = self.get_mut(id)?;
        if let Some(problem) = problem {
            (container.error, container.exit_code) = (problem.clone(), 128);
            return Err(problem);
        }
        container.error.clear();
        container.started = started;
        container.restarts = 0;
        container.state = State::Running;
        if behaviour == Some(Behaviour::Bad) {
            container.end(1);
        }
        Ok(())
    }

    fn unstartable(&self, container: &Real) -> Option<String> {
        if let Some(owner) = container.mode().strip_prefix("container:") {
            let owner = self.get(&ContainerId(owner.to_owned())).ok();
            if owner.is_none_or(|owner| owner.state != State::Running) {
                return Some("the network's owner does not run".to_owned());
            }
        }
        let taken =
            self.containers.iter().filter(|other| other.id != container.id && other.is_up()).find(|other| {
                let ports = container.ports();
                other.ports().iter().any(|taken| ports.iter().any(|port| port.published == taken.published))
            });
        taken.map(|other| format!("a port is taken by {}", other.name))
    }

    /// A version that ends again and again does so.
    pub(super) fn end(&mut self, id: &ContainerId) {
        if let Ok(container) = self.get_mut(id) {
            container.end(1);
        }
    }

    /// What had ended runs again for a while, unless it never does.
    pub(super) fn start_again(&mut self) {
        let restarting = self.containers.iter().filter(|container| container.state == State::Restarting);
        for id in restarting.map(|container| container.id.clone()).collect::<Vec<_>>() {
            let _ = self.start(&id);
        }
    }

    /// The machine was restarted: of ours, what its policy starts is started, in any order.
    pub(super) fn reboot(&mut self) {
        let mut up = Vec::new();
        for container in self.containers.iter_mut().filter(|container| container.is_ours()) {
            let ran = container.is_up();
            if ran {
                (container.state, container.exit_code) = (State::Exited, 137);
            }
            if matches!(container.policy(), "always") && container.started > 0
                || ran && container.policy() != "no"
            {
                up.push(container.id.clone());
            }
        }
        for id in up {
            let _ = self.start(&id);
        }
    }

    /// Carries out a step that is about the engine.
    pub(super) fn apply(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Create { name, image, spec, labels, .. } => {
                self.create(name, image, spec.clone(), labels.clone()).map(drop)
            }
            Step::Start(id) => self.start(id),
            Step::Stop(id) => {
                self.fault("stop")?;
                let container = self.get_mut(id)?;
                if container.is_up() {
                    (container.state, container.exit_code) = (State::Exited, 143);
                }
                Ok(())
            }
            Step::Rename { id, name } => {
                self.fault("rename")?;
                if self.containers.iter().any(|container| container.name == *name && container.id != *id) {
                    return Err(format!("the name {name} is taken"));
                }
                let container = self.get_mut(id)?;
                if matches!(container.state, State::Removing | State::Dead) {
                    return Err("it is being removed".to_owned());
                }
                container.name.clone_from(name);
                Ok(())
            }
            Step::Remove(id) => {
                self.fault("remove")?;
                let container = self.get(id)?;
                if container.is_up() {
                    return Err("it runs".to_owned());
                }
                if container.state == State::Removing {
                    return Err("its removal is under way".to_owned());
                }
                self.containers.retain(|container| container.id != *id);
                Ok(())
            }
            Step::Update { id, host_config } => {
                self.fault("update")?;
                let container = self.get_mut(id)?;
                let Some(Value::Object(host)) = container.spec.0.get_mut("HostConfig") else {
                    return Err("it has no configuration".to_owned());
                };
                host.extend(host_config.as_object().unwrap().clone());
                Ok(())
            }
            Step::Connect { id, network, .. } => {
                self.fault("connect")?;
                if !self.networks.contains_key(network) {
                    return Err(format!("no network {network}"));
                }
                self.get_mut(id)?.networks.insert(network.clone());
                Ok(())
            }
            Step::Disconnect { id, network } => {
                self.get_mut(id)?.networks.remove(network);
                Ok(())
            }
            Step::CreateNetwork { name, body } => {
                self.networks.insert(name.clone(), labels_of(body));
                Ok(())
            }
            Step::RemoveNetwork(name) => {
                if self.containers.iter().any(|container| container.networks.contains(name)) {
                    return Err(format!("{name} is in use"));
                }
                self.networks.remove(name);
                Ok(())
            }
            Step::CreateVolume { name, body } => {
                self.volumes.insert(name.clone(), labels_of(body));
                Ok(())
            }
            Step::RemoveImage(name) => {
                let used: BTreeSet<_> =
                    self.containers.iter().map(|container| container.image.0.clone()).collect();
                for (image, (_, names)) in &mut self.images {
                    if names.remove(name) && names.is_empty() && used.contains(image) {
                        return Err(format!("{name} is in use"));
                    }
                }
                self.images.retain(|_, (_, names)| !names.is_empty());
                Ok(())
            }
            Step::Record(_)
            | Step::Pull { .. }
            | Step::Hooks { .. }
            | Step::KeepLog(_)
            | Step::Judge { .. }
            | Step::Commit { .. }
            | Step::Finish { .. } => Ok(()),
        }
    }

    /// What the lists and inspections say.
    pub(super) fn observed(&self) -> Observed {
        let ours = self.containers.iter().filter(|container| container.is_ours());
        Observed {
            containers: self.containers.iter().map(listed).collect(),
            images: self.images.iter().map(|(id, (_, names))| image(id, names)).collect(),
            networks: self.networks.iter().map(|(name, labels)| network(name, labels)).collect(),
            volumes: self.volumes.iter().map(|(name, labels)| volume(name, labels)).collect(),
            inspected: ours.map(|container| (container.id.clone(), inspected(container))).collect(),
        }
    }
}

impl Real {
    fn end(&mut self, code: i64) {
        self.exit_code = code;
        self.restarts = 3;
        self.state = if self.policy() == "no" { State::Exited } else { State::Restarting };
    }
}

fn labels_of(body: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(body["Labels"].clone()).unwrap_or_default()
}

fn listed(real: &Real) -> Container {
    Container {
        id: real.id.clone(),
        name: real.name.clone(),
        image: real.image.0.clone(),
        image_id: real.image.clone(),
        state: real.state,
        health: None,
        created: real.created,
        labels: real.labels.clone(),
        ports: if real.is_up() { real.ports() } else { Vec::new() },
        network_mode: real.mode(),
        networks: real.networks.iter().map(|name| (name.clone(), Address(None))).collect(),
    }
}

fn inspected(real: &Real) -> Inspection {
    let mut config = Value::Object(real.spec.0.clone());
    let host = config["HostConfig"].clone();
    let mut labels = config["Labels"].as_object().cloned().unwrap_or_default();
    labels.extend(real.labels.iter().map(|(name, value)| (name.clone(), value.as_str().into())));
    config["Labels"] = labels.into();
    let endpoints = real.spec.get("/NetworkingConfig/EndpointsConfig").cloned().unwrap_or_default();
    let networks: BTreeMap<_, _> = real
        .networks
        .iter()
        .map(|name| (name.clone(), endpoints.get(name).cloned().unwrap_or(json!({}))))
        .collect();
    Inspection {
        body: json!({
            "Created": time(real.created), "Config": config, "HostConfig": host,
            "NetworkSettings": {"Networks": networks},
        }),
        state: real.state,
        health: None,
        started_at: if real.started == 0 { "0001-01-01T00:00:00Z".to_owned() } else { time(real.started) },
        exit_code: real.exit_code,
        out_of_memory: false,
        error: real.error.clone(),
        restarts: real.restarts,
    }
}

fn image(id: &str, names: &BTreeSet<String>) -> Image {
    let (digests, tags) = names.iter().cloned().partition(|name| name.contains('@'));
    Image { id: ImageId(id.to_owned()), tags, digests, size: 1, created: 1, labels: BTreeMap::new() }
}

fn network(name: &str, labels: &BTreeMap<String, String>) -> Network {
    Network { id: name.to_owned(), name: name.to_owned(), body: json!({}), labels: labels.clone() }
}

fn volume(name: &str, labels: &BTreeMap<String, String>) -> Volume {
    Volume { name: name.to_owned(), body: json!({}), labels: labels.clone() }
}
