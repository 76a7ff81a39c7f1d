//! What can happen in a state.

use std::fmt;

use super::super::{Exit, Helper, STEADY};
use super::directory::{Held, Judged, Tree, VERSIONS, Version, index};
use super::puller::{CleanUp, Look, look};
use super::rules::Scope;
use super::state::{BASE, State};
use crate::layout::Slot;

/// Something that happens: to the machine, to the directory, or in the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happening {
    PowerOn,
    PowerCut,
    /// SIGTERM to the supervisor.
    Stop,
    /// The next deadline comes.
    Deadline,
    /// The version has run for long.
    LongRun,
    Ready,
    /// A `ready` that a version of before sent comes in late.
    OldReady,
    /// An application of the file contract commits by renaming its link.
    CommitsByRename,
    /// The application asks for an update.
    Asks,
    /// The main process ends; whether processes of its own outlive it.
    Ends(Exit, bool),
    LastChildEnds,
    RestoreEnds(bool),
    /// The look at a version's files ends; whether what is damaged can be repaired.
    VerifyEnds(bool),
    CheckFails,
    PullBegins {
        ours: bool,
    },
    PullStages,
    PullEnds,
    CleanUpBegins {
        ours: bool,
    },
    CleanUpRemoves,
    RollBack,
    Forget(Version),
    /// Another supervisor is started on the same directory.
    SecondSupervisor,
    PauseOver(Version),
    TagMoves(Version),
    TreeLost(Version),
    TreeDamaged(Version),
    MemoryLost,
    ForeignThing(Slot),
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PowerOn => write!(f, "the supervisor starts"),
            Self::PowerCut => write!(f, "the power goes"),
            Self::Stop => write!(f, "SIGTERM to the supervisor"),
            Self::Deadline => write!(f, "the next deadline comes"),
            Self::LongRun => write!(f, "the version has run for a minute"),
            Self::Ready => write!(f, "the version says that it is ready"),
            Self::OldReady => write!(f, "a run of before says that it is ready"),
            Self::CommitsByRename => write!(f, "the version renames its link to entrypoint"),
            Self::Asks => write!(f, "the version asks for an update"),
            Self::Ends(exit, false) => write!(f, "the version {exit}"),
            Self::Ends(exit, true) => write!(f, "the version {exit}, and leaves a child"),
            Self::LastChildEnds => write!(f, "the last child of the version ends"),
            Self::RestoreEnds(true) => write!(f, "the tree is rebuilt"),
            Self::RestoreEnds(false) => write!(f, "the tree can't be rebuilt"),
            Self::VerifyEnds(true) => write!(f, "the files are looked at, and repaired"),
            Self::VerifyEnds(false) => write!(f, "the files are looked at, and can't be repaired"),
            Self::CheckFails => write!(f, "the pull fails"),
            Self::PullBegins { ours: true } => write!(f, "the helper looks at the registry"),
            Self::PullBegins { ours: false } => write!(f, "a person's pull looks at the registry"),
            Self::PullStages => write!(f, "the pull stages the version"),
            Self::PullEnds => write!(f, "the pull ends"),
            Self::CleanUpBegins { ours: true } => write!(f, "the helper sees what may go"),
            Self::CleanUpBegins { ours: false } => write!(f, "a person's gc sees what may go"),
            Self::CleanUpRemoves => write!(f, "the clean-up removes it"),
            Self::RollBack => write!(f, "a person rolls back"),
            Self::Forget(version) => write!(f, "a person forgets the verdict on {version}"),
            Self::SecondSupervisor => write!(f, "a second supervisor starts"),
            Self::PauseOver(version) => write!(f, "the pause of {version} is over"),
            Self::TagMoves(version) => write!(f, "the tag moves to {version}"),
            Self::TreeLost(version) => write!(f, "the tree of {version} is lost"),
            Self::TreeDamaged(version) => write!(f, "the program of {version} is damaged"),
            Self::MemoryLost => write!(f, "state.json is lost"),
            Self::ForeignThing(slot) => write!(f, "somebody puts a file at {}", slot.name()),
        }
    }
}

