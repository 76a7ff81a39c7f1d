//! Trees that become others: the result is what an extraction of the same layers makes, whatever was there before.
#![cfg(feature = "loader")]

mod differential;
mod image;
mod random;
mod single;
mod trees;
mod unprivileged;
mod workload;
