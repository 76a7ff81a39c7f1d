//! A model of the whole protocol around the real decisions: the machine, `slots::decide`, `slots::check` and `gc::plan` as they are,
//! and around them a directory, a registry, an application that does what it likes, a second manager, a person, and faults between
//! any two steps. All states that can be reached are visited, and the invariants looked at in each.
//!
//! `directory` and `puller` are what lies on the disk and who else works on it, `ground` lets the machine act on it with a fault at any
//! step, `happening` lists what can happen, `state` says what becomes of it, `past` keeps what properties need to know, `properties` are
//! the invariants, `converge` is the one about coming to rest, `explore` visits all states.

mod converge;
mod directory;
mod explore;
mod ground;
mod happening;
mod mutants;
mod past;
mod properties;
mod puller;
mod rules;
mod state;

use explore::{Explored, explore};
use rules::{Rules, Scope};

/// Visits more than the nearest states of each scope: `full`.
const FULL: &str = "DOCKERLOADER_MODEL";
/// States of each scope that are visited else.
const NEAREST: usize = 2_500;
/// States of each scope that are visited then: all of the small ones, the nearest of the others.
const MOST: usize = 120_000;

/// The scopes, and at least how many states and transitions each has. What is not in one is in another: together, every kind of
/// happening meets every kind of fault that concerns it.
const SCOPES: [(Scope, usize, usize); 8] = [
    (Scope::calm("life", 2), 30_000, 190_000),
    (Scope { power: true, ..Scope::calm("power", 2) }, 46_000, 360_000),
    (Scope { disk: true, ..Scope::calm("disk", 2) }, NEAREST, NEAREST),
    (Scope { tag: true, polls: true, ..Scope::calm("polls", 2) }, NEAREST, NEAREST),
    (Scope { operator: true, ..Scope::calm("person", 2) }, NEAREST, NEAREST),
    (Scope { beside: true, ..Scope::calm("beside", 2) }, NEAREST, NEAREST),
    (Scope { trees: true, ..Scope::calm("trees", 2) }, NEAREST, NEAREST),
    (Scope { memory: true, foreign: true, children: true, ..Scope::calm("memory", 2) }, NEAREST, NEAREST),
];

fn tell(scope: &Scope, explored: &Explored, seconds: f64) -> String {
    let mut text = format!(
        "{:8} {:>8} states {:>9} transitions, farthest {:>2}, at rest after {:>2} inputs, {seconds:.1} s{}\n",
        scope.name,
        explored.states,
        explored.transitions,
        explored.depth,
        explored.longest_calm,
        if explored.complete { "" } else { ", not all" },
    );
    for found in &explored.counterexamples {
        text.push_str(&format!("{}: {}\n{}", scope.name, found.violation, found.path));
    }
    text
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what this test is run for")]
fn every_state_keeps_every_promise() {
    let full = std::env::var(FULL).is_ok_and(|value| value == "full");
    let (mut states, mut transitions, mut bad) = (0, 0, 0);
    for (scope, least_states, least_transitions) in SCOPES {
        let began = crate::clock::now();
        let explored = explore(&Rules::default(), &scope, if full { MOST } else { NEAREST }, false);
        println!("{}", tell(&scope, &explored, began.elapsed().as_secs_f64()).trim_end());
        states += explored.states;
        transitions += explored.transitions;
        bad += explored.counterexamples.len();
        if full {
            assert!(explored.complete || explored.states == MOST, "{}", scope.name);
            assert!(explored.states >= least_states, "{}: {}", scope.name, explored.states);
            assert!(explored.transitions >= least_transitions, "{}: {}", scope.name, explored.transitions);
        }
    }
    println!("{states} states, {transitions} transitions, {bad} bad");
    assert_eq!(bad, 0, "see above");
    assert!(states >= SCOPES.len() * NEAREST / 2, "{states}");
}
