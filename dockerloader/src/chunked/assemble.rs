//! Putting a blob together: its table, the plan, and then piece after piece to the end of the download.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::pin::pin;

use bytes::Bytes;
use futures_util::future::poll_immediate;
use futures_util::{StreamExt as _, stream};

use crate::blobs::Blobs;
use crate::digest::Digest;
use crate::limits::Limits;

use super::plan::{self, Piece};
use super::source::{Held, Source};
use super::{Candidate, Error, is_worth_it, read};

/// Requests under way at a time.
const PARALLEL: usize = 4;

/// Bytes that are copied at a time.
const BLOCK: usize = 256 << 10;

/// A blob that can be put together, and how.
#[derive(Debug)]
pub struct Assembly {
    pieces: Vec<Piece>,
    /// The old blobs that pieces are copied from.
    old: BTreeMap<Digest, File>,
    held: Held,
}

/// Where bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The registry.
    Registry,
    /// A blob on disk.
    Disk,
    /// The table of contents, which was fetched before.
    Table,
}

impl Assembly {
    /// Fetches the table of a blob's contents and compares it with those of old blobs. `done` bytes of the blob are there
    /// already. `None` when an ordinary download is as good.
    ///
    /// # Errors
    /// [`Error`]; unless it comes from the registry and may be gone at the next try, a download of the whole helps.
    pub async fn prepare(
        source: &Source<'_>,
        new: &Candidate,
        old: &[Candidate],
        done: u64,
        blobs: &Blobs,
        limits: &Limits,
    ) -> Result<Option<Self>, Error> {
        let file = blobs.unnamed().map_err(Error::io("keep"))?;
        let (located, held) = source.hold(&new.place, file, limits).await?;
        let (blobs, limits, old) = (blobs.clone(), *limits, old.to_vec());
        let size = source.descriptor.size;
        let planned = tokio::task::spawn_blocking(move || -> Result<_, Error> {
            let table = read::read(held.reader(located.tail), &located, &limits)?;
            let mut assembly = Self { pieces: Vec::new(), old: BTreeMap::new(), held };
            let mut tables = Vec::new();
            for candidate in old {
                let digest = candidate.descriptor.digest;
                match read_old(&candidate, &blobs, &limits) {
                    Ok((file, table)) => {
                        assembly.old.insert(digest, file);
                        tables.push((digest, table));
                    }
                    Err(error) => {
                        tracing::debug!(event = "old_table_unusable", %digest, %error);
                        continue;
                    }
                }
                assembly.pieces = plan::plan(&table, size, &tables);
                if plan::fetched(&assembly.pieces) < size / 4 {
                    // Another one has little to add, and costs time and memory.
                    break;
                }
            }
            Ok(assembly)
        });
        let assembly = planned.await.map_err(|gone| Error::io("read")(std::io::Error::other(gone)))??;
        let is_planned = |assembly: &Self| !assembly.pieces.is_empty();
        let assembly = Some(assembly).filter(is_planned);
        Ok(assembly.filter(|assembly| is_worth_it(&plan::rest(&assembly.pieces, done))))
    }

    /// Bytes that were fetched to know the table, and what else came with it.
    pub const fn fetched(&self) -> u64 {
        self.held.fetched
    }

    /// Hands out the blob's bytes, in order, from `done` on. Ranges are fetched ahead. `write` takes them, and says whether to
    /// go on; the answer is whether it always did. After an error of the registry it can be called again.
    ///
    /// # Errors
    /// [`Error`], as of [`Assembly::prepare`].
    pub async fn run(
        &self,
        source: &Source<'_>,
        done: u64,
        mut write: impl FnMut(&[u8], Origin) -> bool,
    ) -> Result<bool, Error> {
        let pieces = plan::rest(&self.pieces, done);
        let parts = stream::iter(plan::parts(&pieces)).map(|range| source.part(range)).buffered(PARALLEL);
        let mut parts = pin!(parts.peekable());
        let mut buffer = vec![0; BLOCK];
        for piece in &pieces {
            let mut left = piece.length();
            let (file, mut from, origin) = match piece {
                Piece::Fetch { .. } => {
                    while left > 0 {
                        let next = parts.next().await;
                        for chunk in next.unwrap_or_else(|| Err(Error::malformed("the plan ends early")))? {
                            if !write(&chunk, Origin::Registry) {
                                return Ok(false);
                            }
                            left = left.saturating_sub(chunk.len() as u64);
                        }
                    }
                    continue;
                }
                Piece::Copy { blob, from, .. } => {
                    let file = self.old.get(blob);
                    (
                        file.ok_or_else(|| Error::malformed("the plan names an unknown blob"))?,
                        *from,
                        Origin::Disk,
                    )
                }
                Piece::Held { range } => {
                    (&self.held.file, range.start.saturating_sub(self.held.start), Origin::Table)
                }
            };
            while left > 0 {
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK);
                let block = buffer.get_mut(..length).unwrap_or_default();
                file.read_exact_at(block, from).map_err(Error::io("copy by"))?;
                if !write(block, origin) {
                    return Ok(false);
                }
                from += length as u64;
                left -= length as u64;
                // Answers go on coming in meanwhile, to this blob and to others.
                poll_immediate(parts.as_mut().peek()).await;
                tokio::task::yield_now().await;
            }
        }
        Ok(true)
    }
}

fn read_old(candidate: &Candidate, blobs: &Blobs, limits: &Limits) -> Result<(File, super::Table), Error> {
    let Candidate { descriptor, place } = candidate;
    let file = blobs.open(&descriptor.digest, descriptor.size)?;
    let table = read::read_file(&file, descriptor.size, place, limits)?;
    Ok((file, table))
}

/// The bytes of one request.
pub(super) type Chunks = Vec<Bytes>;
