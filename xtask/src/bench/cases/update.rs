//! From one version to the next: each round brings a new one.
//!
//! Ours runs once for each method, on the file system that the method needs, with three versions behind it: the state of a
//! machine that has been updated before, with a spare tree where the method has one. Where a spare tree makes a difference, it
//! also runs without one: the first update of all, each time in a new place. That, and a tool that does everything anew, runs a
//! few times only.

use super::lanes::{self, Started};
use super::{Bench, Case, FEW, rotated};
use crate::bench::image::Chain;
use crate::bench::link::Link;
use crate::bench::report::Table;
use crate::bench::tools::Method;
use crate::bench::volume::{FileSystem, Volume};
use crate::failure::{Failure, Result};

/// Versions before the first one that is measured.
const BEFORE: u32 = 3;
const METHODS: [Method; 4] = [Method::Overlay, Method::Snapshot, Method::Reflink, Method::Copy];

struct Lane {
    tool: Started,
    /// Place of its volume in the list.
    volume: usize,
    /// Whether it has to go through all versions.
    steady: bool,
    rounds: u32,
}

pub(super) fn run(case: &Case, bench: &mut Bench) -> Result<Table> {
    let rounds = case.rounds(bench);
    let chain = case.chain(bench, u64::from(BEFORE + rounds))?;
    let last = chain.versions.last().ok_or_else(|| Failure::new("there is no version"))?;
    let mut table = Table::new(case.name, last, rounds);
    let link = case.link(bench)?;
    let methods = available(bench, &mut table);
    let volumes = volumes(bench, &methods)?;
    let mut lanes = lanes(bench, &methods, &volumes, &mut table)?;
    for (number, image) in chain.versions.iter().take(BEFORE as usize).enumerate() {
        let target = bench.target(link.as_ref(), &chain.repository, image)?;
        for lane in lanes.iter_mut().filter(|lane| number == 0 || lane.steady) {
            let Some((_, volume)) = volumes.get(lane.volume) else { continue };
            let name = lane.tool.name();
            if !table.has_failed(&name) {
                let prepared = bench.prepare(lane.tool.as_mut(), &target, volume, link.as_ref());
                table.expect(&name, prepared)?;
            }
        }
    }
    for (round, image) in (0..).zip(chain.versions.iter().skip(BEFORE as usize)) {
        let target = bench.target(link.as_ref(), &chain.repository, image)?;
        for index in rotated(lanes.len(), round) {
            let Some(lane) = lanes.get_mut(index) else { continue };
            let Some((_, volume)) = volumes.get(lane.volume) else { continue };
            let name = lane.tool.name();
            if round < lane.rounds && !table.has_failed(&name) {
                let commands = lane.tool.pull(&target);
                let cost = bench.observe(lane.tool.as_ref(), commands, volume, link.as_ref());
                let settled = cost.and_then(|cost| lane.tool.settle().map(|()| cost));
                table.take(&name, settled)?;
            }
        }
        for method in methods.iter().copied().filter(|method| round < FEW && method.has_spare()) {
            first(bench, method, &chain, link.as_ref(), &mut table)?;
        }
    }
    Ok(table)
}

/// The first update of all, in a new place.
fn first(bench: &mut Bench, method: Method, chain: &Chain, link: Option<&Link>, table: &mut Table) -> Result {
    let [zero, one, ..] = chain.versions.as_slice() else { return Ok(()) };
    let volume = bench.volume(method.file_system())?;
    let mut tool = lanes::ours(bench, volume.directory(), method, "without a spare tree")?;
    let name = tool.name();
    if table.has_failed(&name) {
        return Ok(());
    }
    let target = bench.target(link, &chain.repository, zero)?;
    let prepared = bench.prepare(tool.as_mut(), &target, &volume, link);
    table.expect(&name, prepared)?;
    let target = bench.target(link, &chain.repository, one)?;
    let cost = bench.observe(tool.as_ref(), tool.pull(&target), &volume, link);
    table.take(&name, cost)
}

/// The methods that can be measured here; the others are reported.
fn available(bench: &Bench, table: &mut Table) -> Vec<Method> {
    if !bench.methods {
        table.missing("methods", &Failure::new("this build has one way to make a tree"));
        return vec![Method::Chosen];
    }
    let mut found = Vec::new();
    for method in METHODS {
        let kind = method.file_system();
        if kind.is_there() {
            found.push(method);
        } else {
            table.missing(
                &format!("{method:?}"),
                &Failure::new(format!("no {} can be made here", kind.name())),
            );
        }
    }
    found
}

/// One of each file system that is needed.
fn volumes(bench: &Bench, methods: &[Method]) -> Result<Vec<(FileSystem, Volume)>> {
    let mut volumes = vec![(FileSystem::Ext4, bench.volume(FileSystem::Ext4)?)];
    for method in methods {
        let kind = method.file_system();
        if volumes.iter().all(|(found, _)| *found != kind) {
            volumes.push((kind, bench.volume(kind)?));
        }
    }
    Ok(volumes)
}

fn lanes(
    bench: &Bench,
    methods: &[Method],
    volumes: &[(FileSystem, Volume)],
    table: &mut Table,
) -> Result<Vec<Lane>> {
    let mut lanes = Vec::new();
    for method in methods {
        let kind = method.file_system();
        let Some(index) = volumes.iter().position(|(found, _)| *found == kind) else { continue };
        let Some((_, volume)) = volumes.get(index) else { continue };
        let tool = lanes::ours(bench, volume.directory(), *method, "")?;
        lanes.push(Lane { tool, volume: index, steady: true, rounds: u32::MAX });
    }
    if let Some((_, volume)) = volumes.first() {
        let others = lanes::others(volume.directory(), table);
        lanes.extend(others.into_iter().map(|tool| {
            let rounds = if tool.starts_anew() { FEW } else { u32::MAX };
            Lane { tool, volume: 0, steady: false, rounds }
        }));
    }
    Ok(lanes)
}
