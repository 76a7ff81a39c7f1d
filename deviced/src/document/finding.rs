//! What is wrong with a document: where, what, and what to do about it.

use std::fmt;

use super::source::{Place, Source};

/// Where a value is in a document (JSON Pointer, RFC 6901).
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pointer(Vec<String>);

impl Pointer {
    /// The whole document.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// A member of the map here.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        let mut parts = self.0.clone();
        parts.push(key.to_owned());
        Self(parts)
    }

    /// An item of the list here, from 0.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.key(&index.to_string())
    }

    /// What this is in; `None` for the whole document.
    pub fn parent(&self) -> Option<Self> {
        let (_, parents) = self.0.split_last()?;
        Some(Self(parents.to_vec()))
    }

    /// The name or number of the value in what it is in.
    pub(super) fn last(&self) -> Option<&str> {
        self.0.last().map(String::as_str)
    }

    /// As people write it: `containers[0].run.ports[1]`.
    pub fn spoken(&self) -> String {
        let mut text = String::new();
        for part in &self.0 {
            if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
                text.push_str(&format!("[{part}]"));
            } else {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(part);
            }
        }
        text
    }
}

impl From<&str> for Pointer {
    /// From its text as in RFC 6901.
    fn from(text: &str) -> Self {
        Self(text.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect())
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| write!(f, "/{}", part.replace('~', "~0").replace('/', "~1")))
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which value it is about.
    pub pointer: Pointer,
    /// Where that stands in the text.
    pub place: Option<Place>,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Finding {
    /// About a value.
    pub fn new(pointer: Pointer, problem: impl Into<String>) -> Self {
        Self { pointer, place: None, problem: problem.into(), advice: None }
    }

    /// With what to do about it.
    #[must_use]
    pub fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    /// With its place.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        Self { place: Some(place), ..self }
    }

    /// With the place where its value stands, if it has none yet.
    #[must_use]
    pub(super) fn located(self, source: &Source) -> Self {
        let place = self.place.or_else(|| source.place(&self.pointer));
        Self { place, ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spoken = self.pointer.spoken();
        if !spoken.is_empty() {
            write!(f, "{spoken}: ")?;
        }
        f.write_str(&self.problem)?;
        self.advice.iter().try_for_each(|advice| write!(f, "; {advice}"))
    }
}

/// A document that is not taken, with everything that was found to be wrong with it, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Refused {
    /// Never empty.
    pub findings: Vec<Finding>,
}

impl Refused {
    pub(super) fn new(mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| finding.place);
        Self { findings }
    }
}

impl fmt::Display for Refused {
    /// A line for each finding: `line:column: what, which, what to do`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, finding) in self.findings.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            if let Some(place) = finding.place {
                write!(f, "{place}: ")?;
            }
            write!(f, "{finding}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_written_for_machines_and_for_people() {
        let pointer = Pointer::root().key("containers").index(0).key("labels").key("a/b~c");
        assert_eq!(pointer.to_string(), "/containers/0/labels/a~1b~0c");
        assert_eq!(pointer.spoken(), "containers[0].labels.a/b~c");
        assert_eq!(Pointer::from(pointer.to_string().as_str()), pointer);
        assert_eq!(Pointer::from(""), Pointer::root());
        assert_eq!(Pointer::root().parent(), None);
    }
}
