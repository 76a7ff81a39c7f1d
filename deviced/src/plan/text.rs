//! A plan for people: its steps in words, and what `deviced plan` shows.

use std::fmt;

use super::scene::Scene;
use super::{Decision, Known, Plan, Status, Step};
use crate::desired::Desired;
use crate::engine::Container;
use crate::observed::Observed;
use crate::report::{DriftReport, PlanReport, PlannedReport};
use crate::swap::Drift;

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(swap) => write!(f, "write down: {swap}: {}", swap.stage.name()),
            Self::Pull { repository, digest, .. } => write!(f, "pull {repository}@{digest}"),
            Self::Create { name, image, .. } => write!(f, "create {name} from {image}"),
            Self::Start(id) => write!(f, "start {}", id.short()),
            Self::Stop(id) => write!(f, "stop {}", id.short()),
            Self::Rename { id, name } => write!(f, "rename {} to {name}", id.short()),
            Self::Remove(id) => write!(f, "remove {}", id.short()),
            Self::Update { id, host_config } => {
                let members = host_config.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
                write!(f, "change {} of {} in place", members.collect::<Vec<_>>().join(", "), id.short())
            }
            Self::Connect { id, network, .. } => write!(f, "attach {} to network {network}", id.short()),
            Self::Disconnect { id, network } => write!(f, "detach {} from network {network}", id.short()),
            Self::Hooks { id, before: true } => write!(f, "run `pre` hooks in {}", id.short()),
            Self::Hooks { id, before: false } => write!(f, "run `post` hooks in {}", id.short()),
            Self::KeepLog(id) => write!(f, "keep the last lines of {}", id.short()),
            Self::Judge { failure, .. } => {
                write!(f, "write the verdict down: {}: {}", failure.reason, failure.text)
            }
            Self::Commit { .. } => f.write_str("write the version into the history"),
            Self::Finish { .. } => f.write_str("end the replacement"),
            Self::CreateNetwork { name, .. } => write!(f, "create network {name}"),
            Self::RemoveNetwork(name) => write!(f, "remove network {name}"),
            Self::CreateVolume { name, .. } => write!(f, "create volume {name}"),
            Self::RemoveImage(name) => write!(f, "remove image {name}"),
        }
    }
}

/// What a plan would do, for a dry run.
pub fn report(plan: &Plan, desired: &Desired, observed: &Observed, known: &Known) -> PlanReport {
    let scene = Scene { desired, observed, known };
    let mut resources: Vec<_> = plan.resources.iter().chain(&plan.images).map(ToString::to_string).collect();
    let all = plan.containers.iter().chain(&plan.strays);
    let changes = !resources.is_empty() || all.clone().any(|(_, decision)| !decision.steps.is_empty());
    resources.extend(super::resources::notes(scene));
    PlanReport {
        revision: desired.revision,
        changes,
        resources,
        containers: all.map(|(id, decision)| planned(scene, id, decision)).collect(),
    }
}

fn planned(scene: Scene<'_>, id: &str, decision: &Decision) -> PlannedReport {
    let current = scene.current(id);
    let from = current.and_then(Container::made).map(|made| made.version);
    let begun = decision.steps.iter().find_map(|step| match step {
        Step::Record(swap) => Some(swap),
        _ => None,
    });
    let target = scene.desired.containers.get(id).and_then(|wanted| wanted.target.as_ref().ok());
    let comes = begun.or(scene.swap(id)).map(|swap| &swap.target).or(target);
    let is_other = comes.filter(|target| {
        current.and_then(Container::made).is_none_or(|made| made.digest != Some(target.digest))
    });
    let drift = |drift: &Drift| DriftReport {
        field: drift.field.clone(),
        wanted: drift.wanted.clone(),
        found: drift.found.clone(),
    };
    PlannedReport {
        id: id.to_owned(),
        action: action(decision, begun.is_some() || scene.swap(id).is_some(), current.is_some()).to_owned(),
        why: decision.why.clone(),
        from,
        to: is_other.map(|target| target.version.clone()),
        drift: decision.drift.iter().map(drift).collect(),
    }
}

/// What is done, in the word of the report.
fn action(decision: &Decision, is_swap: bool, is_there: bool) -> &'static str {
    let has = |wanted: fn(&Step) -> bool| decision.steps.iter().any(wanted);
    let replaces = is_swap || has(|step| matches!(step, Step::Pull { .. }));
    if decision.steps.is_empty() {
        return if matches!(decision.status, Status::Waiting | Status::Proving | Status::Acting) {
            "wait"
        } else {
            "keep"
        };
    }
    match (replaces, is_there) {
        (true, true) => "replace",
        (true, false) => "create",
        _ if has(|step| matches!(step, Step::Remove(_))) => "remove",
        _ => match (has(|step| matches!(step, Step::Stop(_))), has(|step| matches!(step, Step::Start(_)))) {
            (false, true) => "start",
            (true, false) => "stop",
            _ => "repair",
        },
    }
}
