//! The tree that an update goes on from: what it was, and where it no longer is.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};

use crate::limits::Limits;

use super::facts::{FactKind, Facts};
use super::index::Index;
use super::seal::Seal;
use super::stamps::{Stamp, Stamps};
use super::survey::{Look, State, Survey, survey};

/// A private tree that an update goes on from.
#[derive(Debug, Clone)]
pub struct Base {
    /// What was extracted into it.
    pub seal: Seal,
    /// By which changes since are noticed; without them the contents of all files are read.
    pub stamps: Option<Stamps>,
    /// Nobody can have written to it: it is not looked at at all.
    pub frozen: bool,
    /// What of it is put right.
    pub scope: Scope,
}

/// Where a base is not what its seal says: what is done about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Scope {
    /// All is put right, and what the seal does not have goes.
    #[default]
    All,
    /// These paths are put right. All else is left as it is, whatever became of it: for the repair of a version with data of its
    /// workload in it.
    Only(Arc<BTreeSet<Vec<u8>>>),
}

impl Scope {
    /// Leaves out what is none of the update's business.
    fn narrow(&self, facts: &Facts, survey: &mut Survey) {
        if let Self::Only(paths) = self {
            survey.deviations.retain(|&record, _| paths.contains(facts.path(record)));
            survey.extras.clear();
        }
    }
}

impl Base {
    /// An empty directory.
    pub fn empty() -> Self {
        let seal = Seal::new(&Index::new(&Limits::default()));
        Self { seal, stamps: None, frozen: false, scope: Scope::All }
    }
}

/// A base and what is known of it; looked at by a thread of its own until it is asked for.
#[derive(Debug)]
pub(super) struct Surveyed {
    pub(super) facts: Arc<Facts>,
    known: OnceLock<Known>,
    thread: Mutex<Option<JoinHandle<Survey>>>,
    stop: Arc<AtomicBool>,
}

/// What can be asked once the whole base was looked at.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) survey: Survey,
    usable: Vec<bool>,
}

/// A file of the base whose contents are known.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownFile {
    pub(super) record: usize,
    pub(super) size: u64,
    pub(super) hash: [u8; 32],
}

impl Surveyed {
    /// Begins to look at the base in `root`, without the name `ignored` in it.
    pub(super) fn new(
        root: PathBuf,
        facts: Arc<Facts>,
        frozen: bool,
        scope: Scope,
        ignored: Vec<u8>,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let look = {
            let (facts, stop) = (Arc::clone(&facts), Arc::clone(&stop));
            move || {
                let mut found = survey(&root, &facts, Look::Closer, &ignored, &stop);
                scope.narrow(&facts, &mut found);
                found
            }
        };
        let (known, mut thread) = (OnceLock::new(), None);
        if frozen {
            let _ = known.set(Known::new(&facts, Survey::default()));
        } else {
            match thread::Builder::new().name("survey".to_owned()).spawn(look.clone()) {
                Ok(started) => thread = Some(started),
                Err(_) => {
                    let _ = known.set(Known::new(&facts, look()));
                }
            }
        }
        Self { facts, known, thread: Mutex::new(thread), stop }
    }

    /// What was found; waits for it.
    pub(super) fn known(&self) -> &Known {
        self.known.get_or_init(|| match self.take_thread().map(JoinHandle::join) {
            Some(Ok(survey)) => Known::new(&self.facts, survey),
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Known::new(&self.facts, Survey::default()),
        })
    }

    fn take_thread(&self) -> Option<JoinHandle<Survey>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Surveyed {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.take_thread() {
            // The tree is not to be removed under its eyes.
            let _ = thread.join();
        }
    }
}

impl Known {
    fn new(facts: &Facts, survey: Survey) -> Self {
        Self { usable: survey.usable(facts), survey }
    }

    /// The file that the base has under this path, if its contents are known. `hint` is the record of the path before.
    pub(super) fn file(&self, facts: &Facts, path: &[u8], hint: usize) -> Option<KnownFile> {
        let record = facts.find(path, hint).filter(|&at| self.usable.get(at) == Some(&true))?;
        match facts.get(record)?.kind {
            FactKind::File { size, hash, .. } => Some(KnownFile { record, size, hash }),
            _ => None,
        }
    }

    /// The stamp of a record that was not touched by the update.
    pub(super) fn stamp(&self, facts: &Facts, record: usize) -> Stamp {
        match self.survey.deviations.get(&record).map(|deviation| deviation.state) {
            Some(State::Same(stamp) | State::Altered { stamp, .. }) => stamp,
            _ => facts.stamp(record),
        }
    }
}
