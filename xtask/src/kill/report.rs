//! The table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::bed::Outcome;
use super::case::Sweep;

/// What came of a sweep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Row {
    /// Points in an undisturbed run.
    counted: u32,
    cases: u32,
    /// The fault came; else the run was over before.
    fired: u32,
    bad: u32,
}

/// What came of all.
#[derive(Debug, Default)]
pub(super) struct Report {
    rows: BTreeMap<String, Row>,
    bad: Vec<(String, String, Vec<String>)>,
}

impl Report {
    pub(super) fn sweep(&mut self, sweep: Sweep, counted: u32) {
        self.rows.entry(format!("{}/{}", sweep.setting, sweep.fault)).or_default().counted = counted;
    }

    pub(super) fn take(&mut self, outcome: Outcome) {
        let row = self.rows.entry(format!("{}/{}", outcome.case.setting, outcome.case.fault)).or_default();
        row.cases += 1;
        row.fired += u32::from(outcome.at.is_some());
        if !outcome.problems.is_empty() {
            row.bad += 1;
            let at = outcome.at.unwrap_or_else(|| "the run was over before".to_owned());
            self.bad.push((outcome.case.to_string(), at, outcome.problems));
        }
    }

    pub(super) fn cases(&self) -> u32 {
        self.rows.values().map(|row| row.cases).sum()
    }

    pub(super) fn bad(&self) -> u32 {
        self.rows.values().map(|row| row.bad).sum()
    }

    /// The table as the documentation has it, and the bad cases.
    pub(super) fn text(&self) -> String {
        let mut text =
            String::from("| sweep | points | cases | fault came | unrecovered |\n|---|---|---|---|---|\n");
        for (name, Row { counted, cases, fired, bad }) in &self.rows {
            // Writing to a string can't fail.
            let _ = writeln!(text, "| {name} | {counted} | {cases} | {fired} | {bad} |");
        }
        for (case, at, problems) in &self.bad {
            let _ = writeln!(text, "\n{case} ({at})\n  {}", problems.join("\n  "));
        }
        let _ = write!(text, "\n{} cases, {} unrecovered", self.cases(), self.bad());
        text
    }

    pub(super) fn json(&self) -> Value {
        let rows = self.rows.iter().map(|(name, row)| {
            json!({ "sweep": name, "points": row.counted, "cases": row.cases, "fired": row.fired, "unrecovered": row.bad })
        });
        let bad = self
            .bad
            .iter()
            .map(|(case, at, problems)| json!({ "case": case, "at": at, "problems": problems }));
        json!({ "sweeps": rows.collect::<Vec<_>>(), "bad": bad.collect::<Vec<_>>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_sum() {
        let mut report = Report::default();
        for (n, problems) in [(1, vec![]), (2, vec!["it is gone".to_owned()])] {
            let case = format!("update/ext4/overlay/full/{n}").parse().expect("a case");
            report.take(Outcome { case, at: Some("puller 7: write".into()), problems });
        }
        let text = report.text();
        assert!(text.contains("| update/ext4/overlay/full | 0 | 2 | 2 | 1 |"), "{text}");
        assert!(text.contains("update/ext4/overlay/full/2 (puller 7: write)\n  it is gone"), "{text}");
        assert!(text.ends_with("2 cases, 1 unrecovered"), "{text}");
        assert_eq!(report.json()["bad"][0]["problems"][0], "it is gone");
    }
}
