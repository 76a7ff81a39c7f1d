//! A model that finds nothing proves little: each of these rules is broken on purpose, and a named property has to notice.

use super::explore::explore;
use super::properties::Property;
use super::rules::{Rules, Scope};
use crate::layout::Slot;
use crate::slots::{Event, Link, Memory, Policy, Slots, Step, VerdictKind, decide};

/// States among which the counterexample has to be.
const NEAREST: usize = 40_000;

fn verdict_last(slots: &Slots, event: &Event, policy: &Policy) -> Vec<Step> {
    let mut steps = decide(slots, event, policy);
    if matches!(event, Event::TrialFailed { .. }) {
        steps.sort_by_key(|step| matches!(step, Step::Remember(_) | Step::MarkAttempt(_)));
    }
    steps
}

fn no_verdict(slots: &Slots, event: &Event, policy: &Policy) -> Vec<Step> {
    let mut steps = decide(slots, event, policy);
    if matches!(event, Event::TrialFailed { .. }) {
        steps.retain(|step| !matches!(step, Step::Remember(_)));
    }
    steps
}

fn count_last(slots: &Slots, event: &Event, policy: &Policy) -> Vec<Step> {
    let mut steps = decide(slots, event, policy);
    if *event == Event::Start {
        steps.sort_by_key(|step| matches!(step, Step::Remember(_)));
    }
    steps
}

fn with_memory(steps: &mut [Step], change: impl Fn(&mut Memory)) {
    for step in steps {
        if let Step::Remember(memory) = step {
            change(memory);
        }
    }
}

fn count_one(slots: &Slots, event: &Event, policy: &Policy) -> Vec<Step> {
    let mut slots = slots.clone();
    if let Some(trial) = &mut slots.memory.trial {
        trial.attempts = 0;
    }
    let mut steps = decide(&slots, event, policy);
    with_memory(&mut steps, |memory| {
        if let Some(trial) = &mut memory.trial {
            trial.attempts = 1;
        }
    });
    steps
}

fn blame(slots: &Slots, event: &Event, policy: &Policy) -> Vec<Step> {
    match event {
        Event::TrialFailed { reason, output, .. } => {
            let (kind, reason, output) = (VerdictKind::App, reason.clone(), output.clone());
            decide(slots, &Event::TrialFailed { kind, reason, output }, policy)
        }
        _ => decide(slots, event, policy),
    }
}

fn blame_interrupted(slots: &Slots, event: &Event, policy: &Policy) -> Vec<Step> {
    let mut steps = decide(slots, event, policy);
    if *event == Event::Start {
        with_memory(&mut steps, |memory| {
            for verdict in &mut memory.verdicts {
                verdict.kind = VerdictKind::App;
            }
        });
    }
    steps
}

fn no_way_back(slots: &Slots, event: &Event, policy: &Policy) -> Vec<Step> {
    let mut steps = decide(slots, event, policy);
    if *event == Event::Ready {
        steps.retain(|step| !matches!(step, Step::Point { slot: Slot::Previous, .. }));
    }
    steps
}

fn half_rollback(slots: &Slots, event: &Event, policy: &Policy) -> Vec<Step> {
    let mut steps = decide(slots, event, policy);
    if *event == Event::Start && matches!(slots.current, Link::Version(_)) {
        steps.retain(|step| !matches!(step, Step::Point { slot: Slot::Current, .. }));
    }
    steps
}

fn never_first(slots: &Slots, event: &Event, policy: &Policy) -> Vec<Step> {
    let mut steps = decide(slots, event, policy);
    steps.retain(|step| !matches!(step, Step::Move { from: Slot::Attempt, to: Slot::Current }));
    steps
}

fn commit_failures(slots: &Slots, event: &Event, policy: &Policy) -> Vec<Step> {
    match event {
        Event::TrialFailed { .. } => decide(slots, &Event::Ready, policy),
        _ => decide(slots, event, policy),
    }
}

fn remove_first(slots: &Slots, event: &Event, policy: &Policy) -> Vec<Step> {
    let mut steps = decide(slots, event, policy);
    if *event == Event::Ready && !steps.is_empty() {
        steps.insert(0, Step::Clear(Slot::Current));
    }
    steps
}

/// What is broken, and who has to notice.
fn mutants() -> Vec<(&'static str, Rules, Scope, Property)> {
    use Property::{I1, I3, I4, I5, I6, I7, I8, SecondOpinion};
    let calm = Scope::calm("mutant", 2);
    let power = Scope { power: true, ..calm };
    let tag = Scope { tag: true, ..power };
    let (trees, children) = (Scope { trees: true, ..calm }, Scope { children: true, ..calm });
    let by = |decide| Rules { decide, ..Rules::default() };
    let real = Rules::default;
    vec![
        ("the verdict is written after the link is removed", by(verdict_last), calm, I4),
        ("the verdict is not written", by(no_verdict), calm, I4),
        ("the attempt is counted after the rename", by(count_last), calm, SecondOpinion),
        ("every attempt is the first", by(count_one), power, I5),
        ("a trial that was killed is blamed on the version", by(blame), calm, I5),
        ("interruptions are blamed on the version", by(blame_interrupted), power, I5),
        ("a commit lays no way back", by(no_way_back), calm, I3),
        ("a rollback that was cut off stays so", by(half_rollback), power, I4),
        ("a first version is never installed", by(never_first), calm, I6),
        ("a failed trial is committed", by(commit_failures), calm, I1),
        ("entrypoint is removed and made again", by(remove_first), calm, SecondOpinion),
        ("a late word of an old run commits", Rules { generations: false, ..real() }, calm, I1),
        ("two supervisors have one place", Rules { place: false, ..real() }, calm, I7),
        ("a clean-up keeps nothing", Rules { clean_up_keeps: false, ..real() }, tag, I3),
        ("an input is taken while actions are under way", Rules { in_turn: false, ..real() }, trees, I8),
        (
            "children of the last version are not waited for",
            Rules { waits_for_empty: false, ..real() },
            children,
            I1,
        ),
    ]
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what this test is run for")]
fn each_broken_rule_is_noticed() {
    let mut missed = Vec::new();
    for (name, rules, scope, expected) in mutants() {
        let explored = explore(&rules, &scope, NEAREST, true);
        let found = explored.counterexamples.first().map(|found| &found.violation);
        match found {
            Some(violation) => println!("{name}: after {} states, {violation}", explored.states),
            None => println!("{name}: not in {} states", explored.states),
        }
        if found.map(|violation| violation.property) != Some(expected) {
            missed.push(format!("{name}: {expected:?} expected, found {found:?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
