//! Images are fetched beside everything else, if there is room for them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dockerloader::clock;
use dockerloader::digest::Digest;
use nix::sys::statvfs::statvfs;

use super::budget;
use super::state::{Loop, Pulling};
use super::wake::Wake;
use crate::choose::Offer;
use crate::engine::{Engine, Error, Progress};
use crate::plan::Step;
use crate::probe::Probe;
use crate::sources::Sources;

/// What one pull needs to know.
struct Task {
    image: String,
    platform: Option<String>,
    /// Where it can be had, the best first.
    offers: Vec<Offer>,
    /// What runs now: its layers are there.
    runs: Option<Offer>,
    /// Where the engine keeps its images.
    root: Option<PathBuf>,
    /// What was free when a pull of it ran out of room.
    too_little: Option<u64>,
}

/// Why an image did not come.
#[derive(Debug)]
pub(super) struct PullFailure {
    pub(super) text: String,
    /// The disk became full: so many bytes were free before.
    pub(super) ran_out: Option<u64>,
}

impl<E: Engine, P: Probe> Loop<E, P> {
    pub(super) fn pull(&mut self, step: &Step) {
        let Step::Pull { container, repository, digest } = step else { return };
        let (Ok(digest), Some(sources)) = (digest.parse::<Digest>(), self.sources.clone()) else { return };
        if let Some(pulling) = self.pulls.get_mut(&digest) {
            pulling.containers.insert(container.clone());
            return;
        }
        let too_little = match budget::begin(self.ran_out.get(&digest), !self.pulls.is_empty()) {
            Ok(too_little) => too_little,
            Err(why) => return self.failed_pulls.failed(digest, why.to_owned(), clock::now()),
        };
        let named = self.document.document.iter().flat_map(|document| &document.containers);
        let Some(named) = named.clone().find(|named| named.id == *container) else { return };
        let offers = self.offers.get(container).into_iter().flatten();
        let offers = offers.filter(|offer| offer.digest == digest && offer.registry != "engine");
        let mut offers: Vec<_> = offers.cloned().collect();
        if offers.is_empty() {
            // No tag leads to it any more: it is asked for by its digest where it was found.
            offers.push(found(repository, digest));
        }
        let runs = self.versions.get(container).and_then(|versions| versions.first());
        let task = Task {
            image: named.image.clone(),
            platform: named.run.platform.clone(),
            offers,
            runs: runs.map(|version| found(&version.target.repository, version.target.digest)),
            root: self.engine.facts.as_ref().and_then(|facts| facts.root.clone()).map(PathBuf::from),
            too_little,
        };
        let progress = Arc::new(Mutex::new(Progress::default()));
        let containers = BTreeSet::from([container.clone()]);
        let is_crowded = !self.pulls.is_empty();
        self.pulls.values_mut().for_each(|pulling| pulling.is_crowded = true);
        self.pulls.insert(digest, Pulling { containers, progress: Arc::clone(&progress), is_crowded });
        let (engine, wakes, container) =
            (Arc::clone(&self.device.engine), self.wakes.clone(), container.clone());
        tokio::spawn(async move {
            let result = bring(&*engine, &sources, &task, &progress).await;
            let _ = wakes.send(Wake::Pulled { container, digest, result }).await;
        });
    }
}

/// An offer of what is known by its digest alone.
fn found(repository: &str, digest: Digest) -> Offer {
    let host = repository.split('/').next().unwrap_or_default();
    Offer {
        entry: None,
        version: digest.to_string(),
        digest,
        repository: repository.to_owned(),
        registry: format!("https://{host}"),
        known_for: Duration::ZERO,
    }
}

/// Has the engine pull it. From where it came.
async fn bring<E: Engine>(
    engine: &E,
    sources: &Sources,
    task: &Task,
    progress: &Mutex<Progress>,
) -> Result<String, PullFailure> {
    let free = free(task);
    if let Some(free) = free
        && let Some(text) = shortage(sources, task, free).await
    {
        return Err(PullFailure { text, ran_out: None });
    }
    let mut problems = Vec::new();
    // Each offer by itself, then once more through the relay: what one registry broke off another one brings to its end.
    for (offer, attempt) in task.offers.iter().flat_map(|offer| [(offer, 0), (offer, 1)]) {
        let pulling = match sources.for_pull(&task.image, task.platform.as_deref(), offer, attempt).await {
            Ok(pulling) => pulling,
            Err(problem) => {
                problems.push(format!("{}: {}", problem.registry, problem.text));
                continue;
            }
        };
        let mut note = |now: Progress| *progress.lock().unwrap_or_else(PoisonError::into_inner) = now;
        match engine.pull(&pulling.pull, &mut note).await {
            Ok(_) => return Ok(pulling.from.clone()),
            // From another registry it takes the same room.
            Err(error @ Error::Full { .. }) => {
                return Err(PullFailure { text: format!("{}: {error}", pulling.from), ran_out: free });
            }
            Err(error) => problems.push(format!("{}: {error}", pulling.from)),
        }
    }
    Err(PullFailure { text: problems.join("; "), ran_out: None })
}

/// What is free where the engine keeps its images. Nothing where that can't be seen: then a pull itself has to find out.
fn free(task: &Task) -> Option<u64> {
    let disk = statvfs(task.root.as_deref()?).ok()?;
    Some(disk.blocks_available().saturating_mul(disk.fragment_size()))
}

/// Why there is no room for it. Where the manifest can't be looked at, the pull itself has to find out.
async fn shortage(sources: &Sources, task: &Task, free: u64) -> Option<String> {
    let offer = task.offers.first()?;
    let wanted = sources.layers(&task.image, task.platform.as_deref(), offer).await.ok()?;
    let there = match &task.runs {
        Some(runs) => sources.layers(&task.image, task.platform.as_deref(), runs).await.unwrap_or_default(),
        None => Vec::new(),
    };
    budget::shortage(&wanted, &there, free, task.too_little)
}
