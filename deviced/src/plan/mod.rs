//! The decision: what has to be, what is, what is known -> steps. Pure, total, without a clock.

pub mod known;
pub mod step;

mod check;
mod text;

pub use check::{Violation, check};
pub use known::{HooksEnd, Known, Pause, PullState};
pub use step::{Decision, Plan, Status, Step};
pub use text::report;

use serde_json::Value;

use crate::desired::Desired;
use crate::observed::Observed;
use crate::spec::Spec;
use crate::swap::Drift;

/// What a plan asks about specs, and does not find out itself.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// What of a spec differs in an inspection.
    pub drift: &'a dyn Fn(&Spec, &Value) -> Vec<Drift>,
}

/// What is done next.
pub fn plan(desired: &Desired, observed: &Observed, known: &Known) -> Plan {
    plan_by(desired, observed, known, &Rules { drift: &|_, _| Vec::new() })
}

/// What is done next, with these rules about specs.
pub fn plan_by(desired: &Desired, _observed: &Observed, _known: &Known, _rules: &Rules<'_>) -> Plan {
    if desired.revision == 0 {
        return Plan::default();
    }
    Plan::default()
}