/// Everything that can happen.
pub(super) fn happenings(state: &State, scope: &Scope) -> Vec<Happening> {
    use Happening as H;
    let mut all = Vec::new();
    world(state, scope, &mut all);
    beside(state, scope, &mut all);
    let Some(machine) = &state.live else {
        all.push(H::PowerOn);
        return all;
    };
    all.push(H::Stop);
    if scope.power {
        all.push(H::PowerCut);
    }
    if machine.deadline().is_some() {
        all.push(H::Deadline);
    }
    all.push(H::SecondSupervisor);
    if let Some(process) = state.process {
        if !process.main {
            all.push(H::LastChildEnds);
        } else if machine.has_killed() {
            all.push(H::Ends(Exit::Signal(9), false));
        } else if machine.is_stopping() {
            all.extend([H::Ends(Exit::Code(0), false), H::Ready]);
        } else {
            all.extend([0, 1, 42].map(|code| H::Ends(Exit::Code(code), false)));
            all.extend([H::Ends(Exit::Signal(9), false), H::Ready, H::OldReady]);
            if machine.waiting.is_empty() {
                all.push(H::Asks);
            }
            if scope.children {
                all.push(H::Ends(Exit::Code(1), true));
                all.push(H::Ends(Exit::Code(42), true));
            }
            if state.directory.held(Slot::Attempting) == Some(process.version) {
                all.push(H::CommitsByRename);
            }
            let is_news = machine.pauses > 0 || machine.restored.is_some();
            let young =
                machine.run().is_some_and(|run| run.trial_ends.is_none() && run.since + STEADY > BASE);
            if is_news && young {
                all.push(H::LongRun);
            }
        }
    }
    match state.helper {
        Some(Helper::Restore(_)) if state.store_is_free() => {
            all.push(H::RestoreEnds(true));
            if scope.trees {
                all.push(H::RestoreEnds(false));
            }
        }
        Some(Helper::Verify(..) | Helper::VerifyAll(_)) if state.store_is_free() => {
            all.push(H::VerifyEnds(true));
            if scope.trees {
                all.push(H::VerifyEnds(false));
            }
        }
        Some(Helper::Check) => {
            all.push(H::CheckFails);
            if state.store_is_free() {
                all.push(H::PullBegins { ours: true });
            }
        }
        Some(Helper::CleanUp) if state.store_is_free() => all.push(H::CleanUpBegins { ours: true }),
        _ => {}
    }
    all
}

/// What happens whether or not a supervisor is there.
fn world(state: &State, scope: &Scope, all: &mut Vec<Happening>) {
    use Happening as H;
    let directory = &state.directory;
    for version in Version::all(scope.versions) {
        let is_next = usize::from(state.tag.0) + 1 == version.number();
        if version != state.tag && (scope.tag || is_next) {
            all.push(H::TagMoves(version));
        }
        if directory.judged[version.number()] == Judged::Passing {
            all.push(H::PauseOver(version));
        }
        let is_told = directory.judged[version.number()] != Judged::No || directory.marker == Some(version);
        if scope.operator && is_told {
            all.push(H::Forget(version));
        }
        if scope.trees && directory.trees[version.number()] == Tree::Whole {
            all.extend([H::TreeLost(version), H::TreeDamaged(version)]);
        }
    }
    if scope.operator {
        all.push(H::RollBack);
    }
    let has_memory = directory.judged != [Judged::No; VERSIONS]
        || directory.trial.is_some()
        || directory.probation.is_some()
        || directory.crashes.is_some();
    if scope.memory && has_memory {
        all.push(H::MemoryLost);
    }
    if scope.foreign {
        let slots = Slot::ALL.into_iter().filter(|slot| directory.links[index(*slot)] != Held::Foreign);
        all.extend(slots.map(H::ForeignThing));
    }
}

/// What other programs do to the store.
fn beside(state: &State, scope: &Scope, all: &mut Vec<Happening>) {
    use Happening as H;
    match state.pulling {
        Some(puller) if puller.done => all.push(H::PullEnds),
        Some(_) => all.push(H::PullStages),
        None => {}
    }
    if state.cleaning.is_some() {
        all.push(H::CleanUpRemoves);
    }
    if scope.beside && state.store_is_free() {
        if look(&state.directory, state.tag) != Look::Skipped {
            all.push(H::PullBegins { ours: false });
        }
        let running = state.process.map(|process| process.version);
        let plan = CleanUp::plan(&state.directory, running, state.tag, false);
        if plan.doomed != [false; VERSIONS] {
            all.push(H::CleanUpBegins { ours: false });
        }
    }
}
