//! What an engine says that happens. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Event;

/// Reads an event; nothing for one that changes nothing: commands in containers, which health checks start all the time.
pub(super) fn event(value: &Value) -> Option<Event> {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    // The names before the slash are those of engines before API 1.52, and of older ones alone.
    let action = text("/Action").or_else(|| text("/status"))?;
    if action.starts_with("exec_") {
        return None;
    }
    let attributes = value.pointer("/Actor/Attributes").and_then(Value::as_object);
    let attribute =
        |(name, value): (&String, &Value)| (name.clone(), value.as_str().unwrap_or_default().to_owned());
    let kind = text("/Type").unwrap_or("container");
    let action = match (kind, action) {
        // Podman's words.
        ("container", "remove") => "destroy",
        ("container", "died") => "die",
        (_, action) => action,
    };
    Some(Event {
        kind: kind.to_owned(),
        action: action.to_owned(),
        subject: text("/Actor/ID").or_else(|| text("/id")).unwrap_or_default().to_owned(),
        attributes: attributes.into_iter().flat_map(Map::iter).map(attribute).collect::<BTreeMap<_, _>>(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_of_engines_of_different_age() {
        let die = |attributes: &[(&str, &str)]| Event {
            kind: "container".to_owned(),
            action: "die".to_owned(),
            subject: "4711".to_owned(),
            attributes: attributes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        };
        for (value, expected) in [
            // Docker 20.10.
            (
                json!({
                    "status": "die", "id": "4711", "from": "web", "Type": "container", "Action": "die",
                    "Actor": {"ID": "4711", "Attributes": {"exitCode": "1", "deviced.id": "web"}}, "scope": "local", "time": 1, "timeNano": 1,
                }),
                die(&[("exitCode", "1"), ("deviced.id", "web")]),
            ),
            // Docker 29.
            (
                json!({"Type": "container", "Action": "die", "Actor": {"ID": "4711", "Attributes": null}}),
                die(&[]),
            ),
            // Podman 4.
            (
                json!({"status": "died", "id": "4711", "Type": "container", "Action": "died", "Actor": {"ID": "4711", "Attributes": {}}}),
                die(&[]),
            ),
            // Long ago.
            (json!({"status": "die", "id": "4711"}), die(&[])),
        ] {
            assert_eq!(event(&value), Some(expected), "{value}");
        }
        // A kind that no model knows.
        assert_eq!(
            event(&json!({"Type": "machine", "Action": "start", "Actor": {"ID": "m"}})).unwrap().kind,
            "machine"
        );
        for nothing in [
            json!({"Type": "container", "Action": "exec_start: /bin/true", "Actor": {"ID": "4711"}}),
            json!([]),
            json!({}),
        ] {
            assert_eq!(event(&nothing), None, "{nothing}");
        }
    }
}
