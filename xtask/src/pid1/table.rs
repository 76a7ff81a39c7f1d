//! The table of signals in `docs/operating.md`: what it promises is what is tried. Pure.

use std::collections::BTreeMap;

use crate::failure::{Failure, Result};

/// The largest signal number on Linux (`signal(7)`).
pub(super) const LAST: i32 = 64;
/// The head of the table.
const HEAD: &str = "| signals | process 1 | why |";

/// What process 1 does about a signal; its word in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Course {
    /// "stops": the application is asked by it, and its time runs.
    Stops,
    /// "passes on".
    PassesOn,
    /// "reaps": it means that a child ended.
    Reaps,
    /// "ignores".
    Ignores,
    /// "ends": no process can do anything about it.
    Ends,
    /// "stands still", likewise.
    StandsStill,
}

impl Course {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "stops" => Some(Self::Stops),
            "passes on" => Some(Self::PassesOn),
            "reaps" => Some(Self::Reaps),
            "ignores" => Some(Self::Ignores),
            "ends" => Some(Self::Ends),
            "stands still" => Some(Self::StandsStill),
            _ => None,
        }
    }
}

/// Reads the table of a page: each signal is in one row.
pub(super) fn parse(page: &str) -> Result<BTreeMap<i32, Course>> {
    let rows = page.lines().skip_while(|line| *line != HEAD).skip(2).take_while(|line| line.starts_with('|'));
    let mut courses = BTreeMap::new();
    for row in rows {
        let wrong = |what: &str| Failure::new(format!("the table of signals: {what}: {row}"));
        let mut cells = row.split('|').skip(1).map(str::trim);
        let (Some(signals), Some(word)) = (cells.next(), cells.next()) else {
            return Err(wrong("a row without cells"));
        };
        let course = Course::parse(word).ok_or_else(|| wrong("an unknown word"))?;
        for number in numbers(signals).ok_or_else(|| wrong("no numbers"))? {
            if courses.insert(number, course).is_some() {
                return Err(wrong(&format!("signal {number} once more")));
            }
        }
    }
    match (1..=LAST).find(|number| !courses.contains_key(number)) {
        None if courses.len() == 64 => Ok(courses),
        missing => Err(Failure::new(format!("the table of signals lacks {missing:?}, or has too many"))),
    }
}

/// `1 HUP, 10 USR1, 34-64` is 1, 10 and 34 to 64.
fn numbers(cell: &str) -> Option<Vec<i32>> {
    let mut numbers = Vec::new();
    for part in cell.split(',') {
        let word = part.split_whitespace().next()?;
        match word.split_once('-') {
            Some((first, last)) => numbers.extend(first.parse::<i32>().ok()?..=last.parse().ok()?),
            None => numbers.push(word.parse().ok()?),
        }
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_documentation_has_each_signal_once() {
        let page = std::fs::read_to_string(crate::workspace::root().join("docs/operating.md")).unwrap();
        let courses = parse(&page).unwrap();
        let of = |course| courses.values().filter(|found| **found == course).count();
        assert_eq!((of(Course::Stops), of(Course::Ends), of(Course::Reaps)), (3, 1, 1));
        assert_eq!(courses.values().filter(|course| **course == Course::PassesOn).count(), 47);
    }

    #[test]
    fn a_table_with_a_hole_or_a_repetition_is_refused() {
        let page = |rows: &str| format!("{HEAD}\n|---|---|---|\n{rows}\n\nmore\n");
        assert!(parse(&page("| 1-64 | passes on | all |")).is_ok());
        for rows in [
            "| 1-63 | passes on | |",
            "| 1-64 | passes on | |\n| 3 INT | stops | |",
            "| 1-64 | eats | |",
            "| X | stops | |",
        ] {
            assert!(parse(&page(rows)).is_err(), "{rows}");
        }
        assert_eq!(numbers("1 HUP, 10 USR1, 34-36"), Some(vec![1, 10, 34, 35, 36]));
    }
}
