//! Whether what was seen keeps the promises: pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::case::{Case, Fault};
use super::observe::Digests;
use super::role::Role;
use super::seen::Seen;
use super::tracer::End;
use super::versions::Version;

/// Everything that was seen of a case.
#[derive(Debug)]
pub(super) struct Story<'a> {
    pub(super) case: Case,
    pub(super) digests: &'a Digests,
    /// The run with the fault; for a power cut, what was written down before it.
    pub(super) disturbed: &'a Seen,
    /// What the links named after it.
    pub(super) slots: &'a BTreeMap<&'static str, Version>,
    /// The names in the data directory before it, and after it.
    pub(super) names_before: &'a BTreeSet<String>,
    pub(super) names_after: &'a BTreeSet<String>,
    /// The run without a registry.
    pub(super) offline: &'a Seen,
    /// The run with it.
    pub(super) online: &'a Seen,
    /// Exit code and words of a clean-up, and of `verify --full`.
    pub(super) collected: &'a (i32, String),
    pub(super) verified: &'a (i32, String),
    /// The names in the end, and those that an undisturbed run leaves.
    pub(super) names: &'a BTreeSet<String>,
    pub(super) expected_names: &'a BTreeSet<String>,
}

/// A helper that ends so has said what is wrong (the table of exit codes, without the one for defects).
const HELPER_CODES: [i32; 8] = [0, 1, 42, 65, 69, 75, 77, 78];
/// The supervisor may end so: as the application did, stopped, or by a typed refusal.
const SUPERVISOR_CODES: [i32; 8] = [0, 74, 75, 78, 126, 127, 137, 143];
/// The supervisor's code for what should not happen.
const INTERNAL: i32 = 70;
/// More starts of one role in one run, and it is a hot loop.
const STARTS: u32 = 6;

