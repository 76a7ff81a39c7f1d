//! Cases side by side: they mostly wait.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::case::Case;
use super::cell::Outcome;
use crate::failure::Result;
use crate::interrupt;

/// Runs all cases, so many at a time, and tells what is bad as it comes. In the order of the cases.
pub(super) fn run(cases: &[Case], jobs: usize, run: impl Fn(Case) -> Result<Outcome> + Sync) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Outcome)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(cases.len()) {
            scope.spawn(|| {
                while let Some((index, case)) = take(cases, &next) {
                    let outcome = run(case).unwrap_or_else(|failure| Outcome {
                        bad: vec![format!("it could not be run: {failure}")],
                        ..Outcome::default()
                    });
                    tell(case, &outcome);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push((index, outcome));
                    if done.len().is_multiple_of(50) {
                        println!("{} of {}", done.len(), cases.len());
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

fn take(cases: &[Case], next: &AtomicUsize) -> Option<(usize, Case)> {
    if interrupt::interrupted() {
        return None;
    }
    let index = next.fetch_add(1, Ordering::Relaxed);
    cases.get(index).map(|case| (index, *case))
}

fn tell(case: Case, outcome: &Outcome) {
    if outcome.bad.is_empty() {
        return;
    }
    let mut text = format!("BAD {}, expected: {}\n", case.name(), case.expectation());
    for bad in &outcome.bad {
        text.push_str(&format!("    {bad}\n"));
    }
    for line in &outcome.seen.said {
        text.push_str(&format!("    | {}\n", line.chars().take(400).collect::<String>()));
    }
    text.push_str(&format!("    again: cargo xtask faults --case {}\n", case.name()));
    print!("{text}");
}
