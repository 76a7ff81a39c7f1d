//! A replacement under way: what its stage is, what of it is done, what comes next. Each stage is found half done as well as untouched.

use super::scene::{Scene, is_up, is_wreck};
use super::{Decision, HooksEnd, Status, Step, begin, names, need, revert};
use crate::desired::Wanted;
use crate::engine::{Container, State};
use crate::health::{self, Proof};
use crate::swap::{Cause, Failure, INTERRUPTIONS, Reason, Stage, Swap};

/// A replacement with the containers that it is about.
#[derive(Clone, Copy)]
pub(super) struct Ongoing<'a> {
    pub(super) scene: Scene<'a>,
    pub(super) swap: &'a Swap,
    pub(super) old: Option<&'a Container>,
    pub(super) new: Option<&'a Container>,
}

impl<'a> Ongoing<'a> {
    pub(super) fn new(scene: Scene<'a>, swap: &'a Swap) -> Self {
        let old = swap.old.as_ref().and_then(|old| scene.observed.container(old));
        let new = scene.observed.made_by(&swap.container, &swap.operation, swap.old.as_ref());
        Self { scene, swap, old, new }
    }

    pub(super) fn record(&self, stage: Stage) -> Step {
        Step::Record(Swap { stage, ..self.swap.clone() })
    }

    fn failure(&self) -> Option<&'a super::Pause> {
        self.scene.known.failures.get(&self.swap.container)
    }

    pub(super) fn finish(&self) -> Step {
        Step::Finish { container: self.swap.container.clone() }
    }

    /// `1.4.2 -> 1.5.0, another version`.
    fn spoken(&self) -> String {
        format!("{}, {}", names::change(self.old, &self.swap.target), self.swap.cause)
    }

    fn act(&self, what: &str, steps: Vec<Step>) -> Decision {
        Decision::act(format!("{}: {what}", self.spoken()), steps)
    }

    fn wait(&self, what: &str, again: Option<std::time::Duration>) -> Decision {
        Decision::wait(format!("{}: {what}", self.spoken()), again)
    }
}

/// What comes next of a replacement.
pub(super) fn go_on(scene: Scene<'_>, wanted: &Wanted, swap: &Swap) -> Decision {
    let ongoing = Ongoing::new(scene, swap);
    match &swap.stage {
        Stage::Create => create(&ongoing, wanted),
        Stage::Hook => hook(&ongoing, wanted),
        Stage::Switch => switch(&ongoing),
        Stage::Prove => prove(&ongoing, wanted),
        Stage::Retire => retire(&ongoing, !wanted.hooks.post.is_empty()),
        Stage::Revert(failure) => revert::go_on(&ongoing, failure),
    }
}

/// What comes next of a replacement of what the document does not name any more: it is undone, unless it has proven itself.
pub(super) fn wind_up(scene: Scene<'_>, swap: &Swap) -> Decision {
    let ongoing = Ongoing::new(scene, swap);
    let why = "the document does not name it any more";
    match &swap.stage {
        Stage::Create | Stage::Hook => give_up(&ongoing, why),
        Stage::Switch | Stage::Prove => revert::begin(&ongoing, Failure::new(Reason::Interrupted, why), why),
        Stage::Retire => retire(&ongoing, false),
        Stage::Revert(failure) => revert::go_on(&ongoing, failure),
    }
}

fn create(ongoing: &Ongoing<'_>, wanted: &Wanted) -> Decision {
    if let Some(why) = given_up(ongoing, wanted) {
        return give_up(ongoing, &why);
    }
    if let Some(failure) = ongoing.failure() {
        let failure = Failure::new(Reason::Environment, failure.text.clone());
        return revert::begin(ongoing, failure, "it could not be created");
    }
    if ongoing.new.is_some_and(|new| is_wreck(new.state)) {
        return give_up(ongoing, "the new container is gone");
    }
    if ongoing.new.is_none() {
        return match begin::create(ongoing.scene, ongoing.swap) {
            Ok(create) => ongoing.act("the new container is created", vec![create]),
            Err(why) => give_up(ongoing, &why),
        };
    }
    let can_ask = ongoing.old.is_some_and(|old| old.state == State::Running);
    if let (false, true, Some(old)) = (wanted.hooks.pre.is_empty(), can_ask, ongoing.old) {
        let steps = vec![ongoing.record(Stage::Hook), Step::Hooks { id: old.id.clone(), before: true }];
        return ongoing.act("`pre` hooks are run", steps);
    }
    enter_switch(ongoing)
}

