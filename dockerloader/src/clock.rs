//! The only clock. Deadlines are monotonic; the wall clock is for people's eyes alone (I6).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in monotonic time.
pub type Instant = std::time::Instant;

/// Monotonic now.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970 by the wall clock, 0 if it is set before; only ever shown, never decided on.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// Time since 1970 by the wall clock, zero if it is set before; only ever shown, never decided on.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)
}
