//! How the engine gets an offer: from a registry itself, or through the relay.

use std::sync::Arc;

use dockerloader::clock;
use dockerloader::reference::Reference;
use dockerloader::registry::Shown;

use super::candidates::{Candidate, candidates};
use super::problems::Problem;
use super::relay::{Open, Relay};
use super::survey::Sources;
use super::ticket::{Origin, Ticket};
use crate::choose::Offer;
use dockerloader::digest::Digest;
use dockerloader::manifest::Platform;

use crate::engine::Pull;

/// A pull that is prepared. Drop it when the pull is over: what went through the relay can't be fetched any more then.
#[derive(Debug)]
pub struct Pulling {
    /// What the engine is to be told.
    pub pull: Pull,
    /// From where, for people: a registry's URL, or `the relay`.
    pub from: String,
    _open: Option<Open>,
}

/// How one attempt is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By the engine itself, from this registry.
    Direct(usize),
    Relay,
}

/// The first attempt goes to the registry of the offer, the next one through the relay, which has no need to begin anew and gets each blob where
/// it can be had, and those after that to the other registries and the relay in turns. Where the engine can't pull itself there is the relay.
fn way(attempt: u32, can_pull: &[bool]) -> Way {
    let able: Vec<usize> =
        can_pull.iter().enumerate().filter(|(_, can_pull)| **can_pull).map(|(place, _)| place).collect();
    let is_relays_turn = !attempt.is_multiple_of(2) || can_pull.first() != Some(&true) && attempt == 0;
    let turn = usize::try_from(attempt / 2).unwrap_or(usize::MAX).checked_rem(able.len());
    match turn.and_then(|turn| able.get(turn)) {
        Some(place) if !is_relays_turn => Way::Direct(*place),
        _ => Way::Relay,
    }
}

impl Sources {
    /// How the engine is to pull an offer for an image of a document. `attempt` counts from 0: after a failure another way is taken, so that
    /// what one registry broke off another one brings to its end. `platform` is `os/architecture[/variant]`; the engine's own without it.
    ///
    /// # Errors
    /// What is wrong with the settings of the registries that have it.
    pub async fn for_pull(
        &self,
        image: &str,
        platform: Option<&str>,
        offer: &Offer,
        attempt: u32,
    ) -> Result<Pulling, Problem> {
        let places = self.places_of(image, offer);
        let mut can_pull = Vec::with_capacity(places.len());
        for (_, origin, obstacle) in &places {
            // A token that is good for other tokens only is nothing that the engine can be given.
            let shown = origin.client.shown(&origin.reference).await;
            can_pull.push(obstacle.is_none() && shown != Shown::IdentityToken);
        }
        let problem = |text: String| Problem { registry: offer.registry.clone(), text };
        if places.is_empty() {
            let usable = self.clients.get(self.declared(offer)).err();
            return Err(problem(usable.unwrap_or_else(|| format!("{} is no repository", offer.repository))));
        }
        if let Way::Direct(place) = way(attempt, &can_pull)
            && let Some((candidate, origin, _)) = places.get(place)
        {
            let credentials = match origin.client.shown(&origin.reference).await {
                Shown::Login(login) => Some((login.user.clone(), login.password().to_owned())),
                Shown::Nothing | Shown::IdentityToken => None,
            };
            let pull = pull(candidate.repository.clone(), platform, offer, credentials);
            return Ok(Pulling { pull, from: candidate.url.clone(), _open: None });
        }
        let start = || async { Relay::start().await.map(Arc::new) };
        let relay = self.relay.get_or_try_init(start).await;
        let origins = places.into_iter().map(|(_, origin, _)| origin).collect();
        let ticket = Ticket::new(offer.digest, origins, Arc::clone(&self.ranks));
        let open = relay.and_then(|relay| relay.open(ticket)).map_err(|error| {
            problem(format!("the relay through which it would be pulled can't listen on loopback: {error}"))
        })?;
        let name = offer.repository.split_once('/').map_or(offer.repository.as_str(), |(_, name)| name);
        let pull = pull(format!("{}/{name}", open.prefix()), platform, offer, None);
        Ok(Pulling { pull, from: "the relay".to_owned(), _open: Some(open) })
    }

    /// The layers of an offer's image, with their compressed sizes in bytes: what a pull of it brings at most.
    ///
    /// # Errors
    /// When no registry that has it can be asked, or its manifest can't be read.
    pub async fn layers(
        &self,
        image: &str,
        platform: Option<&str>,
        offer: &Offer,
    ) -> Result<Vec<(Digest, u64)>, Problem> {
        let problem = |text: String| Problem { registry: offer.registry.clone(), text };
        let platform = match platform {
            Some(platform) => platform.parse().map_err(|error| problem(format!("{error}")))?,
            None => Platform::current(),
        };
        let (_, origin, _) = self
            .places_of(image, offer)
            .into_iter()
            .next()
            .ok_or_else(|| problem("it can't be asked".to_owned()))?;
        let selected = origin.client.select(&origin.reference, &offer.digest, &platform).await;
        let layers = selected.map_err(|error| problem(error.to_string()))?.image.layers;
        Ok(layers.into_iter().map(|layer| (layer.descriptor.digest, layer.descriptor.size)).collect())
    }

    /// The repositories that may have it, that of the offer first, the others by their distance; those with settings that can't be used are
    /// left out.
    fn places_of(&self, image: &str, offer: &Offer) -> Vec<(Candidate, Origin, Option<&'static str>)> {
        let mut all = candidates(self.clients.registries(), image).unwrap_or_default();
        if !all.iter().any(|one| one.repository == offer.repository) {
            // The document has changed since.
            let declared = self.declared(offer);
            all.push(Candidate {
                declared,
                url: offer.registry.clone(),
                repository: offer.repository.clone(),
            });
        }
        let now = clock::now();
        all.sort_by_key(|one| {
            let distance = self.ranks().distance(&one.url, one.declared.is_some(), now);
            (one.repository != offer.repository, distance)
        });
        let usable = all.into_iter().filter_map(|candidate| {
            let client = self.clients.get(candidate.declared).ok()?;
            let reference: Reference = candidate.repository.parse().ok()?;
            let obstacle = self.clients.obstacle(candidate.declared, reference.registry());
            let is_declared = candidate.declared.is_some();
            let origin = Origin { url: candidate.url.clone(), client, reference, is_declared };
            Some((candidate, origin, obstacle))
        });
        usable.collect()
    }

    fn declared(&self, offer: &Offer) -> Option<usize> {
        self.clients.registries().iter().position(|registry| registry.url == offer.registry)
    }
}

fn pull(
    repository: String,
    platform: Option<&str>,
    offer: &Offer,
    credentials: Option<(String, String)>,
) -> Pull {
    Pull { repository, digest: offer.digest.to_string(), platform: platform.map(str::to_owned), credentials }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_takes_another_way() {
        use Way::{Direct, Relay};
        for (can_pull, ways) in [
            (vec![true], [Direct(0), Relay, Direct(0), Relay, Direct(0)]),
            (vec![true, true], [Direct(0), Relay, Direct(1), Relay, Direct(0)]),
            (vec![true, false, true], [Direct(0), Relay, Direct(2), Relay, Direct(0)]),
            (vec![false], [Relay; 5]),
            // The offer's own registry comes first, also where it takes the relay.
            (vec![false, true], [Relay, Relay, Direct(1), Relay, Direct(1)]),
            (vec![], [Relay; 5]),
        ] {
            for (attempt, expected) in (0..).zip(ways) {
                assert_eq!(way(attempt, &can_pull), expected, "{can_pull:?} {attempt}");
            }
        }
    }
}
