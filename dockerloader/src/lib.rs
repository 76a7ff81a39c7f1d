//! dockerloader: an application in a container updates itself from an OCI registry, and always comes back.
#![warn(missing_docs)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod digest;

pub mod reference;

pub mod layout;

pub mod remedy;

pub mod limits;

pub mod clock;

pub mod disk;

pub mod launch;

#[cfg(feature = "loader")]
pub mod progress;

#[cfg(feature = "loader")]
pub mod lock;

pub mod config;

pub mod control;

pub mod status;

#[cfg(feature = "loader")]
pub mod manifest;

#[cfg(feature = "loader")]
pub mod registry;

#[cfg(feature = "loader")]
pub mod blobs;

#[cfg(feature = "loader")]
pub mod tree;

#[cfg(feature = "loader")]
pub mod pull;

#[cfg(feature = "loader")]
pub mod gc;

#[deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unreachable
)]
pub mod slots;

pub mod report;

pub mod app;

pub use app::{
    Readiness, UpdateLoop, Updates, check_for_update, extend_trial, init_dockerloaded, is_cli_mode, is_trial,
    mark_ready, restart, start_update_loop, status, watch_updates,
};

#[cfg(feature = "loader")]
#[deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unreachable
)]
pub mod supervisor;

#[cfg(feature = "loader")]
pub mod logging;

#[cfg(feature = "loader")]
pub mod cli;
