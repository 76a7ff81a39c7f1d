//! Which tools run in a case. One that can't be started is reported, and the others run.

use std::path::Path;

use super::Bench;
use crate::bench::report::Table;
use crate::bench::tools::{Containerd, DockerPull, Method, Ours, Skopeo, Tool};
use crate::failure::Result;

/// A tool in its place.
pub(super) type Started = Box<dyn Tool>;

/// Ours as it is without settings, and the others.
pub(super) fn all(bench: &Bench, place: &Path, table: &mut Table) -> Result<Vec<Started>> {
    let mut tools = vec![ours(bench, place, Method::Chosen, "")?];
    tools.extend(others(place, table));
    Ok(tools)
}

/// Ours with a method.
pub(super) fn ours(bench: &Bench, place: &Path, method: Method, remark: &str) -> Result<Started> {
    Ok(Box::new(Ours::new(&bench.loader, place, method, remark)?))
}

/// The tools of others.
pub(super) fn others(place: &Path, table: &mut Table) -> Vec<Started> {
    let mut tools: Vec<Started> = Vec::new();
    match DockerPull::start(place) {
        Ok(docker) => tools.push(Box::new(docker)),
        Err(failure) => table.missing("docker pull", &failure),
    }
    tools.push(Box::new(Skopeo::new(place)));
    match Containerd::start(place) {
        Ok(containerd) => tools.push(Box::new(containerd)),
        Err(failure) => table.missing("ctr image pull", &failure),
    }
    tools
}
