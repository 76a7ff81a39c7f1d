//! What somebody changed of `run`, as a merge patch.

use serde_json::Value;

use crate::document::run::Run;

/// `run` with a merge patch (RFC 7396) applied, read again as strictly as the document's own.
///
/// # Errors
/// When the result is no `run`: where, and why.
pub fn patched(run: &Run, patch: &Value) -> Result<Run, String> {
    let mut value = serde_json::to_value(run).map_err(|error| format!("`run` can't be written: {error}"))?;
    merge(&mut value, patch);
    serde_path_to_error::deserialize(&value).map_err(|error| {
        let path = error.path().to_string();
        let at = if path == "." { "run".to_owned() } else { format!("run.{path}") };
        format!("the changed run options don't fit: {at}: {}", error.inner())
    })
}

/// RFC 7396, section 2.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(target) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_examples_of_the_specification() {
        for (before, patch, after) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a": "b"}), json!(["c"]), json!(["c"])),
            (json!({"a": "foo"}), json!(null), json!(null)),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut merged = before.clone();
            merge(&mut merged, &patch);
            assert_eq!(merged, after, "{before} with {patch}");
        }
    }

    #[test]
    fn what_does_not_fit_is_said_with_its_place() {
        let run: Run =
            serde_json::from_value(json!({"environment": {"LEVEL": "info", "OTHER": "1"}, "restart": "no"}))
                .unwrap();
        let changed = patched(&run, &json!({"environment": {"LEVEL": "debug"}, "mem_limit": "64m"})).unwrap();
        let wanted: Run = serde_json::from_value(
            json!({"environment": {"LEVEL": "debug", "OTHER": "1"}, "restart": "no", "mem_limit": "64m"}),
        )
        .unwrap();
        assert_eq!(changed, wanted);
        assert_eq!(patched(&run, &json!({})).unwrap(), run);
        for (patch, place) in [
            (json!({"restart": "often"}), "run.restart"),
            (json!({"colour": "red"}), "run.colour"),
            (json!("nothing"), "run:"),
        ] {
            let error = patched(&run, &patch).unwrap_err();
            assert!(error.contains(place), "{patch}: {error}");
        }
    }
}
