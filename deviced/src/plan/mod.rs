//! The decision: what has to be, what is, what is known -> steps. Pure, total, without a clock.

pub mod step;

pub use step::{Decision, Plan, Status, Step};
