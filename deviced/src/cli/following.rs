//! What has happened since a document was put in force, and whether it is over: pure.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::report::{ContainerReport, OperationReport, Report};

/// Whatever is not under way for this long is not waited for: a window, an age, a registry.
const PATIENCE: Duration = Duration::from_secs(8);
/// A device that is as it has to be for this long has seen the document: a pass follows it at once.
const QUIET: Duration = Duration::from_millis(1500);
/// The stage in which a version that failed is rolled back.
const REVERT: &str = "revert";

/// What following has seen.
#[derive(Debug)]
pub(super) struct Following {
    /// The revision that has to be in force.
    revision: u64,
    /// Passes that there had been before.
    passes: u64,
    /// Operations by id, as they were seen last. Those that were over before don't count.
    operations: BTreeMap<String, OperationReport>,
    /// What was over before.
    before: Vec<String>,
    /// Since when nothing has been under way, and how everything was then.
    quiet: Option<(Duration, Vec<String>)>,
}

/// How it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Standing {
    /// Something is under way.
    Going,
    /// Everything is as it has to be, or waits for something that may take long.
    Settled {
        /// Containers that wait, with what for.
        waiting: Vec<(String, String)>,
    },
    /// Some did not get there: which, and why.
    Failed(Vec<(String, String)>),
}

impl Following {
    /// Follows from here on.
    pub(super) fn new(revision: u64, passes: u64, before: &[OperationReport]) -> Self {
        let over = before.iter().filter(|operation| operation.state != "running");
        Self {
            revision,
            passes,
            operations: BTreeMap::new(),
            before: over.map(|operation| operation.id.clone()).collect(),
            quiet: None,
        }
    }

    /// Operations that have changed since the last look, in their order.
    pub(super) fn news(&mut self, operations: &[OperationReport]) -> Vec<OperationReport> {
        let mut changed: Vec<_> = operations
            .iter()
            .filter(|operation| !self.before.contains(&operation.id))
            .filter(|operation| self.operations.get(&operation.id) != Some(operation))
            .cloned()
            .collect();
        changed.sort_by(|one, other| one.id.cmp(&other.id));
        for operation in &changed {
            self.operations.insert(operation.id.clone(), operation.clone());
        }
        changed
    }

    /// How it stands by this report, `at` being the time since the beginning.
    pub(super) fn standing(&mut self, report: &Report, at: Duration) -> Standing {
        let running = self.operations.values().any(|operation| operation.state == "running");
        let busy = report.containers.iter().chain(&report.strays).any(under_way);
        if report.document.revision < self.revision || running || busy {
            self.quiet = None;
            return Standing::Going;
        }
        let how: Vec<_> = report
            .containers
            .iter()
            .map(|container| format!("{} {}", container.id, container.status))
            .collect();
        let since = match &self.quiet {
            Some((since, before)) if *before == how => *since,
            _ => {
                self.quiet = Some((at, how));
                at
            }
        };
        let quiet_for = at.saturating_sub(since);
        let waiting: Vec<_> =
            report.containers.iter().filter(|container| container.status == "waiting").collect();
        let patience = match (waiting.is_empty(), report.pass.count > self.passes) {
            (true, true) => QUIET,
            (true, false) | (false, _) => PATIENCE,
        };
        if quiet_for < patience {
            return Standing::Going;
        }
        let failed = self.failed(report);
        if !failed.is_empty() {
            return Standing::Failed(failed);
        }
        let told = |container: &&ContainerReport| (container.id.clone(), container.why.clone());
        Standing::Settled { waiting: waiting.iter().map(told).collect() }
    }

    /// Containers of which a version was rolled back, that are blocked, that wait without running, or whose last operation failed.
    fn failed(&self, report: &Report) -> Vec<(String, String)> {
        let of_containers = report.containers.iter().filter_map(|container| {
            let own = || {
                let own = self.operations.values();
                own.filter(|operation| operation.container.as_ref() == Some(&container.id))
            };
            let failed = |operation: &&OperationReport| operation.state == "failed";
            let why = if let Some(reverted) = own().rev().filter(failed).find(|failed| failed.stage == REVERT)
            {
                let current = container.current.as_ref().map(|current| format!("; {} runs", current.version));
                format!("{}{}", reverted.text, current.unwrap_or_default())
            } else if let Some(last) = own().next_back().filter(failed) {
                last.text.clone()
            } else if container.status == "blocked"
                || (container.status == "waiting" && container.state != "running")
            {
                container.why.clone()
            } else {
                return None;
            };
            Some((container.id.clone(), why))
        });
        let of_none = self.operations.values().filter(|operation| operation.container.is_none());
        let of_none = of_none
            .filter(|operation| operation.state == "failed")
            .map(|operation| (operation.kind.clone(), operation.text.clone()));
        of_containers.chain(of_none).collect()
    }
}

fn under_way(container: &ContainerReport) -> bool {
    matches!(container.status.as_str(), "acting" | "proving")
        || container.operation.is_some()
        || container.progress.is_some()
}

#[cfg(test)]
mod tests {
    use super::super::text::sample;
    use super::*;

