//! Trees that become others: the result is what an extraction of the same layers makes, whatever was there before.
#![cfg(feature = "loader")]

#[path = "../extract/builder.rs"]
#[expect(dead_code, reason = "the broken archives are for another test")]
mod builder;

mod differential;
mod image;
mod random;
mod single;
mod trees;
mod unprivileged;
mod workload;
