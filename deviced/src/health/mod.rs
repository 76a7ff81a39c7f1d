//! Whether a new version works: what was seen of it -> proven, failed or not known yet. Pure.

mod seen;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use seen::{Seen, Watch};

use crate::document::quantity::Span;
use crate::document::update::Health as Policy;
use crate::engine::{Health, State};
use crate::swap::{CRASHES, Failure, Reason};

/// What has been seen so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Not known yet: what is waited for.
    Waiting(String),
    /// It works.
    Proven,
    /// It does not.
    Failed(Failure),
}

/// Its container is not there any more: somebody else removed it, and the version can't be blamed.
pub fn gone() -> Failure {
    Failure::new(Reason::Interrupted, "its container was removed while it was watched")
}

/// Judges what was seen.
///
/// - A probe, or else the health check, or else running alone proves a version; it has to have run for some time without ending in any case.
/// - `restarting` proves nothing. A version whose container ends three times has failed; an unhealthy one has time until the timeout, since a
///   verdict is final and a slow start is none.
/// - A job (`restart` is `no` or `on-failure`, and nothing probes it) that ended with 0 is proven.
/// - Who was stopped from outside, or watched by an engine that went away, was interrupted. Memory that the device lacks is not the version's
///   doing; memory beyond its own limit is.
pub fn judge(policy: &Policy, seen: &Seen) -> Proof {
    let judged = match seen.state {
        State::Running => running(policy, seen),
        State::Paused => Proof::Waiting("its processes are frozen".to_owned()),
        State::Removing | State::Dead => Proof::Failed(gone()),
        State::Restarting | State::Exited | State::Created => ended(policy, seen),
    };
    let deadline = policy.timeout.0.max(policy.running.0.saturating_add(policy.interval.0));
    match judged {
        Proof::Waiting(what) if seen.elapsed >= deadline => {
            let text = format!("not proven after {}: {what}", spoken(deadline));
            let interrupted = seen.engine_was_away || matches!(seen.state, State::Paused | State::Created);
            Proof::Failed(Failure::new(if interrupted { Reason::Interrupted } else { Reason::App }, text))
        }
        judged => judged,
    }
}

fn running(policy: &Policy, seen: &Seen) -> Proof {
    if seen.restarts >= i64::from(CRASHES) {
        return Proof::Failed(crashed(seen));
    }
    match (&seen.probed, seen.health) {
        (Some(Err(problem)), _) => return Proof::Waiting(format!("the last probe said: {problem}")),
        (None, Some(Health::Unhealthy)) => {
            return Proof::Waiting("its health check says: unhealthy".to_owned());
        }
        (None, Some(Health::Starting)) => {
            return Proof::Waiting("its health check says: starting".to_owned());
        }
        (Some(Ok(())), _) | (None, Some(Health::Healthy) | None) => {}
    }
    if seen.running < policy.running.0 {
        let of = spoken(policy.running.0);
        return Proof::Waiting(format!("it has run for {} of {of}", spoken(seen.running)));
    }
    Proof::Proven
}

/// It does not run: whose doing is that?
fn ended(policy: &Policy, seen: &Seen) -> Proof {
    let code = seen.exit_code;
    if seen.out_of_memory {
        return Proof::Failed(if seen.memory_limited {
            Failure::new(Reason::App, "it needs more memory than its limit allows")
        } else {
            Failure::new(Reason::Environment, "the device ran out of memory")
        });
    }
    if seen.restarts >= i64::from(CRASHES) {
        return Proof::Failed(crashed(seen));
    }
    if seen.state == State::Restarting {
        return Proof::Waiting(format!("it ended with {code}, and the engine starts it again"));
    }
    if !seen.error.is_empty() {
        return Proof::Failed(not_started(code, &seen.error));
    }
    if seen.state == State::Created {
        return Proof::Waiting("it has not been started".to_owned());
    }
    if seen.engine_was_away {
        return Proof::Failed(Failure::new(
            Reason::Interrupted,
            format!("it ended with {code} when the engine went away"),
        ));
    }
    let is_probed = policy.http.is_some() || policy.tcp.is_some() || policy.exec.is_some();
    match code {
        0 if seen.ends_by_itself && !is_probed && seen.health.is_none() => Proof::Proven,
        // 128 + SIGKILL, 128 + SIGTERM. With another policy the engine would have started it again: somebody stopped it.
        137 | 143 => {
            Proof::Failed(Failure::new(Reason::Interrupted, format!("it was stopped from outside ({code})")))
        }
        _ if !seen.ends_by_itself => {
            Proof::Failed(Failure::new(Reason::Interrupted, format!("it was stopped from outside ({code})")))
        }
        0 => Proof::Failed(Failure::new(Reason::App, "it ended with 0 before it had proven itself")),
        code => Proof::Failed(Failure::new(Reason::App, format!("it ended with {code}"))),
    }
}

fn crashed(seen: &Seen) -> Failure {
    let text = format!(
        "it ended {} times while it was watched, the last time with {}",
        seen.restarts, seen.exit_code
    );
    if seen.engine_was_away {
        Failure::new(Reason::Interrupted, text)
    } else {
        Failure::new(Reason::App, text)
    }
}

/// A start that the engine says has failed. What can't be executed is the version's doing (126, 127 as in shells); anything else may be a port
/// that is taken or a device that is not there.
pub fn not_started(code: i64, error: &str) -> Failure {
    let reason = if matches!(code, 126 | 127) { Reason::App } else { Reason::Environment };
    Failure::new(reason, format!("it can't be started: {error}"))
}

/// Whole seconds from one second on.
fn spoken(time: Duration) -> Span {
    let is_short = time < Duration::from_secs(1);
    Span(if is_short {
        Duration::from_millis(u64::from(time.subsec_millis()))
    } else {
        Duration::from_secs(time.as_secs())
    })
}
