//! What a container may use.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde::{Deserialize as DeserializeDerive, Serialize, Serializer};
use serde_json::Value;

use crate::document::quantity::Bytes;

/// A resource limit (`setrlimit(2)`): a number, or a map with `soft` and `hard`. -1 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ulimit {
    /// What is enforced.
    pub soft: i64,
    /// How far a program may raise it.
    pub hard: i64,
}

impl<'de> Deserialize<'de> for Ulimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(DeserializeDerive)]
        #[serde(deny_unknown_fields)]
        struct Long {
            soft: i64,
            hard: i64,
        }
        let limit = match Value::deserialize(deserializer)? {
            Value::Number(number) => {
                let limit = number.as_i64().ok_or_else(|| de::Error::custom("a limit is a whole number"))?;
                Self { soft: limit, hard: limit }
            }
            value => {
                let Long { soft, hard } = serde_json::from_value(value).map_err(de::Error::custom)?;
                Self { soft, hard }
            }
        };
        if limit.soft < -1 || limit.hard < -1 || (limit.hard != -1 && limit.soft > limit.hard) {
            return Err(de::Error::custom("a limit is -1 (none) or more, and `soft` is not above `hard`"));
        }
        Ok(limit)
    }
}

impl JsonSchema for Ulimit {
    fn schema_name() -> Cow<'static, str> {
        "Ulimit".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"oneOf": [
            {"type": "integer", "minimum": -1},
            {
                "type": "object", "required": ["soft", "hard"], "additionalProperties": false,
                "properties": {"soft": {"type": "integer", "minimum": -1}, "hard": {"type": "integer", "minimum": -1}},
            },
        ]})
    }
}

/// A share of processors: 1.5 is one and a half. Held in billionths, as Docker's API has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpus {
    /// Billionths of one processor.
    pub nano: i64,
}

impl<'de> Deserialize<'de> for Cpus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = match Value::deserialize(deserializer)? {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse::<f64>().ok(),
            _ => None,
        };
        let number = number.filter(|number| *number > 0.0 && *number <= 4096.0);
        let number = number
            .ok_or_else(|| de::Error::custom("a number of processors is expected, such as 0.5 or 2"))?;
        #[expect(clippy::cast_possible_truncation, reason = "checked above to be at most 4096")]
        Ok(Self { nano: (number * 1e9).round() as i64 })
    }
}

impl Serialize for Cpus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[expect(clippy::cast_precision_loss, reason = "at most 4096e9, which is exact")]
        serializer.serialize_f64(self.nano as f64 / 1e9)
    }
}

impl JsonSchema for Cpus {
    fn schema_name() -> Cow<'static, str> {
        "Cpus".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"description": "A number of processors", "oneOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string"}]})
    }
}

/// An amount of memory, or -1 for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// Memory and swap together, at most.
    Limited(Bytes),
    /// As much swap as there is.
    Unlimited,
}

impl<'de> Deserialize<'de> for Swap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Number(number) if number.as_i64() == Some(-1) => Ok(Self::Unlimited),
            Value::String(text) if text == "-1" => Ok(Self::Unlimited),
            value => serde_json::from_value(value).map(Self::Limited).map_err(de::Error::custom),
        }
    }
}

impl Serialize for Swap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Limited(bytes) => bytes.serialize(serializer),
            Self::Unlimited => serializer.serialize_i64(-1),
        }
    }
}

impl JsonSchema for Swap {
    fn schema_name() -> Cow<'static, str> {
        "Swap".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let bytes = generator.subschema_for::<Bytes>();
        json_schema!({"description": "Memory and swap together, or -1", "anyOf": [{"const": -1}, bytes]})
    }
}

/// Block devices' weight and rates.
#[derive(Debug, Clone, Default, PartialEq, Eq, DeserializeDerive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Blkio {
    /// Share among containers, 10 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
    /// Shares on single devices.
    pub weight_device: Vec<Weight>,
    /// Bytes read in a second.
    pub device_read_bps: Vec<Rate>,
    /// Reads in a second.
    pub device_read_iops: Vec<Rate>,
    /// Bytes written in a second.
    pub device_write_bps: Vec<Rate>,
    /// Writes in a second.
    pub device_write_iops: Vec<Rate>,
}

/// A share on a device.
#[derive(Debug, Clone, PartialEq, Eq, DeserializeDerive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Weight {
    /// The block device.
    pub path: String,
    /// 10 to 1000.
    pub weight: u16,
}

/// A rate on a device.
#[derive(Debug, Clone, PartialEq, Eq, DeserializeDerive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// The block device.
    pub path: String,
    /// So much in a second.
    pub rate: Bytes,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits() {
        let ulimit = |value| serde_json::from_value::<Ulimit>(value);
        assert_eq!(ulimit(json!(5)).unwrap(), Ulimit { soft: 5, hard: 5 });
        assert_eq!(ulimit(json!({"soft": 1, "hard": -1})).unwrap(), Ulimit { soft: 1, hard: -1 });
        assert!(ulimit(json!({"soft": 3, "hard": 2})).is_err());
        assert!(ulimit(json!(-2)).is_err());
        let cpus = |value| serde_json::from_value::<Cpus>(value);
        assert_eq!(cpus(json!("0.5")).unwrap().nano, 500_000_000);
        assert_eq!(cpus(json!(2)).unwrap().nano, 2_000_000_000);
        assert!(cpus(json!(0)).is_err());
        assert!(cpus(json!("many")).is_err());
        let swap = |value| serde_json::from_value::<Swap>(value);
        assert_eq!(swap(json!("-1")).unwrap(), Swap::Unlimited);
        assert_eq!(swap(json!("1g")).unwrap(), Swap::Limited(Bytes(1 << 30)));
    }
}
