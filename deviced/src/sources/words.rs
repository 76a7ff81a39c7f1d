//! Who said last what a tag stands for. Pure: the time is an input.
//!
//! A copy of a registry may lag behind. When the registry that was heard last can't be asked, what it said stands for a while, so that a copy
//! brings no old version back; also over a restart, at which nobody may be there but the copy.

use std::collections::BTreeMap;
use std::time::Duration;

use dockerloader::clock::Instant;
use dockerloader::digest::Digest;
use serde::{Deserialize, Serialize};

use super::RegistryState;

/// How long it stands when it is not heard again, by time that deviced was running.
const STANDS: Duration = Duration::from_secs(24 * 3600);

/// What a registry said about a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Said {
    /// What it stands for.
    pub digest: Digest,
    /// How long ago.
    pub age: Duration,
}

/// All that was said, by image and tag.
#[derive(Debug, Clone, Default)]
pub(super) struct Words(BTreeMap<(String, String), Word>);

#[derive(Debug, Clone)]
struct Word {
    /// The registry's URL.
    url: String,
    digest: Digest,
    /// How old it was at `at`.
    age: Duration,
    at: Instant,
}

impl Word {
    fn age(&self, now: Instant) -> Duration {
        self.age.saturating_add(now.saturating_duration_since(self.at))
    }
}

impl Words {
    /// What an earlier process heard. Of two registries that were heard, the later one counts.
    pub(super) fn new(remembered: &[RegistryState], now: Instant) -> Self {
        let mut words = Self::default();
        let said = remembered.iter().flat_map(|state| state.said.iter().map(|said| (&state.url, said)));
        for (url, (name, said)) in said {
            let Some((image, tag)) = name.rsplit_once(':') else { continue };
            let word = Word { url: url.clone(), digest: said.digest, age: said.age, at: now };
            let key = (image.to_owned(), tag.to_owned());
            if words.0.get(&key).is_none_or(|known| known.age > word.age) {
                words.0.insert(key, word);
            }
        }
        words
    }

    /// Takes down what a registry said.
    pub(super) fn hear(&mut self, image: &str, tag: &str, url: &str, digest: Digest, now: Instant) {
        self.0.retain(|_, word| word.age(now) < STANDS);
        let word = Word { url: url.to_owned(), digest, age: Duration::ZERO, at: now };
        self.0.insert((image.to_owned(), tag.to_owned()), word);
    }

    /// What stands about an image's tags: tag, registry, digest.
    pub(super) fn about(&self, image: &str, now: Instant) -> impl Iterator<Item = (&str, &str, Digest)> {
        let words = self.0.iter().filter(move |((of, _), word)| of == image && word.age(now) < STANDS);
        words.map(|((_, tag), word)| (tag.as_str(), word.url.as_str(), word.digest))
    }

    /// What a registry said that still stands, by `image:tag`.
    pub(super) fn of(&self, url: &str, now: Instant) -> BTreeMap<String, Said> {
        let words = self.0.iter().filter(|(_, word)| word.url == url && word.age(now) < STANDS);
        words
            .map(|((image, tag), word)| {
                (format!("{image}:{tag}"), Said { digest: word.digest, age: word.age(now) })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use dockerloader::clock;

    use super::*;

    #[test]
    fn a_word_stands_for_a_day_of_running_over_restarts() {
        let (one, other) = (Digest::from_bytes([1; 32]), Digest::from_bytes([2; 32]));
        let hours = |count: u64| Duration::from_secs(count * 3600);
        let start = clock::now();
        let mut words = Words::default();
        words.hear("localhost:5000/web", "latest", "https://b", other, start);
        words.hear("localhost:5000/web", "latest", "https://a", one, start);
        words.hear("db", "1", "https://b", other, start + hours(1));
        let about = |words: &Words, at| -> Vec<(String, String, Digest)> {
            let all = words.about("localhost:5000/web", at);
            all.map(|(tag, url, digest)| (tag.to_owned(), url.to_owned(), digest)).collect()
        };
        let expected = [("latest".to_owned(), "https://a".to_owned(), one)];
        assert_eq!(about(&words, start + hours(23)), expected);
        assert_eq!(about(&words, start + hours(24)), []);
        assert_eq!(words.of("https://b", start + hours(2)).len(), 1);

        let at = start + hours(20);
        let states = ["https://b", "https://a"].map(|url| RegistryState {
            url: url.to_owned(),
            said: words.of(url, at),
            ..RegistryState::default()
        });
        let text = serde_json::to_string(&states).unwrap();
        let later = start + hours(500);
        let again = Words::new(&serde_json::from_str::<Vec<_>>(&text).unwrap(), later);
        assert_eq!(about(&again, later + hours(3)), expected);
        assert_eq!(about(&again, later + hours(4)), []);
        assert_eq!(again.of("https://b", later + hours(4)).into_keys().collect::<Vec<_>>(), ["db:1"]);
    }

    #[test]
    fn what_was_heard_last_counts() {
        let said = |digest: u8, age| Said {
            digest: Digest::from_bytes([digest; 32]),
            age: Duration::from_secs(age),
        };
        let state = |url: &str, said: Said| RegistryState {
            url: url.to_owned(),
            said: [("web:1".to_owned(), said)].into(),
            ..RegistryState::default()
        };
        let now = clock::now();
        for states in [
            [state("a", said(1, 5)), state("b", said(2, 9))],
            [state("b", said(2, 9)), state("a", said(1, 5))],
        ] {
            let words = Words::new(&states, now);
            assert_eq!(
                words.about("web", now).collect::<Vec<_>>(),
                [("1", "a", Digest::from_bytes([1; 32]))]
            );
        }
    }
}
