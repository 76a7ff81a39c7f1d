//! What was seen of a version that has to prove itself.

use std::time::Duration;

use serde_json::Value;

use crate::engine::{Health, Inspection, State};

/// What was seen at one moment, and since watching began.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Since watching began.
    pub elapsed: Duration,
    /// For how long it has run without ending, as far as it was watched.
    pub running: Duration,
    /// What its container does.
    pub state: State,
    /// How often the engine has started it again since watching began.
    pub restarts: i64,
    /// What its health check says, if it has one.
    pub health: Option<Health>,
    /// How it ended last.
    pub exit_code: i64,
    /// What the engine says about a start that failed.
    pub error: String,
    /// Whether it was killed because memory was short.
    pub out_of_memory: bool,
    /// Whether it has a memory limit of its own.
    pub memory_limited: bool,
    /// Whether it may end by itself: its restart policy is `no` or `on-failure`.
    pub ends_by_itself: bool,
    /// What the last probe said; `None` without one.
    pub probed: Option<Result<(), String>>,
    /// Whether the engine could not be asked at some time since watching began.
    pub engine_was_away: bool,
}

/// What is remembered between two looks at one container.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    restarts: Option<i64>,
    start: String,
    running_since: Option<Duration>,
}

impl Watch {
    /// One more look, `elapsed` after watching began.
    pub fn see(
        &mut self,
        inspection: &Inspection,
        elapsed: Duration,
        probed: Option<Result<(), String>>,
        engine_was_away: bool,
        memory_limited: bool,
    ) -> Seen {
        let before = *self.restarts.get_or_insert(inspection.restarts);
        if inspection.state == State::Running {
            if self.running_since.is_none() || self.start != inspection.started_at {
                self.start.clone_from(&inspection.started_at);
                self.running_since = Some(elapsed);
            }
        } else {
            self.running_since = None;
        }
        let policy = inspection.body.pointer("/HostConfig/RestartPolicy/Name").and_then(Value::as_str);
        Seen {
            elapsed,
            running: self.running_since.map_or(Duration::ZERO, |since| elapsed.saturating_sub(since)),
            state: inspection.state,
            // A container that was started anew counts from 0 again.
            restarts: inspection.restarts - if inspection.restarts < before { 0 } else { before },
            health: inspection.health,
            exit_code: inspection.exit_code,
            error: inspection.error.clone(),
            out_of_memory: inspection.out_of_memory,
            memory_limited,
            ends_by_itself: matches!(policy, Some("no" | "" | "on-failure")),
            probed,
            engine_was_away,
        }
    }
}
