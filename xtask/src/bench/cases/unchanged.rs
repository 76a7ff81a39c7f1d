//! A look that finds nothing new. It changes nothing, so all rounds are in the same place.

use super::{Bench, Case, lanes, rotated};
use crate::bench::report::Table;
use crate::bench::volume::FileSystem;
use crate::failure::{Failure, Result};

pub(super) fn run(case: &Case, bench: &mut Bench) -> Result<Table> {
    let chain = case.chain(bench, 1)?;
    let image = chain.versions.first().ok_or_else(|| Failure::new("there is no version"))?;
    let mut table = Table::new(case.name, image, bench.rounds);
    let link = case.link(bench)?;
    let volume = bench.volume(FileSystem::Ext4)?;
    let target = bench.target(link.as_ref(), &chain.repository, image)?;
    let mut tools = lanes::all(bench, volume.directory(), &mut table)?;
    for tool in &mut tools {
        let prepared = bench.prepare(tool.as_mut(), &target, &volume, link.as_ref());
        table.expect(&tool.look_name(), prepared)?;
    }
    for round in 0..bench.rounds {
        for index in rotated(tools.len(), round) {
            let Some(tool) = tools.get(index) else { continue };
            let name = tool.look_name();
            if !table.has_failed(&name) {
                let cost = bench.observe(tool.as_ref(), tool.look(&target), &volume, link.as_ref());
                table.take(&name, cost)?;
            }
        }
    }
    Ok(table)
}
