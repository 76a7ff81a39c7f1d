//! Which cases are played: pure.

use super::case::{Case, Fault, Sweep, points};
use super::role::Role;
use super::volume::FileSystem;

/// Cases that are played by one worker, one after the other.
pub(super) type Batch = Vec<Case>;

/// Power cuts that share a run: each costs room until it has been looked at.
const CUTS: usize = 12;
/// Between two kills by time, in milliseconds.
const KILL_STEP: u32 = 12;

/// How dense the points are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Density {
    /// Every point.
    Every,
    /// So many of each sweep, spread evenly, beginning at a place that the seed says.
    About(u32),
}

/// The sweeps of a short run: one of each kind.
pub(super) fn is_short(sweep: &Sweep) -> bool {
    use super::case::{Method, Scenario};
    let Sweep { setting, fault } = sweep;
    let main = setting.scenario == Scenario::Update
        && setting.system == FileSystem::Ext4
        && setting.method == Method::Overlay;
    let cut =
        *fault == Fault::Cut && setting.scenario == Scenario::Update && setting.method == Method::Overlay;
    cut || (main && !matches!(fault, Fault::KillAfter(Role::Puller | Role::App)))
}

/// The cases of a sweep of which `counted` points were seen, in batches.
pub(super) fn batches(sweep: Sweep, counted: u32, density: Density, seed: u64) -> Vec<Batch> {
    // A time is no call: every few milliseconds will do.
    let step = if matches!(sweep.fault, Fault::KillAfter(_)) { KILL_STEP } else { 1 };
    let every = match density {
        Density::Every => step,
        Density::About(wanted) => counted.div_ceil(wanted.max(1)).max(step),
    };
    // Other sweeps begin elsewhere.
    let name = format!("{}/{}", sweep.setting, sweep.fault);
    let seed = name.bytes().fold(seed, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let points = points(counted, every, seed);
    let cases: Vec<_> =
        points.into_iter().map(|n| Case { setting: sweep.setting, fault: sweep.fault, n }).collect();
    if sweep.fault != Fault::Cut {
        return cases.into_iter().map(|case| vec![case]).collect();
    }
    // Far apart in one run: what is copied must not slow down what comes next.
    let runs = cases.len().div_ceil(CUTS);
    (0..runs).map(|run| cases.iter().skip(run).step_by(runs).copied().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kill::case::sweeps;

    #[test]
    fn every_point_is_in_one_batch() {
        let sweep = sweeps().into_iter().find(|sweep| sweep.fault == Fault::Cut).expect("a power cut");
        let batches = batches(sweep, 100, Density::Every, 7);
        assert!(batches.iter().all(|batch| batch.len() <= CUTS));
        let mut points: Vec<_> = batches.into_iter().flatten().map(|case| case.n).collect();
        points.sort_unstable();
        assert_eq!(points, (1..=103).collect::<Vec<_>>());
    }

    #[test]
    fn a_short_run_has_few_points_of_each_fault() {
        let short: Vec<_> = sweeps().into_iter().filter(is_short).collect();
        assert!(short.len() < sweeps().len() / 2);
        for sweep in short {
            let count: usize = batches(sweep, 300, Density::About(3), 7).iter().map(Vec::len).sum();
            assert!(
                (2..=4).contains(&count) || matches!(sweep.fault, Fault::KillAfter(_)),
                "{sweep:?} {count}"
            );
        }
    }
}
