//! Containers that have to be there before another is started.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize as DeserializeDerive, Serialize};

/// A list of containers' ids, or a map of them with conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Dependencies(pub BTreeMap<String, Dependency>);

/// What is expected of another container.
#[derive(Debug, Clone, Default, PartialEq, Eq, DeserializeDerive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dependency {
    /// When it is met.
    #[serde(default)]
    pub condition: Condition,
    /// Whether this container is started again when the other was replaced.
    #[serde(default)]
    pub restart: bool,
    /// Whether this container waits for ever for the other. One that isn't required is waited for as long as it may come up.
    #[serde(default = "yes")]
    pub required: bool,
}

const fn yes() -> bool {
    true
}

/// When a dependency is met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, DeserializeDerive, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// It runs.
    #[default]
    ServiceStarted,
    /// It is healthy by its health check.
    ServiceHealthy,
    /// It has ended with 0.
    ServiceCompletedSuccessfully,
}

impl<'de> Deserialize<'de> for Dependencies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Dependencies;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of containers' ids, or a map of them with conditions")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Dependencies, A::Error> {
                let mut others = BTreeMap::new();
                while let Some(id) = items.next_element::<String>()? {
                    if others.contains_key(&id) {
                        return Err(de::Error::custom(format!("`{id}` is there twice")));
                    }
                    others.insert(id, Dependency { required: true, ..Dependency::default() });
                }
                Ok(Dependencies(others))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Dependencies, A::Error> {
                let mut others = BTreeMap::new();
                while let Some((id, dependency)) = members.next_entry()? {
                    others.insert(id, dependency);
                }
                Ok(Dependencies(others))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl JsonSchema for Dependencies {
    fn schema_name() -> Cow<'static, str> {
        "Dependencies".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let dependency = generator.subschema_for::<Dependency>();
        json_schema!({"oneOf": [
            {"type": "array", "items": {"type": "string"}},
            {"type": "object", "additionalProperties": dependency},
        ]})
    }
}
