//! Directories and files of the device, volumes and memory that a container sees.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde::{Deserialize as DeserializeDerive, Serialize};
use serde_json::Value;

use crate::document::quantity::Bytes;

/// What is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, DeserializeDerive, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A directory or file of the device.
    Bind,
    /// A volume of Docker's.
    Volume,
    /// Memory.
    Tmpfs,
}

/// A mount: `source:target[:options]`, or the long form with `type` and `target`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// What is mounted.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The device's path, or the volume's name; none for memory and for a volume of the container's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The path in the container.
    pub target: String,
    /// Nothing can be written.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Of a bind mount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind: Option<Bind>,
    /// Of a volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<Named>,
    /// Of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpfs: Option<Memory>,
}

/// Options of a bind mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, DeserializeDerive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bind {
    /// How mounts below it travel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propagation: Option<Propagation>,
    /// Whether a missing directory of the device is made. The short form makes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub create_host_path: bool,
    /// SELinux label: `z` shared, `Z` private.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selinux: Option<Selinux>,
}

/// `mount_namespaces(7)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, DeserializeDerive, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words of mount_namespaces(7)")]
pub enum Propagation {
    Private,
    Rprivate,
    Shared,
    Rshared,
    Slave,
    Rslave,
}

/// How a bind mount is labelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, DeserializeDerive, Serialize, JsonSchema)]
pub enum Selinux {
    /// Shared between containers.
    #[serde(rename = "z")]
    Shared,
    /// For this container alone.
    #[serde(rename = "Z")]
    Private,
}

/// Options of a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, DeserializeDerive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// A new volume is not filled with what the image has at the target.
    #[serde(default)]
    pub nocopy: bool,
    /// A path in the volume to mount instead of its root (engine 26 and later).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subpath: Option<String>,
}

/// Options of memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, DeserializeDerive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// At most so much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Bytes>,
    /// Mode of its root directory, a decimal number or octal with `0o`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
}

impl Volume {
    /// Reads the short form.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!("{text:?} is no volume: {why}; write source:target[:ro], for example data:/var/lib/app")
        };
        let parts: Vec<_> = text.split(':').collect();
        let (source, target, options) = match *parts.as_slice() {
            [target] => (None, target, ""),
            [source, target] => (Some(source), target, ""),
            [source, target, options] => (Some(source), target, options),
            _ => return Err(wrong("it has more than three parts")),
        };
        if !target.starts_with('/') {
            return Err(wrong("the path in the container has to begin with /"));
        }
        let kind = match source {
            Some("") => return Err(wrong("what is mounted is missing before the colon")),
            Some(source) if source.starts_with('/') => Kind::Bind,
            Some(source) if source.starts_with(['.', '~']) => {
                return Err(wrong("a device has no directory that a path could be relative to"));
            }
            _ => Kind::Volume,
        };
        let source = source.map(str::to_owned);
        let (bind, volume) = match kind {
            Kind::Bind => (Some(Bind { create_host_path: true, ..Bind::default() }), None),
            _ => (None, None),
        };
        let target = target.to_owned();
        let mut mount = Self { kind, source, target, read_only: false, bind, volume, tmpfs: None };
        for option in options.split(',').filter(|option| !option.is_empty()) {
            mount.set(option).ok_or_else(|| wrong(&format!("there is no option {option:?}")))?;
        }
        Ok(mount)
    }

    fn set(&mut self, option: &str) -> Option<()> {
        match (option, &mut self.bind) {
            ("ro", _) => self.read_only = true,
            ("rw", _) => {}
            ("nocopy", None) => self.volume.get_or_insert_default().nocopy = true,
            ("z", Some(bind)) => bind.selinux = Some(Selinux::Shared),
            ("Z", Some(bind)) => bind.selinux = Some(Selinux::Private),
            (word, Some(bind)) => {
                let word = serde_json::Value::String(word.to_owned());
                bind.propagation = Some(serde_json::from_value(word).ok()?);
            }
            _ => return None,
        }
        Some(())
    }
}

