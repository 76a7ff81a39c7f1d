//! The decision: what has to be, what is, what is known -> steps. Pure, total, without a clock.

pub mod known;
pub mod step;

pub use known::{HooksEnd, Known, Pause, PullState};
pub use step::{Decision, Plan, Status, Step};
