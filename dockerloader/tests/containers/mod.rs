//! Driving real containers: images are built and pushed by Docker, and everything is judged from outside.
#![expect(clippy::disallowed_methods, reason = "tests start Docker, and look at the clock")]

mod container;
mod docker;
mod services;
mod snapshot;

pub(crate) use docker::{Case, Registry};
pub(crate) use snapshot::Snapshot;
