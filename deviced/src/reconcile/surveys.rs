//! When the registries are asked about which container.

use std::collections::BTreeMap;
use std::time::Duration;

use dockerloader::clock::Instant;

/// Surveys that are made at once.
pub(super) const AT_ONCE: usize = 4;

/// What is known about the surveys of one container.
#[derive(Debug, Clone, Default)]
struct Asked {
    /// When it was asked last.
    last: Option<Instant>,
    /// It is being asked.
    running: bool,
    /// It has to be asked again at once.
    wanted: bool,
    /// What went wrong, registry by registry.
    problems: Vec<(String, String)>,
}

/// All surveys.
#[derive(Debug, Clone, Default)]
pub(super) struct Surveys(BTreeMap<String, Asked>);

impl Surveys {
    /// It is to be asked as soon as possible.
    pub(super) fn want(&mut self, container: &str) {
        self.0.entry(container.to_owned()).or_default().wanted = true;
    }

    /// What is to be asked now, `room` at most, those first that waited longest.
    pub(super) fn due<'a>(
        &self,
        intervals: impl Iterator<Item = (&'a str, Duration)>,
        now: Instant,
    ) -> Vec<&'a str> {
        let running = self.0.values().filter(|asked| asked.running).count();
        let mut due: Vec<_> = intervals
            .filter_map(|(container, interval)| Some((self.left(container, interval, now)?, container)))
            .filter(|((is_due, _), _)| *is_due)
            .collect();
        due.sort_by_key(|((_, last), _)| *last);
        due.into_iter().map(|(_, container)| container).take(AT_ONCE.saturating_sub(running)).collect()
    }

    /// Whether it is due, and when it was asked last; `None` while it is being asked.
    fn left(&self, container: &str, interval: Duration, now: Instant) -> Option<(bool, Option<Instant>)> {
        let Some(asked) = self.0.get(container) else { return Some((true, None)) };
        if asked.running {
            return None;
        }
        let is_due =
            asked.wanted || asked.last.is_none_or(|last| now.saturating_duration_since(last) >= interval);
        Some((is_due, asked.last))
    }

    /// How long until it is asked again.
    pub(super) fn next(&self, container: &str, interval: Duration, now: Instant) -> Duration {
        let last = self.0.get(container).filter(|asked| !asked.wanted).and_then(|asked| asked.last);
        last.map_or(Duration::ZERO, |last| interval.saturating_sub(now.saturating_duration_since(last)))
    }

    /// It is being asked.
    pub(super) fn begin(&mut self, container: &str) {
        let asked = self.0.entry(container.to_owned()).or_default();
        (asked.running, asked.wanted) = (true, false);
    }

    /// It was asked. The time since the last answer: so long an offer that was known then is known longer.
    pub(super) fn end(
        &mut self,
        container: &str,
        problems: Vec<(String, String)>,
        now: Instant,
    ) -> Option<Duration> {
        let asked = self.0.entry(container.to_owned()).or_default();
        let since = asked.last.map(|last| now.saturating_duration_since(last));
        (asked.running, asked.last, asked.problems) = (false, Some(now), problems);
        since
    }

    /// Whether it was asked at all since deviced started.
    pub(super) fn was_asked(&self, container: &str) -> bool {
        self.0.get(container).is_some_and(|asked| asked.last.is_some())
    }

    /// Whether no answer is waited for.
    pub(super) fn is_over(&self, container: &str) -> bool {
        self.0.get(container).is_none_or(|asked| !asked.running && !asked.wanted)
    }

    /// What went wrong the last time.
    pub(super) fn problems(&self, container: &str) -> &[(String, String)] {
        self.0.get(container).map_or(&[], |asked| &asked.problems)
    }

    /// Forgets what the document does not name any more.
    pub(super) fn retain(&mut self, is_named: impl Fn(&str) -> bool) {
        self.0.retain(|container, asked| asked.running || is_named(container));
    }
}

#[cfg(test)]
mod tests {
    use dockerloader::clock;

    use super::*;

    #[test]
    fn each_is_asked_at_its_interval_and_when_it_is_wanted() {
        let seconds = Duration::from_secs;
        let start = clock::now();
        let intervals = || [("a", seconds(10)), ("b", seconds(30))].into_iter();
        let mut surveys = Surveys::default();
        assert_eq!(surveys.due(intervals(), start), ["a", "b"]);
        surveys.begin("a");
        assert_eq!(surveys.due(intervals(), start), ["b"]);
        assert_eq!(surveys.end("a", Vec::new(), start), None);
        surveys.begin("b");
        surveys.end("b", vec![("r".into(), "no".into())], start);
        assert_eq!(surveys.problems("b").len(), 1);
        let later = start + seconds(10);
        assert_eq!(surveys.due(intervals(), later), ["a"]);
        assert_eq!(surveys.next("b", seconds(30), later), seconds(20));
        surveys.want("b");
        assert_eq!(surveys.due(intervals(), later), ["a", "b"]);
        surveys.begin("a");
        assert_eq!(surveys.end("a", Vec::new(), later), Some(seconds(10)));
    }

    #[test]
    fn few_are_asked_at_once() {
        let names: Vec<_> = (0..20).map(|index| index.to_string()).collect();
        let intervals = || names.iter().map(|name| (name.as_str(), Duration::from_secs(1)));
        let mut surveys = Surveys::default();
        let now = clock::now();
        for name in surveys.due(intervals(), now) {
            surveys.begin(name);
        }
        assert_eq!(surveys.due(intervals(), now).len(), 0);
        surveys.end("0", Vec::new(), now);
        assert_eq!(surveys.due(intervals(), now).len(), 1);
    }
}
