//! How far away registries are, and which of them can be asked now. Pure: the time is an input.

use std::time::Duration;

use dockerloader::clock::Instant;
use dockerloader::registry::Error;

use super::RegistryState;
use super::say::say;

/// How much of an average stays when it is measured again at once.
const KEPT: f64 = 0.7;
/// After that time half as much of it stays.
const HALF_LIFE: Duration = Duration::from_secs(3600);
/// How long a measurement is good for.
const MEASURED_EVERY: Duration = Duration::from_secs(3600);
/// A registry passes one before it when its latency is at most this part of that one's, and this much less. Otherwise two that are equally
/// far away would change places all the time.
const CLOSER: (f64, Duration) = (0.75, Duration::from_millis(2));
/// The pause after the first failure; it doubles with each one that follows.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause of our own.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// The longest pause that a registry is granted.
const LONGEST_WISH: Duration = Duration::from_secs(3600);

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was there, and took so long.
    Measured(Duration),
    /// It answered, whatever it said.
    Answered,
    /// It did not, or failed, or wants to be left alone.
    Failed {
        /// What went wrong.
        problem: String,
        /// How long it wants to be left alone.
        wish: Option<Duration>,
    },
}

impl Outcome {
    /// What an error says about the registry, rather than about what it was asked for.
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::NotFound { .. }
            | Error::Unauthorized { .. }
            | Error::Forbidden { .. }
            | Error::OverLimit { .. }
            | Error::Manifest { .. } => Self::Answered,
            Error::Status { status, .. }
                if (400..500).contains(status) && !matches!(status, 408 | 425 | 429) =>
            {
                Self::Answered
            }
            _ => Self::Failed { problem: say(error), wish: error.retry_after() },
        }
    }
}

/// Whether a registry can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    /// It can.
    Ready,
    /// It can, after all others: it failed lately.
    Behind,
    /// It is left alone for so long.
    Paused(Duration),
}

/// What is known about all registries.
#[derive(Debug, Clone, Default)]
pub(super) struct Ranks {
    /// The closest first.
    known: Vec<Standing>,
}

#[derive(Debug, Clone)]
struct Standing {
    url: String,
    latency: Option<Duration>,
    /// When this process measured it last.
    measured: Option<Instant>,
    up: bool,
    failures: u32,
    problem: Option<String>,
    pause: Option<Pause>,
    asked: Option<i64>,
    requests: u64,
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    until: Instant,
    length: Duration,
}

impl Standing {
    fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            latency: None,
            measured: None,
            up: true,
            failures: 0,
            problem: None,
            pause: None,
            asked: None,
            requests: 0,
        }
    }

    fn remembered(state: &RegistryState, now: Instant) -> Self {
        // All of it from now on: whatever the clock says, it ends.
        let pause = state.pause.map(|length| length.min(LONGEST_WISH));
        Self {
            latency: state.latency,
            up: state.up,
            failures: state.failures,
            problem: state.problem.clone(),
            pause: pause.map(|length| Pause { until: now + length, length }),
            asked: state.asked,
            ..Self::new(&state.url)
        }
    }

    fn access(&self, now: Instant) -> Access {
        match self.pause {
            Some(pause) if now < pause.until => Access::Paused(pause.until.saturating_duration_since(now)),
            // It has to stand the test for as long as it was left alone.
            Some(pause) if now < pause.until + pause.length => Access::Behind,
            _ => Access::Ready,
        }
    }

    fn note(&mut self, outcome: Outcome, now: Instant, unix: i64) {
        (self.asked, self.requests) = (Some(unix), self.requests.saturating_add(1));
        if let Outcome::Failed { problem, wish } = outcome {
            self.failures = self.failures.saturating_add(1);
            let doubled = FIRST_PAUSE.saturating_mul(2u32.saturating_pow(self.failures.saturating_sub(1)));
            let own = doubled.min(LONGEST_PAUSE);
            let length = wish.map_or(own, |wished| wished.max(own).min(LONGEST_WISH));
            (self.up, self.problem) = (false, Some(problem));
            self.pause = Some(Pause { until: now + length, length });
            return;
        }
        (self.up, self.failures, self.problem, self.pause) = (true, 0, None, None);
        if let Outcome::Measured(latency) = outcome {
            let age = self.measured.map_or(HALF_LIFE, |at| now.saturating_duration_since(at));
            self.latency = Some(self.latency.map_or(latency, |average| {
                let kept = KEPT * 0.5f64.powf(age.as_secs_f64() / HALF_LIFE.as_secs_f64());
                average.mul_f64(kept) + latency.mul_f64(1.0 - kept)
            }));
            self.measured = Some(now);
        }
    }

    /// Whether it is closer by so much that it passes the other one.
    fn passes(&self, other: &Self) -> bool {
        let (part, least) = CLOSER;
        match (self.latency, other.latency) {
            (Some(own), Some(other)) => own <= other.mul_f64(part) && other.saturating_sub(own) >= least,
            (own, other) => own.is_some() && other.is_none(),
        }
    }
}

