//! A second opinion on a decision: independent of how it came about, it refuses steps that could brick a device.

use super::decide::perform;
use super::state::{Link, Slots};
use super::step::Step;
use crate::digest::Digest;
use crate::layout::Slot;

/// Why a decision may not be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("refused to {step}: {why} (this is a defect of dockerloader; nothing was changed)")]
pub struct Objection {
    /// The step, as it stands in the log.
    pub step: String,
    /// What it would break.
    pub why: &'static str,
}

/// Walks through the steps.
///
/// # Errors
/// The first step that breaks a rule.
pub(super) fn check(before: &Slots, steps: &[Step]) -> Result<(), Objection> {
    let mut slots = before.clone();
    let runnable: Vec<Digest> =
        Slot::ALL.iter().filter_map(|slot| before.link(*slot).version()).map(|named| named.digest).collect();
    for step in steps {
        if let Some(why) = breaks(&slots, step, &runnable) {
            return Err(Objection { step: step.to_string(), why });
        }
        perform(&mut slots, step);
        if runnable_now(before) && !runnable_now(&slots) {
            return Err(Objection {
                step: step.to_string(),
                why: "no version could be started any more (I3)",
            });
        }
    }
    Ok(())
}

fn breaks(slots: &Slots, step: &Step, runnable: &[Digest]) -> Option<&'static str> {
    match step {
        Step::Clear(Slot::Current) => Some("entrypoint is replaced, never removed (I1)"),
        Step::SetAside(slot) if !matches!(slots.link(*slot), Link::Foreign(_)) => {
            Some("only what is not ours is set aside")
        }
        Step::Move { from, .. } if slots.link(*from).version().is_none() => {
            Some("there is no version to move that can be run (I1)")
        }
        Step::Move { from: Slot::Attempt, to: Slot::Attempting } => {
            let staged = slots.attempt.digest();
            let trial = slots.memory.trial.as_ref();
            let counted = trial.is_some_and(|trial| Some(trial.digest) == staged && trial.attempts > 0);
            let blocked = staged.is_some_and(|digest| {
                slots.memory.verdict(&digest).is_some_and(|verdict| verdict.retry_seconds().is_none())
            });
            if blocked {
                Some("a final verdict stands against this version (I4)")
            } else if counted {
                None
            } else {
                Some("the attempt has to be counted before it is made (I5)")
            }
        }
        Step::Move { from: Slot::Attempting, to: Slot::Current | Slot::Attempt }
        | Step::Move { from: Slot::Attempt, to: Slot::Current } => None,
        Step::Move { .. } => Some("no such transition"),
        // The way back may be laid to a version that only the trial's record names; entrypoint may not.
        Step::Point { slot: Slot::Current, version } if !runnable.contains(&version.digest) => {
            Some("entrypoint would name a version that is not on disk (I1)")
        }
        Step::Point { slot: Slot::Attempt | Slot::Attempting, .. } => {
            Some("versions are staged by a pull and tried by a move")
        }
        Step::Remember(_)
        | Step::MarkAttempt(_)
        | Step::UnmarkAttempt
        | Step::Point { .. }
        | Step::Clear(_)
        | Step::SetAside(_) => None,
    }
}

/// Whether something could be started as it stands.
fn runnable_now(slots: &Slots) -> bool {
    slots.current.version().is_some()
        || (slots.current.digest().is_none()
            && [Slot::Attempt, Slot::Attempting, Slot::Previous]
                .iter()
                .any(|slot| slots.link(*slot).version().is_some()))
}