/// The long form.
#[derive(DeserializeDerive, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Long {
    /// What is mounted.
    #[serde(rename = "type")]
    kind: Kind,
    /// The device's path, or the volume's name.
    source: Option<String>,
    /// The path in the container.
    target: String,
    /// Nothing can be written.
    #[serde(default)]
    read_only: bool,
    /// Of a bind mount.
    bind: Option<Bind>,
    /// Of a volume.
    volume: Option<Named>,
    /// Of memory.
    tmpfs: Option<Memory>,
}

impl TryFrom<Long> for Volume {
    type Error = String;

    fn try_from(long: Long) -> Result<Self, String> {
        let Long { kind, source, target, read_only, bind, volume, tmpfs } = long;
        if !target.starts_with('/') {
            return Err(format!("the path in the container, {target:?}, has to begin with /"));
        }
        let problem = match (kind, source.as_deref()) {
            (Kind::Bind, Some(path)) if path.starts_with('/') => None,
            (Kind::Bind, _) => Some("a bind mount needs a `source` that begins with /"),
            (Kind::Tmpfs, Some(_)) => Some("memory has no `source`"),
            (Kind::Volume, Some(name)) if name.starts_with('/') => {
                Some("a path as `source` needs `type: bind`")
            }
            _ => None,
        };
        let foreign = match kind {
            Kind::Bind => volume.is_some() || tmpfs.is_some(),
            Kind::Volume => bind.is_some() || tmpfs.is_some(),
            Kind::Tmpfs => bind.is_some() || volume.is_some(),
        };
        match problem.or(foreign.then_some("it has options of another type")) {
            Some(problem) => Err(problem.to_owned()),
            None => Ok(Self { kind, source, target, read_only, bind, volume, tmpfs }),
        }
    }
}

impl<'de> Deserialize<'de> for Volume {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By its kind, so that an error in the long form says what is wrong with it.
        match Value::deserialize(deserializer)? {
            Value::String(text) => Self::read(&text),
            value => serde_json::from_value::<Long>(value)
                .map_err(|error| error.to_string())
                .and_then(Self::try_from),
        }
        .map_err(de::Error::custom)
    }
}

impl JsonSchema for Volume {
    fn schema_name() -> Cow<'static, str> {
        "Volume".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let long = generator.subschema_for::<Long>();
        json_schema!({
            "description": "source:target[:options], or a map",
            "anyOf": [{"type": "string"}, long],
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_short_form_says_what_the_long_one_says() {
        for (short, long) in [
            ("data:/d", json!({"type": "volume", "source": "data", "target": "/d"})),
            ("/d", json!({"type": "volume", "target": "/d"})),
            (
                "data:/d:ro,nocopy",
                json!({"type": "volume", "source": "data", "target": "/d", "read_only": true, "volume": {"nocopy": true}}),
            ),
            (
                "/dev/x:/d",
                json!({"type": "bind", "source": "/dev/x", "target": "/d", "bind": {"create_host_path": true}}),
            ),
            (
                "/x:/d:rshared,Z",
                json!({"type": "bind", "source": "/x", "target": "/d", "bind": {"create_host_path": true, "propagation": "rshared", "selinux": "Z"}}),
            ),
        ] {
            let volume = |value: Value| serde_json::from_value::<Volume>(value).unwrap();
            assert_eq!(volume(json!(short)), volume(long.clone()), "{short}");
            let again = serde_json::to_value(volume(long)).unwrap();
            assert_eq!(volume(again), volume(json!(short)), "{short}");
        }
    }

    #[test]
    fn what_is_no_volume_is_refused() {
        for wrong in [
            json!("data:d"),
            json!("./x:/d"),
            json!(":/d"),
            json!("a:/b:ro:x"),
            json!("a:/b:rshared"),
            json!("a:/b:what"),
            json!({"type": "bind", "target": "/d"}),
            json!({"type": "volume", "source": "/x", "target": "/d"}),
            json!({"type": "tmpfs", "source": "x", "target": "/d"}),
            json!({"type": "tmpfs", "target": "/d", "bind": {}}),
            json!({"type": "volume", "target": "d"}),
        ] {
            assert!(serde_json::from_value::<Volume>(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
