//! What one run of a supervisor came to.

use std::collections::BTreeMap;

use serde_json::Value;

use super::observe::Digests;
use super::role::Role;
use super::tracer::End;
use super::versions::Version;

/// One run, from the start of a container to its end.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The supervisor's log: JSON objects.
    pub(super) log: Vec<Value>,
    /// Lines of its standard error that are no JSON.
    pub(super) noise: Vec<String>,
    /// Versions, as the application printed them.
    pub(super) printed: Vec<String>,
    /// How often each role came to be.
    pub(super) starts: BTreeMap<Role, u32>,
    /// How the helpers ended before anybody told the supervisor to stop.
    pub(super) helpers: Vec<(Role, End)>,
    /// How the supervisor ended.
    pub(super) supervisor: Option<End>,
    /// It came to rest, and then was told to stop.
    pub(super) rested: bool,
    /// It neither came to rest nor ended in time.
    pub(super) timed_out: bool,
    /// An application ran when it came to rest.
    pub(super) app_runs: bool,
    /// `status --json` when it came to rest.
    pub(super) status: Option<Value>,
    /// What was wrong with the tree of the version that ran.
    pub(super) damage: Vec<String>,
    /// The fault came.
    pub(super) fired: bool,
    /// The call that it came at.
    pub(super) at: Option<String>,
}

impl Seen {
    /// The versions of all entries of an event.
    pub(super) fn versions(&self, event: &str, digests: &Digests) -> Vec<Version> {
        let entries = self.log.iter().filter(|entry| entry["event"] == event);
        entries.filter_map(|entry| digests.version(entry["digest"].as_str()?)).collect()
    }

    /// The version that was printed last.
    pub(super) fn last_printed(&self) -> Option<Version> {
        let last = self.printed.last()?;
        Version::ALL.into_iter().find(|version| version.to_string() == *last)
    }

    pub(super) fn started(&self, role: Role) -> u32 {
        self.starts.get(&role).copied().unwrap_or(0)
    }

    /// Whether nothing is on disk that could be started.
    pub(super) fn is_installing(&self) -> bool {
        self.log.iter().any(|entry| entry["event"] == "install")
    }

    /// Whether the log's last word is that a trial or a pause goes on.
    pub(super) fn is_on_the_way(&self) -> bool {
        let about =
            ["try", "run", "commit", "trial_failed", "roll_back", "exited", "exec_failed", "back_off"];
        let last = self.log.iter().rev().find(|entry| about.iter().any(|event| entry["event"] == *event));
        last.is_some_and(|entry| entry["event"] == "try" || entry["event"] == "back_off")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_trial_or_a_pause_goes_on_until_the_log_says_otherwise() {
        let seen = |events: &[&str]| Seen {
            log: events.iter().map(|event| json!({ "event": event })).collect(),
            ..Seen::default()
        };
        assert!(seen(&["run", "exited", "try", "checked"]).is_on_the_way());
        assert!(seen(&["run", "exited", "back_off", "checked"]).is_on_the_way());
        assert!(!seen(&["try", "commit", "checked"]).is_on_the_way());
        assert!(!seen(&[]).is_on_the_way());
    }
}
