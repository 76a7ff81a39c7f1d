//! What is done to a run: a census, a blow, power cuts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::call::{Call, Kind};
use super::case::Fault;
use super::phase::Disturbance;
use super::role::Role;
use super::tracer::Verdict;
use super::volume::Mounted;
use crate::failure::Failure;

/// Whether a call is one of those that the fault counts.
fn counts(fault: Fault, call: &Call) -> bool {
    match fault {
        Fault::Kill(role) => call.role == role && call.is_point(),
        Fault::KillAfter(_) => false,
        Fault::Fail(role, error) => call.role == role && call.may_fail(error),
        Fault::Full => call.role != Role::App && call.may_fail(Errno::ENOSPC),
        Fault::Cut => call.kind == Kind::Change,
    }
}

/// Counts the points of all faults in an undisturbed run.
#[derive(Debug)]
pub(super) struct Census {
    counted: BTreeMap<String, (Fault, u32)>,
    began: Instant,
    /// Milliseconds to the last call that changed something.
    lasted: u32,
}

impl Census {
    pub(super) fn new(faults: &[Fault]) -> Self {
        let counted = faults.iter().map(|fault| (fault.to_string(), (*fault, 0))).collect();
        Self { counted, began: Instant::now(), lasted: 0 }
    }

    /// How many points a fault has; of one that comes by time, the milliseconds.
    pub(super) fn points(&self, fault: Fault) -> u32 {
        match fault {
            Fault::KillAfter(_) => self.lasted,
            _ => self.counted.get(&fault.to_string()).map_or(0, |(_, count)| *count),
        }
    }
}

impl Disturbance for Census {
    fn call(&mut self, call: &Call) -> Verdict {
        for (fault, count) in self.counted.values_mut() {
            *count += u32::from(counts(*fault, call));
        }
        if call.kind == Kind::Change {
            self.lasted = u32::try_from(self.began.elapsed().as_millis()).unwrap_or(u32::MAX);
        }
        Verdict::Go
    }

    fn fired(&self) -> Option<String> {
        None
    }

    fn watched(&self) -> &[Role] {
        &Role::OURS
    }
}

/// One fault, at its n-th point.
#[derive(Debug)]
pub(super) struct Blow {
    fault: Fault,
    n: u32,
    seen: u32,
    began: Instant,
    fired: Option<String>,
    struck: bool,
}

impl Blow {
    pub(super) fn new(fault: Fault, n: u32) -> Self {
        Self { fault, n, seen: 0, began: Instant::now(), fired: None, struck: false }
    }
}

impl Disturbance for Blow {
    fn call(&mut self, call: &Call) -> Verdict {
        if !counts(self.fault, call) {
            return Verdict::Go;
        }
        self.seen += 1;
        let beyond = self.fault == Fault::Full && self.seen > self.n;
        if self.seen != self.n && !beyond {
            return Verdict::Go;
        }
        self.fired.get_or_insert_with(|| shown(call));
        match self.fault {
            Fault::Kill(Role::Supervisor) => Verdict::KillAll,
            Fault::Kill(_) => Verdict::Kill,
            Fault::Fail(_, error) => Verdict::Fail(error),
            Fault::Full => Verdict::Fail(Errno::ENOSPC),
            Fault::KillAfter(_) | Fault::Cut => Verdict::Go,
        }
    }

    fn due(&mut self) -> Option<Role> {
        let Fault::KillAfter(role) = self.fault else { return None };
        if self.struck || self.began.elapsed() < Duration::from_millis(self.n.into()) {
            return None;
        }
        self.struck = true;
        self.fired = Some(format!("after {} ms", self.n));
        Some(role)
    }

    fn fired(&self) -> Option<String> {
        self.fired.clone()
    }

    fn watched(&self) -> &[Role] {
        match &self.fault {
            Fault::Full | Fault::KillAfter(_) => &Role::OURS,
            Fault::Kill(role) | Fault::Fail(role, _) if self.fired.is_none() => std::slice::from_ref(role),
            Fault::Kill(_) | Fault::Fail(..) | Fault::Cut => &[],
        }
    }
}

