//! Asks the registries what they have of a container's image.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dockerloader::clock;
use dockerloader::config::{Environment, RegistrySettings};
use dockerloader::digest::Digest;
use dockerloader::reference::Reference;
use dockerloader::registry::{Client, Error};
use futures_util::future::join_all;
use tokio::sync::OnceCell;

use super::RegistryState;
use super::candidates::{Candidate, candidates, host};
use super::clients::Clients;
use super::problems::{self, Problem};
use super::question::{self, Found, Known, Next, Question, Reply, Wanted};
use super::rank::{Access, Outcome, Ranks};
use super::relay::Relay;
use super::words::Words;
use crate::choose::Offer;
use crate::document::container::Container;
use crate::document::registry::Registry;

/// A registry that takes longer for its smallest answer is not waited for: nobody else would be asked meanwhile.
const PROBED_WITHIN: Duration = Duration::from_secs(5);

/// What registries have of a container's image.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Survey {
    /// Versions that can be had, best first, up to the first one that is not rejected. `known_for` is zero.
    pub offers: Vec<Offer>,
    /// What went wrong, and what was not there.
    pub problems: Vec<Problem>,
}

/// The registries of a document, and those that names of images say. Share it: connections, and what is known about distances, are kept in it.
pub struct Sources {
    pub(super) clients: Clients,
    pub(super) ranks: Arc<Mutex<Ranks>>,
    pub(super) relay: OnceCell<Arc<Relay>>,
    /// One at a time measures: the others find it done.
    measuring: tokio::sync::Mutex<()>,
    words: Mutex<Words>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("clients", &self.clients).finish_non_exhaustive()
    }
}

/// A repository that is to be asked.
struct Place {
    candidate: Candidate,
    access: Access,
    asked: Result<(Arc<Client>, Reference), String>,
}

impl Sources {
    /// The registries of a document, with what is remembered of them. `settings` are those of deviced's own environment: Docker's
    /// configuration with its credentials, authorities that it trusts, how long a registry may be silent. `environment` has the passwords
    /// that registries name. Nothing is read and nobody is asked yet.
    pub fn new(
        registries: &[Registry],
        remembered: &[RegistryState],
        settings: &RegistrySettings,
        environment: &Environment,
    ) -> Self {
        let urls = registries.iter().map(|registry| registry.url.as_str());
        Self {
            ranks: Arc::new(Mutex::new(Ranks::new(urls, remembered, clock::now()))),
            clients: Clients::new(registries, settings, environment),
            relay: OnceCell::new(),
            measuring: tokio::sync::Mutex::default(),
            words: Mutex::new(Words::new(remembered, clock::now())),
        }
    }

    /// What is known about the registries, the closest first: what a later process is to remember.
    pub fn states(&self) -> Vec<RegistryState> {
        let now = clock::now();
        let mut states = self.ranks().states(now);
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        states.iter_mut().for_each(|state| state.said = words.of(&state.url, now));
        states
    }

    /// Asks for acceptable versions of a container, with as few requests as can be: one `HEAD` where the best one is a tag that the closest
    /// registry has. `tag` is one that somebody set, which is better than those of the document. Versions that are `rejected` are named, and
    /// others looked for. Nothing is asked twice: a registry that fails is left alone for a while, and the next one asked.
    pub async fn survey(
        &self,
        container: &Container,
        tag: Option<&str>,
        rejected: &(dyn Fn(&Digest) -> bool + Sync),
    ) -> Survey {
        let image = container.image.as_str();
        let candidates = match candidates(self.clients.registries(), image) {
            Ok(candidates) => candidates,
            Err(error) => {
                let problem = Problem { registry: String::new(), text: error.to_string() };
                return Survey { offers: Vec::new(), problems: vec![problem] };
            }
        };
        self.measure(&candidates).await;
        let places = self.places(candidates);
        let wanted = question::wanted(container, tag);
        let known = self.known(image, &places);
        let (mut asked, mut errors) = (BTreeMap::new(), BTreeMap::new());
        let outlook = loop {
            match question::next(&wanted, &known, &asked, rejected) {
                Next::Done(outlook) => break outlook,
                Next::Ask(questions) => {
                    let replies =
                        join_all(questions.iter().map(|question| self.ask(&places, question))).await;
                    for (question, (reply, error)) in questions.into_iter().zip(replies) {
                        errors.extend(error.map(|error| (question.clone(), error)));
                        asked.insert(question, reply);
                    }
                }
            }
        };
        self.remember(image, &places, &asked, &outlook.found);
        let obstacles: Vec<_> = {
            let ranks = self.ranks();
            places
                .iter()
                .filter(|place| !place.is_open())
                .filter_map(|place| place.obstacle(&ranks))
                .collect()
        };
        let candidates: Vec<_> = places.iter().map(|place| &place.candidate).collect();
        let problems = problems::tell(&candidates, &wanted, &outlook, &asked, &errors);
        let offers = outlook.found.into_iter().filter_map(|found| offer(&places, &wanted, found)).collect();
        Survey { offers, problems: obstacles.into_iter().chain(problems).collect() }
    }