    fn operation(id: &str, container: &str, state: &str, text: &str) -> OperationReport {
        OperationReport {
            id: id.into(),
            container: Some(container.into()),
            kind: "swap".into(),
            who: "socket:0".into(),
            state: state.into(),
            stage: "prove".into(),
            text: text.into(),
            progress: None,
            began: sample::NOW,
            ended: None,
        }
    }

    fn report(revision: u64, passes: u64, containers: Vec<ContainerReport>) -> Report {
        let mut report = Report { containers, ..sample::report() };
        report.document.revision = revision;
        report.pass.count = passes;
        report
    }

    fn in_status(status: &str, state: &str) -> ContainerReport {
        let why = format!("it is {status}");
        ContainerReport {
            status: status.into(),
            state: state.into(),
            why,
            ..sample::settled("web", "1.0.0", 'a')
        }
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn it_is_over_when_all_has_been_quiet_in_a_pass_after_the_document() {
        let mut following = Following::new(13, 9, &[]);
        let settled = || vec![sample::settled("web", "1.0.0", 'a')];
        assert_eq!(
            following.standing(&report(12, 9, settled()), seconds(20)),
            Standing::Going,
            "the one before"
        );
        assert_eq!(following.standing(&report(13, 9, settled()), seconds(21)), Standing::Going);
        assert_eq!(
            following.standing(&report(13, 9, settled()), seconds(23)),
            Standing::Going,
            "no pass yet"
        );
        assert_eq!(
            following.standing(&report(13, 10, vec![sample::proving()]), seconds(24)),
            Standing::Going
        );
        assert_eq!(following.standing(&report(13, 11, settled()), seconds(25)), Standing::Going);
        let over = Standing::Settled { waiting: Vec::new() };
        assert_eq!(following.standing(&report(13, 11, settled()), seconds(27)), over);
        let mut unchanged = Following::new(13, 9, &[]);
        assert_eq!(unchanged.standing(&report(13, 9, settled()), seconds(0)), Standing::Going);
        assert_eq!(
            unchanged.standing(&report(13, 9, settled()), seconds(8)),
            over,
            "no pass is needed for it"
        );
    }

    #[test]
    fn what_may_take_long_is_not_waited_for_and_what_can_not_be_is_a_failure() {
        for (status, state, expected) in [
            (
                "waiting",
                "running",
                Standing::Settled { waiting: vec![("web".into(), "it is waiting".into())] },
            ),
            ("waiting", "missing", Standing::Failed(vec![("web".into(), "it is waiting".into())])),
            ("blocked", "running", Standing::Failed(vec![("web".into(), "it is blocked".into())])),
            ("stopped", "exited", Standing::Settled { waiting: Vec::new() }),
            ("paused", "running", Standing::Settled { waiting: Vec::new() }),
        ] {
            let mut following = Following::new(13, 9, &[]);
            let report = report(13, 10, vec![in_status(status, state)]);
            assert_eq!(following.standing(&report, seconds(0)), Standing::Going);
            assert_eq!(following.standing(&report, seconds(9)), expected, "{status} {state}");
        }
        let mut pulling = in_status("waiting", "missing");
        pulling.progress = Some((1, 10));
        let mut following = Following::new(13, 9, &[]);
        let report = report(13, 10, vec![pulling]);
        following.standing(&report, seconds(0));
        assert_eq!(following.standing(&report, seconds(60)), Standing::Going, "a pull is under way");
    }

    #[test]
    fn a_version_that_was_rolled_back_is_told_also_when_another_one_was_taken() {
        let settled = report(13, 10, vec![sample::settled("web", "1.0.0", 'a')]);
        let mut following = Following::new(13, 9, &[]);
        let reverted =
            OperationReport { stage: REVERT.into(), ..operation("01A", "web", "failed", "2.0 ended with 1") };
        following.news(&[reverted, operation("01B", "web", "done", "1.0.0 runs")]);
        following.standing(&settled, seconds(0));
        let expected = Standing::Failed(vec![("web".into(), "2.0 ended with 1; 1.0.0 runs".into())]);
        assert_eq!(following.standing(&settled, seconds(2)), expected);
    }

    #[test]
    fn an_operation_that_failed_is_told_unless_a_later_one_did_it() {
        let settled = || report(13, 10, vec![sample::settled("web", "1.0.0", 'a')]);
        let before =
            [operation("01A", "web", "failed", "long ago"), operation("01B", "web", "running", "create")];
        let mut following = Following::new(13, 9, &before);
        assert!(following.news(&before[..1]).is_empty());
        assert_eq!(following.news(&before), before[1..]);
        assert!(following.news(&before).is_empty(), "nothing new");
        assert_eq!(following.standing(&settled(), seconds(5)), Standing::Going, "it runs");
        let ended = [operation("01B", "web", "failed", "it ended with 1; 0.9 is back")];
        assert_eq!(following.news(&ended), ended);
        following.standing(&settled(), seconds(6));
        let expected = Standing::Failed(vec![("web".into(), "it ended with 1; 0.9 is back".into())]);
        assert_eq!(following.standing(&settled(), seconds(9)), expected);
        following.news(&[operation("01C", "web", "done", "runs 1.0.0")]);
        assert_eq!(following.standing(&settled(), seconds(10)), Standing::Settled { waiting: Vec::new() });
    }
}