impl Story<'_> {
    /// What is wrong; nothing, if all promises were kept.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        self.disturbed(&mut problems);
        self.offline(&mut problems);
        self.online(&mut problems);
        self.end(&mut problems);
        problems
    }

    fn disturbed(&self, problems: &mut Vec<String>) {
        let seen = self.disturbed;
        if self.case.fault == Fault::Cut {
            return;
        }
        ends(seen, "disturbed", self.case.fault, problems);
        if seen.timed_out {
            problems.push("disturbed: it neither came to rest nor ended".into());
        }
        if seen.rested && self.case.setting.scenario.installed().is_some() {
            // Neither old nor new is never right.
            match seen.last_printed().filter(|_| seen.app_runs) {
                None => problems.push("disturbed: nothing runs (I1)".into()),
                Some(version) if !version.is_good() => {
                    problems.push(format!("disturbed: {version} runs (I1)"));
                }
                Some(version) => state_is_real(seen, "disturbed", version, self.digests, problems),
            }
        }
        let full = self.case.fault == Fault::Full;
        let is_there = self.slots.values().any(|version| *version == self.case.setting.scenario.offered());
        // All that was left to do is to stage it: that takes no room, and gives none back.
        let offered = self.digests.of(self.case.setting.scenario.offered());
        let has = |folder: &str| self.names_after.contains(&format!("storage/v1/{folder}/{offered}"));
        let is_complete = has("launch") && (has("extracted") || has("stacks"));
        if full && seen.rested && !is_there && !is_complete {
            // The space of what was begun is given back.
            for name in self.names_after.difference(self.names_before).filter(|name| is_large(name)) {
                problems.push(format!("disturbed: the disk is full, but {name} is kept"));
            }
        }
    }

    fn offline(&self, problems: &mut Vec<String>) {
        let (seen, scenario) = (self.offline, self.case.setting.scenario);
        ends(seen, "offline", Fault::Cut, problems);
        if seen.timed_out || !seen.rested {
            problems.push("offline: it did not come to rest (I6)".into());
            return;
        }
        let Some(version) = seen.last_printed().filter(|_| seen.app_runs) else {
            if !self.slots.is_empty() || scenario.installed().is_some() {
                problems.push("offline: no version runs (I1)".into());
            }
            return;
        };
        let committed = self.disturbed.versions("commit", self.digests).contains(&scenario.offered());
        if version != scenario.offered() && Some(version) != scenario.installed() || !version.is_good() {
            problems.push(format!("offline: {version} runs (I1)"));
        } else if committed && version != scenario.offered() {
            problems.push(format!("offline: {} was committed, but {version} runs (I1)", scenario.offered()));
        }
        state_is_real(seen, "offline", version, self.digests, problems);
        self.judged(seen, "offline", problems);
    }

    fn online(&self, problems: &mut Vec<String>) {
        let (seen, goal) = (self.online, self.case.setting.scenario.goal());
        ends(seen, "online", Fault::Cut, problems);
        if seen.timed_out || !seen.rested {
            problems.push("online: it did not come to rest (I6)".into());
            return;
        }
        match seen.last_printed().filter(|_| seen.app_runs) {
            Some(version) if version == goal => {
                state_is_real(seen, "online", version, self.digests, problems);
            }
            other => problems.push(format!(
                "online: {} runs, not {goal} (I6): {}",
                other.map_or_else(|| "nothing".to_owned(), |version| version.to_string()),
                last_check(seen)
            )),
        }
        self.judged(seen, "online", problems);
        if !self.case.setting.scenario.offered().is_good()
            && !is_rejected(seen, self.digests, self.case.setting.scenario.offered(), &["app"])
        {
            problems.push("online: the bad version is not rejected for what it did (I8)".into());
        }
    }

    /// Verdicts: none against a version that did nothing wrong (I5), and a bad one is not tried again (I4).
    fn judged(&self, seen: &Seen, when: &str, problems: &mut Vec<String>) {
        let new = self.case.setting.scenario.offered();
        for good in Version::ALL.into_iter().filter(|version| version.is_good()) {
            let forbidden: &[&str] = match self.case.fault {
                // Killed from outside, or on a machine in trouble: a pause is right, a verdict for ever is not.
                Fault::Kill(Role::App) | Fault::KillAfter(Role::App) | Fault::Fail(..) | Fault::Full => {
                    &["app", "operator"]
                }
                Fault::Kill(_) | Fault::KillAfter(_) | Fault::Cut => {
                    &["app", "operator", "environment", "interrupted"]
                }
            };
            if is_rejected(seen, self.digests, good, forbidden) {
                problems.push(format!("{when}: {good} is rejected, though it did nothing wrong (I5)"));
            }
        }
        if !new.is_good() {
            let was_judged = self.disturbed.versions("roll_back", self.digests).contains(&new)
                || (when == "online" && self.offline.versions("roll_back", self.digests).contains(&new));
            if was_judged && seen.versions("try", self.digests).contains(&new) {
                problems.push(format!("{when}: {new} is tried again (I4)"));
            }
        }
    }

    fn end(&self, problems: &mut Vec<String>) {
        for (what, (code, words)) in [("gc", self.collected), ("verify --full", self.verified)] {
            if *code != 0 {
                problems.push(format!("end: {what} ended with {code}: {}", words.trim()));
            }
        }
        let comparable = |name: &&String| !is_incidental(name);
        let (names, expected): (BTreeSet<_>, BTreeSet<_>) = (
            self.names.iter().filter(comparable).collect(),
            self.expected_names.iter().filter(comparable).collect(),
        );
        for name in names.difference(&expected) {
            problems.push(format!("end: {name} is left over"));
        }
        for name in expected.difference(&names) {
            // The bad version's verdict, not its bytes, is what has to be there.
            if self.case.setting.scenario.offered().is_good() {
                problems.push(format!("end: {name} is missing"));
            }
        }
    }
}

/// Exit codes are those of the table, nobody panics, nothing is started in a hot loop.
fn ends(seen: &Seen, when: &str, fault: Fault, problems: &mut Vec<String>) {
    for (role, end) in &seen.helpers {
        // With the supervisor dies the container, and when it leaves, it takes its helper with it.
        let killed = matches!(
            fault,
            Fault::Kill(killed) | Fault::KillAfter(killed) if killed == *role || killed == Role::Supervisor
        );
        let killed = killed || (!seen.rested && seen.supervisor.is_some());
        match end {
            End::Code(code) if HELPER_CODES.contains(code) => {}
            End::Signal(nix::sys::signal::Signal::SIGKILL) if killed => {}
            other => {
                problems.push(format!("{when}: {role} ended with {other:?}, which is no documented code"))
            }
        }
    }
    match seen.supervisor {
        None => {}
        Some(End::Code(code)) if SUPERVISOR_CODES.contains(&code) => {}
        Some(End::Signal(nix::sys::signal::Signal::SIGKILL))
            if matches!(fault, Fault::Kill(_) | Fault::KillAfter(_)) => {}
        // What it can't do without failed: it says so, and the next start is another chance.
        Some(End::Code(INTERNAL))
            if matches!(fault, Fault::Fail(Role::Supervisor, _) | Fault::Full)
                && seen.log.iter().any(|entry| entry["event"] == "internal") => {}
        Some(other) => problems.push(format!("{when}: the supervisor ended with {other:?}")),
    }
    for line in seen.noise.iter().filter(|line| line.contains("panicked at")) {
        problems.push(format!("{when}: {line}"));
    }
    for role in [Role::Puller, Role::Collector, Role::Restorer, Role::App, Role::Supervisor] {
        let starts = seen.started(role);
        if starts > STARTS {
            problems.push(format!("{when}: {role} was started {starts} times: a hot loop"));
        }
    }
}

