//! Devices of the machine that a container may use.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// `host[:container[:permissions]]`, or a map with `source`, `target` and `permissions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Path on the device, for example `/dev/video0`.
    pub source: String,
    /// Path in the container.
    pub target: String,
    /// Any of `r`, `w`, `m` (read, write, make nodes).
    pub permissions: String,
}

impl Device {
    /// Reads the short form.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(text: &str) -> Result<Self, String> {
        let parts: Vec<_> = text.split(':').collect();
        let (source, target, permissions) = match *parts.as_slice() {
            [source] => (source, source, "rwm"),
            [source, target] => (source, target, "rwm"),
            [source, target, permissions] => (source, target, permissions),
            _ => ("", "", ""),
        };
        Self::checked(source.to_owned(), target.to_owned(), permissions.to_owned())
            .ok_or_else(|| format!("{text:?} is no device; write /dev/name[:/dev/name[:rwm]]"))
    }

    fn checked(source: String, target: String, permissions: String) -> Option<Self> {
        let is_right = source.starts_with('/')
            && target.starts_with('/')
            && !permissions.is_empty()
            && permissions.chars().all(|letter| "rwm".contains(letter));
        is_right.then_some(Self { source, target, permissions })
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.source, self.target, self.permissions)
    }
}

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The long form.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Long {
    /// Path on the device.
    source: String,
    /// Path in the container; the same without it.
    target: Option<String>,
    /// Any of `r`, `w`, `m`; all without it.
    permissions: Option<String>,
}

impl<'de> Deserialize<'de> for Device {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Self::read(&text).map_err(de::Error::custom),
            value => {
                let Long { source, target, permissions } =
                    serde_json::from_value(value).map_err(de::Error::custom)?;
                let target = target.unwrap_or_else(|| source.clone());
                Self::checked(source, target, permissions.unwrap_or_else(|| "rwm".to_owned())).ok_or_else(
                    || {
                        de::Error::custom(
                            "paths of devices begin with /, and permissions are some of r, w, m",
                        )
                    },
                )
            }
        }
    }
}

impl JsonSchema for Device {
    fn schema_name() -> Cow<'static, str> {
        "Device".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let long = generator.subschema_for::<Long>();
        json_schema!({"description": "host[:container[:permissions]], or a map", "anyOf": [{"type": "string"}, long]})
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn devices() {
        for (text, written) in [
            ("/dev/video0", "/dev/video0:/dev/video0:rwm"),
            ("/dev/ttyUSB0:/dev/modem", "/dev/ttyUSB0:/dev/modem:rwm"),
            ("/dev/sda:/dev/xvda:r", "/dev/sda:/dev/xvda:r"),
        ] {
            assert_eq!(Device::read(text).unwrap().to_string(), written);
        }
        for wrong in ["", "video0", "/dev/a:/dev/b:x", "/dev/a:/dev/b:", "/a:/b:r:w"] {
            assert!(Device::read(wrong).is_err(), "{wrong}");
        }
        let long = json!({"source": "/dev/a", "permissions": "r"});
        assert_eq!(serde_json::from_value::<Device>(long).unwrap(), Device::read("/dev/a:/dev/a:r").unwrap());
    }
}
