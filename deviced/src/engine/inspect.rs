//! What the inspection of a container says. Pure.

use serde_json::Value;

use super::list::{health, state};
use super::{Error, Inspection, failure};

/// Reads the answer of `GET /containers/{id}/json`.
pub(super) fn inspection(call: &str, body: Value) -> Result<Inspection, Error> {
    if !body.is_object() {
        return Err(failure::answer(call, "it is no JSON object"));
    }
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let number = |pointer: &str| body.pointer(pointer).and_then(Value::as_i64).unwrap_or_default();
    let truth = |pointer: &str| body.pointer(pointer).and_then(Value::as_bool).unwrap_or_default();
    let status = if truth("/State/Running") { "Up" } else { "" };
    // Podman's compatible answer once called it `Healthcheck`.
    let word = [text("/State/Health/Status"), text("/State/Healthcheck/Status")]
        .into_iter()
        .find(|word| !word.is_empty());
    Ok(Inspection {
        state: state(text("/State/Status"), status),
        health: word.and_then(health),
        started_at: text("/State/StartedAt").to_owned(),
        exit_code: number("/State/ExitCode"),
        out_of_memory: truth("/State/OOMKilled"),
        error: text("/State/Error").to_owned(),
        restarts: number("/RestartCount"),
        body,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Health, State};
    use super::*;

    #[test]
    fn what_is_missing_is_empty() {
        let full = json!({
            "RestartCount": 3,
            "State": {
                "Status": "exited", "Running": false, "OOMKilled": true, "ExitCode": 137, "Error": "killed",
                "StartedAt": "2026-11-26T07:00:00.5Z", "Health": {"Status": "unhealthy", "Log": []},
            },
        });
        let read = inspection("inspection", full.clone()).unwrap();
        assert_eq!((read.state, read.health, read.exit_code), (State::Exited, Some(Health::Unhealthy), 137));
        assert_eq!(
            (read.started_at.as_str(), read.error.as_str(), read.restarts),
            ("2026-11-26T07:00:00.5Z", "killed", 3)
        );
        assert!(read.out_of_memory && read.body == full);

        let odd = inspection("inspection", json!({"State": {"Running": true, "Health": null}})).unwrap();
        assert_eq!((odd.state, odd.health, odd.exit_code), (State::Running, None, 0));
        assert!(matches!(inspection("inspection", json!([])), Err(Error::Answer { .. })));
    }
}