/// What `status` says is what is (I8), and the tree is what was packed (I2).
fn state_is_real(seen: &Seen, when: &str, version: Version, digests: &Digests, problems: &mut Vec<String>) {
    problems.extend(seen.damage.iter().map(|damage| format!("{when}: {damage}")));
    let Some(status) = &seen.status else {
        problems.push(format!("{when}: there is no status (I8)"));
        return;
    };
    let digest = digests.of(version);
    // Where not even its address can be written, no command finds the supervisor; its log says so.
    let is_hidden = when == "disturbed"
        && status["supervisor"].is_null()
        && seen.log.iter().any(|entry| entry["event"] == "not_published");
    for (name, value) in
        [("current", &status["current"]["digest"]), ("running", &status["supervisor"]["running"])]
    {
        if value.as_str() != Some(digest) && !(is_hidden && name == "running") {
            problems.push(format!("{when}: {version} runs, but status says that {name} is {value} (I8)"));
        }
    }
    if !status["trying"].is_null() {
        problems
            .push(format!("{when}: status says that {} is tried, at rest (I8)", status["trying"]["digest"]));
    }
}

fn is_rejected(seen: &Seen, digests: &Digests, version: Version, kinds: &[&str]) -> bool {
    let rejected = seen.status.as_ref().and_then(|status| status["rejected"].as_array());
    rejected.into_iter().flatten().any(|verdict| {
        verdict["digest"] == digests.of(version) && kinds.iter().any(|kind| verdict["kind"] == *kind)
    })
}

fn last_check(seen: &Seen) -> String {
    let check = seen.status.as_ref().map_or(&Value::Null, |status| &status["last_check"]);
    format!("{}: {}", check["outcome"].as_str().unwrap_or("no look"), check["detail"].as_str().unwrap_or(""))
}

/// What takes room: trees, blobs and downloads; not what is remembered of them.
fn is_large(name: &str) -> bool {
    ["storage/v1/blobs/", "storage/v1/extracted/", "storage/v1/frozen/"]
        .iter()
        .any(|folder| name.starts_with(folder))
}

