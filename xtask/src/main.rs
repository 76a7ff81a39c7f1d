//! The commands of this repository: `cargo xtask --help`.
#![expect(clippy::disallowed_methods, reason = "the fences are about the product, this is its workshop")]

mod call;
mod failure;
mod interrupt;
mod workspace;

mod install;

mod deviced;
mod docker;

mod certificates;
mod token_server;

mod images;

mod compose;

mod services;

mod count;
mod stage;

mod test;

mod demo;

mod bench;

mod model;

mod hostile;

mod fuzz;
mod seeded;

mod contained;

mod pid1;

mod crash;
mod faults;
// It names system calls by number, and changes registers.
#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
mod kill;
mod soak;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The commands of this repository", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the main job on this machine, without Docker: install, update, roll back, survive kill -9
    Demo(demo::Arguments),
    /// Run every check and test; installs what is missing, starts what is needed, and cleans up
    Test(test::Arguments),
    /// Start what the container tests need, print it as NAME=VALUE lines, and hold it until standard input ends
    Services,
    /// Build the image of the supervisor: FROM scratch, static binary, CA roots, /bin/cli
    Image(images::ImageArguments),
    /// Visit all states of the model of the protocol, and look whether each keeps every promise
    Model(model::Arguments),
    /// Break the registry in every way, and see that a pull does what is written down for it
    Faults(faults::Arguments),
    /// Enumerate the states that a crash may leave, and recover from each
    Crash(crash::Arguments),
    /// Measure, and write the figures into docs/benchmarks.md
    Bench(bench::BenchArguments),
    /// Extract and pull what attacks, as root and as another user, and compare extraction with GNU tar and umoci
    Hostile(hostile::Arguments),
    /// Fuzz what reads untrusted bytes: needs cargo-fuzz and a nightly toolchain
    Fuzz(fuzz::Arguments),
    /// Extract layers in a process of its own: what `hostile` starts
    #[command(hide = true)]
    HostileExtract(hostile::WorkerArguments),
    /// Prove process 1: children, orphans, exec failures, signals, terminals, stops; as root
    Pid1(pid1::Arguments),
    /// Update thousands of times, well and badly, and show that nothing grows; as root
    Soak(soak::Arguments),
    /// Kill the real binaries at every system call that touches the store, fail those calls, cut the power; as root
    #[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
    Kill(kill::Arguments),
}

fn main() -> ExitCode {
    let done = interrupt::watch().and_then(|()| match Arguments::parse().command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Services => services::hold().map(|()| ExitCode::SUCCESS),
        Command::Image(arguments) => images::build_for_release(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Model(arguments) => model::run(&arguments),
        Command::Faults(arguments) => faults::run(&arguments),
        Command::Crash(arguments) => crash::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Hostile(arguments) => hostile::run(&arguments),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::HostileExtract(arguments) => hostile::work(&arguments),
        Command::Pid1(arguments) => pid1::run(&arguments),
        Command::Soak(arguments) => soak::run(&arguments),
        #[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
        Command::Kill(arguments) => kill::run(&arguments),
    });
    done.unwrap_or_else(|failure| {
        eprintln!("xtask: {failure}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
