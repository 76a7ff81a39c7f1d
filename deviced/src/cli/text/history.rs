//! Versions that a container has run, and those that it was not left with.

use super::names::{short, version};
use super::table::{Table, cell, plain};
use super::{Tone, View, duration, moment};
use crate::report::{RanReport, VerdictReport};

/// The versions, the newest first, and the verdicts.
pub(in crate::cli) fn history(versions: &[RanReport], verdicts: &[VerdictReport], view: &View) -> String {
    let mut text = if versions.is_empty() {
        "It has run no version yet.\n".to_owned()
    } else {
        let mut versions: Vec<_> = versions.iter().collect();
        versions.sort_by_key(|ran| std::cmp::Reverse(ran.version.id));
        let mut table = Table::new(&["NUMBER", "VERSION", "DIGEST", "BEGAN", "RAN", "OUTCOME", "WHY"]);
        for ran in versions {
            let (outcome, tone) = outcome(ran);
            table.row(vec![
                plain(ran.version.id.map_or_else(String::new, |id| id.to_string())),
                plain(version(&ran.version)),
                plain(short(&ran.version.digest)),
                plain(minute(ran.began, view)),
                plain(length(ran, view)),
                cell(tone, outcome),
                cell(Tone::Quiet, reason(ran)),
            ]);
        }
        table.text(view)
    };
    if !verdicts.is_empty() {
        text.push_str(&format!("\n{}\n", view.paint(Tone::Strong, "Not left running:")));
        let mut table = Table::new(&["VERSION", "DIGEST", "WHEN", "WHY"]);
        let mut verdicts: Vec<_> = verdicts.iter().collect();
        verdicts.sort_by_key(|verdict| std::cmp::Reverse(verdict.at));
        for verdict in verdicts {
            table.row(vec![
                plain(super::names::tag(&verdict.version)),
                plain(short(&verdict.digest)),
                plain(minute(verdict.at, view)),
                cell(Tone::Bad, &verdict.text),
            ]);
        }
        text.push_str(&table.text(view));
    }
    text
}

/// A date without its seconds.
fn minute(at: i64, view: &View) -> String {
    let moment = moment(at, view);
    moment.rsplit_once(':').map_or(moment.clone(), |(minute, _)| minute.to_owned())
}

/// How long it ran.
fn length(ran: &RanReport, view: &View) -> String {
    let until = ran.ended.unwrap_or(view.now);
    until
        .checked_sub(ran.began)
        .and_then(|length| u64::try_from(length).ok())
        .map_or_else(String::new, duration)
}

fn outcome(ran: &RanReport) -> (&'static str, Tone) {
    match (&ran.failure, ran.ended) {
        (Some(_), _) => ("failed", Tone::Bad),
        (None, None) if ran.pinned => ("pinned", Tone::Warn),
        (None, None) if ran.probation == 0 => ("runs", Tone::Good),
        (None, None) => ("on probation", Tone::Warn),
        (None, Some(_)) => ("replaced", Tone::Plain),
    }
}

/// Who brought it and why, and what it failed with.
fn reason(ran: &RanReport) -> String {
    let who = if ran.who == "deviced" { String::new() } else { format!(", by {}", ran.who) };
    let failure = ran.failure.as_ref().map_or_else(String::new, |failure| format!("; {failure}"));
    format!("{}{who}{failure}", ran.cause)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn ran(id: i64, tag: &str, cause: &str, began: i64, ended: Option<i64>) -> RanReport {
        let digit = char::from_digit(u32::try_from(id).unwrap(), 16).unwrap();
        let version = crate::report::VersionReport { id: Some(id), ..sample::version("web", tag, digit) };
        let (cause, who) = (cause.to_owned(), "deviced".to_owned());
        RanReport { version, cause, who, began, ended, ..RanReport::default() }
    }

    #[test]
    fn versions_that_ran_and_those_that_were_not_left() {
        let now = sample::NOW;
        let mut failed = ran(8, "2.1.0", "another version", now - 9000, Some(now - 7200));
        failed.failure = Some("it crashed three times".into());
        let mut back = ran(10, "2.0.7", "somebody rolled back", now - 3600, None);
        (back.who, back.probation) = ("socket:0".into(), 120);
        let versions = [
            ran(7, "2.0.7", "there was none", now - 90_000, Some(now - 9000)),
            failed,
            ran(9, "2.0.7", "other options: ports", now - 7200, Some(now - 3600)),
            back,
        ];
        let verdicts = [VerdictReport {
            version: "2.1.1".into(),
            digest: sample::version("web", "2.1.1", 'd').digest,
            text: "it ended with 1 after 3 s".into(),
            at: now - 600,
            ..VerdictReport::default()
        }];
        assert_eq!(history(&versions, &verdicts, &sample::columns(100)), include_str!("golden/history.txt"));
        let narrow = history(&versions, &verdicts, &sample::columns(80));
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        assert_eq!(history(&[], &[], &sample::view()), "It has run no version yet.\n");
    }

    #[test]
    fn what_became_of_a_version() {
        let running = ran(1, "1.0", "", 0, None);
        assert_eq!(outcome(&running), ("runs", Tone::Good));
        assert_eq!(outcome(&RanReport { pinned: true, ..running.clone() }), ("pinned", Tone::Warn));
        assert_eq!(outcome(&RanReport { probation: 1, ..running.clone() }), ("on probation", Tone::Warn));
        assert_eq!(outcome(&RanReport { ended: Some(1), ..running }), ("replaced", Tone::Plain));
    }
}
