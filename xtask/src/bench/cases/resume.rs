//! After everything was killed in the middle of a download: how many bytes are fetched again, and how long the rest takes.
//!
//! The line is as fast as it takes three seconds, so that the middle is easily met; the point is chosen by a seed.

use std::time::Duration;

use super::{Bench, Case, lanes, rotated};
use crate::bench::image::Random;
use crate::bench::link::{Link, Speed};
use crate::bench::measure::run_until;
use crate::bench::report::Table;
use crate::bench::volume::FileSystem;
use crate::failure::{Failure, Result};

const SECONDS: f64 = 3.0;
const SEED: u64 = 42;

pub(super) fn run(case: &Case, bench: &mut Bench) -> Result<Table> {
    let chain = case.chain(bench, 1)?;
    let image = chain.versions.first().ok_or_else(|| Failure::new("there is no version"))?;
    let mut table = Table::new(case.name, image, bench.rounds).fetched_again();
    let seconds = if bench.quick { 1.0 } else { SECONDS };
    let speed = Speed { rate: image.compressed as f64 / seconds, round_trip: Duration::ZERO };
    let link = Link::lay(bench.registry.address(), speed)?;
    let mut random = Random::new(SEED);
    for round in 0..bench.rounds {
        let volume = bench.volume(FileSystem::Ext4)?;
        let mut tools = lanes::all(bench, volume.directory(), &mut table)?;
        let target = bench.target(Some(&link), &chain.repository, image)?;
        // From 20 % to 80 %; the same for all tools.
        let point = image.compressed * (20 + random.below(60)) / 100;
        for index in rotated(tools.len(), round) {
            let Some(tool) = tools.get_mut(index) else { continue };
            let name = tool.name();
            if table.has_failed(&name) {
                continue;
            }
            let before = link.fetched();
            let killed = run_until(tool.pull(&target), &bench.log, || link.fetched() - before >= point);
            let killed = killed.and_then(|killed| tool.crash().map(|()| killed));
            if !matches!(killed, Ok(true)) {
                let late = killed.and_then(|_| Err(Failure::new("it had ended before it could be killed")));
                table.expect(&name, late)?;
                continue;
            }
            let cost = bench.observe(tool.as_ref(), tool.pull(&target), &volume, Some(&link));
            let cost = cost.map(|mut cost| {
                cost.traffic.sent = (link.fetched() - before).saturating_sub(image.compressed);
                cost
            });
            table.take(&name, cost)?;
        }
    }
    Ok(table)
}
