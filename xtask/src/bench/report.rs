//! Figures as tables and as JSON. Pure.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::image::Image;
use super::measure::Cost;
use crate::failure::{Failure, Result};
use crate::interrupt;

/// All that was measured in one case.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) case: &'static str,
    image: String,
    rounds: u32,
    fetched: &'static str,
    rows: Vec<Row>,
    /// What is not in the table, and why.
    remarks: Vec<(String, String)>,
}

#[derive(Debug)]
struct Row {
    name: String,
    costs: Vec<Cost>,
}

impl Table {
    pub(super) fn new(case: &'static str, image: &Image, rounds: u32) -> Self {
        let image = format!(
            "{} files in {} layers, {:.0} MB compressed and {:.0} MB as archives",
            image.files,
            image.blobs.len(),
            image.compressed as f64 / 1e6,
            image.archives as f64 / 1e6,
        );
        Self { case, image, rounds, fetched: "fetched MB", rows: Vec::new(), remarks: Vec::new() }
    }

    /// The bytes are those that were there before and were fetched once more.
    pub(super) fn fetched_again(mut self) -> Self {
        self.fetched = "fetched again MB";
        self
    }

    /// Adds a run.
    pub(super) fn add(&mut self, name: &str, cost: Cost) {
        eprintln!("  {name}: {:.2} s", cost.wall.as_secs_f64());
        match self.rows.iter_mut().find(|row| row.name == name) {
            Some(row) => row.costs.push(cost),
            None => self.rows.push(Row { name: name.to_owned(), costs: vec![cost] }),
        }
    }

    /// Adds a run, or says why there is none; only Ctrl-C ends everything.
    pub(super) fn take(&mut self, name: &str, cost: Result<Cost>) -> Result {
        match cost {
            Ok(cost) => self.add(name, cost),
            Err(failure) => self.expect(name, Err(failure))?,
        }
        Ok(())
    }

    /// Notes a failure, after which the tool does not run again in this case.
    pub(super) fn expect(&mut self, name: &str, done: Result) -> Result {
        match done {
            Err(failure) if interrupt::interrupted() => return Err(failure),
            Err(failure) => self.missing(name, &failure),
            Ok(()) => {}
        }
        Ok(())
    }

    /// Notes why something is not in the table.
    pub(super) fn missing(&mut self, name: &str, failure: &Failure) {
        if !self.has_failed(name) {
            eprintln!("  {name}: {failure}");
            self.remarks.push((name.to_owned(), failure.to_string()));
        }
    }

    pub(super) fn has_failed(&self, name: &str) -> bool {
        self.remarks.iter().any(|(failed, _)| failed == name)
    }

    /// Whether one of ours failed: a benchmark that is only tried out has to notice.
    pub(super) fn failure_of_ours(&self) -> Option<&str> {
        let ours = self.remarks.iter().find(|(name, _)| name.starts_with("dockerloader"));
        ours.map(|(_, reason)| reason.as_str())
    }

    /// The section for the documentation. Ratios are to the first row.
    pub(super) fn markdown(&self) -> String {
        let mut text = format!(
            "{}; {} {}: `cargo xtask bench --case {} --rounds {}`.\n\n\
             | | runs | median s | min | max | then `sync` | ratio | CPU s | peak MB | {} | written MB | requests |\n\
             |---|---|---|---|---|---|---|---|---|---|---|---|\n",
            self.image,
            self.rounds,
            if self.rounds == 1 { "round" } else { "rounds" },
            self.case,
            self.rounds,
            self.fetched,
        );
        let rows = self.ordered();
        let first = rows.first().map(|row| median(row, whole)).unwrap_or(f64::NAN);
        for row in rows {
            let [min, middle, max] = spread(row, |cost| cost.wall.as_secs_f64());
            let digits = if max < 1.0 { 3 } else { 2 };
            let written = row.costs.iter().all(|cost| cost.written.is_some());
            let _ = writeln!(
                text,
                "| {} | {} | {middle:.digits$} | {min:.digits$} | {max:.digits$} | {:.digits$} | {:.2} | {:.2} | {} | {:.1} | {} | {} |",
                row.name,
                row.costs.len(),
                median(row, |cost| cost.sync.as_secs_f64()),
                median(row, whole) / first,
                median(row, |cost| cost.processor.as_secs_f64()),
                shown(spread(row, |cost| cost.memory as f64 / 1024.0)[2]),
                median(row, |cost| cost.traffic.sent as f64 / 1e6),
                if written {
                    shown(median(row, |cost| cost.written.unwrap_or_default() as f64 / 1e6))
                } else {
                    "?".to_owned()
                },
                row.costs.last().map(|cost| cost.traffic.shown()).unwrap_or_default(),
            );
        }
        for (name, reason) in &self.remarks {
            let _ = writeln!(
                text,
                "\nNot measured: {name}: {}.",
                reason.lines().last().unwrap_or_default().trim()
            );
        }
        text
    }

