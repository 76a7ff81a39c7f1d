//! What the engine does when a container ends, also while nobody else runs.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

/// Docker's restart policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Restart {
    /// It stays as it ended. One that ended with 0 is done; one that failed is started again by deviced, with growing pauses.
    No,
    /// It is started again, also when the engine starts.
    Always,
    /// It is started again when it failed, so many times at most (0: without end).
    OnFailure(u32),
    /// Like always, but not if somebody stopped it.
    #[default]
    UnlessStopped,
}

impl Restart {
    /// Reads a policy.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(text: &str) -> Result<Self, String> {
        Ok(match text {
            "no" => Self::No,
            "always" => Self::Always,
            "unless-stopped" => Self::UnlessStopped,
            "on-failure" => Self::OnFailure(0),
            _ => {
                let times = text.strip_prefix("on-failure:").and_then(|times| times.parse().ok());
                Self::OnFailure(times.ok_or_else(|| {
                    format!("{text:?} is no restart policy; write no, always, unless-stopped, on-failure or on-failure:TIMES")
                })?)
            }
        })
    }
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => f.write_str("no"),
            Self::Always => f.write_str("always"),
            Self::UnlessStopped => f.write_str("unless-stopped"),
            Self::OnFailure(0) => f.write_str("on-failure"),
            Self::OnFailure(times) => write!(f, "on-failure:{times}"),
        }
    }
}

impl Serialize for Restart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Restart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// `no` without quotes is `false` to those who learnt YAML 1.1.
        #[derive(serde::Deserialize)]
        #[serde(
            untagged,
            expecting = "a restart policy: no, always, unless-stopped, on-failure or on-failure:TIMES"
        )]
        enum Form {
            Truth(bool),
            Word(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Truth(false) => Ok(Self::No),
            Form::Truth(true) => Self::read("true").map_err(de::Error::custom),
            Form::Word(text) => Self::read(&text).map_err(de::Error::custom),
        }
    }
}

impl JsonSchema for Restart {
    fn schema_name() -> Cow<'static, str> {
        "Restart".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "What the engine does when the container ends; unless-stopped without it",
            "anyOf": [
                {"type": "string", "pattern": "^(no|always|unless-stopped|on-failure(:[0-9]+)?)$"},
                {"const": false},
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies() {
        for text in ["no", "always", "unless-stopped", "on-failure", "on-failure:5"] {
            assert_eq!(Restart::read(text).unwrap().to_string(), text);
        }
        for wrong in ["", "yes", "on-failure:", "on-failure:x", "Always"] {
            assert!(Restart::read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(serde_json::from_str::<Restart>("false").unwrap(), Restart::No);
        assert!(serde_json::from_str::<Restart>("true").is_err());
    }
}
