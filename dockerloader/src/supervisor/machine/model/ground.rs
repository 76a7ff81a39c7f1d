//! The ground of the real machine: the real decisions, the real second opinion, and a fault at any step.

use super::super::{ApplyError, Event, Ground};
use super::directory::{Directory, TODAY};
use super::puller::Puller;
use super::rules::Rules;
use crate::digest::Digest;
use crate::slots::{Place, Policy, Slots, Step, carry_out};

/// What goes wrong while an input is dealt with. Steps are counted over the whole input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fault {
    None,
    /// The power goes before this step.
    Cut(usize),
    /// From this step on nothing can be written; renames and removals still work, as on a full disk.
    Full(usize),
    /// From this step on nothing can be changed at all, as on a disk with errors.
    Broken(usize),
    /// Before this step another process stages the version that it pulls.
    Staged(usize),
}

/// One input's view of the directory.
pub(super) struct Faulty<'a> {
    pub(super) directory: Directory,
    pub(super) puller: Option<Puller>,
    pub(super) rules: &'a Rules,
    pub(super) fault: Fault,
    /// Steps so far.
    pub(super) step: usize,
    /// The power is gone: nothing that follows happens.
    pub(super) dark: bool,
    /// A step could not be performed.
    pub(super) failed: bool,
    /// What the second opinion objected to.
    pub(super) objection: Option<String>,
    /// Each step, for people, when somebody wants to know.
    pub(super) narrated: Option<Vec<String>>,
    /// The directory after each step, for properties that hold all the time.
    pub(super) seen: Vec<Directory>,
}

impl Faulty<'_> {
    /// Whether a step may be performed; an error otherwise.
    fn meet(&mut self, step: &Step) -> Result<(), std::io::ErrorKind> {
        let at = self.step;
        let needs_room = matches!(step, Step::Remember(_) | Step::MarkAttempt(_) | Step::Point { .. });
        match self.fault {
            Fault::Cut(cut) if at >= cut => {
                self.dark = true;
                Err(std::io::ErrorKind::Other)
            }
            Fault::Full(from) if at >= from && needs_room => Err(std::io::ErrorKind::StorageFull),
            Fault::Broken(from) if at >= from => Err(std::io::ErrorKind::Other),
            Fault::Staged(before) if at == before => {
                if let Some(puller) = self.puller.as_mut() {
                    puller.stage(&mut self.directory);
                    self.seen.push(self.directory);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Place for Faulty<'_> {
    fn read(&mut self) -> Result<Slots, ApplyError> {
        Ok(self.directory.slots())
    }

    fn perform(&mut self, step: &Step) -> Result<(), ApplyError> {
        if let Err(kind) = self.meet(step) {
            self.failed = true;
            if let Some(told) = &mut self.narrated {
                told.push(format!(
                    "        ({step}: {})",
                    if self.dark { "the power goes" } else { "fails" }
                ));
            }
            return Err(ApplyError::Step { step: step.to_string(), source: kind.into() });
        }
        self.step += 1;
        self.directory.perform(step);
        self.seen.push(self.directory);
        if let Some(told) = &mut self.narrated {
            told.push(format!("        {step}"));
        }
        Ok(())
    }
}

impl Ground for Faulty<'_> {
    fn act(&mut self, event: &Event) -> Result<Slots, ApplyError> {
        if self.dark {
            return Ok(self.directory.slots());
        }
        let policy = Policy { now: TODAY.into(), ..self.rules.policy.clone() };
        let decide = self.rules.decide;
        let acted = carry_out(self, event, &policy, decide);
        if let Err(ApplyError::Objection(objection)) = &acted {
            self.objection = Some(format!("{event:?}: {objection}"));
        }
        acted
    }

    fn slots(&mut self) -> Slots {
        self.directory.slots()
    }

    fn prepare(&mut self, _version: &Digest) -> Result<(), String> {
        Ok(())
    }

    fn output(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn out_of_memory(&mut self) -> bool {
        false
    }
}
