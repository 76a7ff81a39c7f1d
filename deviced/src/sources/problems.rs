//! What registries did not give -> sentences. Pure.

use std::collections::BTreeMap;

use dockerloader::registry::Error;
use serde::{Deserialize, Serialize};

use super::candidates::Candidate;
use super::question::{Disagreement, Outlook, Question, Reply, Wanted};
use super::say::say;
use crate::document::versions::Acceptable;

/// Something that a registry did not give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The registry's URL.
    pub registry: String,
    /// In a sentence, without secrets.
    pub text: String,
}

/// What went wrong, and what was looked for everywhere and not found. That one registry does not have what another one has is no problem.
pub(super) fn tell(
    places: &[&Candidate],
    wanted: &[Wanted],
    outlook: &Outlook,
    asked: &BTreeMap<Question, Reply>,
    errors: &BTreeMap<Question, Error>,
) -> Vec<Problem> {
    let is_found = |index: usize| outlook.found.iter().any(|found| found.wanted == index);
    let looked_at = || wanted.iter().enumerate().take(outlook.looked_at);
    let is_missed = |question: &Question| match question {
        Question::Tag(_, tag) => !outlook.found.iter().any(|found| found.version == *tag),
        Question::Digest(_, digest) => !outlook.found.iter().any(|found| found.digest == *digest),
        Question::Tags(_) => {
            looked_at().any(|(index, one)| matches!(one.what, Acceptable::Range { .. }) && !is_found(index))
        }
    };
    let mut problems = Vec::new();
    let mut note = |place: usize, text: String| {
        let problem = places.get(place).map(|place| Problem { registry: place.url.clone(), text });
        problems.extend(problem.filter(|problem| !problems.contains(problem)));
    };
    for (question, error) in errors {
        if !matches!(error, Error::NotFound { .. }) || is_missed(question) {
            note(question.place(), say(error));
        }
    }
    for (_, one) in looked_at().filter(|(index, _)| !is_found(*index)) {
        let Acceptable::Range { range, .. } = &one.what else { continue };
        for (place, candidate) in places.iter().enumerate() {
            let Some(Reply::Tags(tags)) = asked.get(&Question::Tags(place)) else { continue };
            if !tags.iter().any(|tag| one.what.rank(tag).is_some()) {
                let repository = &candidate.repository;
                note(place, format!("none of the {} tags of {repository} is in {range}", tags.len()));
            }
        }
    }
    for Disagreement { tag, counts, other } in &outlook.disagreements {
        let Some(before) = places.get(counts.0) else { continue };
        let text = format!(
            "{tag} is {} there, but {} said last that it is {}, which stands until both agree or it has not been heard for a day",
            other.1, before.url, counts.1
        );
        note(other.0, text);
    }
    problems
}

#[cfg(test)]
mod tests {
    use dockerloader::digest::Digest;

    use super::*;
    use crate::sources::question::Found;

    fn place(url: &str) -> Candidate {
        Candidate { declared: None, url: url.to_owned(), repository: format!("{url}/web") }
    }

    fn not_found() -> Error {
        Error::NotFound { host: "a".to_owned(), what: "it".to_owned(), said: String::new() }
    }

    #[test]
    fn what_another_registry_has_is_no_problem() {
        let digest = Digest::from_bytes([1; 32]);
        let wanted = |text: &str, index| Wanted { entry: Some(index), what: Acceptable::read(text).unwrap() };
        let wanted = [wanted("2", 0), wanted("^9", 1), wanted("1", 2), wanted("^8", 3)];
        let found = |wanted, version: &str| Found { wanted, version: version.to_owned(), digest, place: 1 };
        let tag = |place, tag: &str| Question::Tag(place, tag.to_owned());
        let refused = || Error::Refused { host: "a".to_owned() };
        let asked: BTreeMap<_, _> = [
            (Question::Tags(0), Reply::Tags(vec!["1.0.0".to_owned(), "1".to_owned()])),
            (Question::Tags(1), Reply::Tags(vec!["9.0.0".to_owned()])),
        ]
        .into();
        for (found, looked_at, errors, expected) in [
            (vec![], 1, vec![(tag(0, "2"), not_found())], vec!["a: registry a: it not found"]),
            (vec![found(0, "2")], 1, vec![(tag(0, "2"), not_found())], vec![]),
            (
                vec![found(0, "2")],
                1,
                vec![(tag(0, "2"), refused())],
                vec!["a: registry a: connection refused"],
            ),
            (vec![], 2, vec![], vec!["a: none of the 2 tags of a/web is in ^9"]),
            (vec![found(1, "9.0.0")], 2, vec![], vec![]),
            (
                vec![],
                2,
                vec![(Question::Tags(1), not_found())],
                vec!["b: registry a: it not found", "a: none"],
            ),
            (vec![found(1, "9.0.0")], 2, vec![(Question::Tags(0), not_found())], vec![]),
            (
                vec![found(2, "1")],
                3,
                vec![(tag(0, "1"), not_found())],
                vec!["a: none of the 2 tags of a/web is in ^9"],
            ),
        ] {
            let outlook = Outlook { found, looked_at, disagreements: Vec::new() };
            let (a, b) = (place("a"), place("b"));
            let problems = tell(&[&a, &b], &wanted, &outlook, &asked, &errors.into_iter().collect());
            let shown: Vec<_> =
                problems.iter().map(|one| format!("{}: {}", one.registry, one.text)).collect();
            assert_eq!(shown.len(), expected.len(), "{shown:?}");
            for (shown, expected) in shown.iter().zip(expected) {
                assert!(shown.starts_with(expected), "{shown}");
            }
        }
    }

    #[test]
    fn a_disagreement_is_said_at_whoever_is_not_believed() {
        let (one, other) = (Digest::from_bytes([1; 32]), Digest::from_bytes([2; 32]));
        let disagreement = Disagreement { tag: "latest".to_owned(), counts: (1, one), other: (0, other) };
        let outlook = Outlook { disagreements: vec![disagreement], ..Outlook::default() };
        let (a, b) = (place("a"), place("b"));
        let problems = tell(&[&a, &b], &[], &outlook, &BTreeMap::new(), &BTreeMap::new());
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].registry, "a");
        for part in [&one.to_string(), &other.to_string(), "latest", "b said last"] {
            assert!(problems[0].text.contains(part), "{}", problems[0].text);
        }
    }
}
