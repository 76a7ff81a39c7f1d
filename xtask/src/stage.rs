//! Stages, one after the other, and the table at the end.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::count::Count;
use crate::failure::Failure;
use crate::interrupt;

/// How a stage ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed(String),
    /// With the reason.
    Skipped(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    name: &'static str,
    verdict: Verdict,
    took: Duration,
    tests: Count,
}

/// The stages that have run.
#[derive(Debug, Default)]
pub(crate) struct Stages {
    rows: Vec<Row>,
}

impl Stages {
    /// Runs a stage. A stage that fails does not keep the later ones from running.
    pub(crate) fn run(
        &mut self,
        name: &'static str,
        stage: impl FnOnce(&mut Count) -> Result<Verdict, Failure>,
    ) -> &Verdict {
        println!("\n== {name}");
        let began = Instant::now();
        let mut tests = Count::default();
        let verdict = if interrupt::interrupted() {
            Verdict::Skipped("interrupted".into())
        } else {
            stage(&mut tests).unwrap_or_else(|failure| Verdict::Failed(failure.to_string()))
        };
        match &verdict {
            Verdict::Passed => {}
            Verdict::Failed(reason) => println!("{name} failed: {reason}"),
            Verdict::Skipped(reason) => println!("{name} skipped: {reason}"),
        }
        let row = Row { name, verdict, took: began.elapsed(), tests };
        self.rows.push(row);
        self.rows.last().map_or(&Verdict::Passed, |row| &row.verdict)
    }

    /// Whether no stage failed.
    pub(crate) fn passed(&self) -> bool {
        !self.rows.iter().any(|row| matches!(row.verdict, Verdict::Failed(_)))
    }

    /// The table, and as the last line the tests: a failed stage without failed tests counts as one.
    pub(crate) fn report(&self) -> String {
        let mut text = String::new();
        let mut total = Count::default();
        for Row { name, verdict, took, tests } in &self.rows {
            let word = match verdict {
                Verdict::Passed => "passed",
                Verdict::Failed(_) => "FAILED",
                Verdict::Skipped(_) => "skipped",
            };
            let count = match tests {
                Count { passed: 0, failed: 0, .. } => String::new(),
                count => {
                    format!("{} passed, {} failed, {} skipped", count.passed, count.failed, count.skipped)
                }
            };
            let line = format!("{name:<16} {word:<8} {:>7.1} s  {count}", took.as_secs_f64());
            // Writing to a string can't fail.
            let _ = writeln!(text, "{}", line.trim_end());
            total += *tests;
            if matches!(verdict, Verdict::Failed(_)) && tests.failed == 0 {
                total.failed += 1;
            }
        }
        let _ = write!(text, "\n{} passed, {} failed", total.passed, total.failed);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_ends_with_the_sum() {
        let mut stages = Stages::default();
        stages.run("good", |tests| {
            tests.passed = 3;
            Ok(Verdict::Passed)
        });
        assert!(stages.passed());
        stages.run("lint", |_| Err(Failure::new("untidy")));
        stages.run("bad", |tests| {
            (tests.passed, tests.failed) = (1, 2);
            Ok(Verdict::Failed("see above".into()))
        });
        stages.run("not", |_| Ok(Verdict::Skipped("asked for".into())));
        assert!(!stages.passed());
        let report = stages.report();
        assert!(report.ends_with("\n4 passed, 3 failed"), "{report}");
        assert_eq!(report.lines().filter(|line| line.contains("FAILED")).count(), 2, "{report}");
    }
}
