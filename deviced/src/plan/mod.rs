//! The decision: what has to be, what is, what is known -> steps. Pure, total, without a clock.
//!
//! [`plan`] looks at everything anew each time: what was begun and interrupted is found by its labels and by the swap that was written down, and goes
//! on. [`check`] gives a second opinion, which does not know how the first came about.

pub mod known;
pub mod step;

mod names;
mod scene;

mod order;

mod namespace;
mod ports;

mod drift;
mod need;

mod begin;
mod revert;
mod swap;

mod leftovers;
mod mend;

mod container;

mod images;
mod resources;
mod strays;

mod check;
mod text;

#[cfg(test)]
mod tests;

pub use check::{Violation, check};
pub use known::{HooksEnd, Known, Pause, PullState};
pub use step::{Decision, Plan, Status, Step};
pub use text::report;

use std::collections::BTreeMap;

use crate::desired::Desired;
use crate::observed::Observed;
use scene::Scene;

/// What is done next. Without a document that is nothing.
pub fn plan(desired: &Desired, observed: &Observed, known: &Known) -> Plan {
    if desired.revision == 0 {
        return Plan::default();
    }
    let scene = Scene { desired, observed, known };
    let mut containers = BTreeMap::new();
    for wanted in order::dependencies_first(desired) {
        let decision = container::decide(scene, wanted, &containers);
        containers.insert(wanted.id.clone(), decision);
    }
    Plan {
        resources: resources::steps(scene),
        containers,
        strays: strays::decide(scene),
        images: images::steps(scene),
    }
}