fn hook(ongoing: &Ongoing<'_>, wanted: &Wanted) -> Decision {
    if let Some(why) = given_up(ongoing, wanted) {
        return give_up(ongoing, &why);
    }
    if let Some(failure) = ongoing.failure() {
        let failure = Failure::new(Reason::Environment, failure.text.clone());
        return revert::begin(ongoing, failure, "its `pre` hooks could not be run");
    }
    match ongoing.scene.known.hooks.get(&ongoing.swap.container) {
        Some(HooksEnd::Done) => enter_switch(ongoing),
        Some(HooksEnd::NotNow(after)) => ongoing.wait("a `pre` hook said: not now", Some(*after)),
        Some(HooksEnd::Failed(text)) => {
            let failure = Failure::new(Reason::Environment, format!("a `pre` hook failed: {text}"));
            revert::begin(ongoing, failure, "a `pre` hook failed")
        }
        None => match ongoing.old.filter(|old| old.state == State::Running && !wanted.hooks.pre.is_empty()) {
            Some(old) => {
                let steps = vec![Step::Hooks { id: old.id.clone(), before: true }];
                ongoing.act("`pre` hooks are run", steps)
            }
            None => enter_switch(ongoing),
        },
    }
}

/// Why a replacement that has not stopped anything yet is not gone on with.
fn given_up(ongoing: &Ongoing<'_>, wanted: &Wanted) -> Option<String> {
    if let Some(why) = &wanted.paused {
        return Some(why.clone());
    }
    if wanted.stopped {
        return Some("somebody stopped it".to_owned());
    }
    if wanted.blocked.is_some() {
        return Some("its options have become wrong".to_owned());
    }
    if ongoing.swap.old.is_some() && ongoing.old.is_none() {
        return Some("what it replaces is gone".to_owned());
    }
    if !ongoing.scene.has_image(&ongoing.swap.target) {
        return Some("its image is not here any more".to_owned());
    }
    if ongoing.new.is_none() && ongoing.swap.stage == Stage::Hook {
        return Some("the new container is gone".to_owned());
    }
    let target = &ongoing.swap.target;
    let differs = |other: &crate::desired::Target| other.digest != target.digest || other.spec != target.spec;
    match need::replacement(ongoing.scene, wanted, ongoing.old) {
        Some((_, other)) if differs(&other) => Some(format!("{} is wanted now", other.version)),
        Some(_) => None,
        // Its window has closed: it waits for the next one.
        None if wanted.target.as_ref().is_ok_and(|wanted| !differs(wanted))
            && waits(ongoing, wanted).is_some() =>
        {
            None
        }
        // An even better one has to be fetched first.
        None if wanted.meanwhile.as_ref().is_some_and(|best| !differs(best)) => None,
        None => Some("it is not needed any more".to_owned()),
    }
}

fn waits(ongoing: &Ongoing<'_>, wanted: &Wanted) -> Option<std::time::Duration> {
    need::closed(ongoing.scene, wanted, ongoing.old?)
}

/// Nothing was stopped: the new container goes, and that was it.
fn give_up(ongoing: &Ongoing<'_>, why: &str) -> Decision {
    // What can't be removed now is found again by its label.
    let new = ongoing.new.filter(|new| ongoing.failure().is_none() && new.state != State::Removing);
    // Somebody may have started it by hand.
    let stop = new.filter(|new| is_up(new.state)).map(|new| Step::Stop(new.id.clone()));
    let remove = new.map(|new| Step::Remove(new.id.clone()));
    ongoing
        .act(&format!("given up: {why}"), stop.into_iter().chain(remove).chain([ongoing.finish()]).collect())
}

fn enter_switch(ongoing: &Ongoing<'_>) -> Decision {
    let mut steps = vec![ongoing.record(Stage::Switch)];
    steps.extend(switch_steps(ongoing));
    ongoing.act("the new version takes the old one's place", steps)
}

fn switch(ongoing: &Ongoing<'_>) -> Decision {
    let Some(new) = ongoing.new.filter(|new| !is_wreck(new.state)) else {
        let failure = Failure::new(Reason::Environment, "its container is gone");
        return revert::begin(ongoing, failure, "the new container is gone");
    };
    if let Some(failure) = ongoing.failure() {
        let inspection = ongoing.scene.inspection(new).filter(|inspection| !inspection.error.is_empty());
        let failure = inspection.map_or_else(
            || Failure::new(Reason::Environment, failure.text.clone()),
            |inspection| health::not_started(inspection.exit_code, &inspection.error),
        );
        return revert::begin(ongoing, failure, "it could not be started");
    }
    ongoing.act("the new version takes the old one's place", switch_steps(ongoing))
}

