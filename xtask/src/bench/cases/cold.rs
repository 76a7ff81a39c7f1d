//! Into an empty place. Each round has a new file system: all pull the same bytes, nothing is on disk yet, and nothing is
//! deleted before the end of the round.

use super::{Bench, Case, lanes, rotated};
use crate::bench::floor;
use crate::bench::report::Table;
use crate::bench::tools::{Tar, files};
use crate::bench::volume::FileSystem;
use crate::failure::{Context as _, Failure, Result};

const FLOOR: &str = "physical floor";

pub(super) fn run(case: &Case, bench: &mut Bench) -> Result<Table> {
    let chain = case.chain(bench, 1)?;
    let image = chain.versions.first().ok_or_else(|| Failure::new("there is no version"))?;
    let rounds = case.rounds(bench);
    let mut table = Table::new(case.name, image, rounds);
    let link = case.link(bench)?;
    for round in 0..rounds {
        let volume = bench.volume(FileSystem::Ext4)?;
        let place = volume.directory();
        let mut tools = lanes::all(bench, place, &mut table)?;
        // Yardsticks, which don't use the line; tar and the floor know gzip.
        let yardsticks = link.is_none() && !case.chunked;
        if yardsticks {
            tools.push(Box::new(Tar::new(place)?));
        }
        let target = bench.target(link.as_ref(), &chain.repository, image)?;
        for index in rotated(tools.len() + usize::from(yardsticks), round) {
            let Some(tool) = tools.get(index) else {
                table.add(FLOOR, floor::measure(&image.blobs, &volume)?);
                continue;
            };
            let name = tool.name();
            if !table.has_failed(&name) {
                let cost = bench.observe(tool.as_ref(), tool.pull(&target), &volume, link.as_ref());
                table.take(&name, cost)?;
            }
        }
        for tool in tools.iter().filter(|tool| !table.has_failed(&tool.name())) {
            let Some(tree) = tool.tree() else { continue };
            let found = files(&tree).context(format_args!("count the files in {}", tree.display()))?;
            if found != image.files {
                let name = tool.name();
                return Err(Failure::new(format!("{name} extracted {found} files, not {}", image.files)));
            }
        }
    }
    Ok(table)
}
