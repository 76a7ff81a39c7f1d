//! Parts of a blob from the registry.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::limits::Limits;
use crate::manifest::Descriptor;
use crate::reference::Reference;
use crate::registry::{Blob, Client};

use super::assemble::Chunks;
use super::place::Located;
use super::read::From;
use super::{Error, Place};

/// Bytes at a blob's end that are asked for where only its footer says how long the table is: that of about a thousand files.
const GUESS: u64 = 64 << 10;

/// A blob in the registry.
#[derive(Debug, Clone, Copy)]
pub struct Source<'s> {
    /// The registry.
    pub client: &'s Client,
    /// The repository.
    pub reference: &'s Reference,
    /// The blob.
    pub descriptor: &'s Descriptor,
    /// Counts the bytes that come from it.
    pub fetched: &'s AtomicU64,
}

/// The last bytes of a blob, in a file without a name.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) file: File,
    /// Where they begin in the blob.
    pub(super) start: u64,
    end: u64,
    /// Bytes that were fetched to have them.
    pub(super) fetched: u64,
}

impl Held {
    /// The bytes from an offset of the blob on.
    pub(super) fn reader(&self, offset: u64) -> impl Read + '_ {
        From { file: &self.file, offset: offset.saturating_sub(self.start) }
    }
}

impl Source<'_> {
    /// Fetches the table and all that follows it into `file`.
    pub(super) async fn hold(
        &self,
        place: &Place,
        file: File,
        limits: &Limits,
    ) -> Result<(Located, Held), Error> {
        let end = self.descriptor.size;
        let (located, last_bytes) = match place {
            Place::Zstd(located) => (located.clone(), Vec::new()),
            Place::Stargz { .. } => {
                let last_bytes = self.part(end.saturating_sub(GUESS)..end).await?.concat();
                (place.locate(&last_bytes, end, limits)?, last_bytes)
            }
        };
        let start = located.tail;
        let mut held = Held { file, start, end: start, fetched: last_bytes.len() as u64 };
        // What is known already is not asked for again.
        let known = end - last_bytes.len() as u64;
        if start < known {
            let mut blob = self.open(start..known).await?;
            while let Some(chunk) = self.chunk(&mut blob).await? {
                held.append(&chunk)?;
                held.fetched += chunk.len() as u64;
            }
        }
        let skip = usize::try_from(start.saturating_sub(known)).unwrap_or(usize::MAX);
        held.append(last_bytes.get(skip..).unwrap_or_default())?;
        Ok((located, held))
    }

    /// The bytes of a range, which is small enough to be held in memory.
    pub(super) async fn part(&self, range: Range<u64>) -> Result<Chunks, Error> {
        let mut blob = self.open(range).await?;
        let mut chunks = Vec::new();
        while let Some(chunk) = self.chunk(&mut blob).await? {
            chunks.push(chunk);
        }
        Ok(chunks)
    }

    async fn chunk(&self, blob: &mut Blob) -> Result<Option<Bytes>, Error> {
        let chunk = blob.chunk().await?;
        self.fetched.fetch_add(chunk.as_ref().map_or(0, |bytes| bytes.len() as u64), Ordering::Relaxed);
        Ok(chunk)
    }

    async fn open(&self, range: Range<u64>) -> Result<Blob, Error> {
        let blob = self.client.blob_range(self.reference, self.descriptor, range.clone()).await?;
        if blob.start == range.start && blob.end == range.end { Ok(blob) } else { Err(Error::Ranges) }
    }
}

impl Held {
    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all_at(bytes, self.end - self.start).map_err(Error::io("keep"))?;
        self.end += bytes.len() as u64;
        Ok(())
    }
}
