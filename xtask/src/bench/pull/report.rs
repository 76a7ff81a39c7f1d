//! Figures as tables and as JSON. Pure.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::image::Facts;
use super::tools::{TOOLS, Tool};
use crate::bench::measure::Cost;

/// A pull that finds nothing new.
#[derive(Debug, Clone)]
pub(super) struct Again {
    pub(super) cost: Cost,
    /// What the registry was asked, by method.
    pub(super) requests: Vec<(String, usize)>,
}

/// All that was measured.
#[derive(Debug)]
pub(super) struct Report {
    facts: Facts,
    rounds: u32,
    cold: Vec<(Tool, Cost)>,
    again: Vec<(Tool, Again)>,
}

impl Report {
    pub(super) fn new(facts: Facts, rounds: u32) -> Self {
        Self { facts, rounds, cold: Vec::new(), again: Vec::new() }
    }

    pub(super) fn cold(&mut self, tool: Tool, cost: Cost) {
        self.cold.push((tool, cost));
    }

    pub(super) fn again(&mut self, tool: Tool, again: Again) {
        self.again.push((tool, again));
    }

    /// The section for the documentation.
    pub(super) fn markdown(&self, machine: &str, versions: &str) -> String {
        let mut text = format!(
            "{machine}. {versions}.\n\n\
             An image of {} files in 3 layers, {:.0} MB compressed and {:.0} MB as archives, from a registry on the same \
             machine; {} rounds, each into an empty place.\n\n",
            self.facts.files,
            self.facts.compressed as f64 / 1e6,
            self.facts.archives as f64 / 1e6,
            self.rounds,
        );
        let _ = text.write_str(
            "| cold | median s | min | max | ratio | then `sync`, median s | ratio with `sync` | CPU s | peak MB |\n\
             |---|---|---|---|---|---|---|---|---|\n",
        );
        for tool in TOOLS {
            let wall = |cost: &Cost| cost.wall.as_secs_f64();
            let whole = |cost: &Cost| (cost.wall + cost.sync).as_secs_f64();
            let [min, median, max] = spread(self.costs(tool).map(wall));
            let [_, sync, _] = spread(self.costs(tool).map(|cost| cost.sync.as_secs_f64()));
            let [_, processor, _] = spread(self.costs(tool).map(|cost| cost.processor.as_secs_f64()));
            let _ = writeln!(
                text,
                "| `{}` | {median:.2} | {min:.2} | {max:.2} | {:.2} | {sync:.2} | {:.2} | {processor:.2} | {:.1} |",
                tool.name(),
                self.ratio(tool, wall),
                self.ratio(tool, whole),
                self.peak(tool) as f64 / 1024.0,
            );
        }
        let _ = text
            .write_str("\n| nothing changed | median ms | min | max | requests |\n|---|---|---|---|---|\n");
        for tool in TOOLS {
            let [min, median, max] =
                spread(self.agains(tool).map(|again| again.cost.wall.as_secs_f64() * 1e3));
            let requests = self.agains(tool).last().map(|again| said(&again.requests)).unwrap_or_default();
            let _ = writeln!(
                text,
                "| `{}` | {median:.0} | {min:.0} | {max:.0} | {requests} |",
                tool.name_again()
            );
        }
        text
    }

    /// Everything, in seconds and bytes.
    pub(super) fn json(&self) -> Value {
        let cost = |cost: &Cost| {
            json!({
                "seconds": cost.wall.as_secs_f64(),
                "sync_seconds": cost.sync.as_secs_f64(),
                "cpu_seconds": cost.processor.as_secs_f64(),
                "peak_bytes": cost.memory * 1024,
            })
        };
        let cold = self.cold.iter().map(|(tool, found)| {
            let mut row = cost(found);
            row["tool"] = json!(tool.name());
            row
        });
        let again = self.again.iter().map(|(tool, found)| {
            let mut row = cost(&found.cost);
            row["tool"] = json!(tool.name_again());
            row["requests"] =
                found.requests.iter().map(|(method, count)| (method.clone(), json!(count))).collect();
            row
        });
        json!({
            "image": {
                "files": self.facts.files,
                "compressed_bytes": self.facts.compressed,
                "archive_bytes": self.facts.archives,
            },
            "rounds": self.rounds,
            "cold": cold.collect::<Vec<_>>(),
            "nothing_changed": again.collect::<Vec<_>>(),
        })
    }

