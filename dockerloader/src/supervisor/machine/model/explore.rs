//! All states, the nearest first, so that the first path to a bad one is a shortest one.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Write as _;

use super::converge::Calm;
use super::directory::Held;
use super::ground::Fault;
use super::happening::{Happening, happenings};
use super::properties::Violation;
use super::rules::{Rules, Scope};
use super::state::State;
use crate::layout::Slot;

/// What was found.
#[derive(Debug)]
pub(super) struct Explored {
    pub(super) states: usize,
    pub(super) transitions: usize,
    /// Whether these are all.
    pub(super) complete: bool,
    /// The longest of all shortest ways to a state.
    pub(super) depth: usize,
    /// Inputs after which the last state stood still, without faults and without a registry.
    pub(super) longest_calm: usize,
    /// The first one of each kind.
    pub(super) counterexamples: Vec<Counterexample>,
}

/// A shortest way to a broken property.
#[derive(Debug)]
pub(super) struct Counterexample {
    pub(super) violation: Violation,
    /// In words.
    pub(super) path: String,
}

type Choice = (Happening, Fault);

/// Kinds of counterexamples after which it is enough.
const MOST: usize = 12;

impl Explored {
    /// Keeps the first counterexample of a kind: of a property, told in the same words about whatever version.
    fn note(&mut self, violation: Violation, path: impl FnOnce() -> String) {
        let kind = |violation: &Violation| {
            let words = violation.what.split(|c: char| !c.is_ascii_lowercase());
            (violation.property, words.filter(|word| word.len() > 2).take(6).collect::<Vec<_>>().join(" "))
        };
        let is_new = self.counterexamples.iter().all(|known| kind(&known.violation) != kind(&violation));
        if is_new {
            self.counterexamples.push(Counterexample { violation, path: path() });
        }
    }
}

/// Explores a scope to its end, or to the first broken property, or to so many states.
pub(super) fn explore(rules: &Rules, scope: &Scope, most_states: usize, first_only: bool) -> Explored {
    let most_found = if first_only { 1 } else { MOST };
    let first = State::new();
    let mut known: HashMap<u64, Option<(u64, Choice)>> = HashMap::from([(first.name(), None)]);
    let mut queue = VecDeque::from([(first, 0)]);
    let mut calm = Calm::default();
    let mut explored = Explored {
        states: 0,
        transitions: 0,
        complete: false,
        depth: 0,
        longest_calm: 0,
        counterexamples: Vec::new(),
    };
    while let Some((state, depth)) = queue.pop_front() {
        explored.states += 1;
        explored.depth = depth;
        let name = state.name();
        if let Err(violation) = calm.comes_to_rest(&state, rules, scope) {
            explored.note(violation, || tell(&known, name, None, rules, scope));
        }
        for happening in happenings(&state, scope) {
            let mut seen = HashSet::new();
            let mut faults = vec![Fault::None];
            while let Some(fault) = faults.pop() {
                let next = state.after(happening, fault, rules, scope, false);
                explored.transitions += 1;
                if let Some(violation) = next.violation {
                    explored.note(violation, || tell(&known, name, Some((happening, fault)), rules, scope));
                    // What comes after a broken property says nothing.
                    continue;
                }
                if fault == Fault::None {
                    faults.extend(all_faults(&state, next.steps, scope));
                }
                let found = next.state.name();
                if seen.insert(found) && !known.contains_key(&found) {
                    known.insert(found, Some((name, (happening, fault))));
                    queue.push_back((next.state, depth + 1));
                }
            }
        }
        if explored.states >= most_states || explored.counterexamples.len() >= most_found {
            break;
        }
    }
    explored.complete = queue.is_empty();
    explored.longest_calm = calm.longest;
    explored
}

/// Faults at each of so many steps.
fn all_faults(state: &State, steps: usize, scope: &Scope) -> Vec<Fault> {
    let mut faults = Vec::new();
    for step in 0..steps {
        if scope.power && step > 0 {
            faults.push(Fault::Cut(step));
        }
        if scope.disk {
            faults.extend([Fault::Full(step), Fault::Broken(step)]);
        }
        // Taking away what is no version takes along what is put in its place within the same instant; the next look stages it again.
        let is_clean = !state.directory.links.contains(&Held::Foreign)
            && state.directory.held(Slot::Attempt) == state.directory.runnable(Slot::Attempt);
        if is_clean && state.pulling.is_some_and(|puller| !puller.done) {
            faults.push(Fault::Staged(step));
        }
    }
    faults
}

/// The way to a state, and a last step from there, in words.
fn tell(
    known: &HashMap<u64, Option<(u64, Choice)>>,
    to: u64,
    last: Option<Choice>,
    rules: &Rules,
    scope: &Scope,
) -> String {
    let mut choices: Vec<Choice> = last.into_iter().collect();
    let mut at = to;
    while let Some(Some((before, choice))) = known.get(&at) {
        choices.push(*choice);
        at = *before;
    }
    let mut state = State::new();
    let mut text = String::new();
    for (number, (happening, fault)) in choices.into_iter().rev().enumerate() {
        let next = state.after(happening, fault, rules, scope, true);
        let _ = writeln!(text, "{:3}. {happening}", number + 1);
        for line in &next.narrated {
            let _ = writeln!(text, "{line}");
        }
        state = next.state;
        let doing = state.live.as_ref().map_or("off", |machine| machine.view(super::state::BASE).phase);
        let _ = writeln!(text, "     = {}  [{doing}]", state.directory);
    }
    text
}
