//! The table, for people and for machines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::differential::Compared;
use super::{Cell, User};

/// Rows with their cells side by side: one line for a row when all compressions end alike. In the short mode only the bad ones.
pub(super) fn table(cells: &[Cell], quick: bool) -> String {
    let mut rows: BTreeMap<(&str, &str), Vec<&Cell>> = BTreeMap::new();
    for cell in cells {
        rows.entry((cell.kind, &cell.row)).or_default().push(cell);
    }
    let mut text = String::new();
    for ((kind, name), cells) in rows {
        if !quick {
            let _ = write!(text, "{kind:<10} {name:<42}");
            for user in User::BOTH {
                let _ = write!(text, " {}: {:<40}", user.name(), outcomes(&cells, user));
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        for cell in cells {
            for problem in &cell.problems {
                let _ = writeln!(text, "BAD {name} {} as {}: {problem}", cell.compression, cell.user.name());
            }
        }
    }
    text
}

/// What became of a row as this user, each outcome with its compressions unless there is but one.
fn outcomes(cells: &[&Cell], user: User) -> String {
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    for cell in cells.iter().filter(|cell| cell.user == user) {
        match found.iter_mut().find(|(outcome, _)| *outcome == cell.outcome) {
            Some((_, compressions)) => compressions.push(cell.compression),
            None => found.push((&cell.outcome, vec![cell.compression])),
        }
    }
    let all =
        matches!(found.as_slice(), [(_, compressions)] if compressions.len() == 3 || *compressions == [""]);
    let show = |(outcome, compressions): &(&str, Vec<&str>)| {
        if all { (*outcome).to_owned() } else { format!("{outcome} ({})", compressions.join(", ")) }
    };
    found.iter().map(show).collect::<Vec<_>>().join("; ")
}

pub(super) fn differential(compared: &Compared, seed: u64) -> String {
    let mut text = String::new();
    for (number, difference) in &compared.differences {
        let _ = writeln!(text, "BAD archive-{number} (--seed {seed} --case archive-{number}): {difference}");
    }
    text
}

pub(super) fn summary(cells: &[Cell], compared: Option<&Compared>, took: Duration) -> String {
    let mut text = String::new();
    for kind in ["layer", "odd layer", "image"] {
        let of_kind: Vec<_> = cells.iter().filter(|cell| cell.kind == kind).collect();
        let names: std::collections::BTreeSet<_> = of_kind.iter().map(|cell| &cell.row).collect();
        let bad = of_kind.iter().filter(|cell| !cell.problems.is_empty()).count();
        if !of_kind.is_empty() {
            let _ =
                writeln!(text, "{kind:<10} {:>4} rows {:>5} cells, {bad} bad", names.len(), of_kind.len());
        }
    }
    if let Some(peak) = cells.iter().max_by_key(|cell| cell.peak).filter(|cell| cell.peak > 0) {
        let _ = writeln!(text, "most memory: {} KiB, by {} in {}", peak.peak, peak.row, peak.compression);
    }
    if let Some(compared) = compared {
        let _ = writeln!(
            text,
            "generated  {:>4} archives: {} paths compared with GNU tar, {} with umoci, {} differences",
            compared.archives,
            compared.paths_of_tar,
            compared.paths_of_umoci,
            compared.differences.len()
        );
    }
    let _ = write!(text, "{:.1} s", took.as_secs_f64());
    text
}

pub(super) fn json(cells: &[Cell], compared: Option<&Compared>) -> String {
    let cells: Vec<Value> = cells
        .iter()
        .map(|cell| {
            json!({
                "row": cell.row,
                "kind": cell.kind,
                "compression": cell.compression,
                "user": cell.user.name(),
                "outcome": cell.outcome,
                "problems": cell.problems,
                "peak_kib": cell.peak,
            })
        })
        .collect();
    let compared = compared.map(|compared| {
        json!({
            "archives": compared.archives,
            "paths_of_tar": compared.paths_of_tar,
            "paths_of_umoci": compared.paths_of_umoci,
            "differences": compared.differences,
        })
    });
    json!({ "cells": cells, "generated": compared }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(compression: &'static str, user: User, outcome: &str) -> Cell {
        let (row, outcome) = ("x".into(), outcome.into());
        Cell { row, kind: "layer", compression, user, outcome, problems: Vec::new(), peak: 7 }
    }

    #[test]
    fn equal_cells_are_one() {
        let mut cells: Vec<_> =
            ["plain", "gzip", "zstd"].map(|name| cell(name, User::Root, "refused: A")).into();
        cells.push(cell("gzip", User::Nobody, "refused: A"));
        cells.push(cell("zstd", User::Nobody, "refused: B"));
        let text = table(&cells, false);
        assert!(text.contains("root: refused: A  "), "{text}");
        assert!(text.trim_end().ends_with("user: refused: A (gzip); refused: B (zstd)"), "{text}");
        assert_eq!(table(&cells, true), "");
        cells[0].problems.push("why".into());
        assert_eq!(table(&cells, true), "BAD x plain as root: why\n");
        assert!(
            summary(&cells, None, Duration::from_secs(1))
                .starts_with("layer         1 rows     5 cells, 1 bad\n")
        );
    }
}