/// Names that depend on how often something was begun, or on what the volume had room for.
fn is_incidental(name: &str) -> bool {
    // Frozen directories are counted, and a spare tree is kept where it is of use.
    name.starts_with("storage/v1/frozen/")
        || name.starts_with("storage/v1/extracted/spare-")
        || name == "update-attempt"
        // What the last look at a version came to: there once the fault has led to one.
        || name == "storage/v1/health.json"
        // Both say how the tree was made, and are allowed to be lost.
        || ["storage/v1/stamps/", "storage/v1/indexes/", "storage/v1/stacks/", "storage/v1/writes/"]
            .iter()
            .any(|folder| name.starts_with(folder) && !name.contains("tmp-"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn digests() -> Digests {
        Digests::new(Version::ALL.into_iter().map(|version| (version, format!("sha256:{version}"))).collect())
    }

    fn resting(version: Version) -> Seen {
        let digest = format!("sha256:{version}");
        Seen {
            printed: vec![version.to_string()],
            rested: true,
            app_runs: true,
            supervisor: Some(End::Code(0)),
            status: Some(json!({
                "current": { "digest": digest }, "supervisor": { "running": digest }, "trying": null, "rejected": [],
            })),
            ..Seen::default()
        }
    }

    /// Problems of an update whose three runs were these.
    fn problems(case: &str, disturbed: &Seen, offline: &Seen, online: &Seen) -> Vec<String> {
        let case: Case = case.parse().unwrap();
        let nothing = BTreeSet::new();
        let fine = (0, String::new());
        let story = Story {
            case,
            digests: &digests(),
            disturbed,
            slots: &BTreeMap::from([("entrypoint", Version::V1)]),
            names_before: &nothing,
            names_after: &nothing,
            offline,
            online,
            collected: &fine,
            verified: &fine,
            names: &nothing,
            expected_names: &nothing,
        };
        story.problems()
    }

    const KILL: &str = "update/ext4/overlay/kill-puller/3";

    #[test]
    fn a_good_story_has_no_problems() {
        use Version::{V1, V2};
        assert_eq!(problems(KILL, &resting(V1), &resting(V1), &resting(V2)), [] as [String; 0]);
        assert_eq!(problems(KILL, &resting(V2), &resting(V2), &resting(V2)), [] as [String; 0]);
    }

    #[test]
    fn each_broken_promise_is_told() {
        use Version::{V1, V2, V3};
        let change = |change: fn(&mut Seen)| {
            let mut seen = resting(V1);
            change(&mut seen);
            seen
        };
        let commit = change(|seen| seen.log = vec![json!({ "event": "commit", "digest": "sha256:v2" })]);
        let dead = change(|seen| seen.app_runs = false);
        let stuck = change(|seen| (seen.rested, seen.timed_out) = (false, true));
        let damaged = change(|seen| seen.damage = vec!["lib/large is wrong (I2)".into()]);
        let liar = change(|seen| seen.status = Some(json!({ "current": { "digest": "sha256:v2" } })));
        let judged = change(|seen| {
            let status = seen.status.as_mut().unwrap();
            status["rejected"] = json!([{ "digest": "sha256:v2", "kind": "interrupted" }]);
        });
        let panicked = change(|seen| seen.helpers = vec![(Role::Puller, End::Code(101))]);
        let looping = change(|seen| seen.starts = BTreeMap::from([(Role::Puller, 70)]));
        for (disturbed, offline, online, expected) in [
            (&commit, &resting(V1), &resting(V2), "was committed, but v1 runs (I1)"),
            (&resting(V1), &dead, &resting(V2), "offline: no version runs (I1)"),
            (&resting(V1), &stuck, &resting(V2), "offline: it did not come to rest (I6)"),
            (&resting(V1), &resting(V3), &resting(V2), "offline: v3 runs (I1)"),
            (&resting(V1), &damaged, &resting(V2), "(I2)"),
            (&resting(V1), &liar, &resting(V2), "(I8)"),
            (&resting(V1), &judged, &resting(V2), "(I5)"),
            (&resting(V1), &resting(V1), &resting(V1), "online: v1 runs, not v2 (I6)"),
            (&panicked, &resting(V1), &resting(V2), "no documented code"),
            (&looping, &resting(V1), &resting(V2), "a hot loop"),
            (&dead, &resting(V1), &resting(V2), "disturbed: nothing runs (I1)"),
        ] {
            let problems = problems(KILL, disturbed, offline, online);
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected}: {problems:?}");
        }
    }

    #[test]
    fn what_is_left_over_and_what_is_missing_is_told() {
        for (name, expected) in [
            ("storage/v1/extracted/tmp-sha256:x", true),
            ("storage/v1/blobs/partial-sha256:x", true),
            ("storage/v1/stamps/tmp-sha256:x", true),
            ("storage/v1/frozen/41c3-2", false),
            ("storage/v1/extracted/spare-sha256:x", false),
        ] {
            assert_eq!(!is_incidental(name), expected, "{name}");
        }
    }

    #[test]
    fn a_bad_version_is_not_tried_again() {
        let tries = |event: &str| Seen {
            log: vec![json!({ "event": event, "digest": "sha256:v3" })],
            ..resting(Version::V2)
        };
        let mut rejecting = resting(Version::V2);
        rejecting.status.as_mut().unwrap()["rejected"] = json!([{ "digest": "sha256:v3", "kind": "app" }]);
        let case = "rollback/ext4/overlay/kill-supervisor/3";
        let again = problems(case, &tries("roll_back"), &tries("try"), &rejecting);
        assert!(again.iter().any(|problem| problem.contains("(I4)")), "{again:?}");
        assert_eq!(problems(case, &tries("try"), &tries("try"), &rejecting), [] as [String; 0]);
    }
}
