//! Blobs from the registry into the store: resumed, verified, tried again.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::blobs::{Blobs, Partial};
use crate::chunked::Candidate;
use crate::digest::Digest;
use crate::limits::Limits;
use crate::manifest::Descriptor;
use crate::progress::{Event, Progress};
use crate::reference::Reference;
use crate::registry::Client;
use crate::registry::retry::Attempts;
use crate::remedy::Remedy;

use super::Error;

/// Downloads at a time.
const PARALLEL: usize = 3;

/// Bytes between two progress events, at least.
pub(super) const STEP: u64 = 256 << 10;

/// Fetches blobs of one reference.
pub(super) struct Downloader<'d> {
    pub(super) client: &'d Client,
    pub(super) reference: &'d Reference,
    pub(super) blobs: &'d Blobs,
    pub(super) progress: &'d dyn Progress,
    pub(super) limits: &'d Limits,
    /// Blobs on disk that have a table of contents, for layers that have one.
    pub(super) candidates: Vec<Candidate>,
}

impl Downloader<'_> {
    /// Fetches all of `wanted`, a few at a time, and tells `ready` of each that is complete.
    pub(super) async fn fetch_all(
        &self,
        wanted: impl Iterator<Item = &Descriptor>,
        ready: impl Fn(Digest),
    ) -> Result<(), Error> {
        stream::iter(wanted)
            .map(|descriptor| async move { self.fetch(descriptor).await.map(|()| descriptor.digest) })
            .buffer_unordered(PARALLEL)
            .try_for_each(|digest| {
                ready(digest);
                std::future::ready(Ok(()))
            })
            .await
    }

    /// Fetches one blob. A connection that breaks is made again, from where it broke; bytes that turn out to be wrong
    /// are fetched once more from the start, from another source if there is one.
    pub(super) async fn fetch(&self, descriptor: &Descriptor) -> Result<(), Error> {
        let mut attempts = Attempts::default();
        let mut second_chance = true;
        let mut partial = self.blobs.partial(&descriptor.digest, descriptor.size)?;
        // A prefix of an earlier time may be what is wrong, and no host is to blame for it.
        let mut trusted = partial.offset() == 0;
        let mut assembling = self.assembling(descriptor);
        loop {
            let mut source = None;
            let came = match self.assemble(descriptor, &mut assembling, &mut partial, &mut attempts).await {
                Ok(false) => self.stream(descriptor, &mut partial, &mut attempts, &mut source).await,
                Ok(true) => Ok(()),
                Err(error) => Err(error),
            };
            let error = match came {
                Ok(()) => match partial.finish() {
                    Ok(()) => {
                        self.assembled(descriptor, &assembling);
                        return Ok(());
                    }
                    Err(error) => {
                        partial = self.blobs.partial(&descriptor.digest, descriptor.size)?;
                        Error::from(error)
                    }
                },
                Err(error) => error,
            };
            match error {
                Error::Registry(error) if error.remedy() == Remedy::Retry => {
                    self.retrying(descriptor, &error);
                    self.client.pause_after(&mut attempts, error).await?;
                }
                error if error.remedy() == Remedy::Corrupt && second_chance => {
                    second_chance = false;
                    self.retrying(descriptor, &error);
                    self.not_assembled(descriptor, &mut assembling, &error);
                    if let (true, Some(source)) = (trusted, source) {
                        self.client.report_corrupt(&descriptor.digest, &source);
                    }
                    self.blobs.forget(&descriptor.digest)?;
                    partial = self.blobs.partial(&descriptor.digest, descriptor.size)?;
                    trusted = true;
                }
                error => {
                    if error.remedy() == Remedy::Corrupt {
                        self.blobs.forget(&descriptor.digest)?;
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Appends what the registry sends to what is there.
    async fn stream(
        &self,
        descriptor: &Descriptor,
        partial: &mut Partial,
        attempts: &mut Attempts,
        source: &mut Option<String>,
    ) -> Result<(), Error> {
        let mut blob = self.client.blob(self.reference, descriptor, partial.offset()).await?;
        *source = Some(blob.source.clone());
        if blob.start != partial.offset() {
            // It can't send a part: all of it comes.
            partial.restart()?;
        }
        let event = |done| {
            self.progress.event(Event::Blob { digest: descriptor.digest, done, total: descriptor.size })
        };
        event(partial.offset());
        let mut told = partial.offset();
        while let Some(chunk) = blob.chunk().await? {
            partial.write(&chunk)?;
            attempts.progress(chunk.len() as u64);
            if partial.offset() - told >= STEP {
                told = partial.offset();
                event(told);
            }
        }
        event(partial.offset());
        Ok(())
    }

    pub(super) fn retrying(&self, descriptor: &Descriptor, error: &dyn std::error::Error) {
        self.progress.event(Event::Retrying { digest: descriptor.digest, problem: error.to_string() });
    }
}
