//! A plan for people: its steps in words, and what `deviced plan` shows.

use std::fmt;

use super::{Known, Plan, Step};
use crate::desired::Desired;
use crate::observed::Observed;
use crate::report::PlanReport;

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
            Self::Judge { failure, .. } => write!(f, "write the verdict down: {}: {}", failure.reason, failure.text),
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
pub fn report(plan: &Plan, desired: &Desired, _observed: &Observed, _known: &Known) -> PlanReport {
    let resources: Vec<_> = plan.resources.iter().map(ToString::to_string).collect();
    PlanReport {
        revision: desired.revision,
        changes: !resources.is_empty(),
        resources,
        containers: Vec::new(),
    }
}
