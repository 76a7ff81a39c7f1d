//! deviced brings the local Docker daemon to a declared state.
//!
//! The flow: [`document`] (text -> what has to run), [`choose`] (which version), [`desired`] and [`observed`] (what has to be, what is) -> [`plan`]
//! (pure) -> steps -> [`engine`]. [`history`] is what outlives a restart, [`manager`] the door for the API.

pub mod settings;

pub mod document;

pub mod labels;
pub mod spec;

pub mod engine;
pub mod observed;

pub mod probe;

pub mod sources;

pub mod choose;
pub mod desired;

pub mod health;
pub mod swap;

pub mod history;

pub mod plan;

pub mod apply;

pub mod report;

pub mod metrics;

pub mod manager;

pub mod reconcile;

pub mod api;

pub mod run;

pub mod cli;
