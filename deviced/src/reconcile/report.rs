//! What is known -> what is told. Nothing here asks the engine.

use std::sync::Arc;

use dockerloader::clock;

use super::state::Loop;
use crate::choose::PassedOver;
use crate::desired::Target;
use crate::document::container::Container as Named;
use crate::engine::{Container, Engine, Health, State};
use crate::history::Version;
use crate::plan::{Decision, Status};
use crate::probe::Probe;
use crate::report::{
    ContainerReport, DocumentReport, DriftReport, EngineReport, ImageReport, PassReport, PassedOverReport,
    RegistryReport, Report, VersionReport,
};
use crate::swap::Drift;

impl<E: Engine, P: Probe> Loop<E, P> {
    /// Tells everybody who follows, if anything has changed.
    pub(super) fn publish(&self) {
        let report = self.report();
        self.reports.send_if_modified(|last| {
            let is_new = **last != report;
            if is_new {
                *last = Arc::new(report);
            }
            is_new
        });
    }

    fn report(&self) -> Report {
        let document = self.document.document.as_ref();
        let containers = document.iter().flat_map(|document| &document.containers);
        let strays = self.plan.strays.iter();
        Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            device: document.and_then(|document| document.device.name.clone()),
            at: crate::apply::unix_time(),
            engine: self.engine_report(),
            document: DocumentReport {
                revision: self.document.revision,
                etag: format!("\"r{}\"", self.document.revision),
                file: self.device.document.display().to_string(),
                problem: self.document.problem.clone(),
            },
            containers: containers.map(|named| self.container_report(named)).collect(),
            strays: strays.map(|(id, decision)| self.stray_report(id, decision)).collect(),
            registries: self.registry_reports(),
            images: self.image_reports(),
            pass: PassReport {
                count: self.passes.count,
                took_ms: self.passes.took.as_secs_f64() * 1000.0,
                calls: self.passes.calls,
                at: self.passes.at,
            },
        }
    }

    fn engine_report(&self) -> EngineReport {
        let facts = self.engine.facts.clone().unwrap_or_default();
        EngineReport {
            up: self.engine.problem.is_none(),
            name: format!("{} {}", facts.name, facts.version).trim().to_owned(),
            api: facts.api,
            problem: self.engine.problem.clone(),
            since: self.engine.since,
        }
    }

    fn registry_reports(&self) -> Vec<RegistryReport> {
        let states = self.sources.as_ref().map(|sources| sources.states()).unwrap_or_default();
        let mut reports: Vec<_> = states
            .into_iter()
            .map(|state| RegistryReport {
                url: state.url,
                up: state.up,
                latency_ms: state.latency.map(|latency| latency.as_secs_f64() * 1000.0),
                rank: state.rank,
                problem: state.problem,
                pause: state.pause.map(|pause| pause.as_secs()),
                requests: state.requests,
            })
            .collect();
        reports.sort_by_key(|report| report.rank);
        reports
    }

    fn image_reports(&self) -> Vec<ImageReport> {
        let used = |image: &crate::engine::Image| {
            let ours = self.observed.containers.iter().filter(|container| container.image_id == image.id);
            ours.filter_map(|container| Some(container.made()?.container)).collect::<Vec<_>>()
        };
        let kept = |image: &crate::engine::Image, used: &[String]| {
            let names = |version: &&Version| version.target.image.as_ref() == Some(&image.id);
            let version = self.versions.values().flatten().find(names);
            let remembered = version.map(|version| {
                let said = self.overrides.get(&version.container).and_then(|said| said.pinned);
                let why = if said == Some(version.id) { "pinned by" } else { "history of" };
                format!("{why} {}", version.container)
            });
            if used.is_empty() { remembered } else { Some("runs".to_owned()) }
        };
        self.observed
            .images
            .iter()
            .map(|image| {
                let used_by = used(image);
                let digest = image.digests.iter().find_map(|name| Some(name.split_once('@')?.1.to_owned()));
                let hex = image.id.0.strip_prefix("sha256:").unwrap_or(&image.id.0);
                ImageReport {
                    reference: image.tags.iter().chain(&image.digests).next().cloned().unwrap_or_default(),
                    digest,
                    id: hex.chars().take(12).collect(),
                    size: image.size,
                    kept: kept(image, &used_by),
                    used_by,
                }
            })
            .collect()
    }

    /// What of ours in the engine is the container now: in a replacement, what runs.
    fn current(&self, id: &str) -> Option<&Container> {
        let runs = |found: &&Container| found.state == State::Running;
        if self.swaps.contains_key(id)
            && let Some(running) = self.observed.of(id).find(runs)
        {
            return Some(running);
        }
        let versions = self.versions.get(id).map_or(&[][..], Vec::as_slice);
        self.observed.current(id, self.swaps.get(id), versions, &self.verdicts)
    }

    fn container_report(&self, named: &Named) -> ContainerReport {
        let id = &named.id;
        let now = clock::now();
        let decision = self.plan.containers.get(id);
        let choice = self.choices.get(id);
        let target = choice.and_then(|choice| choice.target.as_ref().ok());
        let said = self.overrides.get(id).cloned().unwrap_or_default();
        let operation = self.swaps.get(id).map(|swap| swap.operation.clone());
        let mut overrides = Vec::new();
        overrides.extend(said.tag.map(|tag| format!("tag {tag}")));
        overrides.extend(said.run.map(|_| "arguments".to_owned()));
        overrides.extend(said.pinned.map(|version| format!("rolled back to version {version}")));
        overrides.extend(said.stopped.then(|| "stopped".to_owned()));
        overrides.extend(said.paused.then(|| "paused".to_owned()));
        let pulling = self.pulls.values().find(|pulling| pulling.containers.contains(id));
        let mut why = decision
            .map_or_else(|| "deviced has not looked at it yet".to_owned(), |decision| decision.why.clone());
        if let Some((registry, problem)) = self.surveys.problems(id).first()
            && !decision.is_some_and(|decision| matches!(decision.status, Status::Acting | Status::Proving))
        {
            why = format!("{why}; {registry}: {problem}");
        }
        ContainerReport {
            id: id.clone(),
            image: named.image.clone(),
            status: decision.map_or(Status::Waiting, |decision| decision.status).name().to_owned(),
            why,
            wanted: target.map(version_report),
            drift: decision.iter().flat_map(|decision| &decision.drift).map(drift_report).collect(),
            protected: named.protected,
            overrides,
            next_look: Some(self.surveys.next(id, named.update.interval.0, now).as_secs()),
            operation: operation.or_else(|| self.pending.get(id).cloned()),
            progress: pulling.map(|pulling| (pulling.progress().done, pulling.progress().total)),
            passed_over: choice
                .iter()
                .flat_map(|choice| &choice.passed_over)
                .map(passed_over_report)
                .collect(),
            kept: self.kept(id, named.update.keep),
            labels: named
                .run
                .labels
                .0
                .iter()
                .map(|(name, value)| (name.clone(), value.clone().unwrap_or_default()))
                .collect(),
            ..self.engine_side(id)
        }
    }

    fn kept(&self, id: &str, keep: u32) -> Vec<VersionReport> {
        let versions = self.versions.get(id).into_iter().flatten();
        let has_image = |version: &&Version| {
            self.observed.images.iter().any(|image| version.target.image.as_ref() == Some(&image.id))
        };
        let ended = versions.filter(|version| version.ended.is_some()).filter(has_image);
        let report =
            |version: &Version| VersionReport { id: Some(version.id), ..version_report(&version.target) };
        ended.take(usize::try_from(keep).unwrap_or(usize::MAX)).map(report).collect()
    }

    fn stray_report(&self, id: &str, decision: &Decision) -> ContainerReport {
        ContainerReport {
            id: id.to_owned(),
            status: decision.status.name().to_owned(),
            why: decision.why.clone(),
            ..self.engine_side(id)
        }
    }

    /// What the engine says of it.
    fn engine_side(&self, id: &str) -> ContainerReport {
        let Some(current) = self.current(id) else {
            return ContainerReport { state: "missing".to_owned(), ..ContainerReport::default() };
        };
        let inspection = self.observed.inspected.get(&current.id);
        let made = current.made();
        let ended = !matches!(current.state, State::Running | State::Paused | State::Created);
        ContainerReport {
            current: made.map(|made| VersionReport {
                version: made.version,
                digest: made.digest.map(|digest| digest.to_string()).unwrap_or_default(),
                repository: current.image.split('@').next().unwrap_or_default().to_owned(),
                id: self.versions.get(id).and_then(|versions| versions.first()).map(|version| version.id),
            }),
            container: Some(current.id.to_string()),
            state: current.state.name().to_owned(),
            health: current.health.map(|health| {
                let word = match health {
                    Health::Starting => "starting",
                    Health::Healthy => "healthy",
                    Health::Unhealthy => "unhealthy",
                };
                word.to_owned()
            }),
            started: inspection.map(|inspection| inspection.started_at.clone()),
            exit_code: inspection.filter(|_| ended).map(|inspection| inspection.exit_code),
            restarts: inspection.map_or(0, |inspection| inspection.restarts),
            ports: current.ports.iter().map(port).collect(),
            mounts: inspection.map(|inspection| mounts(&inspection.body)).unwrap_or_default(),
            devices: inspection.map(|inspection| devices(&inspection.body)).unwrap_or_default(),
            ..ContainerReport::default()
        }
    }
}

