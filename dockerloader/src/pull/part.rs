//! One request for some bytes of a blob, from the question to the last byte on disk.

use std::ops::Range;
use std::sync::atomic::Ordering;

use crate::blobs::{Arrival, Partial};
use crate::registry::retry::Attempts;
use crate::remedy::Remedy;

use super::Error;
use super::download::{Fetch, Job};

/// Bytes of an earlier time that are hashed with every piece that comes in: several times as many as come in, and few
/// enough for the other connections not to wait.
pub(super) const CATCH_UP: u64 = 1 << 20;

impl<F: Fn(Arrival)> Fetch<'_, F> {
    /// Brings what a job has claimed. A connection that breaks is made again, from where it broke.
    pub(super) async fn bring(&self, job: &Job) -> Result<(), Error> {
        let mut attempts = Attempts::default();
        loop {
            let missing = self.with(job, |requests, partial| {
                Ok(requests.missing(job.id, partial).iter().next().cloned())
            })?;
            let Some(Some(range)) = missing else { return Ok(()) };
            match self.stream(job, range, &mut attempts).await {
                Ok(()) => {}
                Err(Error::Registry(error)) if error.remedy() == Remedy::Retry => {
                    self.downloader.retrying(&job.digest, &error);
                    self.downloader.client.pause_after(&mut attempts, error).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks once, and writes what comes to where it belongs.
    async fn stream(&self, job: &Job, range: Range<u64>, attempts: &mut Attempts) -> Result<(), Error> {
        let Some(descriptor) = self.descriptor(job) else { return Ok(()) };
        let (client, reference) = (self.downloader.client, self.downloader.reference);
        let mut blob = client.blob_range(reference, descriptor, range.clone()).await?;
        let goes_on =
            self.with(job, |requests, partial| Ok(requests.answered(job.id, &range, &blob, partial)))?;
        // Others may now ask for parts too.
        self.changed.notify_waiters();
        if goes_on != Some(true) {
            return Ok(());
        }
        let mut writer = Writer::default();
        loop {
            let start = blob.position();
            let Some(bytes) = blob.chunk().await? else { return Ok(()) };
            self.downloader.fetched.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            let written = self.with(job, |requests, partial| {
                let piece = start..start.saturating_add(bytes.len() as u64);
                for range in requests.missing(job.id, partial).iter() {
                    writer.write(partial, &piece, &bytes, range)?;
                }
                partial.catch_up(CATCH_UP)?;
                Ok(())
            })?;
            if written.is_none() {
                return Ok(());
            }
            attempts.progress(bytes.len() as u64);
        }
    }
}

/// Writes whole blocks, as [`Partial::block`] wants it, and holds back what does not fill one.
#[derive(Debug, Default)]
struct Writer {
    held: Vec<u8>,
    /// Where the held bytes belong.
    position: u64,
}

impl Writer {
    /// Writes what `piece`, whose bytes are given, has of `range`. The held bytes come first, where they belong before it.
    fn write(
        &mut self,
        partial: &mut Partial,
        piece: &Range<u64>,
        bytes: &[u8],
        range: &Range<u64>,
    ) -> Result<(), Error> {
        let (start, end) = (piece.start.max(range.start), piece.end.min(range.end));
        if start >= end {
            return Ok(());
        }
        let at = |position: u64| usize::try_from(position - piece.start).unwrap_or(usize::MAX);
        let mut rest = bytes.get(at(start)..at(end)).unwrap_or_default();
        if self.position + self.held.len() as u64 != start {
            self.held.clear();
            self.position = start;
        }
        let block = partial.block();
        let stop = if end == range.end { end } else { end - end % block };
        if stop > self.position && !self.held.is_empty() {
            let lacking = usize::try_from(block - start % block).unwrap_or(usize::MAX).min(rest.len());
            let (head, tail) = rest.split_at(lacking);
            self.held.extend_from_slice(head);
            partial.write_at(self.position, &self.held)?;
            self.position += self.held.len() as u64;
            self.held.clear();
            rest = tail;
        }
        if stop > self.position {
            let whole = usize::try_from(stop - self.position).unwrap_or(usize::MAX).min(rest.len());
            let (head, tail) = rest.split_at(whole);
            partial.write_at(self.position, head)?;
            self.position = stop;
            rest = tail;
        }
        self.held.extend_from_slice(rest);
        Ok(())
    }
}
