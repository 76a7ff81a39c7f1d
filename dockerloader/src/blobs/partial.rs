//! A blob on its way in.

use std::fs::{File, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::follow::{Arrival, Publisher};
use super::gaps::{self, BLOCK};
use super::spans::Spans;
use super::{BUFFER, Error, digest_of};
use crate::digest::Digest;
use crate::disk::{self, Disk as _, RealDisk};

/// Bytes that are asked for at a time where a blob comes in parts, and that are sent to the disk at a time.
pub const CHUNK: u64 = 8 << 20;

/// A blob on its way in. Dropped, it stays on disk, to be gone on with by the next download.
///
/// Bytes are hashed in their order: those that continue what was hashed from memory, others when their turn comes, from
/// the file.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    final_path: PathBuf,
    pub(super) file: Arc<File>,
    digest: Digest,
    size: u64,
    /// What is on disk.
    present: Spans,
    /// Whether the file has its full length already, and holes where bytes are missing.
    has_gaps: bool,
    hasher: Sha256,
    hashed: u64,
    publisher: Publisher,
}

/// A blob whose bytes are all there and have the right digest. It gets its name when they are durable:
/// [`Blobs::name`](super::Blobs::name).
#[derive(Debug)]
pub struct Verified {
    pub(super) path: PathBuf,
    pub(super) final_path: PathBuf,
    file: Arc<File>,
    size: u64,
    pub(super) arrival: Arrival,
}

impl Partial {
    pub(super) fn open(path: PathBuf, final_path: PathBuf, digest: Digest, size: u64) -> Result<Self, Error> {
        let failed = |action, source| Error::of_write(action, path.clone(), size, source);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(|source| failed("open", source))?;
        let found = file.metadata().map_err(|source| failed("read", source))?;
        let present = match found.len() {
            length if length < size => std::iter::once(0..length).collect(),
            // It has its full length before gaps are left in it.
            length if length == size => {
                gaps::written(&file, size, found.blksize()).map_err(|source| failed("read", source))?
            }
            _ => {
                // Of something else.
                file.set_len(0).map_err(|source| failed("cut", source))?;
                Spans::default()
            }
        };
        let has_gaps = found.len() == size && !present.contains(&(0..size));
        let file = Arc::new(file);
        let publisher = Publisher::new(digest, size, Arc::clone(&file));
        publisher.publish(present.end_of_run(0));
        let hasher = Sha256::new();
        Ok(Self { path, final_path, file, digest, size, present, has_gaps, hasher, hashed: 0, publisher })
    }

    /// The blob.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Bytes on disk in a row from the first one on. They are not verified.
    pub fn offset(&self) -> u64 {
        self.present.end_of_run(0)
    }

    /// Bytes that the blob has when it is complete.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// What is on disk, not verified.
    pub const fn present(&self) -> &Spans {
        &self.present
    }

    /// Whether all bytes are on disk.
    pub fn is_complete(&self) -> bool {
        self.present.contains(&(0..self.size))
    }

    /// For those who read it while it comes in.
    pub fn arrival(&self) -> Arrival {
        self.publisher.arrival()
    }

    /// Whether bytes can be written elsewhere than behind the last one, for which it makes the file as long as the blob.
    /// To be asked before anything is hashed. Where the file system keeps no holes it can't be done: nothing would tell
    /// the next download what is there.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Full`].
    pub fn allow_gaps(&mut self) -> Result<bool, Error> {
        let end = self.offset();
        if self.has_gaps || end == self.size {
            return Ok(true);
        }
        // The block that was begun is given up.
        let whole = end - end % BLOCK;
        if self.hashed > whole {
            return Ok(false);
        }
        let failed = |source| Error::of_write("make room in", self.path.clone(), self.size, source);
        self.has_gaps = match gaps::open_gap(&self.file, end, self.size) {
            // FAT and others have no such operation.
            Err(error) if !disk::is_full(&error) => false,
            opened => opened.map_err(failed)?,
        };
        if self.has_gaps {
            self.present = std::iter::once(0..whole).collect();
            self.publisher.publish(whole);
        }
        Ok(self.has_gaps)
    }

    /// Whether the file has its full length already, and holes where bytes are missing.
    pub const fn has_gaps(&self) -> bool {
        self.has_gaps
    }

    /// What writes have to end at a multiple of, unless they end where the bytes that are there begin.
    pub const fn block(&self) -> u64 {
        if self.has_gaps { BLOCK } else { 1 }
    }

