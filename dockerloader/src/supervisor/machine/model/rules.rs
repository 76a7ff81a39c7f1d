//! What the model is run with: the real rules, or one of them broken on purpose.

use crate::slots::{Decide, Policy, decide};

/// What is decided by whom.
#[derive(Clone)]
pub(super) struct Rules {
    pub(super) decide: Decide,
    pub(super) policy: Policy,
    /// Whether a `ready` of another run is refused.
    pub(super) generations: bool,
    /// Whether the supervisor's place is locked.
    pub(super) place: bool,
    /// Whether a clean-up keeps what slots name.
    pub(super) clean_up_keeps: bool,
    /// Whether an input that an action brings about waits until all actions are done.
    pub(super) in_turn: bool,
    /// Whether the machine waits for an empty process tree.
    pub(super) waits_for_empty: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            decide,
            policy: Policy::default(),
            generations: true,
            place: true,
            clean_up_keeps: true,
            in_turn: true,
            waits_for_empty: true,
        }
    }
}

/// What can happen, and how much of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope {
    pub(super) name: &'static str,
    /// Versions that the tag can mean.
    pub(super) versions: usize,
    /// The power goes at any time, and between any two steps.
    pub(super) power: bool,
    /// The disk is full, or has errors, from any step on.
    pub(super) disk: bool,
    /// Trees are lost or damaged, and restored or not.
    pub(super) trees: bool,
    /// `state.json` is lost.
    pub(super) memory: bool,
    /// Somebody puts something foreign in a slot's place.
    pub(super) foreign: bool,
    /// A person rolls back and forgets, with the supervisor and without.
    pub(super) operator: bool,
    /// A person pulls and cleans up beside the supervisor.
    pub(super) beside: bool,
    /// The tag moves after the update, also back.
    pub(super) tag: bool,
    /// Processes that outlive the main one.
    pub(super) children: bool,
    /// The supervisor looks at the registry itself.
    pub(super) polls: bool,
}

impl Scope {
    /// Nothing but a normal life.
    pub(super) const fn calm(name: &'static str, versions: usize) -> Self {
        Self {
            name,
            versions,
            power: false,
            disk: false,
            trees: false,
            memory: false,
            foreign: false,
            operator: false,
            beside: false,
            tag: false,
            children: false,
            polls: false,
        }
    }
}
