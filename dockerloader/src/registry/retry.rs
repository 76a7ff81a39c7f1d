//! When to ask again: pure. Jitter and what the registry asked for are inputs.

use std::time::Duration;

use super::Error;
use crate::remedy::Remedy;

/// Bytes that count as progress: with them, the failures before are forgotten.
pub const PROGRESS_BYTES: u64 = 64 << 10;

/// How patient a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Failures in a row, without progress, after which it gives up.
    pub failures: u32,
    /// The pause after the first failure; it doubles with each one that follows.
    pub first: Duration,
    /// The longest pause of its own.
    pub longest: Duration,
    /// The longest `Retry-After` that is waited for. A registry that asks for more is left alone: asking it earlier would
    /// only be counted against the limit that it protects, and the next poll comes anyway.
    pub longest_asked: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            failures: 5,
            first: Duration::from_millis(500),
            longest: Duration::from_secs(20),
            longest_asked: Duration::from_secs(60),
        }
    }
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Ask again after this pause.
    After(Duration),
    /// Leave it.
    GiveUp,
}

impl Policy {
    /// Decides after the `failure`-th failure in a row (the first is 1). `jitter` is from 0 to 1; the pause is from half of
    /// the full one (0) to all of it (1), so that a fleet that failed together does not ask together.
    pub fn decide(&self, failure: u32, remedy: Remedy, asked: Option<Duration>, jitter: f64) -> Decision {
        if remedy != Remedy::Retry || failure >= self.failures {
            return Decision::GiveUp;
        }
        let doubled = self.first.saturating_mul(2u32.saturating_pow(failure.saturating_sub(1)));
        let own = doubled.min(self.longest).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
        match asked {
            Some(asked) if asked > self.longest_asked => Decision::GiveUp,
            Some(asked) => Decision::After(asked.max(own)),
            None => Decision::After(own),
        }
    }
}

/// The failures of one download or request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attempts {
    failures: u32,
    bytes: u64,
}

impl Attempts {
    /// Counts bytes that arrived; enough of them clear the failures.
    pub const fn progress(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes >= PROGRESS_BYTES {
            self.failures = 0;
            self.bytes = 0;
        }
    }

    /// Whether it failed twice in a row without progress.
    pub(super) const fn is_stuck(&self) -> bool {
        self.failures >= 2
    }

    /// Counts a failure and decides what follows.
    pub fn failed(&mut self, policy: &Policy, error: &Error, jitter: f64) -> Decision {
        self.failures = self.failures.saturating_add(1);
        self.bytes = 0;
        policy.decide(self.failures, error.remedy(), error.retry_after(), jitter)
    }
}

/// `Retry-After` (RFC 9110, 10.2.3), in seconds or as a date. A date is measured against the same answer's `Date`, the
/// registry's own clock: ours may be wrong.
pub fn retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More than a number holds is no less of a wish to be left alone.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let from = httpdate::parse_http_date(date?.trim()).ok()?;
    Some(until.duration_since(from).unwrap_or(Duration::ZERO))
}

/// A number from 0 to 1 that differs from device to device and from time to time.
pub(super) fn jitter() -> f64 {
    use std::hash::{BuildHasher, Hasher};
    let random = std::hash::RandomState::new().build_hasher().finish();
    f64::from((random >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_then_end() {
        let policy = Policy {
            failures: 6,
            first: Duration::from_millis(100),
            longest: Duration::from_millis(500),
            longest_asked: Duration::from_secs(3),
        };
        let ms = |n| Decision::After(Duration::from_millis(n));
        let secs = |n| Some(Duration::from_secs(n));
        for (failure, remedy, asked, jitter, expected) in [
            (1, Remedy::Retry, None, 1.0, ms(100)),
            (1, Remedy::Retry, None, 0.0, ms(50)),
            (2, Remedy::Retry, None, 1.0, ms(200)),
            (3, Remedy::Retry, None, 1.0, ms(400)),
            (4, Remedy::Retry, None, 1.0, ms(500)),
            (5, Remedy::Retry, None, 7.0, ms(500)),
            (6, Remedy::Retry, None, 1.0, Decision::GiveUp),
            (u32::MAX, Remedy::Retry, None, 1.0, Decision::GiveUp),
            (1, Remedy::Retry, secs(2), 1.0, ms(2000)),
            (1, Remedy::Retry, secs(0), 1.0, ms(100)),
            (1, Remedy::Retry, secs(4), 1.0, Decision::GiveUp),
            (1, Remedy::Later, None, 1.0, Decision::GiveUp),
            (1, Remedy::Refuse, None, 1.0, Decision::GiveUp),
            (1, Remedy::Corrupt, None, 1.0, Decision::GiveUp),
            (1, Remedy::Local, secs(1), 1.0, Decision::GiveUp),
        ] {
            assert_eq!(
                policy.decide(failure, remedy, asked, jitter),
                expected,
                "{failure} {remedy:?} {asked:?}"
            );
        }
        let far = Policy { failures: u32::MAX, longest: Duration::MAX, ..policy };
        assert!(matches!(far.decide(4_000_000, Remedy::Retry, None, 0.0), Decision::After(_)));
    }

    #[test]
    fn progress_clears_the_failures() {
        let policy = Policy { failures: 2, ..Policy::default() };
        let error = Error::Refused { host: "r.example".into() };
        let mut attempts = Attempts::default();
        for _ in 0..10 {
            assert_ne!(attempts.failed(&policy, &error, 0.0), Decision::GiveUp);
            attempts.progress(PROGRESS_BYTES - 1);
            attempts.progress(1);
        }
        assert_ne!(attempts.failed(&policy, &error, 0.0), Decision::GiveUp);
        attempts.progress(PROGRESS_BYTES - 1);
        assert_eq!(attempts.failed(&policy, &error, 0.0), Decision::GiveUp);
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        for (value, date, expected) in [
            ("120", None, Some(120)),
            (" 0 ", None, Some(0)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", date, Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", date, Some(0)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", None, None),
            ("-1", date, None),
            ("soon", date, None),
            ("99999999999999999999", None, Some(u64::MAX)),
            ("", date, None),
            ("+5", date, None),
        ] {
            assert_eq!(retry_after(value, date), expected.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn jitter_is_a_fraction() {
        let values: Vec<_> = (0..100).map(|_| jitter()).collect();
        assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
        assert!(values.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
