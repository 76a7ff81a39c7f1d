//! A blob on its way in.

use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::{Error, digest_of, hash};
use crate::digest::Digest;
use crate::disk::{self, Disk as _, RealDisk};

/// A blob on its way in. Dropped, it stays on disk, to be gone on with by the next download.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    final_path: PathBuf,
    pub(super) file: File,
    hasher: Sha256,
    digest: Digest,
    size: u64,
    offset: u64,
}

impl Partial {
    pub(super) fn open(path: PathBuf, final_path: PathBuf, digest: Digest, size: u64) -> Result<Self, Error> {
        let failed = |action, source| Error::of_write(action, path.clone(), size, source);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(|source| failed("open", source))?;
        let mut hasher = Sha256::new();
        let found = file.metadata().map_err(|source| failed("read", source))?.len();
        let mut offset = 0;
        if found <= size {
            offset = hash(&mut file, size, &mut hasher).map_err(|source| failed("read", source))?.1;
        }
        // Longer than the blob, or changed while it was read: cut to what was hashed.
        file.set_len(offset).map_err(|source| failed("cut", source))?;
        file.seek(SeekFrom::Start(offset)).map_err(|source| failed("read", source))?;
        Ok(Self { path, final_path, file, hasher, digest, size, offset })
    }

    /// The blob.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Bytes on disk, which have been hashed.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes that the blob has when it is complete.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when there are more than the blob has; [`Error::Full`]: what was written is removed in both
    /// cases, so that the room is free again. [`Error::Io`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let end = self.offset.saturating_add(bytes.len() as u64);
        if end > self.size {
            self.discard()?;
            return Err(Error::Corrupt {
                digest: self.digest,
                problem: format!("more than its {} bytes were sent", self.size),
            });
        }
        self.file.write_all(bytes).map_err(|source| self.write_failed("write", source))?;
        self.hasher.update(bytes);
        self.offset = end;
        Ok(())
    }

    /// Throws away what there is, and begins again.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn restart(&mut self) -> Result<(), Error> {
        let cut = self.file.set_len(0).and_then(|()| self.file.rewind());
        cut.map_err(|source| Error::Io { action: "cut", path: self.path.clone(), source })?;
        self.hasher = Sha256::new();
        self.offset = 0;
        Ok(())
    }

    /// Verifies size and digest, makes the bytes durable and gives the blob its name.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when size or digest differ, the bytes being removed; [`Error::Full`], [`Error::Io`].
    pub fn finish(self) -> Result<(), Error> {
        if self.offset != self.size {
            let (size, offset) = (self.size, self.offset);
            self.discard()?;
            return Err(Error::size(&self.digest, size, offset));
        }
        let found = digest_of(self.hasher.clone());
        if found != self.digest {
            self.discard()?;
            let problem = format!("the {} bytes received have the digest {found}", self.size);
            return Err(Error::Corrupt { digest: self.digest, problem });
        }
        // Delayed allocation: the disk may turn out to be full only here.
        disk::sync_file(&self.file).map_err(|source| self.write_failed("sync", source))?;
        disk::rename_synced(&RealDisk, &self.path, &self.final_path)
            .map_err(|source| self.write_failed("rename", source))
    }

    /// Removes what there is of it.
    fn discard(&self) -> Result<(), Error> {
        RealDisk.remove_file(&self.path).map_err(|source| Error::Io {
            action: "remove",
            path: self.path.clone(),
            source,
        })
    }

    /// After a failed write or sync nothing about the file is known: it is removed, and the room is free again.
    fn write_failed(&self, action: &'static str, source: std::io::Error) -> Error {
        let needed = self.size - self.offset.min(self.size);
        // The first error is the one to report.
        let _ = self.file.set_len(0);
        let _ = self.discard();
        Error::of_write(action, self.path.clone(), needed, source)
    }
}
