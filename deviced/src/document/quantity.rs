//! Lengths of time and amounts of bytes, as Compose writes them.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// A length of time: `1h30m`, `90s`, `250ms`, or a number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

const TIMES: &[(&str, u64)] = &[
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

impl Span {
    /// From seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it is none: numbers with a unit of `us`, `ms`, `s`, `m`, `h` or `d`, the larger units first.
    pub fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no length of time; write it like 30s, 5m or 1h30m");
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(wrong());
        }
        let (mut nanoseconds, mut last) = (0_u64, u64::MAX);
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
            let (number, after) = rest.split_at(digits);
            let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
            let (unit, after) = after.split_at(letters);
            let size = TIMES.iter().find(|(name, _)| *name == unit).map(|(_, size)| *size);
            let size = size.filter(|size| *size < last).ok_or_else(wrong)?;
            let part = exact(number, size).ok_or_else(wrong)?;
            nanoseconds = nanoseconds.checked_add(part).ok_or_else(wrong)?;
            (rest, last) = (after, size);
        }
        Ok(Self(Duration::from_nanos(nanoseconds)))
    }

    /// Nanoseconds, as Docker's API has times.
    pub fn nanoseconds(self) -> i64 {
        i64::try_from(self.0.as_nanos()).unwrap_or(i64::MAX)
    }
}

/// `1.5` of 1000 is 1500; `None` when there is no such number, or it is too large.
fn exact(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    if fraction.is_empty() {
        return Some(whole);
    }
    // Nothing is finer than nine digits of an hour.
    let digits = fraction.get(..fraction.len().min(9))?;
    let scale = 10_u128.pow(u32::try_from(digits.len()).ok()?);
    let part = u128::from(digits.parse::<u32>().ok()?) * u128::from(unit) / scale;
    whole.checked_add(u64::try_from(part).ok()?)
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_nanos();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (name, size) in TIMES.iter().rev() {
            let (count, left) = (rest / u128::from(*size), rest % u128::from(*size));
            if count > 0 {
                write!(f, "{count}{name}")?;
            }
            rest = left;
        }
        Ok(())
    }
}

/// An amount of bytes: `64m`, `1.5g`, `512k`, `100b`, or a number of bytes. The units are powers of 1024, as in Compose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

impl Bytes {
    /// Reads one.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no amount of bytes; write it like 64m or 1.5g");
        let lower = text.trim().to_ascii_lowercase();
        let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
        let (number, unit) = lower.split_at(digits);
        let unit = match unit.trim() {
            "" | "b" => 1,
            "k" | "kb" | "kib" => 1 << 10,
            "m" | "mb" | "mib" => 1 << 20,
            "g" | "gb" | "gib" => 1 << 30,
            "t" | "tb" | "tib" => 1 << 40,
            _ => return Err(wrong()),
        };
        exact(number, unit).map(Self).ok_or_else(wrong)
    }

    /// As Docker's API has it.
    pub fn signed(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, name) in [(1_u64 << 40, "t"), (1 << 30, "g"), (1 << 20, "m"), (1 << 10, "k")] {
            if self.0 >= unit && self.0.is_multiple_of(unit) {
                return write!(f, "{}{name}", self.0 / unit);
            }
        }
        write!(f, "{}", self.0)
    }
}

/// Words and numbers that stand for one value.
macro_rules! read_from_words {
    ($type:ty, $name:literal, $expecting:literal, $from_number:expr, $pattern:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Reader;
                impl Visitor<'_> for Reader {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                        <$type>::read(text).map_err(E::custom)
                    }
                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
                        Ok($from_number(number))
                    }
                }
                deserializer.deserialize_any(Reader)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "description": $expecting,
                    "oneOf": [{"type": "string", "pattern": $pattern}, {"type": "integer", "minimum": 0}],
                })
            }
        }
    };
}

read_from_words!(
    Span,
    "Span",
    "a length of time such as 30s, 5m or 1h30m, or a number of seconds",
    Span::seconds,
    "^\\s*([0-9.]+(us|ms|s|m|h|d))+\\s*$"
);
read_from_words!(
    Bytes,
    "Bytes",
    "an amount of bytes such as 64m or 1.5g, or a number of bytes",
    Bytes,
    "^\\s*[0-9.]+\\s*([bB]|[kKmMgGtT]([iI]?[bB])?)?\\s*$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        for (text, milliseconds, written) in [
            ("30s", 30_000, "30s"),
            ("90s", 90_000, "1m30s"),
            ("1h30m", 5_400_000, "1h30m"),
            ("1.5h", 5_400_000, "1h30m"),
            ("250ms", 250, "250ms"),
            ("0s", 0, "0s"),
            ("2d", 172_800_000, "2d"),
        ] {
            let span = Span::read(text).unwrap();
            assert_eq!((span.0.as_millis(), span.to_string().as_str()), (milliseconds, written), "{text}");
        }
        for text in ["", "5", "m", "5x", "5m1h", "1s1s", "-5s", "5 m", "1..5s", "99999999999999999d"] {
            assert!(Span::read(text).is_err(), "{text}");
        }
        assert_eq!(serde_json::from_str::<Span>("7").unwrap(), Span::seconds(7));
    }

    #[test]
    fn amounts_of_bytes() {
        for (text, bytes, written) in [
            ("64m", 64 << 20, "64m"),
            ("1.5g", 1_610_612_736, "1536m"),
            ("512KB", 512 << 10, "512k"),
            ("100b", 100, "100"),
            ("100", 100, "100"),
            ("2Ti", 2_u64 << 40, ""),
        ] {
            let Ok(read) = Bytes::read(text) else {
                assert_eq!(written, "", "{text}");
                continue;
            };
            assert_eq!((read.0, read.to_string().as_str()), (bytes, written), "{text}");
        }
        for text in ["", "m", "5x", "-1m", "99999999999999999999", "1e3"] {
            assert!(Bytes::read(text).is_err(), "{text}");
        }
    }
}
