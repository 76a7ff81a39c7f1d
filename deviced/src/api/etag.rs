//! Entity tags of the document, and conditions on them (RFC 9110, 8.8.3 and 13.1). Pure.

/// What `If-Match` or `If-None-Match` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// `*`: that there is one at all.
    Any,
    /// One of these.
    Tags(Vec<Tag>),
}

/// An entity tag as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tag {
    /// It says no more than that two are alike.
    pub(super) weak: bool,
    /// What stands between the quotes.
    pub(super) opaque: String,
}

/// The tag of a revision as it was written.
pub(super) fn of_revision(revision: u64) -> String {
    format!("\"r{revision}\"")
}

/// The tag of a revision that was written as YAML and is shown as JSON: other bytes need another tag.
pub(super) fn of_revision_as_json(revision: u64) -> String {
    format!("\"r{revision}-json\"")
}

impl Condition {
    /// Reads a header.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no list of entity tags; write them with their quotes: \"r3\"");
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        let mut tags = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (weak, quoted) = match rest.strip_prefix("W/") {
                Some(quoted) => (true, quoted),
                None => (false, rest),
            };
            let (opaque, behind) =
                quoted.strip_prefix('"').and_then(|open| open.split_once('"')).ok_or_else(wrong)?;
            tags.push(Tag { weak, opaque: opaque.to_owned() });
            rest = behind.trim_start();
            rest = match rest.strip_prefix(',') {
                Some(next) => next.trim_start(),
                None if rest.is_empty() => rest,
                None => return Err(wrong()),
            };
        }
        if tags.is_empty() { Err(wrong()) } else { Ok(Self::Tags(tags)) }
    }

    /// Whether a change may be made to this revision (0 for none): the strong comparison, for `If-Match`.
    pub(super) fn permits_change_of(&self, revision: u64) -> bool {
        match self {
            Self::Any => revision > 0,
            Self::Tags(tags) => tags.iter().any(|tag| !tag.weak && tag.revision() == Some(revision)),
        }
    }

    /// Whether who asks has this representation: the weak comparison, for `If-None-Match`.
    pub(super) fn has(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|tag| etag == format!("\"{}\"", tag.opaque)),
        }
    }
}

impl Tag {
    fn revision(&self) -> Option<u64> {
        let number = self.opaque.strip_prefix('r')?;
        let number = number.strip_suffix("-json").unwrap_or(number);
        number.parse().ok().filter(|revision| *revision > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_or_refused() {
        let tag = |weak, opaque: &str| Tag { weak, opaque: opaque.to_owned() };
        for (text, expected) in [
            ("*", Some(Condition::Any)),
            (" * ", Some(Condition::Any)),
            ("\"r3\"", Some(Condition::Tags(vec![tag(false, "r3")]))),
            ("W/\"r3\"", Some(Condition::Tags(vec![tag(true, "r3")]))),
            (
                "\"a,b\" , W/\"\",\"r3\"",
                Some(Condition::Tags(vec![tag(false, "a,b"), tag(true, ""), tag(false, "r3")])),
            ),
            ("\"r3\",", Some(Condition::Tags(vec![tag(false, "r3")]))),
            ("", None),
            ("r3", None),
            ("\"r3", None),
            ("\"r3\" \"r4\"", None),
            ("w/\"r3\"", None),
            ("\"r3\"x", None),
            ("*, \"r3\"", None),
        ] {
            assert_eq!(Condition::parse(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_change_needs_a_strong_tag_of_the_revision_in_force() {
        for (text, revision, permitted) in [
            ("\"r3\"", 3, true),
            ("\"r3-json\"", 3, true),
            ("\"r2\", \"r3\"", 3, true),
            ("W/\"r3\"", 3, false),
            ("\"r3\"", 4, false),
            ("\"3\"", 3, false),
            ("\"r0\"", 0, false),
            ("\"r-3\"", 3, false),
            ("*", 3, true),
            ("*", 0, false),
        ] {
            assert_eq!(
                Condition::parse(text).unwrap().permits_change_of(revision),
                permitted,
                "{text} {revision}"
            );
        }
    }

    #[test]
    fn who_has_it_is_not_sent_it_again() {
        for (text, has) in
            [("\"r3\"", true), ("W/\"r3\"", true), ("\"r3-json\"", false), ("\"r2\"", false), ("*", true)]
        {
            assert_eq!(Condition::parse(text).unwrap().has(&of_revision(3)), has, "{text}");
        }
        assert!(Condition::parse("\"r3-json\"").unwrap().has(&of_revision_as_json(3)));
    }
}
