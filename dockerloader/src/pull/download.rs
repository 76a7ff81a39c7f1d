//! Blobs from the registry into the store: several requests at a time, resumed, verified, tried again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::try_join_all;
use tokio::sync::Notify;

use crate::blobs::{Arrival, Blobs, CHUNK, Partial, Verified};
use crate::chunked::Candidate;
use crate::digest::Digest;
use crate::limits::Limits;
use crate::manifest::Descriptor;
use crate::progress::{Event, Progress};
use crate::reference::Reference;
use crate::registry::{self, Client};
use crate::remedy::Remedy;

use super::Error;
use super::assembly::{Assembling, Parts};
use super::requests::Requests;

/// Requests in flight at a time, over all blobs.
const REQUESTS: usize = 4;

/// Bytes between two progress events, at least.
const STEP: u64 = 256 << 10;

/// Fetches blobs of one reference.
pub(super) struct Downloader<'d> {
    pub(super) client: &'d Client,
    pub(super) reference: &'d Reference,
    pub(super) blobs: &'d Blobs,
    pub(super) progress: &'d dyn Progress,
    /// Counts the bytes that come from the registry, those that come twice or turn out to be wrong included.
    pub(super) fetched: &'d AtomicU64,
    pub(super) limits: &'d Limits,
    /// Blobs on disk that have a table of contents, for layers that have one.
    pub(super) candidates: Vec<Candidate>,
}

impl<'d> Downloader<'d> {
    /// Fetches one blob, which then has its name.
    pub(super) async fn fetch(&self, descriptor: &Descriptor) -> Result<(), Error> {
        let fetch = self.begin([descriptor], |_| {});
        fetch.run().await?;
        Ok(fetch.into_verified().into_iter().try_for_each(Verified::finish)?)
    }

    /// Prepares to fetch all of `wanted`, the first ones first. `opened` is told of each blob when its bytes begin to come
    /// in, and again when they begin anew.
    pub(super) fn begin<'f, F: Fn(Arrival)>(
        &'f self,
        wanted: impl IntoIterator<Item = &'f Descriptor>,
        opened: F,
    ) -> Fetch<'f, F> {
        let slots = wanted.into_iter().map(|blob| Slot::new(blob, self.assembling(blob))).collect();
        let state = State { slots, only: None, redone: false };
        Fetch { downloader: self, opened, state: Mutex::new(state), changed: Notify::new() }
    }

    /// Bytes that came from the registry so far.
    pub(super) fn fetched(&self) -> u64 {
        self.fetched.load(Ordering::Relaxed)
    }

    pub(super) fn retrying(&self, digest: &Digest, error: &dyn std::error::Error) {
        self.progress.event(Event::Retrying { digest: *digest, problem: error.to_string() });
    }
}

/// Blobs that are being fetched.
pub(super) struct Fetch<'f, F> {
    pub(super) downloader: &'f Downloader<'f>,
    opened: F,
    state: Mutex<State<'f>>,
    pub(super) changed: Notify,
}

struct State<'f> {
    slots: Vec<Slot<'f>>,
    /// The one blob that is still wanted, when the others are not.
    only: Option<Digest>,
    /// Whether bytes that were read turned out to be wrong.
    redone: bool,
}

/// One blob.
struct Slot<'f> {
    descriptor: &'f Descriptor,
    stage: Stage,
    /// Counts how often it was begun.
    generation: u32,
    requests: Requests,
    assembling: Assembling,
    /// Whether all bytes came from this download's sources, and none from an earlier time.
    is_fresh: bool,
    second_chance: bool,
    /// Bytes at the last progress event.
    told: u64,
}

enum Stage {
    Waiting,
    Open(Partial),
    Verifying,
    Verified(Verified),
}

/// Bytes of a blob that one request is to bring.
pub(super) struct Job {
    slot: usize,
    generation: u32,
    /// Tells the requests for a blob apart.
    pub(super) id: u64,
    pub(super) digest: Digest,
}

/// What there is to do.
enum Next {
    Bring(Job),
    Assemble(Job, Box<Parts>),
    Verify(usize, Partial),
    /// Nothing before something changes.
    Wait,
    /// Nothing any more.
    Over,
}

impl<'f> Slot<'f> {
    fn new(descriptor: &'f Descriptor, assembling: Assembling) -> Self {
        Self {
            descriptor,
            stage: Stage::Waiting,
            generation: 0,
            requests: Requests::default(),
            assembling,
            is_fresh: true,
            second_chance: true,
            told: 0,
        }
    }

