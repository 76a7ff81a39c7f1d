//! One cell: a fault in a phase. The pull under it is judged, and then the one after it was mended.

use std::path::Path;

use super::content::VERSION;
use super::expected::Expected;
use super::fault::Fault;
use super::judge::judge;
use super::observe::{self, Seen};
use super::phase::Phase;
use super::script;
use super::table::{self, expected};
use super::world::World;
use crate::failure::Result;

/// What came of a case.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    /// All that is bad; empty when everything was as expected.
    pub(super) bad: Vec<String>,
    /// What was seen of the pull under the fault.
    pub(super) seen: Seen,
    /// Pulls and starts that were made.
    pub(super) runs: usize,
}

/// Runs a cell. What the fault left on disk must not be in the way of a pull after it: `mended` says whether to look.
pub(super) fn run(binary: &Path, fault: Fault, phase: Phase, mended: bool) -> Result<Outcome> {
    let expectation = expected(fault, phase);
    if let Expected::DoesNotApply(_) = expectation {
        return Ok(Outcome::default());
    }
    let mut world = World::new(&script::shape(fault))?;
    script::set(&mut world, fault, phase)?;
    let seen = observe::pull(binary, &world, &VERSION)?;
    let version = &VERSION.image.digest;
    let mut outcome = Outcome { bad: judge(expectation, &seen, version, &world.at_fault), seen, runs: 1 };
    if mended && matches!(expectation, Expected::Refused(..)) {
        world.mend();
        let seen = observe::pull(binary, &world, &VERSION)?;
        let bad = judge(table::RIGHT, &seen, version, &[]);
        outcome.bad.extend(bad.into_iter().map(|bad| format!("after the fault was mended: {bad}")));
        outcome.runs += 1;
    }
    Ok(outcome)
}