/// What is still to be done: old stopped and renamed aside, new gets the name and is started; then it is watched. Docker refuses to rename some
/// that run (their network's sandbox can't be found, once they were started again), and none that has stopped: so that comes first.
fn switch_steps(ongoing: &Ongoing<'_>) -> Vec<Step> {
    let (scene, swap) = (ongoing.scene, ongoing.swap);
    let mut steps = Vec::new();
    let Some(new) = ongoing.new else { return steps };
    let movable = ongoing.old.filter(|old| !is_wreck(old.state));
    let room: Vec<_> = movable.iter().map(|old| &old.id).chain([&new.id]).collect();
    let name = names::current(scene, &swap.container, &swap.operation, &room);
    steps.extend(ongoing.old.filter(|old| is_up(old.state)).map(|old| Step::Stop(old.id.clone())));
    if let Some(old) = movable
        && old.name == name
    {
        let name = names::old(scene, &swap.container, &swap.operation, &old.id);
        steps.push(Step::Rename { id: old.id.clone(), name });
    }
    if new.name != name {
        steps.push(Step::Rename { id: new.id.clone(), name });
    }
    if new.state != State::Running {
        steps.push(Step::Start(new.id.clone()));
    }
    steps.push(ongoing.record(after_switch(ongoing)));
    steps
}

/// What has worked before, and replaces nothing that could come back, has nothing to prove: if it does not run well, the cause is elsewhere.
fn after_switch(ongoing: &Ongoing<'_>) -> Stage {
    let is_restored = need_not_prove(ongoing.scene, ongoing.swap);
    if is_restored { Stage::Retire } else { Stage::Prove }
}

/// See [`after_switch`].
pub(super) fn need_not_prove(scene: Scene<'_>, swap: &Swap) -> bool {
    let restores = matches!(swap.cause, Cause::Missing | Cause::Broken(_) | Cause::Namespace(_));
    restores && scene.has_worked(&swap.container, &swap.target)
}

fn prove(ongoing: &Ongoing<'_>, wanted: &Wanted) -> Decision {
    let Some(new) = ongoing.new.filter(|new| !is_wreck(new.state)) else {
        return revert::begin(ongoing, health::gone(), "the new container is gone");
    };
    // An engine that was restarted may have started the old one too.
    let stop = ongoing.old.filter(|old| is_up(old.state)).map(|old| Step::Stop(old.id.clone()));
    match ongoing.scene.known.proofs.get(&ongoing.swap.container) {
        Some(Proof::Proven) => {
            let mut steps = vec![ongoing.record(Stage::Retire)];
            steps.extend(retire_steps(ongoing, !wanted.hooks.post.is_empty()));
            ongoing.act("it has proven itself", steps)
        }
        Some(Proof::Failed(failure))
            if failure.reason == Reason::Interrupted && ongoing.swap.interrupted + 1 < INTERRUPTIONS =>
        {
            let interrupted = ongoing.swap.interrupted + 1;
            let mut steps = vec![Step::Record(Swap { interrupted, ..ongoing.swap.clone() })];
            steps.extend(stop);
            steps.extend((new.state != State::Running).then(|| Step::Start(new.id.clone())));
            ongoing.act(&format!("watched anew: {}", failure.text), steps)
        }
        Some(Proof::Failed(failure)) => revert::begin(ongoing, failure.clone(), &failure.text),
        seen => {
            let what = match seen {
                Some(Proof::Waiting(what)) => what.as_str(),
                _ => "it is watched",
            };
            let again = ongoing.failure().map(|failure| failure.left);
            // Who was watched was started, unless somebody put it back.
            let start = (new.state == State::Created).then(|| Step::Start(new.id.clone()));
            let steps = if again.is_none() { stop.into_iter().chain(start).collect() } else { Vec::new() };
            Decision { status: Status::Proving, steps, again, ..ongoing.act(what, Vec::new()) }
        }
    }
}

fn retire(ongoing: &Ongoing<'_>, has_hooks: bool) -> Decision {
    if let Some(failure) = ongoing.failure() {
        if is_committed(ongoing) {
            // What can't be removed now is found again by its label.
            return ongoing.act("done, except for what can't be removed yet", vec![ongoing.finish()]);
        }
        return ongoing.wait(&failure.text, Some(failure.left));
    }
    if ongoing.new.is_none() {
        if is_committed(ongoing) {
            // The old one may be all that there is: it is what is current now.
            return ongoing.act("done, but its container is gone", vec![ongoing.finish()]);
        }
        return revert::begin(ongoing, health::gone(), "the new container is gone");
    }
    ongoing.act("it has proven itself", retire_steps(ongoing, has_hooks))
}

fn is_committed(ongoing: &Ongoing<'_>) -> bool {
    let versions = ongoing.scene.versions(&ongoing.swap.container);
    versions.first().is_some_and(|version| version.operation == ongoing.swap.operation)
}

fn retire_steps(ongoing: &Ongoing<'_>, has_hooks: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    if !is_committed(ongoing) {
        let asked = ongoing.new.filter(|new| new.state == State::Running && has_hooks);
        steps.extend(asked.map(|new| Step::Hooks { id: new.id.clone(), before: false }));
        steps.push(Step::Commit { container: ongoing.swap.container.clone() });
    }
    if let Some(old) = ongoing.old {
        steps.extend(is_up(old.state).then(|| Step::Stop(old.id.clone())));
        steps.extend((old.state != State::Removing).then(|| Step::Remove(old.id.clone())));
    }
    steps.push(ongoing.finish());
    steps
}