    fn event(&mut self, progress: &dyn Progress, done: u64) {
        self.told = done;
        progress.event(Event::Blob { digest: self.descriptor.digest, done, total: self.descriptor.size });
    }
}

impl<'f, F: Fn(Arrival)> Fetch<'f, F> {
    /// Fetches and verifies the blobs. A connection that breaks is made again, from where it broke; bytes that turn out to
    /// be wrong are fetched once more from the start, from another source if there is one.
    pub(super) async fn run(&self) -> Result<(), Error> {
        try_join_all((0..REQUESTS).map(|_| self.work())).await.map(drop)
    }

    /// From now on fetches this blob alone.
    pub(super) fn only(&self, digest: &Digest) {
        self.state().only = Some(*digest);
        self.changed.notify_waiters();
    }

    /// Whether this is a blob whose bytes have not been found to be the right ones.
    pub(super) fn is_open(&self, digest: &Digest) -> bool {
        let state = self.state();
        let mut slots = state.slots.iter().filter(|slot| slot.descriptor.digest == *digest);
        slots.any(|slot| !matches!(slot.stage, Stage::Verified(_)))
    }

    /// Whether bytes turned out to be wrong after somebody had read them.
    pub(super) fn was_redone(&self) -> bool {
        self.state().redone
    }