impl Ranks {
    /// Registries of a document in its order, with what is remembered of them.
    pub(super) fn new<'u>(
        urls: impl IntoIterator<Item = &'u str>,
        remembered: &[RegistryState],
        now: Instant,
    ) -> Self {
        let mut ranks = Self::default();
        for url in urls {
            if !ranks.known.iter().any(|known| known.url == url) {
                let state = remembered.iter().find(|state| state.url == url);
                ranks
                    .known
                    .push(state.map_or_else(|| Standing::new(url), |state| Standing::remembered(state, now)));
            }
        }
        // In the order in which they were; one that is new comes last, and passes those that it is closer than.
        let rank =
            |known: &Standing| remembered.iter().find(|state| state.url == known.url).map(|state| state.rank);
        ranks.known.sort_by_key(|known| rank(known).unwrap_or(usize::MAX));
        ranks.sort();
        ranks
    }

    /// Takes down what came of a request at `now`, which is `unix` on the clock for people.
    pub(super) fn note(&mut self, url: &str, outcome: Outcome, now: Instant, unix: i64) {
        let at = self.known.iter().position(|known| known.url == url).unwrap_or_else(|| {
            self.known.push(Standing::new(url));
            self.known.len().saturating_sub(1)
        });
        if let Some(known) = self.known.get_mut(at) {
            known.note(outcome, now, unix);
        }
        self.sort();
    }

    /// Whether it should be measured: never yet by this process, or long ago.
    pub(super) fn is_due(&self, url: &str, now: Instant) -> bool {
        self.find(url).is_none_or(|known| {
            !matches!(known.access(now), Access::Paused(_))
                && known.measured.is_none_or(|at| now.saturating_duration_since(at) >= MEASURED_EVERY)
        })
    }

    /// Whether it can be asked, and its place.
    pub(super) fn place(&self, url: &str, now: Instant) -> (Access, usize) {
        let rank = self.known.iter().position(|known| known.url == url);
        let access = self.find(url).map_or(Access::Ready, |known| known.access(now));
        (access, rank.unwrap_or(usize::MAX))
    }

    /// The less, the earlier it is asked: those that can't be asked now come last, before them registries that only a name says.
    pub(super) fn distance(&self, url: &str, is_declared: bool, now: Instant) -> (bool, bool, Access, usize) {
        let (access, rank) = self.place(url, now);
        (matches!(access, Access::Paused(_)), !is_declared, access, rank)
    }

    /// What went wrong last.
    pub(super) fn problem(&self, url: &str) -> Option<&str> {
        self.find(url)?.problem.as_deref()
    }

    /// All that is known, the closest first.
    pub(super) fn states(&self, now: Instant) -> Vec<RegistryState> {
        let state = |(index, known): (usize, &Standing)| RegistryState {
            url: known.url.clone(),
            up: known.up,
            latency: known.latency,
            rank: index + 1,
            failures: known.failures,
            problem: known.problem.clone(),
            pause: match known.access(now) {
                Access::Paused(left) => Some(left),
                Access::Ready | Access::Behind => None,
            },
            asked: known.asked,
            requests: known.requests,
            ..RegistryState::default()
        };
        self.known.iter().enumerate().map(state).collect()
    }

    fn find(&self, url: &str) -> Option<&Standing> {
        self.known.iter().find(|known| known.url == url)
    }

    /// Each keeps its place unless it passes those before it.
    fn sort(&mut self) {
        let mut order: Vec<Standing> = Vec::with_capacity(self.known.len());
        for one in self.known.drain(..) {
            let at = order.iter().rposition(|other| !one.passes(other)).map_or(0, |last| last + 1);
            order.insert(at, one);
        }
        self.known = order;
    }
}

#[cfg(test)]
mod tests {
    use dockerloader::clock;

    use super::*;

