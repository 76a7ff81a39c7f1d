//! Which question is next: what is acceptable, and what was answered so far -> questions, or the result. Pure.
//!
//! The best acceptable version wins over the closest registry; of the registries that have it, the closest is the one. A tag at the head of
//! the list costs one request: what the closest registry says that it stands for. Only where that differs from what another one said before,
//! that one is asked as well, and its word counts: a copy that lags behind never brings an old version back.

use std::collections::{BTreeMap, BTreeSet};

use dockerloader::digest::Digest;

use crate::document::container::Container;
use crate::document::versions::{Acceptable, Rank};

/// Tags of one range that are looked at: the ones before were rejected, or are gone.
const MOST_OF_A_RANGE: usize = 20;

/// Something that is acceptable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Which entry of the container's `versions` it is; their number for the fallback; `None` for a tag that somebody set.
    pub(super) entry: Option<usize>,
    pub(super) what: Acceptable,
}

/// All that is acceptable, best first: a tag that somebody set, the container's versions, its fallback.
pub(super) fn wanted(container: &Container, tag: Option<&str>) -> Vec<Wanted> {
    let set = tag.map(|tag| Wanted { entry: None, what: Acceptable::Tag(tag.to_owned()) });
    let versions = container.versions.iter().enumerate();
    let versions = versions.map(|(index, what)| Wanted { entry: Some(index), what: what.clone() });
    let fallback = container
        .fallback
        .iter()
        .map(|tag| Wanted { entry: Some(container.versions.len()), what: Acceptable::Tag(tag.clone()) });
    set.into_iter().chain(versions).chain(fallback).collect()
}

/// A question to a registry, which is known by its place: 0 for the closest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Question {
    /// Which tags it has.
    Tags(usize),
    /// What a tag stands for.
    Tag(usize, String),
    /// Whether it has this.
    Digest(usize, Digest),
}

impl Question {
    pub(super) const fn place(&self) -> usize {
        match self {
            Self::Tags(place) | Self::Tag(place, _) | Self::Digest(place, _) => *place,
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    Tags(Vec<String>),
    Digest(Digest),
    /// It does not have it, or won't say.
    No,
    /// It can't be asked anything.
    Gone,
}

/// A version that a registry has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Which of what is wanted it is.
    pub(super) wanted: usize,
    /// The tag, or the digest.
    pub(super) version: String,
    pub(super) digest: Digest,
    /// Who has it.
    pub(super) place: usize,
}

/// What was known before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// How many registries there are; those that can't be asked now come last.
    pub(super) places: usize,
    /// How many of them can be asked.
    pub(super) open: usize,
    /// What was said last about tags, and by whom.
    pub(super) said: BTreeMap<String, (usize, Digest)>,
}

/// Two registries say different things about a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disagreement {
    pub(super) tag: String,
    /// Whose word counts, and what it is.
    pub(super) counts: (usize, Digest),
    /// Whose does not.
    pub(super) other: (usize, Digest),
}

/// What there is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// Ask these; none depends on another.
    Ask(Vec<Question>),
    /// All is known that has to be.
    Done(Outlook),
}

/// What was found out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Outlook {
    /// The versions that were found, best first, up to the first one that nobody rejects.
    pub(super) found: Vec<Found>,
    /// How much of what is wanted was looked at, from its beginning.
    pub(super) looked_at: usize,
    pub(super) disagreements: Vec<Disagreement>,
}

/// What there is to do after these answers.
pub(super) fn next(
    wanted: &[Wanted],
    known: &Known,
    asked: &BTreeMap<Question, Reply>,
    rejected: &dyn Fn(&Digest) -> bool,
) -> Next {
    let gone = asked.iter().filter(|(_, reply)| **reply == Reply::Gone).map(|(question, _)| question.place());
    let mut state = State {
        known,
        asked,
        gone: gone.chain(known.open..known.places).collect(),
        result: Outlook::default(),
    };
    for (index, one) in wanted.iter().enumerate() {
        state.result.looked_at = index + 1;
        match state.look_at(index, &one.what, rejected) {
            Look::Ask(questions) => return Next::Ask(questions),
            Look::Good => break,
            Look::Nothing => {}
        }
    }
    Next::Done(state.result)
}

/// What is known of one thing that is acceptable.
enum Look {
    Ask(Vec<Question>),
    /// There is one that nobody rejects.
    Good,
    Nothing,
}

struct State<'s> {
    known: &'s Known,
    asked: &'s BTreeMap<Question, Reply>,
    gone: BTreeSet<usize>,
    result: Outlook,
}

