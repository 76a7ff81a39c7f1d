//! When a container is updated, how a new version proves itself, and what is kept.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use jiff::civil::Date;
use jiff::{ToSpan as _, Zoned};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde::{Deserialize as DeserializeDerive, Serialize, Serializer};

use super::quantity::Span;
use super::run::words::Command;

/// Updates of a container.
#[derive(Debug, Clone, PartialEq, Serialize, DeserializeDerive, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Update {
    /// Between two looks at the registries.
    pub interval: Span,
    /// When versions may be exchanged; always without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// How long a version has to have been out before it is taken, by the time at which this device first saw it.
    #[serde(skip_serializing_if = "is_zero")]
    pub minimum_age: Span,
    /// How a new version proves that it works.
    pub health: Health,
    /// How long a version that has proven itself is watched: if it crashes repeatedly in that time, the version before comes back.
    pub probation: Span,
    /// Versions that are kept on disk to go back to, besides the one that runs.
    pub keep: u32,
}

impl Default for Update {
    fn default() -> Self {
        Self {
            interval: Span::seconds(300),
            window: None,
            minimum_age: Span::seconds(0),
            health: Health::default(),
            probation: Span::seconds(600),
            keep: 1,
        }
    }
}

const fn is_zero(span: &Span) -> bool {
    span.0.is_zero()
}

/// How a new version proves that it works. Without any of the probes: by its HEALTHCHECK if it has one, else by running.
#[derive(Debug, Clone, PartialEq, Serialize, DeserializeDerive, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Health {
    /// A page that answers with a status of 200 to 399.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// A port that takes connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<Tcp>,
    /// A command in the container that ends with 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<Command>,
    /// It has to run that long without ending, whatever else it has to do.
    pub running: Span,
    /// A version that has not proven itself by then has failed.
    pub timeout: Span,
    /// Between two probes.
    pub interval: Span,
}

impl Default for Health {
    fn default() -> Self {
        let (running, timeout, interval) = (Span::seconds(10), Span::seconds(120), Span::seconds(1));
        Self { http: None, tcp: None, exec: None, running, timeout, interval }
    }
}

/// A probe by HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, DeserializeDerive, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// The container's port.
    pub port: u16,
    /// The path, with its query.
    #[serde(default = "root")]
    pub path: String,
}

fn root() -> String {
    "/".to_owned()
}

/// A probe by connecting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, DeserializeDerive, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tcp {
    /// The container's port.
    pub port: u16,
}

/// A time of every day, or of some days of the week: `02:00-05:00`, `Sat,Sun 22:00-04:00`, `02:00-05:00 Europe/Madrid`. A window that ends before it
/// begins ends on the next day. Without a zone it is the device's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Days on which it begins, Monday first.
    pub days: [bool; 7],
    /// Minutes from midnight.
    pub from: u16,
    /// Minutes from midnight.
    pub until: u16,
    /// IANA time zone.
    pub zone: Option<String>,
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

impl Window {
    /// Reads one.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no time of day; write 02:00-05:00, Sat,Sun 22:00-04:00 or 02:00-05:00 Europe/Madrid"
            )
        };
        let words: Vec<_> = text.split_whitespace().collect();
        let (days, times, zone) = match *words.as_slice() {
            [times] => (None, times, None),
            [times, zone] if times.contains(':') => (None, times, Some(zone)),
            [days, times] => (Some(days), times, None),
            [days, times, zone] => (Some(days), times, Some(zone)),
            _ => return Err(wrong()),
        };
        let (from, until) = times.split_once('-').ok_or_else(wrong)?;
        let (from, until) = (minutes(from).ok_or_else(wrong)?, minutes(until).ok_or_else(wrong)?);
        if from == until {
            return Err(format!("{text:?} begins when it ends; leave the window out for always"));
        }
        let days = days.map_or(Some([true; 7]), days_of).ok_or_else(wrong)?;
        if let Some(zone) = zone {
            jiff::tz::TimeZone::get(zone)
                .map_err(|_| format!("{zone:?} is no time zone that this device knows"))?;
        }
        Ok(Self { days, from, until, zone: zone.map(str::to_owned) })
    }

    /// Whether a time of a day of the week is in it.
    ///
    /// `day` is 0 for Monday; `minute` is from midnight.
    pub fn contains(&self, day: usize, minute: u16) -> bool {
        let begins_on = |day: usize| self.days.get(day % 7).copied().unwrap_or(false);
        if self.from < self.until {
            begins_on(day) && (self.from..self.until).contains(&minute)
        } else {
            (begins_on(day) && minute >= self.from) || (begins_on(day + 6) && minute < self.until)
        }
    }
}

