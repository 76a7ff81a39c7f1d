//! Ports that are reached from outside.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde::{Deserialize as DeserializeDerive, Serialize};
use serde_json::Value;

use super::words::Word;

/// A port's protocol.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    DeserializeDerive,
    Serialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// Ports in a row, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    /// The first.
    pub first: u16,
    /// The last; not below the first.
    pub last: u16,
}

impl Range {
    fn read(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
        let (first, last) = (port(first)?, port(last)?);
        (first <= last).then_some(Self { first, last })
    }

    /// How many.
    pub fn count(self) -> u32 {
        u32::from(self.last) - u32::from(self.first) + 1
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if self.last > self.first { write!(f, "-{}", self.last) } else { Ok(()) }
    }
}

/// `[[address:]host:]container[/protocol]`, each of the two a port or a range; or the long form with `target`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// In the container.
    pub target: Range,
    /// On the device; `None` for any free one. As many as the target has, or more than one for a target of one: any of them.
    pub published: Option<Range>,
    /// The device's address it is reached at; `None` for all.
    pub address: Option<IpAddr>,
    /// Protocol.
    pub protocol: Protocol,
}

impl Port {
    /// Reads the short form.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no port; write [[address:]host:]container[/protocol], for example 8080:80 or 127.0.0.1:53:53/udp"
            )
        };
        let (ports, protocol) = match text.rsplit_once('/') {
            Some((ports, "tcp")) => (ports, Protocol::Tcp),
            Some((ports, "udp")) => (ports, Protocol::Udp),
            Some((ports, "sctp")) => (ports, Protocol::Sctp),
            Some(_) => return Err(wrong()),
            None => (text, Protocol::Tcp),
        };
        let (before, target) =
            ports.rsplit_once(':').map_or((None, ports), |(before, target)| (Some(before), target));
        let (address, published) = match before {
            None => (None, None),
            Some(before) => match before.rsplit_once(':') {
                Some((address, published)) => (Some(address), Some(published)),
                None => (None, Some(before)),
            },
        };
        let address = address
            .map(|address| address.trim_start_matches('[').trim_end_matches(']').parse().map_err(|_| wrong()))
            .transpose()?;
        // `127.0.0.1::80` is any free port of that address.
        let published = published.filter(|published| !published.is_empty());
        let published = published.map(|published| Range::read(published).ok_or_else(wrong)).transpose()?;
        let port = Self { target: Range::read(target).ok_or_else(wrong)?, published, address, protocol };
        port.checked(text)
    }

    fn checked(self, text: &str) -> Result<Self, String> {
        match self.published {
            Some(published) if self.target.count() > 1 && published.count() != self.target.count() => {
                Err(format!(
                    "{text:?} maps {} ports to {}; both ranges have to be as long",
                    published.count(),
                    self.target.count()
                ))
            }
            _ => Ok(self),
        }
    }
}

impl fmt::Display for Port {
    /// The short form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.published) {
            (Some(IpAddr::V6(address)), _) => write!(f, "[{address}]:")?,
            (Some(address), _) => write!(f, "{address}:")?,
            (None, _) => {}
        }
        match self.published {
            Some(published) => write!(f, "{published}:")?,
            None if self.address.is_some() => f.write_str(":")?,
            None => {}
        }
        write!(f, "{}", self.target)?;
        if self.protocol == Protocol::Tcp { Ok(()) } else { write!(f, "/{}", self.protocol) }
    }
}

impl Serialize for Port {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The long form.
#[derive(DeserializeDerive, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Long {
    /// Port in the container.
    target: Word,
    /// Port on the device; any free one without it.
    published: Option<Word>,
    /// The device's address it is reached at; all without it.
    host_ip: Option<String>,
    /// Protocol.
    #[serde(default)]
    protocol: Protocol,
}

impl TryFrom<Long> for Port {
    type Error = String;

    fn try_from(long: Long) -> Result<Self, String> {
        let range = |Word(text): &Word| {
            Range::read(text).ok_or_else(|| {
                format!("{text:?} is no port; write a number from 1 to 65535, or two with a hyphen")
            })
        };
        let address = |text: &String| text.parse().map_err(|_| format!("{text:?} is no IP address"));
        let port = Self {
            target: range(&long.target)?,
            published: long.published.as_ref().map(range).transpose()?,
            address: long.host_ip.as_ref().map(address).transpose()?,
            protocol: long.protocol,
        };
        let text = port.to_string();
        port.checked(&text)
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By its kind, so that an error in the long form says what is wrong with it.
        match Value::deserialize(deserializer)? {
            Value::Number(number) => Self::read(&number.to_string()),
            Value::String(text) => Self::read(&text),
            value => serde_json::from_value::<Long>(value)
                .map_err(|error| error.to_string())
                .and_then(Self::try_from),
        }
        .map_err(de::Error::custom)
    }
}

impl JsonSchema for Port {
    fn schema_name() -> Cow<'static, str> {
        "Port".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let long = generator.subschema_for::<Long>();
        json_schema!({
            "description": "[[address:]host:]container[/protocol], or a map",
            "anyOf": [{"type": "integer", "minimum": 1, "maximum": 65535}, {"type": "string"}, long],
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_form_is_read_and_written() {
        for (text, written) in [
            ("80", "80"),
            ("8080:80", "8080:80"),
            ("8080:80/tcp", "8080:80"),
            ("53:53/udp", "53:53/udp"),
            ("127.0.0.1:8080:80", "127.0.0.1:8080:80"),
            ("127.0.0.1::80", "127.0.0.1::80"),
            ("[::1]:8080:80", "[::1]:8080:80"),
            ("3000-3005", "3000-3005"),
            ("9090-9091:8080-8081", "9090-9091:8080-8081"),
            ("9090-9095:80", "9090-9095:80"),
        ] {
            assert_eq!(Port::read(text).unwrap().to_string(), written, "{text}");
        }
        for wrong in [
            "",
            "0",
            "65536",
            "a",
            "80:",
            ":80:80:80",
            "80:80/xyz",
            "5-3",
            "1.2.3:80:80",
            "80-82:90-91",
            "-1",
        ] {
            assert!(Port::read(wrong).is_err(), "{wrong}: {:?}", Port::read(wrong));
        }
    }

    #[test]
    fn the_long_form_is_the_same() {
        let port = |value| serde_json::from_value::<Port>(value);
        let long = json!({"target": 80, "published": "8080", "host_ip": "127.0.0.1", "protocol": "udp"});
        assert_eq!(port(long).unwrap(), Port::read("127.0.0.1:8080:80/udp").unwrap());
        assert_eq!(port(json!(80)).unwrap(), Port::read("80").unwrap());
        assert!(port(json!({"target": 0})).is_err());
    }
}