    /// What was fetched and verified.
    pub(super) fn into_verified(self) -> Vec<Verified> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let stages = state.slots.into_iter().map(|slot| slot.stage);
        stages.filter_map(|stage| if let Stage::Verified(blob) = stage { Some(blob) } else { None }).collect()
    }

    fn state(&self) -> MutexGuard<'_, State<'f>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One connection's work.
    async fn work(&self) -> Result<(), Error> {
        loop {
            // Made before the look, so that no change between the two is missed.
            let changed = self.changed.notified();
            match self.next()? {
                Next::Bring(job) => {
                    let brought = self.bring(&job).await;
                    self.release(&job);
                    if let Err(error) = brought {
                        self.start_over(job.slot, job.generation, error)?;
                    }
                }
                Next::Assemble(job, parts) => {
                    if let Err(error) = self.assemble(&job, parts).await {
                        self.start_over(job.slot, job.generation, error)?;
                    }
                }
                Next::Verify(slot, partial) => self.verify(slot, partial).await?,
                Next::Wait => {
                    // Nothing was changed by waiting: two that tell each other of it would never sleep again.
                    changed.await;
                    continue;
                }
                Next::Over => return Ok(()),
            }
            self.changed.notify_waiters();
        }
    }

    fn next(&self) -> Result<Next, Error> {
        let mut state = self.state();
        let only = state.only;
        let mut is_busy = false;
        // One at a time: each has requests of its own.
        let may_assemble = !state.slots.iter().any(|slot| slot.assembling.is_under_way());
        for (index, slot) in state.slots.iter_mut().enumerate() {
            let digest = slot.descriptor.digest;
            if only.is_some_and(|only| only != digest) {
                continue;
            }
            if let Stage::Waiting = slot.stage {
                self.open(slot)?;
            }
            match &mut slot.stage {
                Stage::Verified(_) => continue,
                Stage::Open(_) if slot.assembling.is_under_way() => {}
                Stage::Open(partial) if slot.assembling.is_possible(partial) => {
                    if let Some(parts) = may_assemble.then(|| slot.assembling.begin()).flatten() {
                        let job = Job { slot: index, generation: slot.generation, id: 0, digest };
                        return Ok(Next::Assemble(job, parts));
                    }
                }
                Stage::Open(partial) if !partial.is_complete() => {
                    if let Some(id) = slot.requests.claim(partial)? {
                        return Ok(Next::Bring(Job { slot: index, generation: slot.generation, id, digest }));
                    }
                }
                stage @ Stage::Open(_) if slot.requests.is_empty() => {
                    if let Stage::Open(partial) = std::mem::replace(stage, Stage::Verifying) {
                        return Ok(Next::Verify(index, partial));
                    }
                }
                _ => {}
            }
            is_busy = true;
        }
        Ok(if is_busy { Next::Wait } else { Next::Over })
    }

    fn open(&self, slot: &mut Slot<'_>) -> Result<(), Error> {
        let descriptor = slot.descriptor;
        let partial = self.downloader.blobs.partial(&descriptor.digest, descriptor.size)?;
        slot.is_fresh = partial.present().is_empty();
        slot.requests = Requests::default();
        slot.event(self.downloader.progress, partial.present().total());
        (self.opened)(partial.arrival());
        slot.stage = Stage::Open(partial);
        Ok(())
    }

    fn release(&self, job: &Job) {
        if let Some(slot) =
            self.state().slots.get_mut(job.slot).filter(|slot| slot.generation == job.generation)
        {
            slot.requests.release(job.id);
        }
    }

    /// Does something with the blob of a job; `None` when the blob was begun anew since, or is not wanted any more.
    pub(super) fn with<T>(
        &self,
        job: &Job,
        act: impl FnOnce(&mut Requests, &mut Partial) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let mut state = self.state();
        let is_wanted = state.only.is_none_or(|only| only == job.digest);
        let slot =
            state.slots.get_mut(job.slot).filter(|slot| is_wanted && slot.generation == job.generation);
        let Some(slot) = slot else { return Ok(None) };
        let Stage::Open(partial) = &mut slot.stage else { return Ok(None) };
        let done = act(&mut slot.requests, partial)?;
        let present = partial.present().total();
        if present >= slot.told.saturating_add(STEP) {
            slot.event(self.downloader.progress, present);
        }
        Ok(Some(done))
    }

    /// Says what came of putting a blob together.
    pub(super) fn end_assembling(&self, job: &Job, assembling: Assembling) {
        let mut state = self.state();
        let slot = state.slots.get_mut(job.slot).filter(|slot| slot.generation == job.generation);
        if let Some(slot) = slot {
            slot.assembling = assembling;
        }
    }

    /// The blob of a job.
    pub(super) fn descriptor(&self, job: &Job) -> Option<&'f Descriptor> {
        self.state().slots.get(job.slot).map(|slot| slot.descriptor)
    }

    /// Hashes what is left to hash, and compares.
    async fn verify(&self, index: usize, mut partial: Partial) -> Result<(), Error> {
        while !partial.catch_up(CHUNK)? {
            // The others go on meanwhile.
            tokio::task::yield_now().await;
        }
        let arrival = partial.arrival();
        let verified = partial.verify();
        let mut state = self.state();
        let Some(slot) = state.slots.get_mut(index) else { return Ok(()) };
        match verified {
            Ok(verified) => {
                slot.event(self.downloader.progress, slot.descriptor.size);
                slot.assembling.tell(&slot.descriptor.digest, self.downloader.progress);
                slot.stage = Stage::Verified(verified);
                Ok(())
            }
            Err(error) => {
                let generation = slot.generation;
                state.redone |= arrival.was_read();
                drop(state);
                self.start_over(index, generation, error.into())
            }
        }
    }

    /// Begins a blob anew whose bytes are wrong, once; other errors are the caller's.
    fn start_over(&self, index: usize, generation: u32, error: Error) -> Result<(), Error> {
        if error.remedy() != Remedy::Corrupt {
            return Err(error);
        }
        let mut state = self.state();
        let Some(slot) = state.slots.get_mut(index).filter(|slot| slot.generation == generation) else {
            // Another request has found it out before.
            return Ok(());
        };
        let digest = slot.descriptor.digest;
        slot.generation += 1;
        let stage = std::mem::replace(&mut slot.stage, Stage::Waiting);
        let was_read = matches!(&stage, Stage::Open(partial) if partial.arrival().was_read());
        drop(stage);
        self.downloader.blobs.forget(&digest)?;
        let blamed = match &error {
            Error::Registry(registry::Error::Size { host, .. }) => Some(host),
            // Bytes of an earlier time may be what is wrong, and no host is to blame for them. Of several the first is
            // blamed: if it was another one, that shows when it sends all of them.
            _ => slot.requests.sources.first().filter(|_| slot.is_fresh),
        };
        let is_another_left = blamed.is_some_and(|host| self.downloader.client.report_corrupt(&digest, host));
        if !(std::mem::replace(&mut slot.second_chance, false) || is_another_left) {
            return Err(received(error, &slot.requests.sources));
        }
        self.downloader.retrying(&digest, &error);
        slot.assembling.give_up(&digest, &error);
        state.redone |= was_read;
        Ok(())
    }
}

/// An error about bytes, with those who sent them.
fn received(error: Error, sources: &[String]) -> Error {
    match error {
        Error::Blob(source) if !sources.is_empty() => Error::Received { hosts: sources.join(", "), source },
        other => other,
    }
}
