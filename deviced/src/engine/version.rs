//! Which version of the API is spoken. Pure.

use std::cmp::Ordering;
use std::fmt;

use serde_json::Value;

/// A version of the engine's API: `1.41`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Api {
    major: u32,
    minor: u32,
}

/// The oldest that has all that is used here: Docker 20.10, Podman 3 and later.
const OLDEST: Api = Api::new(1, 40);
/// The newest whose answers are known: Docker 29.
const NEWEST: Api = Api::new(1, 52);
/// From here on a container can be given all its networks when it is created, and hardware addresses belong to networks.
pub(super) const MANY_NETWORKS: Api = Api::new(1, 44);

impl Api {
    pub(super) const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The newest version that both speak, by the engine's answer to `/version`.
///
/// # Errors
/// When there is none, or the answer names none.
pub(super) fn agree(answer: &Value) -> Result<Api, String> {
    let text = |name: &str| answer.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let newest = text("ApiVersion").and_then(Api::read).ok_or("it names no version of its API")?;
    let oldest = text("MinAPIVersion").and_then(Api::read).unwrap_or(OLDEST);
    match (newest.cmp(&OLDEST), oldest.cmp(&NEWEST)) {
        (Ordering::Less, _) => {
            Err(format!("it speaks API {newest} at most, deviced needs {OLDEST}; update the engine"))
        }
        (_, Ordering::Greater) => {
            Err(format!("it speaks API {oldest} at least, deviced knows {NEWEST}; update deviced"))
        }
        _ => Ok(newest.min(NEWEST)),
    }
}

/// Whether an engine refuses a request because of the version of the API: it was replaced by another one since that was agreed.
pub(super) fn is_about_version(message: &str) -> bool {
    message.contains("client version") && (message.contains("too old") || message.contains("too new"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_that_both_speak() {
        for (newest, oldest, agreed) in [
            ("1.40", "1.12", "1.40"),
            ("1.41", "1.12", "1.41"),
            // Docker 25 to 29, and one to come.
            ("1.44", "1.24", "1.44"),
            ("1.51", "1.24", "1.51"),
            ("1.52", "1.44", "1.52"),
            ("1.60", "1.44", "1.52"),
            ("2.0", "1.52", "1.52"),
            ("1.41", "", "1.41"),
        ] {
            let answer = json!({"ApiVersion": newest, "MinAPIVersion": oldest});
            assert_eq!(agree(&answer).unwrap().to_string(), agreed, "{answer}");
        }
        let refused = |newest: &str, oldest: &str| {
            agree(&json!({"ApiVersion": newest, "MinAPIVersion": oldest})).unwrap_err()
        };
        assert_eq!(
            refused("1.39", "1.12"),
            "it speaks API 1.39 at most, deviced needs 1.40; update the engine"
        );
        assert_eq!(
            refused("1.70", "1.60"),
            "it speaks API 1.60 at least, deviced knows 1.52; update deviced"
        );
        assert_eq!(refused("", ""), "it names no version of its API");
        assert!(agree(&json!([])).is_err());
    }

    #[test]
    fn words_of_an_engine_that_speaks_another_version() {
        assert!(is_about_version(
            "client version 1.41 is too old. Minimum supported API version is 1.44, please upgrade"
        ));
        assert!(is_about_version("client version 1.52 is too new. Maximum supported API version is 1.41"));
        assert!(!is_about_version("invalid reference format"));
    }
}
