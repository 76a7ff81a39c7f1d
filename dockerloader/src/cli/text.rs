//! [`Status`] -> text for people: what runs, since when, what is next, what was rejected and why. Pure.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::logging::printable;
use crate::status::{Check, Condition, Health, Probation, Rejected, Status, Supervisor, Trees, Version};

/// Columns of the names at the left.
const LABEL: usize = 12;

/// Whether escape sequences for colours are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// Plain text.
    Off,
    /// For a terminal.
    On,
}

impl Colours {
    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::Off => text.to_owned(),
            Self::On => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }

    fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    fn quiet(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn label(self, text: &str) -> String {
        self.paint("1", text)
    }
}

/// The status at `now`, seconds since 1970.
pub fn status(status: &Status, now: u64, colours: Colours) -> String {
    let mut page = Page { text: String::new(), colours };
    page.row("target", &status.target.as_deref().map_or("not set (DOCKERLOADER_TARGET)".into(), printable));
    match &status.supervisor {
        Some(supervisor) => {
            let phase = colours.good(&printable(&supervisor.phase));
            page.row(
                "supervisor",
                &format!("process {}, {phase}: {}", supervisor.pid, printable(&supervisor.detail)),
            );
            page.row("running", &running(supervisor, colours));
        }
        None => page.row("supervisor", &colours.bad("none is alive on this data directory")),
    }
    let version = |found: &Version| version(found, now, colours);
    page.row("current", &status.current.as_ref().map_or_else(|| colours.bad("none"), version));
    for (label, slot) in
        [("on trial", &status.trying), ("staged", &status.staged), ("previous", &status.previous)]
    {
        if let Some(found) = slot {
            page.row(label, &version(found));
        }
    }
    if let Some(found) = &status.probation {
        page.row("probation", &probation(found));
    }
    if let Some(found) = &status.last_check {
        page.row("last check", &check(found, now, colours));
    }
    if let Some(found) = &status.trees {
        page.row("trees", &trees(found, colours));
    }
    for (number, line) in next(status).iter().enumerate() {
        page.row(if number == 0 { "next" } else { "" }, line);
    }
    for (number, found) in status.rejected.iter().enumerate() {
        page.row(if number == 0 { "rejected" } else { "" }, &rejected(found, now, colours));
        page.row("", &again(found, now));
        page.output(&found.output);
    }
    for (number, found) in status.health.iter().enumerate() {
        page.row(if number == 0 { "health" } else { "" }, &health(found, now, colours));
    }
    for (number, found) in status.findings.iter().enumerate() {
        page.row(if number == 0 { "findings" } else { "" }, &printable(found));
    }
    page.text
}

struct Page {
    text: String,
    colours: Colours,
}

impl Page {
    fn row(&mut self, label: &str, value: &str) {
        let padding = " ".repeat(LABEL.saturating_sub(label.len()));
        let label = if label.is_empty() { String::new() } else { self.colours.label(label) };
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{label}{padding}{value}");
    }

    /// Lines that a version wrote, set apart from ours.
    fn output(&mut self, lines: &[String]) {
        let bar = self.colours.quiet("|");
        for line in lines {
            let _ = writeln!(self.text, "{:LABEL$}  {bar} {}", "", printable(line));
        }
    }
}

fn running(supervisor: &Supervisor, colours: Colours) -> String {
    let Some(digest) = &supervisor.running else { return colours.bad("nothing") };
    let mut text = digest.short();
    if let Some(seconds) = supervisor.running_seconds {
        let _ = write!(text, " for {}", duration(seconds));
    }
    if let Some(pid) = supervisor.app_pid {
        let _ = write!(text, ", process {pid}");
    }
    match supervisor.starts {
        0 | 1 => {}
        starts => {
            let _ = write!(text, ", {starts} starts so far");
        }
    }
    text
}

fn version(version: &Version, now: u64, colours: Colours) -> String {
    let since = version.since.map_or_else(String::new, |at| format!(" since {}", moment(at, now)));
    // The path's first part is the same for all, and too long for a line.
    let inside = version.executable.split_once(&format!("{}/", version.digest));
    let program = inside.map_or(version.executable.as_str(), |(_, program)| program);
    format!("{}{since}, {}", version.digest.short(), colours.quiet(&printable(program)))
}

fn probation(probation: &Probation) -> String {
    let left = probation.seconds_left.map_or_else(String::new, |left| format!(", {} left", duration(left)));
    format!(
        "{}: {} of {} crashes that bring the previous version back{left}",
        probation.digest.short(),
        probation.crashes,
        probation.budget
    )
}

