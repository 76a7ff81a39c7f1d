use serde_json::json;

use super::*;
use crate::document::update::Tcp;
use crate::engine::Inspection;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn runs(elapsed: u64) -> Seen {
    Seen {
        elapsed: seconds(elapsed),
        running: seconds(elapsed),
        state: State::Running,
        restarts: 0,
        health: None,
        exit_code: 0,
        error: String::new(),
        out_of_memory: false,
        memory_limited: false,
        ends_by_itself: false,
        probed: None,
        engine_was_away: false,
    }
}

fn ends(code: i64) -> Seen {
    Seen { state: State::Exited, exit_code: code, ..runs(5) }
}

/// The first word of a proof, and its text.
fn said(policy: &Policy, seen: &Seen) -> String {
    match judge(policy, seen) {
        Proof::Proven => "proven".to_owned(),
        Proof::Waiting(text) => format!("waiting: {text}"),
        Proof::Failed(Failure { reason, text }) => format!("{reason}: {text}"),
    }
}

#[test]
fn each_thing_that_can_be_seen() {
    let policy = Policy::default();
    let probed = |elapsed, answer: Result<(), &str>| Seen {
        probed: Some(answer.map_err(str::to_owned)),
        health: Some(Health::Starting),
        ..runs(elapsed)
    };
    let health = |elapsed, health| Seen { health: Some(health), ..runs(elapsed) };
    for (seen, expected) in [
        (runs(3), "waiting: it has run for 3s of 10s"),
        (runs(10), "proven"),
        (Seen { running: seconds(2), ..runs(60) }, "waiting: it has run for 2s of 10s"),
        (Seen { running: seconds(2), ..runs(120) }, "app: not proven after 2m: it has run for 2s of 10s"),
        (Seen { restarts: 2, ..runs(60) }, "proven"),
        (
            Seen { restarts: 3, exit_code: 1, ..runs(60) },
            "app: it ended 3 times while it was watched, the last time with 1",
        ),
        (health(60, Health::Starting), "waiting: its health check says: starting"),
        (health(60, Health::Unhealthy), "waiting: its health check says: unhealthy"),
        (health(60, Health::Healthy), "proven"),
        (health(120, Health::Unhealthy), "app: not proven after 2m: its health check says: unhealthy"),
        (probed(60, Err("503")), "waiting: the last probe said: 503"),
        (probed(120, Err("503")), "app: not proven after 2m: the last probe said: 503"),
        (
            Seen { engine_was_away: true, ..probed(120, Err("503")) },
            "interrupted: not proven after 2m: the last probe said: 503",
        ),
        // A probe counts for more than the health check, and running counts all the same.
        (probed(60, Ok(())), "proven"),
        (probed(5, Ok(())), "waiting: it has run for 5s of 10s"),
        (
            Seen { state: State::Restarting, exit_code: 1, ..runs(60) },
            "waiting: it ended with 1, and the engine starts it again",
        ),
        (
            Seen { state: State::Restarting, exit_code: 1, ..runs(120) },
            "app: not proven after 2m: it ended with 1, and the engine starts it again",
        ),
        (
            Seen { state: State::Restarting, restarts: 3, exit_code: 1, ..runs(60) },
            "app: it ended 3 times while it was watched, the last time with 1",
        ),
        (Seen { state: State::Paused, ..runs(60) }, "waiting: its processes are frozen"),
        (
            Seen { state: State::Paused, ..runs(120) },
            "interrupted: not proven after 2m: its processes are frozen",
        ),
        (
            Seen { state: State::Removing, ..runs(1) },
            "interrupted: its container was removed while it was watched",
        ),
        (
            Seen { state: State::Dead, ..ends(1) },
            "interrupted: its container was removed while it was watched",
        ),
        (Seen { state: State::Created, ..runs(1) }, "waiting: it has not been started"),
        (
            Seen { state: State::Created, error: "port 80 is taken".into(), exit_code: 128, ..runs(1) },
            "environment: it can't be started: port 80 is taken",
        ),
        (
            Seen { state: State::Created, error: "no such file".into(), exit_code: 127, ..runs(1) },
            "app: it can't be started: no such file",
        ),
        // Jobs.
        (Seen { ends_by_itself: true, ..ends(0) }, "proven"),
        (Seen { ends_by_itself: true, ..ends(3) }, "app: it ended with 3"),
        (
            Seen { ends_by_itself: true, health: Some(Health::Starting), ..ends(0) },
            "app: it ended with 0 before it had proven itself",
        ),
        (Seen { ends_by_itself: true, ..ends(143) }, "interrupted: it was stopped from outside (143)"),
        // The engine would have started these again.
        (ends(0), "interrupted: it was stopped from outside (0)"),
        (ends(1), "interrupted: it was stopped from outside (1)"),
        (Seen { engine_was_away: true, ..ends(1) }, "interrupted: it ended with 1 when the engine went away"),
        (Seen { out_of_memory: true, ..ends(137) }, "environment: the device ran out of memory"),
        (
            Seen { out_of_memory: true, memory_limited: true, ..ends(137) },
            "app: it needs more memory than its limit allows",
        ),
    ] {
        assert_eq!(said(&policy, &seen), expected, "{seen:?}");
    }
}

#[test]
fn a_time_to_run_longer_than_the_timeout_can_be_met() {
    let policy = Policy { running: Span::seconds(300), ..Policy::default() };
    assert_eq!(said(&policy, &runs(299)), "waiting: it has run for 4m59s of 5m");
    assert_eq!(said(&policy, &runs(300)), "proven");
}

#[test]
fn what_is_probed_is_no_job() {
    let policy = Policy { tcp: Some(Tcp { port: 80 }), ..Policy::default() };
    let seen = Seen { ends_by_itself: true, ..ends(0) };
    assert_eq!(said(&policy, &seen), "app: it ended with 0 before it had proven itself");
}

#[test]
fn a_restart_begins_the_time_anew() {
    let at = |state, started_at: &str, restarts| Inspection {
        body: json!({"HostConfig": {"RestartPolicy": {"Name": "always"}}}),
        state,
        health: None,
        started_at: started_at.to_owned(),
        exit_code: 0,
        out_of_memory: false,
        error: String::new(),
        restarts,
    };
    let mut watch = Watch::default();
    let mut see = |inspection: Inspection, elapsed| {
        let seen = watch.see(&inspection, seconds(elapsed), None, false, false);
        (seen.running.as_secs(), seen.restarts)
    };
    // One that was started again before it was watched is not blamed for it.
    assert_eq!(see(at(State::Running, "a", 2), 1), (0, 0));
    assert_eq!(see(at(State::Running, "a", 2), 5), (4, 0));
    assert_eq!(see(at(State::Running, "b", 3), 8), (0, 1));
    assert_eq!(see(at(State::Running, "b", 3), 12), (4, 1));
    assert_eq!(see(at(State::Restarting, "b", 3), 13), (0, 1));
    assert_eq!(see(at(State::Running, "b", 0), 14), (0, 0));
}
