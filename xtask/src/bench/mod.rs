//! `cargo xtask bench`: figures, and where they stand in the documentation.

mod machine;
mod section;

mod corpus;
mod image;

mod link;
mod registry;
mod traffic;

mod measure;
mod volume;

mod floor;
mod tools;

mod cases;
mod report;

mod pulls;

mod pid1;

mod device;

mod swap;

mod sizes;

#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
pub(crate) use image::Store;
#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
pub(crate) use registry::Registry;

use clap::{Args, Subcommand};

use crate::failure::Result;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BenchArguments {
    #[command(subcommand)]
    other: Option<Other>,
    #[command(flatten)]
    pulls: pulls::Arguments,
}

#[derive(Debug, Subcommand)]
enum Other {
    /// Memory and wake-ups of the idle supervisor beside other process 1s, and how long a change of versions takes; as root
    Pid1(pid1::Arguments),
    /// What deviced costs while nothing happens, and in a pass over many containers; how fast its API is. Needs dockerd
    Deviced(device::Arguments),
    /// How long nobody answers while deviced, docker-compose, docker and podman replace a container. Needs dockerd; as root
    Swap(swap::Arguments),
    /// How big the supervisor is, and what an application gets by linking the library
    Sizes,
}

pub(crate) fn run(arguments: &BenchArguments) -> Result {
    match &arguments.other {
        None => pulls::run(&arguments.pulls),
        Some(Other::Pid1(arguments)) => pid1::run(arguments),
        Some(Other::Deviced(arguments)) => device::run(arguments),
        Some(Other::Swap(arguments)) => swap::run(arguments),
        Some(Other::Sizes) => sizes::run(),
    }
}
