//! Which versions of an image are acceptable.

use std::borrow::Cow;
use std::fmt;

use dockerloader::digest::Digest;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use semver::{Version, VersionReq};
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// One entry of a list of acceptable versions. As a word: `sha256:...` is a digest; what begins with `^ ~ < > = *` or a `v` before those is
/// a range of semantic versions; everything else is a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acceptable {
    /// This tag, whatever it stands for; a tag that moves is followed.
    Tag(String),
    /// Tags that are semantic versions within a range, the highest first. A `v` before a version is ignored.
    Range {
        /// The range, as Cargo writes them: `^1.2`, `~1.2.3`, `>=1, <2`, `1.*`.
        range: VersionReq,
        /// Whether versions such as `2.0.0-rc.1` count. Without it they count only where the range itself names one.
        prerelease: bool,
    },
    /// These bytes and no others.
    Digest(Digest),
}

impl Acceptable {
    /// Reads a word.
    ///
    /// # Errors
    /// When it is neither.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.starts_with("sha256:") {
            return text.parse().map(Self::Digest).map_err(|error| format!("{text:?} is no digest: {error}"));
        }
        if text.starts_with(['^', '~', '<', '>', '=', '*']) {
            return Self::range(text, false);
        }
        if is_tag(text) {
            return Ok(Self::Tag(text.to_owned()));
        }
        Err(format!(
            "{text:?} is neither a tag nor a range of versions nor a digest; write 1.4.2, ^1.4 or sha256:..."
        ))
    }

    fn range(text: &str, prerelease: bool) -> Result<Self, String> {
        let range = VersionReq::parse(text).map_err(|error| {
            format!("{text:?} is no range of versions ({error}); write ^1.4, ~1.4.2 or >=1.4, <3")
        })?;
        Ok(Self::Range { range, prerelease })
    }

    /// How good a tag is within this entry: `None` when it is not meant, else larger is better. What a tag stands for is not asked.
    pub fn rank(&self, tag: &str) -> Option<Rank> {
        match self {
            Self::Tag(wanted) => (wanted == tag).then_some(Rank(None)),
            Self::Range { range, prerelease } => {
                let version = version_of(tag)?;
                let is_meant = range.matches(&version)
                    || (*prerelease && !version.pre.is_empty() && range.matches(&released(&version)));
                is_meant.then_some(Rank(Some(version)))
            }
            Self::Digest(_) => None,
        }
    }
}

/// How good a tag is among those of one range.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(Option<Version>);

/// The semantic version that a tag is: `v1.2.3`, `1.2.3-rc.1`. `1.2` is none: such tags move.
fn version_of(tag: &str) -> Option<Version> {
    Version::parse(tag.strip_prefix('v').unwrap_or(tag)).ok()
}

fn released(version: &Version) -> Version {
    Version { pre: semver::Prerelease::EMPTY, ..version.clone() }
}

/// OCI distribution specification 1.1, "Pulling manifests": `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
fn is_tag(text: &str) -> bool {
    let mut letters = text.chars();
    let is_first = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    letters.next().is_some_and(is_first)
        && text.len() <= 128
        && letters.all(|letter| is_first(letter) || letter == '.' || letter == '-')
}

impl fmt::Display for Acceptable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Range { range, .. } => range.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl Serialize for Acceptable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let long = match self {
            Self::Tag(tag) => Long { tag: Some(tag.clone()), ..Long::default() },
            Self::Range { range, prerelease } => {
                Long { range: Some(range.to_string()), prerelease: *prerelease, ..Long::default() }
            }
            Self::Digest(digest) => Long { digest: Some(digest.to_string()), ..Long::default() },
        };
        long.serialize(serializer)
    }
}

/// The long form, for those who want to say which it is.
#[derive(Default, serde::Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Long {
    /// A tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    /// A range of semantic versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<String>,
    /// With a range: whether versions such as 2.0.0-rc.1 count.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    prerelease: bool,
    /// A digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

impl TryFrom<Long> for Acceptable {
    type Error = String;