/// A copy of the file system as a power cut would leave it.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) n: u32,
    pub(super) image: PathBuf,
    /// The call that was next.
    pub(super) at: String,
    /// Bytes of its log that the supervisor had written.
    pub(super) logged: u64,
}

/// Several power cuts in one run: the copy is what is left, and the run goes on.
#[derive(Debug)]
pub(super) struct Cuts<'a> {
    pub(super) points: Vec<u32>,
    pub(super) mounted: &'a Mounted,
    /// Copies are put here.
    pub(super) folder: PathBuf,
    /// The supervisor's log.
    pub(super) log: PathBuf,
    /// Calls by these names are not made, and succeed.
    pub(super) skipped: &'a [&'static str],
    pub(super) seen: u32,
    pub(super) taken: Vec<Cut>,
    pub(super) failure: Option<Failure>,
}

impl Disturbance for Cuts<'_> {
    fn call(&mut self, call: &Call) -> Verdict {
        if counts(Fault::Cut, call) {
            self.seen += 1;
            if self.points.contains(&self.seen) {
                let image = self.folder.join(format!("cut-{}", self.seen));
                match self.mounted.cut(&image) {
                    Ok(()) => {
                        let logged = self.log.metadata().map_or(0, |data| data.len());
                        self.taken.push(Cut { n: self.seen, image, at: shown(call), logged });
                    }
                    Err(failure) => self.failure = Some(failure),
                }
            }
        }
        if self.skipped.contains(&call.name) { Verdict::Skip } else { Verdict::Go }
    }

    fn fired(&self) -> Option<String> {
        None
    }

    fn watched(&self) -> &[Role] {
        &Role::OURS
    }
}

/// A call, for people.
fn shown(call: &Call) -> String {
    let path = call.path.as_ref().map_or_else(String::new, |path| {
        let text = path.display().to_string();
        let short = text.rsplit_once("/dockerloader/").map_or(text.as_str(), |(_, inside)| inside);
        format!(" {short}")
    });
    format!("{} {}: {}{path}", call.role, call.process, call.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(role: Role, name: &'static str, kind: Kind) -> Call {
        Call {
            role,
            process: 1,
            name,
            kind,
            path: Some("/t/data/dockerloader/storage".into()),
            is_new: false,
        }
    }

    #[test]
    fn the_blow_falls_at_the_nth_call_of_its_role() {
        let mut blow = Blow::new(Fault::Kill(Role::Puller), 2);
        let write = call(Role::Puller, "write", Kind::Change);
        assert_eq!(blow.call(&write), Verdict::Go);
        assert_eq!(blow.call(&call(Role::Supervisor, "write", Kind::Change)), Verdict::Go);
        assert_eq!(blow.call(&call(Role::Puller, "statx", Kind::Look)), Verdict::Go);
        assert_eq!(blow.call(&write), Verdict::Kill);
        assert_eq!(blow.call(&write), Verdict::Go);
        assert_eq!(blow.fired().as_deref(), Some("puller 1: write storage"));
    }

    #[test]
    fn a_full_disk_stays_full() {
        let mut blow = Blow::new(Fault::Full, 2);
        let write = call(Role::Collector, "write", Kind::Change);
        let verdicts = [0; 4].map(|_| blow.call(&write));
        let full = Verdict::Fail(Errno::ENOSPC);
        assert_eq!(verdicts, [Verdict::Go, full, full, full]);
        assert_eq!(blow.call(&call(Role::Puller, "unlink", Kind::Change)), Verdict::Go);
    }

    #[test]
    fn a_census_counts_for_each_fault() {
        let faults = [Fault::Kill(Role::Puller), Fault::Fail(Role::Puller, Errno::EIO), Fault::Cut];
        let mut census = Census::new(&faults);
        for (name, kind) in [("write", Kind::Change), ("statx", Kind::Look), ("clone", Kind::Talk)] {
            census.call(&call(Role::Puller, name, kind));
        }
        assert_eq!(faults.map(|fault| census.points(fault)), [2, 2, 1]);
    }
}