impl State<'_> {
    fn look_at(&mut self, wanted: usize, what: &Acceptable, rejected: &dyn Fn(&Digest) -> bool) -> Look {
        let open: Vec<usize> = (0..self.known.places).filter(|place| !self.gone.contains(place)).collect();
        match what {
            Acceptable::Tag(tag) => self.look_at_tag(wanted, tag, &open, rejected),
            Acceptable::Range { .. } => {
                let lists = open.iter().map(|place| Question::Tags(*place));
                let missing: Vec<_> = lists.filter(|list| !self.asked.contains_key(list)).collect();
                if !missing.is_empty() {
                    return Look::Ask(missing);
                }
                for (tag, places) in self.best_of(what, &open) {
                    match self.look_at_tag(wanted, &tag, &places, rejected) {
                        Look::Nothing => {}
                        look => return look,
                    }
                }
                Look::Nothing
            }
            Acceptable::Digest(digest) if rejected(digest) => Look::Nothing,
            Acceptable::Digest(digest) => {
                for place in open {
                    match self.asked.get(&Question::Digest(place, *digest)) {
                        None => return Look::Ask(vec![Question::Digest(place, *digest)]),
                        Some(Reply::Digest(_)) => {
                            self.find(wanted, &digest.to_string(), *digest, place);
                            return Look::Good;
                        }
                        Some(_) => {}
                    }
                }
                Look::Nothing
            }
        }
    }

    /// A tag at those that may have it, up to the first word that nobody rejects: where the closest one's version is bad, another one may
    /// have the tag on a better one already.
    fn look_at_tag(
        &mut self,
        wanted: usize,
        tag: &str,
        places: &[usize],
        rejected: &dyn Fn(&Digest) -> bool,
    ) -> Look {
        for place in places {
            let digest = match self.asked.get(&Question::Tag(*place, tag.to_owned())) {
                None => return Look::Ask(vec![Question::Tag(*place, tag.to_owned())]),
                Some(Reply::Digest(digest)) => *digest,
                Some(_) => continue,
            };
            let counts = match self.doubt(tag, *place, digest) {
                Ok(word) => word,
                Err(question) => return Look::Ask(vec![question]),
            };
            for (place, digest) in [counts, (*place, digest)] {
                self.find(wanted, tag, digest, place);
                if !rejected(&digest) {
                    return Look::Good;
                }
            }
        }
        Look::Nothing
    }

    /// Whose word about a tag counts: this one, unless another registry said something else before, and still does or can't be asked.
    fn doubt(&mut self, tag: &str, place: usize, digest: Digest) -> Result<(usize, Digest), Question> {
        let word = (place, digest);
        let Some(&(before, said)) =
            self.known.said.get(tag).filter(|(before, said)| *before != place && *said != digest)
        else {
            return Ok(word);
        };
        let question = Question::Tag(before, tag.to_owned());
        let counts = match self.asked.get(&question) {
            _ if self.gone.contains(&before) => (before, said),
            None => return Err(question),
            Some(Reply::Digest(now)) if *now != digest => (before, *now),
            Some(_) => return Ok(word),
        };
        let disagreement = Disagreement { tag: tag.to_owned(), counts, other: word };
        if !self.result.disagreements.contains(&disagreement) {
            self.result.disagreements.push(disagreement);
        }
        Ok(counts)
    }

    fn find(&mut self, wanted: usize, version: &str, digest: Digest, place: usize) {
        let found = Found { wanted, version: version.to_owned(), digest, place };
        let is_known =
            |known: &Found| known.wanted == wanted && known.version == version && known.digest == digest;
        if !self.result.found.iter().any(is_known) {
            self.result.found.push(found);
        }
    }

    /// The tags of a range, best first, and who has them.
    fn best_of(&self, what: &Acceptable, open: &[usize]) -> Vec<(String, Vec<usize>)> {
        let mut tags: BTreeMap<&str, (Rank, Vec<usize>)> = BTreeMap::new();
        for place in open {
            let Some(Reply::Tags(list)) = self.asked.get(&Question::Tags(*place)) else { continue };
            for tag in list {
                if let Some((_, places)) = tags.get_mut(tag.as_str()) {
                    places.push(*place);
                } else if let Some(rank) = what.rank(tag) {
                    tags.insert(tag, (rank, vec![*place]));
                }
            }
        }
        let mut tags: Vec<_> = tags.into_iter().collect();
        tags.sort_by(|(_, (one, _)), (_, (other, _))| other.cmp(one));
        tags.into_iter().take(MOST_OF_A_RANGE).map(|(tag, (_, places))| (tag.to_owned(), places)).collect()
    }
}

#[cfg(test)]
mod tests;
