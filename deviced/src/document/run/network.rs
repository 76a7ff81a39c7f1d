//! The networks that a container is attached to.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize as DeserializeDerive, Serialize};

/// A list of networks of the document, or a map of them with what the container is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Attachments(pub BTreeMap<String, Attachment>);

/// What a container is in a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, DeserializeDerive, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    /// Other names it answers to, besides its id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// A fixed address; the network needs a subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv4_address: Option<Ipv4Addr>,
    /// A fixed address; the network needs a subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6_address: Option<Ipv6Addr>,
    /// Link-local addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub link_local_ips: Vec<IpAddr>,
    /// Hardware address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac_address: Option<String>,
    /// Higher ones are attached first.
    #[serde(default)]
    pub priority: i32,
    /// Options of the network's driver.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for Attachments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Attachments;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of networks, or a map of them")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Attachments, A::Error> {
                let mut networks = BTreeMap::new();
                while let Some(name) = items.next_element::<String>()? {
                    if networks.contains_key(&name) {
                        return Err(de::Error::custom(format!("`{name}` is there twice")));
                    }
                    networks.insert(name, Attachment::default());
                }
                Ok(Attachments(networks))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Attachments, A::Error> {
                let mut networks = BTreeMap::new();
                while let Some((name, attachment)) = members.next_entry::<String, Option<Attachment>>()? {
                    networks.insert(name, attachment.unwrap_or_default());
                }
                Ok(Attachments(networks))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl JsonSchema for Attachments {
    fn schema_name() -> Cow<'static, str> {
        "Attachments".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let attachment = generator.subschema_for::<Option<Attachment>>();
        json_schema!({"oneOf": [
            {"type": "array", "items": {"type": "string"}},
            {"type": "object", "additionalProperties": attachment},
        ]})
    }
}

/// Lines for /etc/hosts: a list of `name:address` or `name=address`, or a map.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts(pub Vec<(String, String)>);

impl Serialize for Hosts {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(name, address)| format!("{name}={address}")))
    }
}

impl<'de> Deserialize<'de> for Hosts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Hosts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of name:address, or a map of names to addresses")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Hosts, A::Error> {
                let mut hosts = Vec::new();
                while let Some(item) = items.next_element::<String>()? {
                    let parts = item.split_once('=').or_else(|| item.split_once(':'));
                    let host = parts.and_then(|(name, address)| host(name, address));
                    hosts.push(host.ok_or_else(|| {
                        de::Error::custom(format!("{item:?} is no name with an address; write name:address"))
                    })?);
                }
                Ok(Hosts(hosts))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Hosts, A::Error> {
                let mut hosts = Vec::new();
                while let Some((name, address)) = members.next_entry::<String, String>()? {
                    let host = host(&name, &address);
                    hosts.push(host.ok_or_else(|| {
                        de::Error::custom(format!("{address:?} is no IP address, and not `host-gateway`"))
                    })?);
                }
                Ok(Hosts(hosts))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// `host-gateway` is the engine's word for the device itself.
fn host(name: &str, address: &str) -> Option<(String, String)> {
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let is_address = address == "host-gateway" || address.parse::<IpAddr>().is_ok();
    (is_address && !name.is_empty()).then(|| (name.to_owned(), address.to_owned()))
}

impl JsonSchema for Hosts {
    fn schema_name() -> Cow<'static, str> {
        "Hosts".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"oneOf": [
            {"type": "array", "items": {"type": "string"}},
            {"type": "object", "additionalProperties": {"type": "string"}},
        ]})
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hosts() {
        let hosts = |value| serde_json::from_value::<Hosts>(value);
        let two = vec![("a".to_owned(), "10.0.0.1".to_owned()), ("b".to_owned(), "::1".to_owned())];
        assert_eq!(hosts(json!(["a:10.0.0.1", "b=[::1]"])).unwrap().0, two);
        assert_eq!(hosts(json!({"a": "10.0.0.1", "b": "::1"})).unwrap().0, two);
        assert_eq!(hosts(json!(["d:host-gateway"])).unwrap().0[0].1, "host-gateway");
        for wrong in [json!(["a"]), json!(["a:b"]), json!([":10.0.0.1"]), json!({"a": "x"})] {
            assert!(hosts(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn networks_are_a_list_or_a_map() {
        let list = serde_json::from_value::<Attachments>(json!(["front", "back"])).unwrap();
        let map = serde_json::from_value::<Attachments>(json!({"front": null, "back": {}})).unwrap();
        assert_eq!(list, map);
        assert!(serde_json::from_value::<Attachments>(json!(["a", "a"])).is_err());
    }
}
