//! What the tests of whole binaries share.

pub mod wait;

pub mod process;

pub mod programs;

pub mod supervised;

pub mod sealed;

pub mod namespace;

pub mod group;

pub mod preload;
