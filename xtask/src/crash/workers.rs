//! Many recoveries at once, by as many threads as there are processors.

use std::collections::HashSet;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::disk::Disk;
use super::explore::disk_at;
use super::history::Theatre;
use super::recover::{Depth, Ground, Violation};
use super::study::Study;
use crate::failure::{Context as _, Failure, Result};
use crate::interrupt;

/// A state to be recovered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job<'j, 's> {
    pub(super) study: &'j Study<'s>,
    /// Its number among the distinct states.
    pub(super) state: usize,
    pub(super) depth: Depth,
}

/// A state whose recovery was bad.
#[derive(Debug)]
pub(super) struct Finding {
    /// The job's number.
    pub(super) job: usize,
    pub(super) violation: Violation,
}

/// Recovers all of them.
pub(super) fn recover(jobs: &[Job<'_, '_>], theatre: &Theatre<'_>, root: &Path) -> Result<Vec<Finding>> {
    let found = Mutex::new(Vec::new());
    each(jobs.len(), theatre, root, "recovered", |ground, number| {
        let Job { study, state, depth } = jobs[number];
        let (key, place) = &study.explored.distinct[state];
        let disk = disk_at(&study.steps, place);
        let violation = ground.recover(&disk, &study.recorded, &study.known, &key.1, study.target, depth);
        // What keeps the test from being made is a finding as well: it is to be looked at.
        let violation = violation.unwrap_or_else(|failure| Some(("I6", failure.to_string())));
        if let Some(violation) = violation {
            locked(&found).push(Finding { job: number, violation });
        }
        Ok(())
    })?;
    let mut found = found.into_inner().unwrap_or_default();
    found.sort_by_key(|finding| finding.job);
    Ok(found)
}

/// Does something for each number, each thread in a directory of its own.
pub(super) fn each(
    count: usize,
    theatre: &Theatre<'_>,
    root: &Path,
    what: &str,
    work: impl Fn(&Ground<'_>, usize) -> Result + Sync,
) -> Result {
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(None::<Failure>));
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (next, failed, work) = (&next, &failed, &work);
            scope.spawn(move || {
                let directory = root.join(format!("ground-{thread}"));
                let ground = Ground { theatre, directory };
                let result =
                    std::fs::create_dir_all(&ground.directory).context("make a directory").and_then(|()| {
                        loop {
                            let number = next.fetch_add(1, Ordering::Relaxed);
                            if number >= count || interrupt::interrupted() {
                                return Ok(());
                            }
                            tell(what, number, count);
                            work(&ground, number)?;
                        }
                    });
                if let Err(failure) = result {
                    next.store(count, Ordering::Relaxed);
                    *locked(failed) = Some(failure);
                }
            });
        }
    });
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
    match failed.into_inner() {
        Ok(Some(failure)) => Err(failure),
        _ if interrupt::interrupted() => Err(Failure::new("interrupted")),
        _ => Ok(()),
    }
}

/// For whoever waits.
fn tell(what: &str, number: usize, count: usize) {
    if number.is_multiple_of(50) && std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K  {what}: {number} of {count}");
        let _ = std::io::stderr().flush();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The states of a study that differ in `class`, the first of each.
pub(super) fn representatives(study: &Study<'_>, class: impl Fn(&Disk) -> u128) -> Vec<usize> {
    let mut seen = HashSet::new();
    let of = |state: &usize| {
        let (key, place) = &study.explored.distinct[*state];
        (class(&disk_at(&study.steps, place)), key.1.clone())
    };
    (0..study.explored.distinct.len()).filter(|state| seen.insert(of(state))).collect()
}