fn version_report(target: &Target) -> VersionReport {
    VersionReport {
        version: target.version.clone(),
        digest: target.digest.to_string(),
        repository: target.repository.clone(),
        id: None,
    }
}

fn drift_report(drift: &Drift) -> DriftReport {
    DriftReport { field: drift.field.clone(), wanted: drift.wanted.clone(), found: drift.found.clone() }
}

fn passed_over_report(passed_over: &PassedOver) -> PassedOverReport {
    PassedOverReport {
        version: passed_over.version.clone(),
        digest: passed_over.digest.map(|digest| digest.to_string()),
        why: passed_over.why.clone(),
    }
}

/// `127.0.0.1:8080->80/tcp`.
fn port(port: &crate::engine::PublishedPort) -> String {
    let address = match port.address {
        Some(std::net::IpAddr::V6(address)) => format!("[{address}]:"),
        Some(address) => format!("{address}:"),
        None => String::new(),
    };
    format!("{address}{}->{}/{}", port.published, port.target, port.protocol)
}

/// `source:target[:ro]`, of an inspection's `Mounts`.
fn mounts(body: &serde_json::Value) -> Vec<String> {
    let mounts = body.get("Mounts").and_then(serde_json::Value::as_array).into_iter().flatten();
    let text = |mount: &serde_json::Value, name: &str| {
        mount.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    };
    mounts
        .map(|mount| {
            let name = text(mount, "Name");
            let source = if name.is_empty() { text(mount, "Source") } else { name };
            let can_write = mount.get("RW").and_then(serde_json::Value::as_bool).unwrap_or(true);
            format!("{source}:{}{}", text(mount, "Destination"), if can_write { "" } else { ":ro" })
        })
        .collect()
}

/// Paths of an inspection's `HostConfig.Devices`.
fn devices(body: &serde_json::Value) -> Vec<String> {
    let devices =
        body.pointer("/HostConfig/Devices").and_then(serde_json::Value::as_array).into_iter().flatten();
    devices.filter_map(|device| Some(device.get("PathOnHost")?.as_str()?.to_owned())).collect()
}
