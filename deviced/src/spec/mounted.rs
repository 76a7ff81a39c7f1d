//! Mounts, as a create call asks for them and as an inspection lists them. Pure.

use std::fmt;

use serde_json::Value;

use super::words::{items, member};
use crate::swap::Drift;

/// A mount that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// The path in the container.
    pub(super) target: String,
    /// `bind`, `volume`, `tmpfs`.
    kind: String,
    /// The device's path, or a volume's name; empty for none.
    source: String,
    read_only: bool,
    propagation: Option<String>,
    /// Everything else, as text.
    options: Vec<String>,
}

impl fmt::Display for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.source.is_empty() { &self.kind } else { &self.source })?;
        let read_only = self.read_only.then_some("ro");
        let options = self.options.iter().map(String::as_str);
        let options: Vec<_> =
            read_only.into_iter().chain(self.propagation.as_deref()).chain(options).collect();
        if options.is_empty() { Ok(()) } else { write!(f, ":{}", options.join(",")) }
    }
}

/// All mounts that a create call asks for.
pub(super) fn mounts(body: &Value) -> Vec<Mount> {
    let binds = items(body, "/HostConfig/Binds").filter_map(Value::as_str).map(bind);
    binds.chain(items(body, "/HostConfig/Mounts").map(mount)).collect()
}

/// `source:target[:options]`.
fn bind(text: &str) -> Mount {
    let mut parts = text.splitn(3, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (source, target, words) = (path(next()), path(next()), next());
    let (mut read_only, mut propagation, mut options) = (false, None, Vec::new());
    for word in words.split(',') {
        match word {
            "" | "rw" => {}
            "ro" => read_only = true,
            "z" | "Z" => options.push(word.to_owned()),
            word => propagation = Some(word.to_owned()),
        }
    }
    Mount { target, kind: "bind".to_owned(), source, read_only, propagation, options }
}

fn mount(entry: &Value) -> Mount {
    let option = |(word, pointer): (&str, &str)| {
        Some(match entry.pointer(pointer)? {
            Value::Bool(truth) => truth.then(|| word.to_owned())?,
            Value::String(text) if !text.is_empty() => format!("{word}={text}"),
            Value::Number(number) if number.as_i64() != Some(0) => format!("{word}={number}"),
            _ => return None,
        })
    };
    let options = [
        ("nocopy", "/VolumeOptions/NoCopy"),
        ("subpath", "/VolumeOptions/Subpath"),
        ("size", "/TmpfsOptions/SizeBytes"),
        ("mode", "/TmpfsOptions/Mode"),
    ];
    let propagation = entry.pointer("/BindOptions/Propagation").and_then(Value::as_str);
    Mount {
        target: path(member(entry, "Target")),
        kind: member(entry, "Type").to_owned(),
        source: path(member(entry, "Source")),
        read_only: entry.get("ReadOnly").and_then(Value::as_bool).unwrap_or_default(),
        propagation: propagation.filter(|text| !text.is_empty()).map(str::to_owned),
        options: options.into_iter().filter_map(option).collect(),
    }
}

/// Without a slash at its end.
fn path(path: &str) -> String {
    let short = path.trim_end_matches('/');
    if short.is_empty() { path } else { short }.to_owned()
}

/// What differs between the mounts of a spec and those of a container.
pub(super) fn drift(spec: &Value, inspection: &Value) -> Vec<Drift> {
    let wanted = mounts(spec);
    let asked = mounts(inspection);
    let mut drift = Vec::new();
    for mount in &wanted {
        // What the engine was asked for; not every engine keeps it.
        let echo = asked.iter().find(|echo| echo.kind != "bind" && echo.target == mount.target);
        let found =
            items(inspection, "/Mounts").find(|found| path(member(found, "Destination")) == mount.target);
        let agrees = echo.is_none_or(|echo| echo.kind != mount.kind || echo.options == mount.options)
            && match found {
                Some(found) => mount.is(found),
                // Memory is not in every engine's list.
                None => mount.kind == "tmpfs" && echo.is_some_and(|echo| echo == mount),
            };
        if !agrees {
            let found = found.map(shown).or_else(|| echo.map(ToString::to_string));
            drift.push(Drift {
                field: format!("volumes.{}", mount.target),
                wanted: Some(mount.to_string()),
                found,
            });
        }
    }
    let is_from_others = items(spec, "/HostConfig/VolumesFrom").next().is_some();
    for found in items(inspection, "/Mounts") {
        let target = path(member(found, "Destination"));
        let is_wanted = wanted.iter().any(|mount| mount.target == target);
        if !is_wanted && !is_from_others && !is_the_images(found) {
            drift.push(Drift { field: format!("volumes.{target}"), wanted: None, found: Some(shown(found)) });
        }
    }
    drift
}

impl Mount {
    fn is(&self, found: &Value) -> bool {
        let kind = member(found, "Type");
        let source = if kind == "volume" { member(found, "Name") } else { member(found, "Source") };
        let has_propagation = |wanted: &String| match member(found, "Propagation") {
            "" => true,
            found => found == wanted,
        };
        kind == self.kind
            && (self.source.is_empty() || path(source) == self.source)
            && found.get("RW").and_then(Value::as_bool).unwrap_or(true) != self.read_only
            && self.propagation.as_ref().is_none_or(has_propagation)
    }
}

/// A volume of the image's own has a name of 64 digits; memory is named elsewhere.
fn is_the_images(found: &Value) -> bool {
    let name = member(found, "Name");
    let is_nameless = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    match member(found, "Type") {
        "volume" => is_nameless,
        kind => kind == "tmpfs",
    }
}

fn shown(found: &Value) -> String {
    let kind = member(found, "Type");
    let source = if kind == "volume" { member(found, "Name") } else { member(found, "Source") };
    let source = if source.is_empty() { kind } else { source };
    let is_read_only = found.get("RW").and_then(Value::as_bool) == Some(false);
    if is_read_only { format!("{source}:ro") } else { source.to_owned() }
}