    fn costs(&self, tool: Tool) -> impl Iterator<Item = &Cost> {
        self.cold.iter().filter(move |(found, _)| *found == tool).map(|(_, cost)| cost)
    }

    fn agains(&self, tool: Tool) -> impl Iterator<Item = &Again> {
        self.again.iter().filter(move |(found, _)| *found == tool).map(|(_, again)| again)
    }

    /// The tool's median to ours.
    fn ratio(&self, tool: Tool, figure: impl Fn(&Cost) -> f64) -> f64 {
        let [_, ours, _] = spread(self.costs(Tool::Ours).map(&figure));
        let [_, theirs, _] = spread(self.costs(tool).map(&figure));
        theirs / ours
    }

    fn peak(&self, tool: Tool) -> u64 {
        self.costs(tool).map(|cost| cost.memory).max().unwrap_or_default()
    }
}

/// Least, median and greatest; of an even number of figures the mean of the two in the middle.
fn spread(figures: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut sorted = figures.collect::<Vec<_>>();
    sorted.sort_by(f64::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
    let (low, high) = (sorted.len().saturating_sub(1) / 2, sorted.len() / 2);
    [at(0), f64::midpoint(at(low), at(high)), at(sorted.len().saturating_sub(1))]
}

/// `1 HEAD, 2 GET`.
fn said(requests: &[(String, usize)]) -> String {
    let each = requests.iter().map(|(method, count)| format!("{count} {method}"));
    let text = each.collect::<Vec<_>>().join(", ");
    if text.is_empty() { "none".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(spread([3.0, 1.0, 2.0].into_iter()), [1.0, 2.0, 3.0]);
        assert_eq!(spread([4.0, 1.0, 3.0, 2.0].into_iter()), [1.0, 2.5, 4.0]);
        assert_eq!(spread([7.0].into_iter()), [7.0; 3]);
        assert!(spread(std::iter::empty()).iter().all(|figure| figure.is_nan()));
    }

    #[test]
    fn ratios_are_to_ours_with_and_without_sync() {
        let cost = |wall, sync| Cost {
            wall: Duration::from_secs(wall),
            sync: Duration::from_secs(sync),
            processor: Duration::from_millis(1500),
            memory: 2048,
        };
        let mut report = Report::new(Facts { files: 9, compressed: 3_000_000, archives: 7_000_000 }, 1);
        for (tool, wall, sync) in [(Tool::Ours, 2, 0), (Tool::Docker, 5, 1), (Tool::SkopeoAndUmoci, 8, 2)] {
            report.cold(tool, cost(wall, sync));
            let requests = vec![("GET".to_owned(), 2), ("HEAD".to_owned(), 1)];
            report.again(tool, Again { cost: cost(1, 0), requests });
        }
        let text = report.markdown("1 core", "x 1.0");
        assert!(
            text.contains("| `docker pull` | 5.00 | 5.00 | 5.00 | 2.50 | 1.00 | 3.00 | 1.50 | 2.0 |"),
            "{text}"
        );
        assert!(text.contains("| `skopeo copy alone` | 1000 | 1000 | 1000 | 2 GET, 1 HEAD |"), "{text}");
        assert!(text.contains("9 files in 3 layers, 3 MB compressed and 7 MB as archives"), "{text}");
        let json = report.json();
        assert_eq!(json["cold"][1]["seconds"], 5.0);
        assert_eq!(json["nothing_changed"][2]["requests"]["GET"], 2);
    }
}
