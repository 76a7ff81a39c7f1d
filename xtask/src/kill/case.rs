//! The cases, by name: pure.

use std::fmt;
use std::str::FromStr;

use nix::errno::Errno;

use super::role::Role;
use super::versions::Version;
use super::volume::FileSystem;

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Scenario {
    /// The first version, into an empty data directory.
    Install,
    /// From a version that works to another.
    Update,
    /// From a version that works to one that does not, and back.
    Rollback,
}

impl Scenario {
    pub(super) const ALL: [Self; 3] = [Self::Install, Self::Update, Self::Rollback];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Update => "update",
            Self::Rollback => "rollback",
        }
    }

    /// The versions that were installed before, in order.
    pub(super) const fn before(self) -> &'static [Version] {
        match self {
            Self::Install => &[],
            Self::Update => &[Version::V1],
            Self::Rollback => &[Version::V1, Version::V2],
        }
    }

    /// The version that works.
    pub(super) fn installed(self) -> Option<Version> {
        self.before().last().copied()
    }

    /// What the tag means now.
    pub(super) const fn offered(self) -> Version {
        match self {
            Self::Install => Version::V1,
            Self::Update => Version::V2,
            Self::Rollback => Version::V3,
        }
    }

    /// What runs in the end.
    pub(super) fn goal(self) -> Version {
        if self.offered().is_good() { self.offered() } else { self.installed().unwrap_or(Version::V1) }
    }
}

/// `DOCKERLOADER_TREE_METHOD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Method {
    Overlay,
    Copy,
    Extract,
    Reflink,
    Snapshot,
}

impl Method {
    const ALL: [Self; 5] = [Self::Overlay, Self::Copy, Self::Extract, Self::Reflink, Self::Snapshot];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::Copy => "copy",
            Self::Extract => "extract",
            Self::Reflink => "reflink",
            Self::Snapshot => "snapshot",
        }
    }
}

/// Where something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Setting {
    pub(super) scenario: Scenario,
    pub(super) system: FileSystem,
    pub(super) method: Method,
}

impl Setting {
    pub(super) const fn new(scenario: Scenario, system: FileSystem, method: Method) -> Self {
        Self { scenario, system, method }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.scenario.name(), self.system.name(), self.method.name())
    }
}

/// What is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// SIGKILL before the n-th of the role's calls that matter; of the supervisor, so of the whole container.
    Kill(Role),
    /// SIGKILL after that many milliseconds.
    KillAfter(Role),
    /// The n-th of the role's calls that can fail so does.
    Fail(Role, Errno),
    /// All calls that need room fail from the n-th on, whoever makes them.
    Full,
    /// The power is cut before the n-th of all calls.
    Cut,
}

const ERRORS: [(&str, Errno); 4] =
    [("ENOSPC", Errno::ENOSPC), ("EDQUOT", Errno::EDQUOT), ("EIO", Errno::EIO), ("EMFILE", Errno::EMFILE)];

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(role) => write!(f, "kill-{role}"),
            Self::KillAfter(role) => write!(f, "kill-{role}-after-ms"),
            Self::Fail(role, error) => {
                let name = ERRORS.iter().find(|(_, known)| known == error).map_or("?", |(name, _)| *name);
                write!(f, "fail-{role}-{name}")
            }
            Self::Full => f.write_str("full"),
            Self::Cut => f.write_str("cut"),
        }
    }
}

/// One case. Its name is all that is needed to run it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) setting: Setting,
    pub(super) fault: Fault,
    pub(super) n: u32,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.setting, self.fault, self.n)
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no case; they look like update/ext4/overlay/kill-puller/17");
        let parts: Vec<_> = text.split('/').collect();
        let [scenario, system, method, fault, n] = parts[..] else { return Err(wrong()) };
        let scenario = Scenario::ALL.into_iter().find(|known| known.name() == scenario).ok_or_else(wrong)?;
        let system = FileSystem::ALL.into_iter().find(|known| known.name() == system).ok_or_else(wrong)?;
        let method = Method::ALL.into_iter().find(|known| known.name() == method).ok_or_else(wrong)?;
        let faults = all_faults();
        let fault = faults.into_iter().find(|known| known.to_string() == fault).ok_or_else(wrong)?;
        Ok(Self { setting: Setting { scenario, system, method }, fault, n: n.parse().map_err(|_| wrong())? })
    }
}

