//! A second opinion on a plan: whatever led to it, it refuses steps that could cost what somebody needs. It shares nothing with the planner but the
//! words.

mod container;
mod resources;

use std::collections::BTreeMap;

use super::{Decision, Known, Plan, Step};
use crate::desired::Desired;
use crate::observed::Observed;

/// Why a step may not be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("refused to {step}: {why}")]
pub struct Violation {
    /// The container that the step stands under; `networks and volumes`, `images` or `the plan` for the rest.
    pub subject: String,
    /// The step, as it stands in the log.
    pub step: String,
    /// What it would break.
    pub why: String,
}

/// What a plan is checked against.
#[derive(Debug, Clone, Copy)]
struct Facts<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    known: &'a Known,
}

/// Looks through a plan.
///
/// # Errors
/// All steps that break an invariant: touch what is not ours; stop or remove what nothing proven replaces; start a judged version; take an image
/// that somebody needs; two workers at one container; anything without a document.
pub fn check(
    plan: &Plan,
    desired: &Desired,
    observed: &Observed,
    known: &Known,
) -> Result<(), Vec<Violation>> {
    let facts = Facts { desired, observed, known };
    let mut violations = Vec::new();
    let decisions = || plan.containers.iter().chain(&plan.strays);
    if desired.revision == 0 {
        let steps = decisions().flat_map(|(_, decision)| &decision.steps);
        let all = steps.chain(&plan.resources).chain(&plan.images);
        violations.extend(all.map(|step| violation("the plan", step, "there is no document")));
    }
    for (subject, decision) in decisions() {
        container::check(facts, subject, decision, &mut violations);
    }
    twice(&plan.containers, &plan.strays, &mut violations);
    resources::check_networks(facts, &plan.resources, &mut violations);
    resources::check_images(facts, &plan.images, &mut violations);
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}

/// A container of the document is no stray: two workers would be at it.
fn twice(
    containers: &BTreeMap<String, Decision>,
    strays: &BTreeMap<String, Decision>,
    violations: &mut Vec<Violation>,
) {
    for (subject, decision) in strays.iter().filter(|(subject, _)| containers.contains_key(*subject)) {
        let why = "another worker is at it as a container of the document";
        violations.extend(decision.steps.iter().map(|step| violation(subject, step, why)));
    }
}

fn violation(subject: &str, step: &Step, why: impl Into<String>) -> Violation {
    Violation { subject: subject.to_owned(), step: step.to_string(), why: why.into() }
}