    pub(super) fn ranks(&self) -> MutexGuard<'_, Ranks> {
        self.ranks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Measures the registries of which it is not known how far away they are.
    async fn measure(&self, candidates: &[Candidate]) {
        let _measuring = self.measuring.lock().await;
        let now = clock::now();
        let due = candidates.iter().filter(|one| self.ranks().is_due(&one.url, now));
        let probes = due.map(|one| async move {
            let Ok(client) = self.clients.get(one.declared) else { return };
            let outcome = match tokio::time::timeout(PROBED_WITHIN, client.probe(&host(&one.url))).await {
                Ok(Ok(latency)) => Outcome::Measured(latency),
                Ok(Err(error)) => Outcome::of(&error),
                Err(_) => Outcome::Failed {
                    problem: format!("no answer to /v2/ within {} s", PROBED_WITHIN.as_secs()),
                    wish: None,
                },
            };
            self.note(&one.url, outcome);
        });
        join_all(probes.collect::<Vec<_>>()).await;
    }

    fn note(&self, url: &str, outcome: Outcome) {
        let unix = i64::try_from(clock::unix_seconds()).unwrap_or(i64::MAX);
        self.ranks().note(url, outcome, clock::now(), unix);
    }

    /// In the order in which they are to be asked: the document's by their distance, then the one of the image's name; last those that
    /// can't be asked.
    fn places(&self, candidates: Vec<Candidate>) -> Vec<Place> {
        let now = clock::now();
        let mut places: Vec<_> = candidates
            .into_iter()
            .map(|candidate| {
                let distance = self.ranks().distance(&candidate.url, candidate.declared.is_some(), now);
                let asked = self.clients.get(candidate.declared).and_then(|client| {
                    let reference = candidate.repository.parse::<Reference>();
                    reference.map(|reference| (client, reference)).map_err(|error| error.to_string())
                });
                let (is_paused, is_last, access, _) = distance;
                let key = (asked.is_err() || is_paused, is_last, distance);
                (key, Place { candidate, access, asked })
            })
            .collect();
        places.sort_by_key(|(key, _)| *key);
        places.into_iter().map(|(_, place)| place).collect()
    }

    async fn ask(&self, places: &[Place], question: &Question) -> (Reply, Option<Error>) {
        let Some(place) = places.get(question.place()) else { return (Reply::Gone, None) };
        let Ok((client, reference)) = &place.asked else { return (Reply::Gone, None) };
        let mut answer = put(client, reference, question).await;
        if let Err(Error::Broken { .. }) = answer {
            // A connection that was kept since the last poll may have been closed over there, which nobody notices before it is used.
            answer = put(client, reference, question).await;
        }
        let outcome = answer.as_ref().err().map_or(Outcome::Answered, Outcome::of);
        let failed = if outcome == Outcome::Answered { Reply::No } else { Reply::Gone };
        if let Err(Error::Unauthorized { .. } | Error::Forbidden { .. }) = answer {
            self.clients.forget(place.candidate.declared);
        }
        self.note(&place.candidate.url, outcome);
        match answer {
            Ok(reply) => (reply, None),
            Err(error) => (failed, Some(error)),
        }
    }

    fn known(&self, image: &str, places: &[Place]) -> Known {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let said = words.about(image, clock::now()).filter_map(|(tag, url, digest)| {
            let place = places.iter().position(|place| place.candidate.url == url)?;
            Some((tag.to_owned(), (place, digest)))
        });
        let open = places.iter().filter(|place| place.is_open()).count();
        Known { places: places.len(), open, said: said.collect() }
    }

    /// Remembers whose word about tags counted, where it was heard now.
    fn remember(&self, image: &str, places: &[Place], asked: &BTreeMap<Question, Reply>, found: &[Found]) {
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        for found in found {
            let question = Question::Tag(found.place, found.version.clone());
            let is_heard = asked.get(&question) == Some(&Reply::Digest(found.digest));
            if let Some(place) = places.get(found.place).filter(|_| is_heard) {
                words.hear(image, &found.version, &place.candidate.url, found.digest, clock::now());
            }
        }
    }
}

impl Place {
    const fn is_open(&self) -> bool {
        self.asked.is_ok() && !matches!(self.access, Access::Paused(_))
    }

    /// Why it was not asked.
    fn obstacle(&self, ranks: &Ranks) -> Option<Problem> {
        let text = match (&self.asked, self.access) {
            (Err(problem), _) => problem.clone(),
            (Ok(_), Access::Paused(left)) => {
                let why = ranks.problem(&self.candidate.url).unwrap_or("it failed");
                format!("it is left alone for another {} s: {why}", left.as_secs_f64().ceil())
            }
            (Ok(_), Access::Ready | Access::Behind) => return None,
        };
        Some(Problem { registry: self.candidate.url.clone(), text })
    }
}

/// Asks one question once.
async fn put(client: &Client, reference: &Reference, question: &Question) -> Result<Reply, Error> {
    match question {
        Question::Tags(_) => client.tags(reference).await.map(Reply::Tags),
        Question::Tag(_, tag) => {
            let tagged = format!("{}/{}:{tag}", reference.registry(), reference.repository());
            // What is no tag, nobody has.
            let Ok(tagged) = tagged.parse::<Reference>() else { return Ok(Reply::No) };
            client.resolve(&tagged).await.map(|found| Reply::Digest(found.digest))
        }
        Question::Digest(_, digest) => {
            client.find(reference, digest).await.map(|found| Reply::Digest(found.digest))
        }
    }
}

fn offer(places: &[Place], wanted: &[Wanted], found: Found) -> Option<Offer> {
    let place = places.get(found.place)?;
    Some(Offer {
        entry: wanted.get(found.wanted)?.entry,
        version: found.version,
        digest: found.digest,
        repository: place.candidate.repository.clone(),
        registry: place.candidate.url.clone(),
        known_for: Duration::ZERO,
    })
}
