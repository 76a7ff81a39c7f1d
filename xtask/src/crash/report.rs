//! What a run comes to: the table at its end, and the same for machines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

/// What was counted in one episode.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    pub(super) name: String,
    pub(super) operations: usize,
    pub(super) syncs: usize,
    /// States looked at, and how many of them are different from one another.
    pub(super) states: usize,
    pub(super) distinct: usize,
    /// Of crashes in recoveries from these states.
    pub(super) again_states: usize,
    pub(super) again_distinct: usize,
    /// States that the real binary recovered from.
    pub(super) recovered: usize,
    pub(super) bad: usize,
    pub(super) mutants: Mutants,
}

/// What became of mutants.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mutants {
    pub(super) caught: usize,
    /// They lead to no new state.
    pub(super) same: usize,
    /// New states that are as good: listed, with the reason.
    pub(super) listed: usize,
    pub(super) unknown: usize,
}

/// A run.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) episodes: Vec<Counts>,
    /// For each kind of sync: the invariants that need it, in how many places.
    pub(super) syncs: BTreeMap<String, BTreeMap<&'static str, usize>>,
    /// The harmless kinds of mutants that there were, with the reason, and how many.
    pub(super) listed: BTreeMap<(&'static str, &'static str), usize>,
    pub(super) bad: Vec<String>,
    pub(super) seconds: f64,
}

impl Report {
    pub(super) fn sum(&self) -> Counts {
        let mut sum = Counts { name: "all".into(), ..Counts::default() };
        for one in &self.episodes {
            sum.operations += one.operations;
            sum.syncs += one.syncs;
            sum.states += one.states;
            sum.distinct += one.distinct;
            sum.again_states += one.again_states;
            sum.again_distinct += one.again_distinct;
            sum.recovered += one.recovered;
            sum.bad += one.bad;
            sum.mutants.caught += one.mutants.caught;
            sum.mutants.same += one.mutants.same;
            sum.mutants.listed += one.mutants.listed;
            sum.mutants.unknown += one.mutants.unknown;
        }
        sum
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let mut text = format!(
            "{:<15} {:>6} {:>6} {:>8} {:>8} {:>8} {:>8} {:>9} {:>5}   {:>7} {:>5} {:>7} {:>8}\n",
            "episode",
            "calls",
            "syncs",
            "states",
            "distinct",
            "in rec.",
            "distinct",
            "recovered",
            "bad",
            "mutants",
            "same",
            "listed",
            "survived"
        );
        for row in self.episodes.iter().chain([&self.sum()]) {
            let all = row.mutants.caught + row.mutants.same + row.mutants.listed + row.mutants.unknown;
            // Writing to a string can't fail.
            let _ = writeln!(
                text,
                "{:<15} {:>6} {:>6} {:>8} {:>8} {:>8} {:>8} {:>9} {:>5}   {:>7} {:>5} {:>7} {:>8}",
                row.name,
                row.operations,
                row.syncs,
                row.states,
                row.distinct,
                row.again_states,
                row.again_distinct,
                row.recovered,
                row.bad,
                all,
                row.mutants.same,
                row.mutants.listed,
                row.mutants.unknown
            );
        }
        text
    }

    /// For machines.
    pub(super) fn json(&self) -> Value {
        let row = |row: &Counts| {
            json!({
                "episode": row.name, "operations": row.operations, "syncs": row.syncs,
                "states": row.states, "distinct": row.distinct,
                "states_in_recovery": row.again_states, "distinct_in_recovery": row.again_distinct,
                "recovered": row.recovered, "bad": row.bad,
                "mutants": {
                    "caught": row.mutants.caught, "same": row.mutants.same,
                    "listed": row.mutants.listed, "survived": row.mutants.unknown,
                },
            })
        };
        json!({
            "episodes": self.episodes.iter().map(row).collect::<Vec<_>>(),
            "sum": row(&self.sum()),
            "syncs": self.syncs,
            "bad": self.bad,
            "seconds": self.seconds,
        })
    }
}
