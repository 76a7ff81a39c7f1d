//! A second opinion on a plan: whatever led to it, it refuses steps that could cost what somebody needs.

use super::{Known, Plan};
use crate::desired::Desired;
use crate::observed::Observed;

/// Why a step may not be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("refused to {step}: {why}")]
pub struct Violation {
    /// The container, or what else the step stands under.
    pub subject: String,
    /// The step, as it stands in the log.
    pub step: String,
    /// What it would break.
    pub why: String,
}

/// Looks through a plan.
///
/// # Errors
/// All steps that break an invariant.
pub fn check(plan: &Plan, desired: &Desired, _observed: &Observed, _known: &Known) -> Result<(), Vec<Violation>> {
    if desired.revision == 0 && *plan != Plan::default() {
        let why = "there is no document".to_owned();
        return Err(vec![Violation { subject: String::new(), step: "do anything".to_owned(), why }]);
    }
    Ok(())
}
