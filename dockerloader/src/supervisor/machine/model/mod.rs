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
mod past;
mod properties;
mod puller;
mod rules;
mod state;

use explore::explore;
use rules::{Rules, Scope};

/// The scopes that are explored to their ends, and the least number of states in each.
const SCOPES: [(Scope, usize); 7] = [
    (Scope { power: true, ..Scope::calm("power", 2) }, 1),
    (Scope { power: true, tag: true, polls: true, ..Scope::calm("polls", 2) }, 1),
    (Scope { disk: true, ..Scope::calm("disk", 2) }, 1),
    (Scope { power: true, operator: true, tag: true, ..Scope::calm("person", 2) }, 1),
    (Scope { beside: true, tag: true, power: true, ..Scope::calm("beside", 3) }, 1),
    (Scope { trees: true, power: true, ..Scope::calm("trees", 2) }, 1),
    (Scope { memory: true, foreign: true, children: true, ..Scope::calm("memory", 2) }, 1),
];

#[test]
fn every_state_keeps_every_promise() {
    let mut bad = 0;
    let only = std::env::var("SCOPE").ok();
    for (scope, floor) in SCOPES {
        if only.as_ref().is_some_and(|only| only != scope.name) { continue; }
        let began = std::time::Instant::now();
        let explored = explore(&Rules::default(), &scope, 100_000);
        println!(
            "{:10} {:>9} states {:>10} transitions, depth {:>3}, at rest after {:>2} inputs, {:?}",
            scope.name, explored.states, explored.transitions, explored.depth, explored.longest_calm, began.elapsed()
        );
        for found in &explored.counterexamples {
            println!("{}: {}\n{}", scope.name, found.violation, found.path);
            bad += 1;
        }
        assert!(explored.states >= floor);
    }
    assert_eq!(bad, 0);
}
