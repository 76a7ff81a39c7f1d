//! Whether a body comes so slowly that it would never end: pure.

use std::time::Duration;

/// Bytes that have to come while they are waited for as long as a body may be slow. Below that a layer of 10 MB would take a
/// day, and hold the store for as long.
pub(super) const LEAST: u64 = 8 << 10;

/// How a body comes in.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    bytes: u64,
    waited: Duration,
}

impl Pace {
    /// Counts bytes, and how long they were waited for. Time in which nobody waited does not count: a slow disk of ours is
    /// not the registry's fault.
    pub(super) fn count(&mut self, bytes: u64, waited: Duration) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.waited = self.waited.saturating_add(waited);
        if self.bytes >= LEAST {
            *self = Self::default();
        }
    }

    /// Whether too few bytes came for too long.
    pub(super) fn is_too_slow(&self, longest: Duration) -> bool {
        self.waited >= longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_is_what_brings_too_little_for_too_long() {
        let longest = Duration::from_secs(60);
        for (pieces, bytes, seconds, expected) in [
            (1, 0, 59, false),
            (1, 0, 60, true),
            // One byte every 29 seconds, which no wait for the next byte notices.
            (3, 1, 29, true),
            (59, 100, 1, false),
            (60, 100, 1, true),
            (1000, 200, 1, false),
            (10, LEAST, 59, false),
        ] {
            let mut pace = Pace::default();
            (0..pieces).for_each(|_| pace.count(bytes, Duration::from_secs(seconds)));
            assert_eq!(pace.is_too_slow(longest), expected, "{pieces} x {bytes} bytes in {seconds} s");
        }
    }
}
