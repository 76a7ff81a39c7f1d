//! A request that was let in, with all that it says: what a handler gets.

use std::sync::Arc;

use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName};
use bytes::Bytes;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::Api;
use super::accept;
use super::kinds;
use super::problem::Problem;
use super::route::{Kind, Parameter, Place};

/// A request.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) api: Arc<Api>,
    /// `socket:UID` or `token`.
    pub(super) who: String,
    pub(super) path: Path,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// The parameters in the path.
#[derive(Debug, Default)]
pub(super) struct Path(pub(super) Vec<(String, String)>);

/// The parameters in the query. They are of the kinds that the route says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(&'static str, Value)>);

#[derive(Debug, PartialEq, Eq)]
enum Value {
    Text(String),
    Flag(bool),
    Number(u64),
}

impl Path {
    /// One of them; empty if the route has none of this name.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value)
    }
}

impl Query {
    /// Reads the query of a route. What the route does not have is not passed over: it may have been meant.
    pub(super) fn read(
        pairs: Vec<(String, String)>,
        parameters: &'static [Parameter],
    ) -> Result<Self, Problem> {
        let malformed = |detail: String| Problem::new(&kinds::MALFORMED, detail);
        let mut query = Self::default();
        let known = || parameters.iter().filter(|parameter| parameter.place == Place::Query);
        for (name, text) in pairs {
            let Some(parameter) = known().find(|parameter| parameter.name == name) else {
                let shown: String = name.chars().take(64).collect();
                let names: Vec<_> = known().map(|parameter| parameter.name).collect();
                let advice = match (near(&name, &names), names.as_slice()) {
                    (Some(near), _) => format!("did you mean {near:?}?"),
                    (None, []) => "it takes none".to_owned(),
                    (None, names) => format!("it takes {}", names.join(", ")),
                };
                return Err(malformed(format!("there is no parameter {shown:?} here; {advice}")));
            };
            if query.get(parameter.name).is_some() {
                return Err(malformed(format!("the parameter {name:?} was given twice")));
            }
            let shown: String = text.chars().take(64).collect();
            let value = match parameter.kind {
                Kind::Text => Value::Text(text),
                Kind::Flag => match text.as_str() {
                    "" | "true" | "1" => Value::Flag(true),
                    "false" | "0" => Value::Flag(false),
                    _ => return Err(malformed(format!("{name}={shown:?}: it is true or false"))),
                },
                Kind::Number(most) => match text.parse() {
                    Ok(number) if number <= most => Value::Number(number),
                    _ => return Err(malformed(format!("{name}={shown:?}: it is a number from 0 to {most}"))),
                },
            };
            query.0.push((parameter.name, value));
        }
        Ok(query)
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            Value::Flag(_) | Value::Number(_) => None,
        }
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.get(name) == Some(&Value::Flag(true))
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Value::Number(number) => Some(*number),
            Value::Flag(_) | Value::Text(_) => None,
        }
    }
}

/// What is written nearly so.
pub(super) fn near<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    let close = names.iter().map(|known| (*known, strsim::jaro_winkler(known, name)));
    close.filter(|(_, nearness)| *nearness > 0.8).max_by(|a, b| a.1.total_cmp(&b.1)).map(|(known, _)| known)
}

impl Call {
    /// The container that the path names.
    pub(super) fn container(&self) -> &str {
        self.path.get("id")
    }

    /// A header's text.
    ///
    /// # Errors
    /// When it is no visible ASCII, or is there twice.
    pub(super) fn header(&self, name: &HeaderName) -> Result<Option<&str>, Problem> {
        single(&self.headers, name)
    }

    /// Whether a stream of events is wanted.
    pub(super) fn wants_events(&self) -> bool {
        accept::wants_events(self.accept())
    }

    /// What is wanted.
    pub(super) fn accept(&self) -> Option<&str> {
        self.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok())
    }

    /// The body as a JSON object of a type.
    ///
    /// # Errors
    /// When it is no JSON, or none of that type.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        // A list would be taken for an object whose members have no names.
        let is_object = self.body.trim_ascii_start().first() == Some(&b'{');
        if !is_object && serde_json::from_slice::<IgnoredAny>(&self.body).is_ok() {
            return Err(Problem::new(&kinds::INVALID, "the body has to be a JSON object: {...}"));
        }
        let mut reader = serde_json::Deserializer::from_slice(&self.body);
        let value: T = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let path = error.path().to_string();
            let error = error.into_inner();
            if error.is_data() {
                let detail = if path == "." { error.to_string() } else { format!("{path}: {error}") };
                Problem::new(&kinds::INVALID, detail)
            } else {
                Problem::new(&kinds::MALFORMED, format!("the body is no JSON: {error}"))
            }
        })?;
        reader
            .end()
            .map_err(|error| Problem::new(&kinds::MALFORMED, format!("the body is no JSON: {error}")))?;
        Ok(value)
    }

    /// The body as text.
    ///
    /// # Errors
    /// When it is no UTF-8.
    pub(super) fn text(&self) -> Result<&str, Problem> {
        std::str::from_utf8(&self.body).map_err(|error| {
            let detail = format!("the body is no UTF-8 from its byte {} on", error.valid_up_to());
            Problem::new(&kinds::MALFORMED, detail)
        })
    }

    /// What the body is said to be, without parameters.
    pub(super) fn media(&self) -> Result<Option<String>, Problem> {
        let text = self.header(&CONTENT_TYPE)?;
        Ok(text.map(|text| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()))
    }
}

/// The text of a header that may be there once.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::new(&kinds::MALFORMED, format!("the header {name} is there twice")));
    }
    let text = value.to_str().map_err(|_| {
        Problem::new(&kinds::MALFORMED, format!("the header {name} holds other than visible ASCII"))
    })?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMETERS: &[Parameter] = &[
        Parameter::query("tail", Kind::Number(100), ""),
        Parameter::query("follow", Kind::Flag, ""),
        Parameter::query("since", Kind::Text, ""),
        Parameter::header("If-Match", ""),
    ];

    fn read(pairs: &[(&str, &str)]) -> Result<Query, String> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Query::read(pairs, PARAMETERS).map_err(|problem| problem.detail().to_owned())
    }

    #[test]
    fn what_a_query_says_is_understood_or_refused() {
        let query = read(&[("tail", "100"), ("follow", ""), ("since", "é")]).unwrap();
        assert_eq!(
            (query.number("tail"), query.flag("follow"), query.text("since")),
            (Some(100), true, Some("é"))
        );
        assert_eq!((query.number("since"), query.flag("tail"), query.text("follow")), (None, false, None));
        assert!(!read(&[("follow", "false")]).unwrap().flag("follow"));
        for (pairs, part) in [
            (vec![("tial", "1")], "did you mean \"tail\"?"),
            (vec![("unheard", "")], "it takes tail, follow, since"),
            (vec![("If-Match", "")], "no parameter"),
            (vec![("tail", "101")], "from 0 to 100"),
            (vec![("tail", "-1")], "from 0 to 100"),
            (vec![("tail", "")], "from 0 to 100"),
            (vec![("follow", "yes")], "true or false"),
            (vec![("since", "1"), ("since", "2")], "twice"),
        ] {
            let detail = read(&pairs).unwrap_err();
            assert!(detail.contains(part), "{pairs:?}: {detail}");
        }
    }
}
