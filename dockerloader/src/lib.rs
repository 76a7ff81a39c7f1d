//! An application in a container updates itself from an OCI registry, and always comes back.
//!
//! Without features this is what an application links: [`init_dockerloaded`], [`mark_ready`], [`start_update_loop`] and a few more,
//! a small client of the supervisor.
//!
//! ```no_run
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> { Ok(()) }
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     dockerloader::init_dockerloaded().await?;
//!     // ... whatever has to work before this version may stay ...
//!     dockerloader::mark_ready().await?;
//!     dockerloader::start_update_loop().await?;
//!     serve().await
//! }
//! ```
//!
//! The feature `loader` adds the supervisor and all that it is made of, in the order of an update's flow below.
#![warn(missing_docs)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
// A panic of process 1 is the end of the container; one of the puller is the end of an update. Tests may (clippy.toml).
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unreachable,
    clippy::todo,
    clippy::unimplemented
)]
#![cfg_attr(not(test), deny(clippy::string_slice))]

#[cfg(doc)]
pub mod design;

pub mod digest;

pub mod reference;

pub mod layout;

pub mod remedy;

pub mod limits;

pub mod clock;

pub mod disk;

pub mod reserve;

pub mod health;

pub mod launch;

pub mod volume;

#[cfg(feature = "loader")]
pub mod progress;

#[cfg(feature = "loader")]
pub mod lock;

#[cfg(feature = "loader")]
pub mod defect;

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
pub mod chunked;

#[cfg(feature = "loader")]
pub mod pull;

#[cfg(feature = "loader")]
pub mod gc;

#[cfg(feature = "loader")]
pub mod heal;

#[cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
pub mod slots;

pub mod state_files;

pub mod report;

pub mod app;

pub use app::{
    Readiness, UpdateLoop, Updates, check_for_update, extend_trial, init_dockerloaded, is_cli_mode, is_trial,
    mark_ready, restart, start_update_loop, status, watch_updates,
};

#[cfg(feature = "loader")]
#[cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
pub mod supervisor;

#[cfg(feature = "loader")]
pub mod logging;

#[cfg(feature = "loader")]
pub mod cli;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
