//! What a container is created from: the body of the engine's create call, in its own words.
//!
//! The flow: `run` of the document -> [`build`] -> [`Spec`] -> [`resolve`] -> what the engine is given. What it has made of that comes back as an
//! inspection, and [`drift`] says in the document's words what differs.

mod environment;

mod members;

mod ports;

mod mounts;

mod networks;

mod build;

mod resources;

mod resolve;

mod words;

mod mounted;

mod drift;

mod in_place;

pub use build::{Names, build};
pub use drift::{difference, drift};
pub use environment::{Environment, files};
pub use in_place::in_place;
pub use resolve::resolve;
pub use resources::{network_body, volume_body};

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// The body of `POST /containers/create` (Docker Engine API, `ContainerCreate`) as a document's `run` makes it: without the image and without
/// labels of ours. A namespace of another container is written `service:ID` and replaced when the container is created. `Platform` is the one
/// member that the engine takes elsewhere: in the query.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Spec(pub Map<String, Value>);

/// The SHA-256 of a spec's canonical JSON: sixteen bytes of it, in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SpecHash(pub String);

impl Spec {
    /// Its hash. It is the same whatever the order in which the members were set.
    pub fn hash(&self) -> SpecHash {
        let mut hasher = Sha256::new();
        canonical(&Value::Object(self.0.clone()), &mut |part| hasher.update(part));
        let hex = hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        SpecHash(hex)
    }

    /// A value by its JSON pointer (RFC 6901): `/HostConfig/NetworkMode`.
    pub fn get(&self, pointer: &str) -> Option<&Value> {
        let mut tokens = pointer.strip_prefix('/')?.splitn(2, '/');
        let value = self.0.get(tokens.next()?)?;
        match tokens.next() {
            Some(rest) => value.pointer(&format!("/{rest}")),
            None => Some(value),
        }
    }
}

impl fmt::Display for SpecHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Members sorted by name, no white space.
fn canonical(value: &Value, write: &mut impl FnMut(&[u8])) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            write(b"{");
            for (index, (name, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    write(b",");
                }
                write(Value::from(name.as_str()).to_string().as_bytes());
                write(b":");
                canonical(value, write);
            }
            write(b"}");
        }
        Value::Array(items) => {
            write(b"[");
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    write(b",");
                }
                canonical(item, write);
            }
            write(b"]");
        }
        scalar => write(scalar.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: Value) -> Spec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_order_of_members_does_not_matter_and_that_of_items_does() {
        let one = spec(json!({"Env": ["A=1", "B=2"], "HostConfig": {"Init": true, "NetworkMode": "host"}}));
        let two = spec(json!({"HostConfig": {"NetworkMode": "host", "Init": true}, "Env": ["A=1", "B=2"]}));
        let three = spec(json!({"HostConfig": {"NetworkMode": "host", "Init": true}, "Env": ["B=2", "A=1"]}));
        assert_eq!(one.hash(), two.hash());
        assert_ne!(one.hash(), three.hash());
        assert_eq!(one.hash().0.len(), 32);
        assert_eq!(one.get("/HostConfig/NetworkMode"), Some(&json!("host")));
        assert_eq!(one.get("/HostConfig/Nothing"), None);
    }
}