impl Window {
    /// How long until it opens; `None` while it is open. A window that a change of the clocks skips on some day opens a day later.
    pub fn opens_in(&self, now: &Zoned) -> Option<Duration> {
        let weekday = |date: Date| usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0);
        let minute = u16::try_from(now.hour()).unwrap_or(0) * 60 + u16::try_from(now.minute()).unwrap_or(0);
        if self.contains(weekday(now.date()), minute) {
            return None;
        }
        let begins = |ahead: i64| {
            let date = now.date().checked_add(ahead.days()).ok()?;
            let is_meant = self.days.get(weekday(date)).copied().unwrap_or(false);
            // 24:00 is the next day's beginning.
            let begin = date.at(0, 0, 0, 0).checked_add(i64::from(self.from).minutes()).ok()?;
            let begin = begin.to_zoned(now.time_zone().clone()).ok()?;
            let left = Duration::try_from(now.duration_until(&begin)).ok()?;
            (is_meant && !left.is_zero()).then_some(left)
        };
        Some((0..=8).find_map(begins).unwrap_or(Duration::from_secs(24 * 3600)))
    }
}

fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?);
    ((hour < 24 && minute < 60) || (hour, minute) == (24, 0)).then_some(hour * 60 + minute)
}

/// `Mon-Fri`, `Sat,Sun`, `Fri-Mon,Wed`.
fn days_of(text: &str) -> Option<[bool; 7]> {
    let number = |name: &str| DAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut day, last) = (number(first)?, number(last)?);
        loop {
            *days.get_mut(day)? = true;
            if day == last {
                break;
            }
            day = (day + 1) % 7;
        }
    }
    Some(days)
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days != [true; 7] {
            let days: Vec<_> =
                DAYS.iter().zip(self.days).filter_map(|(name, is)| is.then_some(*name)).collect();
            write!(f, "{} ", days.join(","))?;
        }
        let (from, until) = (self.from, self.until);
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, until / 60, until % 60)?;
        self.zone.iter().try_for_each(|zone| write!(f, " {zone}"))
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for Window {
    fn schema_name() -> Cow<'static, str> {
        "Window".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A time of day, on all days or some: 02:00-05:00, Sat,Sun 22:00-04:00, 02:00-05:00 Europe/Madrid",
            "type": "string",
            "pattern": "^([A-Za-z,-]+ )?[0-9]{1,2}:[0-9]{2}-[0-9]{1,2}:[0-9]{2}( [A-Za-z0-9_+/-]+)?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows() {
        let (monday, saturday, sunday) = (0, 5, 6);
        for (text, written, inside, outside) in [
            ("02:00-05:00", "02:00-05:00", (monday, 120), (monday, 300)),
            ("22:00-04:00", "22:00-04:00", (monday, 0), (monday, 240)),
            ("sat,sun 22:00-04:00", "Sat,Sun 22:00-04:00", (monday, 239), (saturday, 10)),
            ("Mon-Fri 9:30-24:00", "Mon,Tue,Wed,Thu,Fri 09:30-24:00", (monday, 1439), (sunday, 600)),
            ("02:00-05:00 UTC", "02:00-05:00 UTC", (monday, 200), (monday, 100)),
            ("Sat 02:00-05:00 UTC", "Sat 02:00-05:00 UTC", (saturday, 200), (monday, 200)),
        ] {
            let window = Window::read(text).unwrap();
            assert_eq!(window.to_string(), written, "{text}");
            assert_eq!(Window::read(written).unwrap(), window, "{text}");
            assert!(window.contains(inside.0, inside.1), "{text}");
            assert!(!window.contains(outside.0, outside.1), "{text}");
        }
        for (text, now, opens) in [
            ("02:00-05:00 UTC", "2026-11-23T01:30:00Z[UTC]", Some(30)),
            ("02:00-05:00 UTC", "2026-11-23T02:00:00Z[UTC]", None),
            ("02:00-05:00 UTC", "2026-11-23T05:00:00Z[UTC]", Some(21 * 60)),
            ("22:00-04:00 UTC", "2026-11-23T03:59:00Z[UTC]", None),
            // A Monday, and the window begins on Saturdays.
            ("Sat 22:00-04:00 UTC", "2026-11-23T22:00:00Z[UTC]", Some(5 * 24 * 60)),
            ("Sat 22:00-04:00 UTC", "2026-11-22T03:00:00Z[UTC]", None),
            ("02:00-05:00", "2026-11-23T01:30:00+01:00[Europe/Madrid]", Some(30)),
            // The clocks go forward at 02:00: there is no 02:30 on that day, and 03:30 stands for it.
            ("02:30-05:00", "2026-03-29T01:30:00+01:00[Europe/Madrid]", Some(60)),
        ] {
            let now: Zoned = now.parse().unwrap();
            let opens = opens.map(|minutes| Duration::from_secs(minutes * 60));
            assert_eq!(Window::read(text).unwrap().opens_in(&now), opens, "{text} at {now}");
        }
        for wrong in [
            "",
            "2-5",
            "25:00-26:00",
            "02:00",
            "02:00-02:00",
            "Xyz 02:00-05:00",
            "02:00-05:00 Nowhere/City",
            "a b c d",
        ] {
            assert!(Window::read(wrong).is_err(), "{wrong}");
        }
    }
}
