//! `cargo xtask bench deviced`: what the device manager costs while nothing happens, what a pass over many containers costs, and how
//! fast the API answers many clients.

mod client;
mod fleet;

use std::time::{Duration, Instant};

use clap::Args;

use self::client::{Passes, passes};
use self::fleet::Fleet;
use super::{machine, section};
use crate::demo::deviced;
use crate::docker::Docker;
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::workspace::target;

/// Clients at once.
const CLIENTS: usize = 64;
/// Requests of each of them.
const REQUESTS: usize = 200;
/// What they ask for: one from memory, and the report on all containers.
const ASKED: [&str; 2] = ["/healthz", "/v1/containers"];
/// The document is put in force this often again, for passes in which nothing is to be done.
const PASSES: usize = 20;
/// Longer than two passes may follow each other at the most.
const BETWEEN_PASSES: Duration = Duration::from_millis(250);
/// What happens after containers were started is no idleness.
const SETTLE: Duration = Duration::from_secs(20);

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How many containers are managed, one round for each number
    #[arg(long, value_delimiter = ',', default_values_t = [3, 100, 200])]
    containers: Vec<usize>,
    /// How long it is left alone in each round, in seconds
    #[arg(long, default_value_t = 1800)]
    idle: u64,
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    let binary = deviced(false)?;
    machine::warn_if_busy();
    let docker = Docker::start(&target())?;
    let fleet = Fleet::new(binary, docker)?;
    let mut rows = Vec::new();
    for count in &arguments.containers {
        eprintln!("{count} containers: starting them");
        fleet.bring_up(*count)?;
        interrupt::pause(SETTLE)?;
        let row = round(&fleet, *count, Duration::from_secs(arguments.idle))?;
        eprintln!("{row}");
        rows.push(row);
    }
    let text = format!(
        "{}, {}; a release build, each round left alone for {} s.\n\n\
         | containers | RSS MB | private MB | CPU of an idle hour | passes meanwhile | calls of a pass | a pass, ms | {} clients: `{}` median, 99 % | `{}` |\n\
         |---|---|---|---|---|---|---|---|---|\n{}",
        machine::describe(),
        machine::versions(&[("dockerd", "--version")]),
        arguments.idle,
        CLIENTS,
        ASKED[0],
        ASKED[1],
        rows.join("\n"),
    );
    section::write("deviced", &text)
}

/// One row of the table: idle first, since what comes after it takes memory.
fn round(fleet: &Fleet, count: usize, idle: Duration) -> Result<String> {
    let socket = fleet.socket();
    let (before, used, began) = (passes(&socket)?, fleet.processor_time()?, Instant::now());
    eprintln!("{count} containers: left alone for {} s", idle.as_secs());
    interrupt::pause(idle)?;
    let hours = began.elapsed().as_secs_f64() / 3600.0;
    let cpu = (fleet.processor_time()? - used).as_secs_f64() / hours;
    let (resident, private) = fleet.memory()?;
    let after = passes(&socket)?;

    let (calls, from) = (fleet.calls(), passes(&socket)?);
    for _ in 0..PASSES {
        fleet.touch_document()?;
        interrupt::pause(BETWEEN_PASSES)?;
    }
    let to = passes(&socket)?;
    let passed = Passes { count: to.count - from.count, seconds: to.seconds - from.seconds };
    if passed.count == 0 {
        return Err(Failure::new("no pass was done"));
    }
    let calls = (fleet.calls() - calls) as f64 / passed.count as f64;
    let milliseconds = passed.seconds * 1e3 / passed.count as f64;

    let mut latencies = Vec::new();
    for path in ASKED {
        let (median, slow) = client::crowd(&socket, CLIENTS, REQUESTS, path)?;
        latencies.push(format!("{:.1}, {:.1} ms", median * 1e3, slow * 1e3));
    }
    Ok(format!(
        "| {count} | {:.1} | {:.1} | {cpu:.1} s | {} | {calls:.1} | {milliseconds:.1} | {} |",
        megabytes(resident),
        megabytes(private),
        after.count - before.count,
        latencies.join(" | "),
    ))
}

fn megabytes(kibibytes: u64) -> f64 {
    kibibytes as f64 * 1024.0 / 1e6
}