    /// Appends bytes to those that are there in a row.
    ///
    /// # Errors
    /// As [`Partial::write_at`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.write_at(self.offset(), bytes)
    }

    /// Writes bytes where they belong: behind the last one, or anywhere after [`Partial::allow_gaps`].
    ///
    /// # Errors
    /// [`Error::Corrupt`] when there are more than the blob has; [`Error::Full`]: what was written is removed in both
    /// cases, so that the room is free again. [`Error::Io`].
    pub fn write_at(&mut self, position: u64, bytes: &[u8]) -> Result<(), Error> {
        let end = position.saturating_add(bytes.len() as u64);
        if end > self.size {
            self.discard()?;
            return Err(Error::Corrupt {
                digest: self.digest,
                problem: format!("more than its {} bytes were sent", self.size),
            });
        }
        self.file.write_all_at(bytes, position).map_err(|source| self.write_failed("write", source))?;
        self.present.insert(position..end);
        if position == self.hashed {
            self.hasher.update(bytes);
            self.hashed = end;
        }
        self.publisher.publish(self.offset());
        self.start_writeback(position..end);
        Ok(())
    }

    /// Sends the chunks that a write completed to the disk, without waiting, so that the sync at the end finds little left.
    fn start_writeback(&self, written: Range<u64>) {
        for chunk in written.start / CHUNK..=written.end / CHUNK {
            let range = chunk * CHUNK..(chunk + 1) * CHUNK;
            if written.end >= range.end && written.start < range.end && self.present.contains(&range) {
                start_writeback(&self.file, &range);
            }
        }
    }

    /// Hashes up to `most` bytes that are there in a row, and have not been hashed. Whether none are left.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn catch_up(&mut self, most: u64) -> Result<bool, Error> {
        let target = self.offset();
        let stop = self.hashed.saturating_add(most).min(target);
        let mut buffer = Vec::new();
        while self.hashed < stop {
            buffer.resize(BUFFER, 0);
            let length = usize::try_from(stop - self.hashed).unwrap_or(usize::MAX).min(BUFFER);
            let room = buffer.get_mut(..length).unwrap_or_default();
            let read = match self.file.read_at(room, self.hashed) {
                Ok(0) => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read,
            };
            let failed = |source| Error::Io { action: "read", path: self.path.clone(), source };
            let read = read.map_err(failed)?;
            self.hasher.update(buffer.get(..read).unwrap_or_default());
            self.hashed += read as u64;
        }
        Ok(self.hashed >= target)
    }

    /// Throws away what there is, and begins again.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn restart(&mut self) -> Result<(), Error> {
        self.discard()?;
        *self = Self::open(self.path.clone(), self.final_path.clone(), self.digest, self.size)?;
        Ok(())
    }

    /// Verifies size and digest. The bytes are not durable yet, and the blob has no name.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when size or digest differ, the bytes being removed; [`Error::Io`].
    pub fn verify(mut self) -> Result<Verified, Error> {
        if !self.is_complete() {
            self.discard()?;
            return Err(Error::size(&self.digest, self.size, self.offset()));
        }
        self.catch_up(u64::MAX)?;
        let found = digest_of(self.hasher.clone());
        if found != self.digest {
            self.discard()?;
            let problem = format!("the {} bytes received have the digest {found}", self.size);
            return Err(Error::Corrupt { digest: self.digest, problem });
        }
        start_writeback(&self.file, &(self.size - self.size % CHUNK..self.size));
        self.publisher.verified();
        let arrival = self.arrival();
        let Self { path, final_path, file, size, .. } = self;
        Ok(Verified { path, final_path, file, size, arrival })
    }

    /// Verifies size and digest, makes the bytes durable and gives the blob its name.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when size or digest differ, the bytes being removed; [`Error::Full`], [`Error::Io`].
    pub fn finish(self) -> Result<(), Error> {
        self.verify()?.finish()
    }

    /// Removes what there is of it.
    fn discard(&self) -> Result<(), Error> {
        RealDisk.remove_file(&self.path).map_err(|source| Error::Io {
            action: "remove",
            path: self.path.clone(),
            source,
        })
    }

    /// After a failed write nothing about the file is known: it is removed, and the room is free again.
    fn write_failed(&self, action: &'static str, source: io::Error) -> Error {
        let needed = self.size - self.present.total().min(self.size);
        // The first error is the one to report.
        let _ = self.file.set_len(0);
        let _ = self.discard();
        Error::of_write(action, self.path.clone(), needed, source)
    }
}

impl Verified {
    /// Makes the bytes durable and gives the blob its name.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Io`].
    pub fn finish(self) -> Result<(), Error> {
        self.sync()?;
        disk::rename_synced(&RealDisk, &self.path, &self.final_path)
            .map_err(|source| self.failed("rename", source))
    }

    /// Makes its bytes durable.
    pub(super) fn sync(&self) -> Result<(), Error> {
        // I8: under a digest's name there are its bytes. Delayed allocation: the disk may turn out to be full only here.
        disk::sync_file(&self.file).map_err(|source| self.failed("sync", source))
    }

    /// After a failed sync nothing about the file is known: it is removed, and the room is free again.
    fn failed(&self, action: &'static str, source: io::Error) -> Error {
        // The first error is the one to report.
        let _ = self.file.set_len(0);
        let _ = RealDisk.remove_file(&self.path);
        Error::of_write(action, self.path.clone(), self.size, source)
    }
}

/// Starts writing a range to the disk without waiting for it. `POSIX_FADV_DONTNEED` does that first, and then drops what is
/// clean (mm/fadvise.c): of a range that was just written, nothing.
fn start_writeback(file: &File, range: &Range<u64>) {
    if let Some(length) = NonZeroU64::new(range.end - range.start) {
        // Advice: what is not taken costs time at the sync, nothing else.
        let _ = rustix::fs::fadvise(file, range.start, Some(length), rustix::fs::Advice::DontNeed);
    }
}
