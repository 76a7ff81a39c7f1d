//! Times and lengths of time, short.

use jiff::Timestamp;

use super::View;

/// Two units at most: `45s`, `3m 20s`, `2h 5m`, `12d 3h`.
pub(in crate::cli) fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let pair = |large: u64, large_unit: char, small: u64, small_unit: char| match small {
        0 => format!("{large}{large_unit}"),
        small => format!("{large}{large_unit} {small}{small_unit}"),
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => pair(minutes, 'm', seconds % 60, 's'),
        (0, hours, minutes) => pair(hours, 'h', minutes % 60, 'm'),
        (days, hours, _) => pair(days, 'd', hours % 24, 'h'),
    }
}

/// A date in the zone of who reads it, to the second.
pub(in crate::cli) fn moment(at: i64, view: &View) -> String {
    Timestamp::from_second(at).map_or_else(
        |_| format!("{at} s after 1970"),
        |time| time.to_zoned(view.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

/// How long ago; `None` for what lies ahead, which is a clock that was set.
pub(super) fn ago(at: i64, view: &View) -> Option<String> {
    u64::try_from(view.now.checked_sub(at)?).ok().map(duration)
}

/// Seconds since 1970 of a time as the engine writes it (RFC 3339); `None` for none, which it writes as the year 1.
pub(super) fn seconds(text: &str) -> Option<i64> {
    let time: Timestamp = text.parse().ok()?;
    (time.as_second() > 0).then(|| time.as_second())
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn lengths_of_time_have_two_units_at_most() {
        for (length, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (200, "3m 20s"),
            (3600, "1h"),
            (7500, "2h 5m"),
            (86_400, "1d"),
            (1_051_200, "12d 4h"),
        ] {
            assert_eq!(duration(length), text);
        }
    }

    #[test]
    fn times_are_shown_in_the_readers_zone() {
        let view = sample::view();
        assert_eq!(moment(sample::NOW, &view), "2026-11-26 07:30:00");
        let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(moment(sample::NOW, &View { zone, ..sample::view() }), "2026-11-26 09:30:00");
        assert_eq!(moment(i64::MAX, &view), "9223372036854775807 s after 1970");
        assert_eq!(ago(sample::NOW - 61, &view).as_deref(), Some("1m 1s"));
        assert_eq!(ago(sample::NOW + 1, &view), None);
        assert_eq!(ago(i64::MIN, &view), None);
    }

    #[test]
    fn the_engines_times_are_read() {
        assert_eq!(seconds("2026-11-26T07:30:00.123456789Z"), Some(sample::NOW));
        assert_eq!(seconds("2026-11-26T08:30:00+01:00"), Some(sample::NOW));
        for none in ["0001-01-01T00:00:00Z", "", "yesterday"] {
            assert_eq!(seconds(none), None, "{none}");
        }
    }
}
