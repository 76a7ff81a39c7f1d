//! The only clock. Deadlines are monotonic; the wall clock is for people's eyes alone (I6). What has to be remembered across
//! restarts is measured by the machine's uptime, which no one sets.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

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

/// A point in time that can be compared with one of an earlier process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since 1970 by the wall clock, which may be set at any time.
    pub unix: u64,
    /// The machine's uptime; `None` without `/proc`.
    pub uptime: Option<Uptime>,
}

/// How long the machine has been up, and since which start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uptime {
    /// The name of this start (`random(4)`, "boot_id").
    pub boot: String,
    /// Seconds since it, sleep included (`proc_uptime(5)`).
    pub seconds: u64,
}

impl From<u64> for Moment {
    /// A moment of which only the wall clock's word is known.
    fn from(unix: u64) -> Self {
        Self { unix, uptime: None }
    }
}

impl Moment {
    /// Whether less than `pause` seconds have passed since `then`. Within one run of the machine that is measured by its uptime.
    /// Beyond it there is the wall clock alone; when that stands before `then`, the pause is over rather than endless (I6).
    pub fn is_within(&self, pause: u64, then: &Self) -> bool {
        let passed = match (&self.uptime, &then.uptime) {
            (Some(now), Some(then)) if now.boot == then.boot => now.seconds.checked_sub(then.seconds),
            _ => self.unix.checked_sub(then.unix),
        };
        passed.is_some_and(|passed| passed < pause)
    }
}

/// Now, for what outlives this process.
pub fn moment() -> Moment {
    Moment { unix: unix_seconds(), uptime: uptime() }
}

fn uptime() -> Option<Uptime> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds = uptime.split(['.', ' ']).next()?.parse().ok()?;
    Some(Uptime { boot: boot.trim().to_owned(), seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_measured_by_the_uptime_and_else_by_a_clock_that_did_not_go_back() {
        let at = |unix, boot: &str, seconds| Moment {
            unix,
            uptime: (!boot.is_empty()).then(|| Uptime { boot: boot.to_owned(), seconds }),
        };
        let ten_years = 315_000_000;
        let then = at(ten_years, "a", 1000);
        for (now, within) in [
            (at(ten_years + 59, "a", 1059), true),
            (at(ten_years + 60, "a", 1060), false),
            // The clock was set ten years on, ten years back, and to 1970.
            (at(2 * ten_years, "a", 1059), true),
            (at(1, "a", 1059), true),
            (at(0, "a", 1060), false),
            // Another start of the machine: there is only the wall clock.
            (at(ten_years + 59, "b", 5), true),
            (at(ten_years + 60, "b", 5), false),
            (at(0, "b", 5), false),
            (at(ten_years + 59, "", 0), true),
            // A container of its own uptime was restarted.
            (at(ten_years + 59, "a", 5), false),
        ] {
            assert_eq!(now.is_within(60, &then), within, "{now:?}");
        }
        assert!(Moment::from(1059).is_within(60, &Moment::from(1000)));
    }

    #[test]
    fn this_machine_tells_its_uptime() {
        let (first, second) = (uptime().unwrap(), uptime().unwrap());
        assert!(first.boot.len() == 36 && first.boot == second.boot && first.seconds <= second.seconds);
    }
}
