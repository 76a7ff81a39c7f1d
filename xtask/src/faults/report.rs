//! The matrix, and the figures.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use super::case::Case;
use super::cell::Outcome;
use super::fault::Fault;
use super::observe::Seen;
use super::phase::Phase;
use crate::failure::{Context as _, Failure, Result};

/// What came of a run.
#[derive(Debug)]
pub(super) struct Report<'r> {
    rows: Vec<(Case, &'r Outcome)>,
    cases: usize,
    took: Duration,
}

/// Between these two lines of the page is the matrix.
const MARKS: [&str; 2] = ["<!-- matrix: cargo xtask faults --write -->", "<!-- end of matrix -->"];

impl<'r> Report<'r> {
    pub(super) fn new(cases: &[Case], done: &'r [Outcome], took: Duration) -> Self {
        Self { rows: cases.iter().copied().zip(done).collect(), cases: cases.len(), took }
    }

    /// Whether all cases ran and none was bad.
    pub(super) fn is_good(&self) -> bool {
        self.rows.len() == self.cases && self.rows.iter().all(|(_, outcome)| outcome.bad.is_empty())
    }

    /// The same for machines.
    pub(super) fn json(&self) -> serde_json::Value {
        let rows = self.rows.iter().map(|(case, outcome)| {
            serde_json::json!({
                "case": case.name(),
                "expected": case.expectation(),
                "bad": outcome.bad,
                "error": outcome.seen.error,
                "seconds": outcome.seen.took.as_secs_f64(),
                "requests": outcome.seen.requests,
                "bytes": outcome.seen.sent,
                "runs": outcome.runs,
            })
        });
        rows.collect()
    }

    fn of(&self, case: Case) -> Option<&Outcome> {
        self.rows.iter().find(|(other, _)| *other == case).map(|(_, outcome)| *outcome)
    }

    /// What stands in a cell of the matrix: what was expected and came, `BAD`, or nothing where it was not run.
    fn symbol(&self, fault: Fault, phase: Phase) -> String {
        match self.of(Case::Cell(fault, phase)) {
            Some(outcome) if !outcome.bad.is_empty() => "BAD".to_owned(),
            Some(_) => Case::Cell(fault, phase).symbol(),
            None => String::new(),
        }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| {:<22} |", "fault")?;
        Phase::ALL.iter().try_for_each(|phase| write!(f, " {phase:<8} |"))?;
        writeln!(f, "\n|{}{}", "-".repeat(24), "|----------".repeat(Phase::ALL.len()) + "|")?;
        for fault in Fault::ALL {
            let cells = Phase::ALL.map(|phase| self.symbol(*fault, phase));
            if cells.iter().all(String::is_empty) {
                continue;
            }
            write!(f, "| {fault:<22} |")?;
            cells.iter().try_for_each(|cell| write!(f, " {cell:<8} |"))?;
            writeln!(f)?;
        }
        let others = self.rows.iter().filter(|(case, _)| !matches!(case, Case::Cell(..)));
        for (index, (case, outcome)) in others.enumerate() {
            if index == 0 {
                writeln!(f, "\n| case | came | seconds | requests | bytes |\n|---|---|---|---|---|")?;
            }
            let came = if outcome.bad.is_empty() { case.symbol() } else { "BAD".to_owned() };
            let Seen { took, requests, sent, .. } = &outcome.seen;
            writeln!(f, "| {} | {came} | {:.1} | {requests} | {sent} |", case.name(), took.as_secs_f64())?;
        }
        let ran = self.rows.iter().filter(|(_, outcome)| outcome.runs > 0);
        let (mut cases, mut runs, mut longest) = (0, 0, Duration::ZERO);
        for (_, outcome) in ran {
            cases += 1;
            runs += outcome.runs;
            longest = longest.max(outcome.seen.took);
        }
        let bad = self.rows.iter().filter(|(_, outcome)| !outcome.bad.is_empty()).count();
        write!(
            f,
            "\n{cases} cases, {} that do not apply, {runs} runs of the program in {:.0} s, the longest {:.0} s: {bad} bad",
            self.rows.len() - cases,
            self.took.as_secs_f64(),
            longest.as_secs_f64()
        )
    }
}

/// Puts the matrix in its place in the page.
pub(super) fn write(path: &Path, text: &str) -> Result {
    let page = std::fs::read_to_string(path).context(format_args!("read {}", path.display()))?;
    let [begin, end] = MARKS;
    let parts = page.split_once(begin).and_then(|(before, rest)| Some((before, rest.split_once(end)?.1)));
    let (before, after) =
        parts.ok_or_else(|| Failure::new(format!("{} has no place for the matrix", path.display())))?;
    let page = format!("{before}{begin}\n\n{text}\n\n{end}{after}");
    std::fs::write(path, page).context(format_args!("write {}", path.display()))
}