    const A: &str = "https://a.example";
    const B: &str = "https://b.example";
    const C: &str = "https://c.example";

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn secs(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn failed(wish: Option<Duration>) -> Outcome {
        Outcome::Failed { problem: "no".to_owned(), wish }
    }

    fn order(ranks: &Ranks, now: Instant) -> Vec<char> {
        ranks.states(now).iter().map(|state| state.url.chars().nth(8).unwrap()).collect()
    }

    #[test]
    fn the_closest_is_first_and_equals_keep_their_places() {
        for (measured, expected) in [
            (vec![(A, 10), (B, 20), (C, 30)], "abc"),
            (vec![(A, 30), (B, 20), (C, 10)], "cba"),
            (vec![(A, 20), (B, 19), (C, 16)], "abc"),
            (vec![(A, 20), (B, 19), (C, 15)], "abc"),
            (vec![(A, 18), (B, 24), (C, 17)], "acb"),
            (vec![(A, 20), (B, 19), (C, 14)], "cab"),
            (vec![(A, 2), (B, 1)], "abc"),
            (vec![(B, 500)], "bac"),
            (vec![(A, 20), (B, 20), (A, 100), (A, 100), (A, 100)], "bac"),
        ] {
            let now = clock::now();
            let mut ranks = Ranks::new([A, B, C, A], &[], now);
            for (url, latency) in &measured {
                ranks.note(url, Outcome::Measured(ms(*latency)), now, 1);
            }
            assert_eq!(order(&ranks, now).into_iter().collect::<String>(), expected, "{measured:?}");
        }
    }

    #[test]
    fn an_average_forgets_with_time() {
        for (pause, expected) in [(0, 73), (3600, 42), (36_000, 10)] {
            let now = clock::now();
            let mut ranks = Ranks::new([A], &[], now);
            ranks.note(A, Outcome::Measured(ms(100)), now, 1);
            ranks.note(A, Outcome::Measured(ms(10)), now + secs(pause), 2);
            let found = ranks.states(now)[0].latency.unwrap();
            assert_eq!(found.as_secs_f64().mul_add(1000.0, 0.5) as u64, expected, "{pause}");
        }
    }

    #[test]
    fn pauses_grow_up_to_a_limit_and_wishes_are_granted_up_to_another() {
        for (outcomes, expected) in [
            (vec![None], 5),
            (vec![None, None, None], 20),
            (vec![None; 50], 300),
            (vec![Some(secs(1))], 5),
            (vec![Some(secs(120))], 120),
            (vec![Some(secs(86_400))], 3600),
            (vec![Some(Duration::MAX)], 3600),
        ] {
            let now = clock::now();
            let mut ranks = Ranks::new([A], &[], now);
            for wish in &outcomes {
                ranks.note(A, failed(*wish), now, 1);
            }
            assert_eq!(ranks.place(A, now).0, Access::Paused(secs(expected)), "{outcomes:?}");
            assert!(!ranks.states(now)[0].up);
        }
    }

    #[test]
    fn what_failed_is_left_alone_then_comes_last_then_is_as_before() {
        let now = clock::now();
        let mut ranks = Ranks::new([A, B], &[], now);
        ranks.note(A, failed(Some(secs(60))), now, 1);
        for (after, expected) in [
            (0, Access::Paused(secs(60))),
            (59, Access::Paused(secs(1))),
            (60, Access::Behind),
            (119, Access::Behind),
            (120, Access::Ready),
        ] {
            assert_eq!(ranks.place(A, now + secs(after)), (expected, 0), "{after}");
        }
        assert_eq!(ranks.problem(A), Some("no"));
        ranks.note(A, Outcome::Answered, now + secs(61), 2);
        assert_eq!(ranks.place(A, now + secs(61)).0, Access::Ready);
        let state = ranks.states(now).remove(0);
        assert_eq!((state.up, state.failures, state.problem, state.requests), (true, 0, None, 2));
        ranks.note(A, failed(None), now, 3);
        assert_eq!(ranks.place(A, now).0, Access::Paused(secs(5)), "the failures before are forgotten");
    }

    #[test]
    fn a_restart_remembers() {
        let now = clock::now();
        let mut ranks = Ranks::new([A, B, C], &[], now);
        ranks.note(A, Outcome::Measured(ms(50)), now, 1);
        ranks.note(C, Outcome::Measured(ms(5)), now, 1);
        (0..3).for_each(|_| ranks.note(C, failed(None), now, 2));
        let text = serde_json::to_string(&ranks.states(now + secs(3))).unwrap();
        let remembered: Vec<RegistryState> = serde_json::from_str(&text).unwrap();
        let later = now + secs(86_400);
        // B is no longer in the document; another one is.
        let mut again = Ranks::new([A, C, "https://d.example"], &remembered, later);
        assert_eq!(order(&again, later), ['c', 'a', 'd']);
        assert_eq!(again.place(C, later).0, Access::Paused(secs(17)));
        again.note(C, failed(None), later, 3);
        assert_eq!(again.place(C, later).0, Access::Paused(secs(40)), "and so are its failures");
        assert!(again.is_due(A, later) && !again.is_due(C, later));
        again.note(A, Outcome::Measured(ms(50)), later, 4);
        assert!(!again.is_due(A, later + secs(3599)) && again.is_due(A, later + secs(3600)));
    }

    #[test]
    fn an_error_says_whose_it_is() {
        let host = || "a.example".to_owned();
        let status = |status, retry_after| Error::Status {
            host: host(),
            what: "x".to_owned(),
            status,
            said: String::new(),
            retry_after,
        };
        for (error, expected) in [
            (Error::NotFound { host: host(), what: "x".to_owned(), said: String::new() }, None),
            (Error::Refused { host: host() }, Some(None)),
            (status(500, None), Some(None)),
            (status(429, None), Some(None)),
            (status(405, None), None),
            (status(503, Some(secs(9))), Some(Some(secs(9)))),
            (status(502, Some(secs(9))), Some(Some(secs(9)))),
        ] {
            let found = match Outcome::of(&error) {
                Outcome::Failed { problem, wish } => {
                    assert_eq!(problem, error.to_string());
                    Some(wish)
                }
                Outcome::Answered | Outcome::Measured(_) => None,
            };
            assert_eq!(found, expected, "{error}");
        }
    }
}
