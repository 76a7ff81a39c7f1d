//! Versions that a container has run, and those that it was not left with.

use super::names::tag;
use super::table::{Table, cell, plain};
use super::{Tone, View, duration, moment};
use crate::history::{Verdict, Version};
use crate::swap::Cause;

/// The versions, the newest first, and the verdicts.
pub(in crate::cli) fn history(versions: &[Version], verdicts: &[Verdict], view: &View) -> String {
    let mut text = if versions.is_empty() {
        "It has run no version yet.\n".to_owned()
    } else {
        let mut versions: Vec<_> = versions.iter().collect();
        versions.sort_by_key(|version| std::cmp::Reverse(version.id));
        let mut table = Table::new(&["NUMBER", "VERSION", "DIGEST", "BEGAN", "RAN", "OUTCOME", "WHY"]);
        for version in versions {
            let (outcome, tone) = outcome(version);
            table.row(vec![
                plain(version.id.to_string()),
                plain(tag(&version.target.version)),
                plain(version.target.digest.short()),
                plain(minute(version.began, view)),
                plain(ran(version, view)),
                cell(tone, outcome),
                cell(Tone::Quiet, reason(version)),
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
                plain(tag(&verdict.version)),
                plain(verdict.digest.short()),
                plain(minute(verdict.at, view)),
                cell(Tone::Bad, &verdict.failure.text),
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

fn ran(version: &Version, view: &View) -> String {
    let until = version.ended.unwrap_or(view.now);
    until.checked_sub(version.began).and_then(|ran| u64::try_from(ran).ok()).map_or_else(String::new, duration)
}

fn outcome(version: &Version) -> (&'static str, Tone) {
    match (&version.failure, version.ended) {
        (Some(_), _) => ("failed", Tone::Bad),
        (None, None) if version.probation.is_zero() => ("runs", Tone::Good),
        (None, None) => ("on probation", Tone::Warn),
        (None, Some(_)) => ("replaced", Tone::Plain),
    }
}

/// Who brought it and why, and what it failed with.
fn reason(version: &Version) -> String {
    let cause = match &version.cause {
        Cause::Missing => "there was none".to_owned(),
        Cause::Version => "another version".to_owned(),
        Cause::Drift(drift) => {
            let fields: Vec<_> = drift.iter().map(|drift| drift.field.as_str()).collect();
            format!("other {}", fields.join(", "))
        }
        Cause::Namespace(other) => format!("{other} was replaced"),
        Cause::Broken(what) => what.clone(),
        Cause::Rollback => "rolled back".to_owned(),
        Cause::Adopted => "it was there already".to_owned(),
        Cause::Probation => "the next one failed in its probation".to_owned(),
    };
    let who = if version.who == "deviced" { String::new() } else { format!(", by {}", version.who) };
    let failure = version.failure.as_ref().map_or_else(String::new, |failure| format!("; {}", failure.text));
    format!("{cause}{who}{failure}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dockerloader::digest::Digest;

    use super::super::sample;
    use super::*;
    use crate::desired::Target;
    use crate::spec::{Spec, SpecHash};
    use crate::swap::{Drift, Failure, Reason};

    fn version(id: i64, tag: &str, cause: Cause, began: i64, ended: Option<i64>) -> Version {
        Version {
            id,
            container: "web".into(),
            target: Target {
                digest: Digest::from_bytes([u8::try_from(id).unwrap(); 32]),
                version: tag.into(),
                repository: "registry.example/acme/web".into(),
                image: None,
                spec: Spec::default(),
            },
            revision: 3,
            operation: "01JDH0000000000000000000AB".into(),
            cause,
            who: "deviced".into(),
            began,
            ended,
            failure: None,
            took: Duration::from_secs(12),
            probation: Duration::ZERO,
            crashes: 0,
        }
    }

    #[test]
    fn versions_that_ran_and_those_that_were_not_left() {
        let now = sample::NOW;
        let drift = Drift { field: "ports".into(), wanted: None, found: None };
        let mut failed = version(8, "2.1.0", Cause::Version, now - 9000, Some(now - 7200));
        failed.failure = Some(Failure { reason: Reason::App, text: "it crashed three times".into() });
        let mut back = version(10, "2.0.7", Cause::Rollback, now - 3600, None);
        (back.who, back.probation) = ("socket:0".into(), Duration::from_secs(120));
        let versions = [
            version(7, "2.0.7", Cause::Missing, now - 90_000, Some(now - 9000)),
            failed,
            version(9, "2.0.7", Cause::Drift(vec![drift]), now - 7200, Some(now - 3600)),
            back,
        ];
        let verdicts = [Verdict {
            container: "web".into(),
            digest: Digest::from_bytes([0xdd; 32]),
            version: "2.1.1".into(),
            spec: SpecHash("0".repeat(32)),
            failure: Failure { reason: Reason::App, text: "it ended with 1 after 3 s".into() },
            at: now - 600,
            attempts: 1,
            log: Vec::new(),
        }];
        assert_eq!(history(&versions, &verdicts, &sample::columns(100)), include_str!("golden/history.txt"));
        let narrow = history(&versions, &verdicts, &sample::columns(80));
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        assert_eq!(history(&[], &[], &sample::view()), "It has run no version yet.\n");
    }
}
