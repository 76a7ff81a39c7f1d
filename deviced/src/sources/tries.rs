//! Which registry is tried next for something that several may have, and when it is given up. Pure.

use std::collections::VecDeque;
use std::time::Duration;

/// How often each of them may fail before anything has come: the engine has its own patience, and can say what is wrong.
const ROUNDS: usize = 2;
/// How often each may fail in a row when something has come. The engine would begin anew: what it has is worth a minute.
const PATIENT_ROUNDS: usize = 7;
/// The pause when all of them have failed; it doubles with each time that they do so again.
const PAUSE: Duration = Duration::from_secs(1);
/// Bytes that count as progress: with them, the failures before are forgotten.
const PROGRESS: u64 = 64 << 10;

/// The registries that may have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tries {
    /// The one whose turn it is comes first.
    order: VecDeque<usize>,
    failures: usize,
    bytes: u64,
    has_come: bool,
}

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// The next one is tried.
    Next,
    /// So too, after a pause.
    After(Duration),
    /// There is none left, or all failed too often.
    GiveUp,
}

impl Tries {
    /// Registries, the closest first.
    pub(super) fn new(order: impl IntoIterator<Item = usize>) -> Self {
        Self { order: order.into_iter().collect(), failures: 0, bytes: 0, has_come: false }
    }

    /// Whose turn it is.
    pub(super) fn current(&self) -> Option<usize> {
        self.order.front().copied()
    }

    /// Counts bytes that came and were not there before.
    pub(super) const fn progress(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.has_come = true;
        if self.bytes >= PROGRESS {
            (self.failures, self.bytes) = (0, 0);
        }
    }

    /// The one whose turn it is does not have it, or does not give it.
    pub(super) fn lacks(&mut self) -> Decision {
        self.order.pop_front();
        if self.order.is_empty() { Decision::GiveUp } else { Decision::Next }
    }

    /// The one whose turn it is failed: the others come first.
    pub(super) fn failed(&mut self) -> Decision {
        if let Some(current) = self.order.pop_front() {
            self.order.push_back(current);
        }
        (self.failures, self.bytes) = (self.failures.saturating_add(1), 0);
        let rounds = if self.has_come { PATIENT_ROUNDS } else { ROUNDS };
        let Some(round) = self.failures.checked_div(self.order.len()) else { return Decision::GiveUp };
        if round >= rounds {
            return Decision::GiveUp;
        }
        // One failure alone may be an accident.
        if self.failures > 1 && self.failures.is_multiple_of(self.order.len()) {
            let doubled =
                u32::try_from(round.saturating_sub(1)).ok().and_then(|round| 2u32.checked_pow(round));
            return Decision::After(PAUSE.saturating_mul(doubled.unwrap_or(u32::MAX)));
        }
        Decision::Next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_turns_and_then_it_is_given_up() {
        let play = |count: usize, lacking: &[usize]| {
            let mut tries = Tries::new(0..count);
            let mut turns = Vec::new();
            while let Some(current) = tries.current() {
                let decision = if lacking.contains(&current) { tries.lacks() } else { tries.failed() };
                turns.push((current, decision));
                if decision == Decision::GiveUp {
                    break;
                }
            }
            turns
        };
        use Decision::{After, GiveUp, Next};
        assert_eq!(play(0, &[]), []);
        assert_eq!(play(1, &[]), [(0, Next), (0, GiveUp)]);
        assert_eq!(play(2, &[]), [(0, Next), (1, After(PAUSE)), (0, Next), (1, GiveUp)]);
        assert_eq!(play(2, &[0]), [(0, Next), (1, Next), (1, GiveUp)]);
        assert_eq!(play(2, &[0, 1]), [(0, Next), (1, GiveUp)]);
    }

    #[test]
    fn what_has_come_is_worth_a_minute() {
        for count in [1, 2, 5] {
            let mut tries = Tries::new(0..count);
            tries.progress(1);
            let mut waited = Duration::ZERO;
            loop {
                match tries.failed() {
                    Decision::Next => {}
                    Decision::After(pause) => waited += pause,
                    Decision::GiveUp => break,
                }
            }
            assert!(
                (Duration::from_secs(60)..Duration::from_secs(70)).contains(&waited),
                "{count}: {waited:?}"
            );
        }
    }

    #[test]
    fn whoever_brings_something_is_not_given_up() {
        let mut tries = Tries::new(0..1);
        tries.progress(1);
        for _ in 0..100 {
            for _ in 1..PATIENT_ROUNDS {
                assert_ne!(tries.failed(), Decision::GiveUp);
            }
            tries.progress(PROGRESS - 1);
            tries.progress(1);
        }
        assert_eq!(tries.failed(), Decision::Next, "the first failure after that is no reason to wait");
        for _ in 2..PATIENT_ROUNDS {
            assert_ne!(tries.failed(), Decision::GiveUp);
        }
        tries.progress(PROGRESS - 1);
        assert_eq!(tries.failed(), Decision::GiveUp);
    }
}
