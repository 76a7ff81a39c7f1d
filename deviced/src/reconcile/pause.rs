//! How long is waited after failures: doubling, with an end. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use dockerloader::clock::Instant;

use crate::plan::Pause;

/// What has failed, and until when it is left alone.
#[derive(Debug, Clone)]
pub(super) struct Pauses<K> {
    first: Duration,
    longest: Duration,
    failed: BTreeMap<K, Failing>,
}

#[derive(Debug, Clone)]
struct Failing {
    text: String,
    times: u32,
    until: Instant,
}

impl<K: Ord + Clone> Pauses<K> {
    /// After the first failure `first` is waited, then twice as long each time, at most `longest`.
    pub(super) const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failed: BTreeMap::new() }
    }

    /// It has failed once more.
    pub(super) fn failed(&mut self, key: K, text: String, now: Instant) {
        let times = self.failed.get(&key).map_or(0, |failing| failing.times);
        let pause = self.first.saturating_mul(2_u32.saturating_pow(times.min(20))).min(self.longest);
        self.failed.insert(key, Failing { text, times: times.saturating_add(1), until: now + pause });
    }

    /// It has succeeded, or is to be tried at once.
    pub(super) fn forget(&mut self, key: &K) {
        self.failed.remove(key);
    }

    /// What is still left alone, and for how long. How often it failed is remembered beyond that.
    pub(super) fn left(&self, now: Instant) -> BTreeMap<K, Pause> {
        let running = self.failed.iter().filter(|(_, failing)| failing.until > now);
        let pause = |failing: &Failing| Pause { text: failing.text.clone(), left: failing.until - now };
        running.map(|(key, failing)| (key.clone(), pause(failing))).collect()
    }

    /// How long the shortest of them is.
    pub(super) fn next(&self, now: Instant) -> Option<Duration> {
        self.failed
            .values()
            .filter_map(|failing| failing.until.checked_duration_since(now))
            .filter(|left| !left.is_zero())
            .min()
    }

    /// Forgets what has been left alone for as long as `quiet` since its pause was over.
    pub(super) fn settle(&mut self, quiet: Duration, now: Instant) {
        self.failed.retain(|_, failing| now.saturating_duration_since(failing.until) < quiet);
    }

    /// Forgets everything whose key `keep` does not want.
    pub(super) fn retain(&mut self, keep: impl Fn(&K) -> bool) {
        self.failed.retain(|key, _| keep(key));
    }
}

#[cfg(test)]
mod tests {
    use dockerloader::clock;

    use super::*;

    #[test]
    fn pauses_double_and_have_an_end() {
        let start = clock::now();
        let seconds = Duration::from_secs;
        let mut pauses = Pauses::new(seconds(2), seconds(10));
        let mut now = start;
        for expected in [2, 4, 8, 10, 10] {
            pauses.failed("web", "no".to_owned(), now);
            assert_eq!(pauses.left(now)["web"].left, seconds(expected));
            assert_eq!(pauses.next(now), Some(seconds(expected)));
            now += seconds(expected);
            assert!(pauses.left(now).is_empty());
        }
        pauses.forget(&"web");
        pauses.failed("web", "no".to_owned(), now);
        assert_eq!(pauses.left(now)["web"].left, seconds(2));
        pauses.settle(seconds(60), now + seconds(61));
        assert!(!pauses.left(now).is_empty());
        pauses.settle(seconds(60), now + seconds(62));
        assert!(pauses.left(now).is_empty());
        pauses.failed("web", "no".to_owned(), now);
        pauses.retain(|_| false);
        assert_eq!(pauses.next(now), None);
    }
}
