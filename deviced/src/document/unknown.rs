//! Members that no part of a document has, found by walking its JSON Schema: all of them, each with what may have been meant.

use serde_json::{Map, Value};

use super::finding::{Finding, Pointer};

/// Names that mean something elsewhere, and what to do instead. Compose's own words that are said in another way here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("image", "the image stands beside `run`, as `image`, and its versions as `versions`"),
    ("container_name", "containers are named after their `id`"),
    ("build", "images come from registries: build and push it elsewhere"),
    ("deploy", "limits stand in `run` itself: mem_limit, cpus, pids_limit"),
    ("pull_policy", "what is pulled and when is said in `update`"),
    ("secrets", "mount the secret's file with `volumes`, or name a file in `env_file`"),
    ("configs", "mount the file with `volumes`"),
    ("profiles", "pause a container with `paused: true`"),
    ("scale", "list a container for each"),
    ("extends", "use anchors and `<<` merge keys"),
    ("services", "the list is called `containers`, and each has an `id`"),
    ("version", "write `apiVersion: deviced/v1`"),
    ("password", "name where the password is kept: `credentials: {username: ..., passwordFile: ...}`"),
];

/// Finds the members that the schema doesn't have.
pub(super) fn find(schema: &Value, value: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    Walk { root: schema, findings: &mut findings }.look(schema, value, &Pointer::root());
    findings
}

struct Walk<'s> {
    root: &'s Value,
    findings: &'s mut Vec<Finding>,
}

impl<'s> Walk<'s> {
    fn look(&mut self, schema: &'s Value, value: &Value, pointer: &Pointer) {
        let Some(schema) = self.resolve(schema) else { return };
        match value {
            Value::Object(members) => self.look_at_map(schema, members, pointer),
            Value::Array(items) => {
                let Some(item_schema) = self.part(schema, "array").and_then(|list| list.get("items")) else {
                    return;
                };
                for (index, item) in items.iter().enumerate() {
                    self.look(item_schema, item, &pointer.index(index));
                }
            }
            _ => {}
        }
    }

    fn look_at_map(
        &mut self,
        schema: &'s Map<String, Value>,
        members: &Map<String, Value>,
        pointer: &Pointer,
    ) {
        let Some(map) = self.part(schema, "object") else { return };
        let none = Map::new();
        let known = map.get("properties").and_then(Value::as_object).unwrap_or(&none);
        for (name, member) in members {
            let at = pointer.key(name);
            if let Some(schema) = map.get("properties").and_then(|known| known.get(name)) {
                self.look(schema, member, &at);
                continue;
            }
            match map.get("additionalProperties") {
                Some(Value::Bool(false)) => self.findings.push(unknown(at, name, known)),
                Some(schema) => self.look(schema, member, &at),
                None => {}
            }
        }
    }

    /// Follows references into the schema's definitions.
    fn resolve(&self, schema: &'s Value) -> Option<&'s Map<String, Value>> {
        let mut schema = schema.as_object()?;
        // The types refer to each other no deeper than this.
        for _ in 0..16 {
            let Some(reference) = schema.get("$ref").and_then(Value::as_str) else { return Some(schema) };
            schema = self.root.pointer(reference.strip_prefix('#')?)?.as_object()?;
        }
        None
    }

    /// The alternative that is of a JSON type.
    fn part(&self, schema: &'s Map<String, Value>, kind: &str) -> Option<&'s Map<String, Value>> {
        let is = |schema: &Map<String, Value>| match schema.get("type") {
            Some(Value::String(is)) => is == kind,
            Some(Value::Array(kinds)) => kinds.iter().any(|is| is == kind),
            _ => false,
        };
        if is(schema) {
            return Some(schema);
        }
        let alternatives =
            ["oneOf", "anyOf"].iter().filter_map(|word| schema.get(*word)?.as_array()).flatten();
        alternatives
            .filter_map(|alternative| self.resolve(alternative))
            .find_map(|part| self.part(part, kind))
    }
}

fn unknown(pointer: Pointer, name: &str, known: &Map<String, Value>) -> Finding {
    let advice = if let Some(near) = nearest(name, known.keys().map(String::as_str)) {
        format!("did you mean `{near}`?")
    } else if let Some((_, advice)) = ELSEWHERE.iter().find(|(word, _)| *word == name) {
        (*advice).to_owned()
    } else {
        let names: Vec<_> = known.keys().map(String::as_str).collect();
        format!("known here: {}", names.join(", "))
    };
    Finding::new(pointer, format!("there is no `{name}` here")).advise(advice)
}

/// The name that is most like another, if one is like it.
pub(crate) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let plain = |name: &str| name.to_ascii_lowercase().replace(['_', '-'], "");
    let wanted = plain(name);
    let far = |other: &str| strsim::damerau_levenshtein(&wanted, &plain(other));
    let limit = (wanted.chars().count() / 3).clamp(1, 3);
    known.map(|other| (far(other), other)).filter(|(far, _)| *far <= limit).min().map(|(_, other)| other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_if_it_is_near() {
        let known = ["ports", "volumes", "mem_limit", "working_dir", "cap_add"];
        for (name, near) in [
            ("prots", Some("ports")),
            ("port", Some("ports")),
            ("memLimit", Some("mem_limit")),
            ("working-dir", Some("working_dir")),
            ("cap_ad", Some("cap_add")),
            ("image", None),
            ("x", None),
        ] {
            assert_eq!(nearest(name, known.into_iter()), near, "{name}");
        }
    }
}
