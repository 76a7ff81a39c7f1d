//! deviced brings the local Docker daemon to a declared state.
//!
//! The flow: [`document`] (text -> what has to run).

pub mod document;

pub mod cli;
