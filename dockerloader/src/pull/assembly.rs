//! Layers that are put together from what is on disk, as a part of their download.

use crate::blobs::{Arrival, Partial};
use crate::chunked::{self, Assembly, Candidate, Origin, Source};
use crate::digest::Digest;
use crate::manifest::Descriptor;
use crate::progress::{Event, Progress};
use crate::registry::retry::Attempts;
use crate::remedy::Remedy;

use super::Error;
use super::download::{Downloader, Fetch, Job};
use super::part::CATCH_UP;

/// A blob of which fewer bytes are missing is had at once.
const SMALL: u64 = 256 << 10;

/// How far a blob is from being put together.
#[derive(Debug)]
pub(super) enum Assembling {
    /// There is nothing to put it together from, or it went wrong.
    No,
    /// It has not been tried.
    Possible(Box<Parts>),
    /// It is under way.
    UnderWay,
    /// It was done.
    Done(Figures),
}

/// What a blob may be put together from.
#[derive(Debug)]
pub(super) struct Parts {
    new: Candidate,
    old: Vec<Candidate>,
}

/// How many bytes came from where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Figures {
    fetched: u64,
    copied: u64,
}

impl Assembling {
    pub(super) const fn is_under_way(&self) -> bool {
        matches!(self, Self::UnderWay)
    }

    /// Whether it is worth a try: not where parts have come in ahead of others, which are gone on with in their own way.
    pub(super) fn is_possible(&self, partial: &Partial) -> bool {
        let missing = partial.size().saturating_sub(partial.present().total());
        matches!(self, Self::Possible(_)) && !partial.has_gaps() && missing >= SMALL
    }

    /// Begins it, if it is possible.
    pub(super) fn begin(&mut self) -> Option<Box<Parts>> {
        match std::mem::replace(self, Self::UnderWay) {
            Self::Possible(parts) => Some(parts),
            other => {
                *self = other;
                None
            }
        }
    }

    /// The blob's bytes are wrong.
    pub(super) fn give_up(&mut self, digest: &Digest, error: &Error) {
        if let Self::Done(_) = std::mem::replace(self, Self::No) {
            not_assembled(digest, error);
        }
    }

    /// Says what came from where, once the blob was verified.
    pub(super) fn tell(&self, digest: &Digest, progress: &dyn Progress) {
        if let Self::Done(Figures { fetched, copied }) = *self {
            tracing::info!(event = "layer_assembled", %digest, fetched, copied, "put together from layers on disk");
            progress.event(Event::Assembled { digest: *digest, fetched, copied });
        }
    }
}

fn not_assembled(digest: &Digest, error: &dyn std::error::Error) {
    tracing::warn!(event = "layer_not_assembled", %digest, %error, "it is downloaded as a whole");
}

impl Downloader<'_> {
    /// Whether there is something on disk to put a blob together from.
    pub(super) fn assembling(&self, descriptor: &Descriptor) -> Assembling {
        if self.candidates.is_empty() {
            return Assembling::No;
        }
        let Some(new) = Candidate::of(descriptor, self.limits) else { return Assembling::No };
        let old = new.nearest(&self.candidates);
        if old.is_empty() { Assembling::No } else { Assembling::Possible(Box::new(Parts { new, old })) }
    }
}

impl<F: Fn(Arrival)> Fetch<'_, F> {
    /// Puts together what is missing of a blob. Where that fails, the blob is left to be downloaded.
    ///
    /// # Errors
    /// Of the store, and of a registry that fails again and again: they are in a download's way as well.
    pub(super) async fn assemble(&self, job: &Job, parts: Box<Parts>) -> Result<(), Error> {
        let mut figures = Figures::default();
        let assembled = self.try_to_assemble(job, &parts, &mut figures).await;
        let assembling = match &assembled {
            Ok(true) => Assembling::Done(figures),
            Ok(false) | Err(_) => Assembling::No,
        };
        self.end_assembling(job, assembling);
        match assembled {
            Ok(_) => Ok(()),
            Err(Failure::Unusable(error)) => {
                not_assembled(&job.digest, &error);
                Ok(())
            }
            Err(Failure::Other(error)) => Err(error),
        }
    }

    /// Whether the blob is complete.
    async fn try_to_assemble(
        &self,
        job: &Job,
        parts: &Parts,
        figures: &mut Figures,
    ) -> Result<bool, Failure> {
        let Downloader { client, reference, blobs, limits, fetched, .. } = *self.downloader;
        let Some(descriptor) = self.descriptor(job) else { return Ok(false) };
        let source = Source { client, reference, descriptor, fetched };
        let mut attempts = Attempts::default();
        let mut assembly = None;
        loop {
            let Some(done) = self.with(job, |_, partial| Ok(partial.offset()))? else { return Ok(false) };
            let tried = match &assembly {
                None => Assembly::prepare(&source, &parts.new, &parts.old, done, blobs, limits)
                    .await
                    .map(Step::Prepared),
                Some(assembly) => {
                    self.go_on(job, &source, assembly, done, &mut attempts, figures).await?.map(Step::Ran)
                }
            };
            match tried {
                Ok(Step::Prepared(None)) => return Ok(false),
                Ok(Step::Prepared(Some(prepared))) => {
                    figures.fetched = prepared.fetched();
                    assembly = Some(prepared);
                }
                Ok(Step::Ran(is_complete)) => return Ok(is_complete),
                Err(chunked::Error::Registry(error)) if error.remedy() == Remedy::Retry => {
                    self.downloader.retrying(&job.digest, &error);
                    client.pause_after(&mut attempts, error).await.map_err(Error::from)?;
                }
                Err(error) => return Err(Failure::Unusable(error)),
            }
        }
    }

    /// Writes what an assembly hands out, until it ends or fails.
    async fn go_on(
        &self,
        job: &Job,
        source: &Source<'_>,
        assembly: &Assembly,
        done: u64,
        attempts: &mut Attempts,
        figures: &mut Figures,
    ) -> Result<Result<bool, chunked::Error>, Failure> {
        let mut failed = None;
        let write = |bytes: &[u8], origin| {
            let length = bytes.len() as u64;
            match origin {
                Origin::Registry => {
                    figures.fetched += length;
                    attempts.progress(length);
                }
                Origin::Disk => figures.copied += length,
                Origin::Table => {}
            }
            let written = self.with(job, |_, partial| {
                partial.write(bytes)?;
                partial.catch_up(CATCH_UP)?;
                Ok(())
            });
            written.map_err(|error| failed = Some(error)).is_ok_and(|written| written.is_some())
        };
        let ran = assembly.run(source, done, write).await;
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(ran),
        }
    }
}

enum Step {
    Prepared(Option<Assembly>),
    Ran(bool),
}

/// Why a blob was not put together.
enum Failure {
    /// It is no reason not to download it.
    Unusable(chunked::Error),
    /// It is.
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}