fn check(check: &Check, now: u64, colours: Colours) -> String {
    let outcome = printable(&check.outcome).replace('_', " ");
    let outcome = match check.outcome.as_str() {
        "up_to_date" | "staged" => colours.good(&outcome),
        _ => colours.bad(&outcome),
    };
    let digest = check.digest.as_ref().map_or_else(String::new, |digest| format!(" ({})", digest.short()));
    format!("{}: {outcome}{digest}: {}", moment(check.at, now), printable(&check.detail))
}

/// How trees are made, and what would be cheaper but does not work here.
fn trees(trees: &Trees, colours: Colours) -> String {
    if let Some(problem) = &trees.problem {
        return colours.bad(&printable(problem));
    }
    let Some(method) = trees.method else { return "extracted from their layers".to_owned() };
    match printable(&trees.probe.reasons()) {
        reasons if reasons.is_empty() => method.to_string(),
        reasons => format!("{method} ({reasons})"),
    }
}

/// What was found to be damaged, and what became of it.
fn health(health: &Health, now: u64, colours: Colours) -> String {
    let condition = match health.condition {
        Condition::Intact => colours.good("intact"),
        Condition::Repaired => colours.good("repaired"),
        Condition::Damaged => colours.bad("damaged"),
    };
    format!("{} {condition} {}: {}", health.digest.short(), moment(health.at, now), printable(&health.detail))
}

fn rejected(rejected: &Rejected, now: u64, colours: Colours) -> String {
    format!(
        "{} {} {}: {}",
        rejected.digest.short(),
        colours.bad(&printable(&rejected.kind)),
        moment(rejected.at, now),
        printable(&rejected.reason)
    )
}

/// Whether a rejected version is tried again, and what a person can do about it.
fn again(rejected: &Rejected, now: u64) -> String {
    match rejected.retry_seconds {
        Some(pause) => match rejected.at.saturating_add(pause).checked_sub(now) {
            Some(left) if left > 0 && rejected.at <= now => format!("tried again in {}", duration(left)),
            _ => "tried again at the next check".to_owned(),
        },
        None => format!("not tried again, unless: dockerloader forget {}", rejected.digest.short()),
    }
}

/// What happens by itself from here on.
fn next(status: &Status) -> Vec<String> {
    let mut lines = Vec::new();
    let Some(supervisor) = &status.supervisor else {
        let first = status.staged.as_ref().or(status.trying.as_ref());
        lines.push(match (first, &status.current) {
            (Some(version), Some(_)) => {
                format!("a supervisor that is started here tries {}", version.digest.short())
            }
            (Some(version), None) => {
                format!("a supervisor that is started here runs {}", version.digest.short())
            }
            (None, Some(version)) => {
                format!("a supervisor that is started here runs {}", version.digest.short())
            }
            (None, None) => "a supervisor that is started here installs what the target names".to_owned(),
        });
        return lines;
    };
    if let Some(milliseconds) = supervisor.trial_ends_in_ms {
        lines.push(format!(
            "the trial ends in {}, unless the application is ready before",
            duration(milliseconds.div_ceil(1000))
        ));
    }
    if let Some(staged) = &status.staged {
        lines.push(format!(
            "{} is tried when the application exits with 42 or is started anew",
            staged.digest.short()
        ));
    }
    if supervisor.pulling {
        lines.push("a pull is under way".to_owned());
    } else if let Some(seconds) = supervisor.next_check_seconds {
        lines.push(format!("the supervisor looks at the registry in {}", duration(seconds)));
    }
    if lines.is_empty() {
        lines.push("nothing, until the application asks for a check or ends".to_owned());
    }
    lines
}

/// A date, and how long ago that is if the clock went forward since.
fn moment(at: u64, now: u64) -> String {
    let date = i64::try_from(at).ok().and_then(|seconds| Timestamp::from_second(seconds).ok()).map_or_else(
        || format!("{at} s after 1970"),
        |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    );
    match now.checked_sub(at) {
        Some(age) => format!("{date} ({} ago)", duration(age)),
        None => date,
    }
}

/// Two units at most: `45 s`, `3 min 20 s`, `2 h 5 min`, `12 d 3 h`.
pub(super) fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let pair = |large: u64, large_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {large_unit}"),
        small => format!("{large} {large_unit} {small} {small_unit}"),
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => pair(minutes, "min", seconds % 60, "s"),
        (0, hours, minutes) => pair(hours, "h", minutes % 60, "min"),
        (days, hours, _) => pair(days, "d", hours % 24, "h"),
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