fn all_faults() -> Vec<Fault> {
    let mut faults = vec![Fault::Full, Fault::Cut];
    for role in Role::KILLED {
        faults.extend([Fault::Kill(role), Fault::KillAfter(role)]);
        faults.extend(ERRORS.map(|(_, error)| Fault::Fail(role, error)));
    }
    faults
}

/// A fault in a setting, swept over all its points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sweep {
    pub(super) setting: Setting,
    pub(super) fault: Fault,
}

/// Calls after the last one that was counted: threads don't make the same number each time.
const SLACK: u32 = 3;

/// All sweeps of a full run.
pub(super) fn sweeps() -> Vec<Sweep> {
    use FileSystem::{Btrfs, Ext4, Xfs};
    use Method::{Copy, Extract, Overlay, Reflink, Snapshot};
    use Scenario::{Install, Rollback, Update};
    let mut sweeps = Vec::new();
    let mut add = |setting, faults: &[Fault]| {
        sweeps.extend(faults.iter().map(|fault| Sweep { setting, fault: *fault }));
    };
    let kills = Role::KILLED.map(Fault::Kill);
    let update = |system, method| Setting::new(Update, system, method);
    for (system, method) in
        [(Ext4, Overlay), (Ext4, Copy), (Ext4, Extract), (Xfs, Reflink), (Btrfs, Snapshot)]
    {
        add(update(system, method), &kills[..3]);
    }
    add(update(Ext4, Overlay), &kills[3..]);
    for scenario in [Install, Rollback] {
        add(Setting::new(scenario, Ext4, Overlay), &kills[..3]);
    }
    add(
        update(Ext4, Overlay),
        &[Fault::KillAfter(Role::Supervisor), Fault::KillAfter(Role::Puller), Fault::KillAfter(Role::App)],
    );
    for method in [Overlay, Copy] {
        for role in [Role::Supervisor, Role::Puller, Role::Collector] {
            for (_, error) in ERRORS {
                // To the program a quota is a full disk: the other errors of that sweep tell them apart nowhere else.
                if error != Errno::EDQUOT || method == Overlay {
                    add(update(Ext4, method), &[Fault::Fail(role, error)]);
                }
            }
        }
        add(update(Ext4, method), &[Fault::Full]);
    }
    add(Setting::new(Install, Ext4, Overlay), &[Fault::Full]);
    for system in FileSystem::ALL {
        for scenario in Scenario::ALL {
            add(Setting::new(scenario, system, Overlay), &[Fault::Cut]);
        }
    }
    for (system, method) in [(Ext4, Copy), (Ext4, Extract), (Xfs, Reflink), (Btrfs, Snapshot)] {
        add(update(system, method), &[Fault::Cut]);
    }
    sweeps
}

/// The points of a sweep of which `counted` were seen in an undisturbed run: all of them, or one of each `every`, seeded.
pub(super) fn points(counted: u32, every: u32, seed: u64) -> Vec<u32> {
    if counted == 0 {
        return Vec::new();
    }
    let every = every.max(1);
    let first = 1 + u32::try_from(seed % u64::from(every)).unwrap_or(0);
    let slack = if every == 1 { SLACK } else { 0 };
    let points: Vec<_> = (first..=counted + slack).step_by(usize::try_from(every).unwrap_or(1)).collect();
    if points.is_empty() { vec![1 + u32::try_from(seed % u64::from(counted)).unwrap_or(0)] } else { points }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_its_case() {
        for (number, sweep) in sweeps().into_iter().enumerate() {
            let case = Case { setting: sweep.setting, fault: sweep.fault, n: u32::try_from(number).unwrap() };
            assert_eq!(case.to_string().parse(), Ok(case));
        }
        for wrong in ["", "update/ext4/overlay/kill-puller", "update/ext4/overlay/kill-puller/x", "a/b/c/d/1"]
        {
            assert!(wrong.parse::<Case>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_sweep_is_there_twice() {
        let mut names: Vec<_> =
            sweeps().iter().map(|sweep| format!("{}/{}", sweep.setting, sweep.fault)).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn points_are_all_or_every_kth_from_a_seed_on() {
        assert_eq!(points(4, 1, 9), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(points(10, 4, 0), [1, 5, 9]);
        assert_eq!(points(10, 4, 6), [3, 7]);
        assert_eq!(points(2, 100, 50), [1]);
        assert_eq!(points(0, 1, 0), [] as [u32; 0]);
    }
}