    fn try_from(long: Long) -> Result<Self, String> {
        match long {
            Long { tag: None, range: Some(range), prerelease, digest: None } => {
                Self::range(&range, prerelease)
            }
            Long { tag: Some(tag), range: None, prerelease: false, digest: None } if is_tag(&tag) => {
                Ok(Self::Tag(tag))
            }
            Long { tag: None, range: None, prerelease: false, digest: Some(digest) } => {
                digest.parse().map(Self::Digest).map_err(|error| format!("{digest:?} is no digest: {error}"))
            }
            _ => Err("a version is one of `tag`, `range` (with `prerelease`) or `digest`".to_owned()),
        }
    }
}

impl<'de> Deserialize<'de> for Acceptable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Self::read(&text),
            // Without quotes 1.10 would be 1.1.
            Value::Number(number) => {
                Err(format!("write the version {number} in quotation marks: as a number, 1.10 is 1.1"))
            }
            value => serde_json::from_value::<Long>(value)
                .map_err(|error| error.to_string())
                .and_then(Self::try_from),
        }
        .map_err(de::Error::custom)
    }
}

impl JsonSchema for Acceptable {
    fn schema_name() -> Cow<'static, str> {
        "Acceptable".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let long = generator.subschema_for::<Long>();
        json_schema!({
            "description": "A tag, a range of semantic versions (^1.4, ~1.4.2, >=1, <2) or a digest (sha256:...)",
            "anyOf": [{"type": "string"}, long],
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tags_rank_within_an_entry() {
        for (entry, best_first, not_meant) in [
            ("latest", vec!["latest"], vec!["1.0.0", "Latest"]),
            ("1.4.2", vec!["1.4.2"], vec!["v1.4.2", "1.4.3"]),
            (
                "^1.4",
                vec!["1.10.0", "v1.9.1", "1.4.0"],
                vec!["1.3.9", "2.0.0", "1.5", "latest", "1.5.0-rc.1"],
            ),
            ("~1.4.2", vec!["1.4.9", "1.4.2"], vec!["1.5.0"]),
            (">=1, <3", vec!["2.9.9", "1.0.0"], vec!["3.0.0"]),
            ("*", vec!["3.0.0", "0.1.0"], vec!["latest", "3.0.0-rc.1"]),
            (">=2.0.0-rc.1", vec!["2.0.0", "2.0.0-rc.2", "2.0.0-rc.1"], vec!["2.0.0-beta"]),
        ] {
            let entry = Acceptable::read(entry).unwrap();
            let ranks: Vec<_> = best_first.iter().map(|tag| entry.rank(tag)).collect();
            assert!(ranks.iter().all(Option::is_some), "{entry}: {ranks:?}");
            assert!(ranks.windows(2).all(|pair| pair[0] > pair[1]), "{entry}: {ranks:?}");
            for tag in not_meant {
                assert_eq!(entry.rank(tag), None, "{entry}: {tag}");
            }
        }
    }

    #[test]
    fn prereleases_count_when_told_to() {
        let entry: Acceptable = serde_json::from_value(json!({"range": "^2", "prerelease": true})).unwrap();
        assert!(entry.rank("2.1.0-rc.1") > entry.rank("2.0.0"));
        assert_eq!(entry.rank("3.0.0-rc.1"), None);
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for wrong in [
            json!(1.10),
            json!(""),
            json!("a b"),
            json!("^a"),
            json!("sha256:12"),
            json!({"tag": "a", "digest": "b"}),
            json!({"tag": "a", "prerelease": true}),
            json!({}),
            json!("-a"),
        ] {
            assert!(serde_json::from_value::<Acceptable>(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_was_read_is_written_so_that_it_reads_the_same() {
        for text in ["1.4.2", "^1.4", "latest", &format!("sha256:{}", "a".repeat(64))] {
            let entry = Acceptable::read(text).unwrap();
            let again = serde_json::from_value(serde_json::to_value(&entry).unwrap()).unwrap();
            assert_eq!(entry, again);
        }
    }
}