    /// Every run, in seconds and bytes.
    pub(super) fn json(&self) -> Value {
        let cost = |cost: &Cost| {
            json!({
                "seconds": cost.wall.as_secs_f64(),
                "sync_seconds": cost.sync.as_secs_f64(),
                "cpu_seconds": cost.processor.as_secs_f64(),
                "peak_bytes": cost.memory * 1024,
                "fetched_bytes": cost.traffic.sent,
                "written_bytes": cost.written,
                "requests": cost.traffic.requests,
            })
        };
        let row =
            |row: &Row| json!({ "tool": row.name, "runs": row.costs.iter().map(cost).collect::<Vec<_>>() });
        let remark = |(name, reason): &(String, String)| json!({ "tool": name, "reason": reason });
        json!({
            "case": self.case,
            "image": self.image,
            "rounds": self.rounds,
            "fetched": self.fetched,
            "tools": self.ordered().into_iter().map(row).collect::<Vec<_>>(),
            "not_measured": self.remarks.iter().map(remark).collect::<Vec<_>>(),
        })
    }

    /// Ours first, then the others by what they are, whoever began.
    fn ordered(&self) -> Vec<&Row> {
        let mut rows = self.rows.iter().collect::<Vec<_>>();
        let rank = |row: &Row| {
            let ranks = ["dockerloader", "docker", "skopeo", "ctr", "tar", "physical"];
            ranks.iter().position(|start| row.name.starts_with(start)).unwrap_or(ranks.len())
        };
        rows.sort_by_key(|row| rank(row));
        rows
    }
}

fn whole(cost: &Cost) -> f64 {
    (cost.wall + cost.sync).as_secs_f64()
}

fn median(row: &Row, figure: impl Fn(&Cost) -> f64) -> f64 {
    spread(row, figure)[1]
}

/// Least, median and greatest; of an even number of figures the mean of the two in the middle.
fn spread(row: &Row, figure: impl Fn(&Cost) -> f64) -> [f64; 3] {
    let mut sorted = row.costs.iter().map(figure).collect::<Vec<_>>();
    sorted.sort_by(f64::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
    let (low, high) = (sorted.len().saturating_sub(1) / 2, sorted.len() / 2);
    [at(0), f64::midpoint(at(low), at(high)), at(sorted.len().saturating_sub(1))]
}

fn shown(megabytes: f64) -> String {
    if megabytes == 0.0 { "-".to_owned() } else { format!("{megabytes:.1}") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn image() -> Image {
        Image {
            digest: String::new(),
            blobs: vec!["a".into(), "b".into()],
            files: 9,
            compressed: 3_000_000,
            archives: 7_000_000,
        }
    }

    fn cost(wall: u64, sync: u64) -> Cost {
        let (wall, sync) = (Duration::from_secs(wall), Duration::from_secs(sync));
        let mut cost =
            Cost { wall, sync, processor: Duration::from_millis(1500), memory: 2048, ..Cost::default() };
        cost.traffic.requests.insert("GET".into(), 2);
        cost.traffic.sent = 3_000_000;
        cost.written = Some(4_000_000);
        cost
    }

    #[test]
    fn the_median_is_the_middle() {
        let row = |walls: &[u64]| Row {
            name: String::new(),
            costs: walls.iter().map(|wall| cost(*wall, 0)).collect(),
        };
        let wall = |cost: &Cost| cost.wall.as_secs_f64();
        assert_eq!(spread(&row(&[3, 1, 2]), wall), [1.0, 2.0, 3.0]);
        assert_eq!(spread(&row(&[4, 1, 3, 2]), wall), [1.0, 2.5, 4.0]);
        assert_eq!(spread(&row(&[7]), wall), [7.0; 3]);
        assert!(spread(&row(&[]), wall).iter().all(|figure| figure.is_nan()));
    }

    #[test]
    fn ours_is_the_first_row_and_ratios_are_to_it_with_the_sync() {
        let mut table = Table::new("cold-many", &image(), 2);
        table.add("docker pull", cost(5, 1));
        table.add("dockerloader pull", cost(2, 0));
        table.missing("ctr image pull", &Failure::new("it said:\nno such program"));
        let text = table.markdown();
        let rows = text.lines().filter(|line| line.starts_with("| d")).collect::<Vec<_>>();
        assert_eq!(
            rows,
            [
                "| dockerloader pull | 1 | 2.00 | 2.00 | 2.00 | 0.00 | 1.00 | 1.50 | 2.0 | 3.0 | 4.0 | 2 GET |",
                "| docker pull | 1 | 5.00 | 5.00 | 5.00 | 1.00 | 3.00 | 1.50 | 2.0 | 3.0 | 4.0 | 2 GET |",
            ]
        );
        assert!(
            text.contains("9 files in 2 layers, 3 MB compressed and 7 MB as archives; 2 rounds"),
            "{text}"
        );
        assert!(text.contains("Not measured: ctr image pull: no such program."), "{text}");
        assert_eq!(table.failure_of_ours(), None);
        assert_eq!(table.json()["tools"][1]["runs"][0]["seconds"], 5.0);
    }

    #[test]
    fn what_failed_is_noted_once() {
        let mut table = Table::new("top", &image(), 1);
        table.take("dockerloader pull", Err(Failure::new("one"))).expect("the others go on");
        table.take("dockerloader pull", Err(Failure::new("two"))).expect("the others go on");
        assert!(table.has_failed("dockerloader pull"));
        assert_eq!(table.failure_of_ours(), Some("one"));
    }
}
