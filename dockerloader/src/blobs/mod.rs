//! The content store: layers and configs, each in a file named by its digest.
//!
//! A blob gets its final name only after its bytes were hashed, found right and made durable. A name is not trusted for
//! more than that: [`Blobs::has`] looks at the size as well, [`Blobs::open_verified`] hashes again.

mod error;

pub mod spans;

mod gaps;

mod follow;

mod partial;

pub mod space;

pub use error::Error;
pub use follow::{Abandoned, Arrival, Follow};
pub use partial::{CHUNK, Partial, Verified};

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::disk::{self, Disk as _, Kind, RealDisk};
use crate::layout::Layout;

/// Bytes that are read or hashed at a time.
const BUFFER: usize = 256 << 10;

/// The content store of one data directory.
#[derive(Debug, Clone)]
pub struct Blobs {
    directory: PathBuf,
}

impl Blobs {
    /// The store of this layout. Nothing is made or read yet.
    pub fn new(layout: &Layout) -> Self {
        Self { directory: layout.blobs() }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(digest.to_string())
    }

    fn partial_path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(format!("{PARTIAL}{digest}"))
    }

    /// Whether there is a complete blob of this name and size. Its bytes are not read.
    pub fn has(&self, digest: &Digest, size: u64) -> bool {
        std::fs::symlink_metadata(self.path(digest)).is_ok_and(|found| found.is_file() && found.len() == size)
    }

    /// Bytes that an earlier download of this blob left; not verified, and as the file system counts them where there are
    /// holes between them.
    pub fn partial_bytes(&self, digest: &Digest) -> u64 {
        let found = std::fs::symlink_metadata(self.partial_path(digest));
        found.map_or(
            0,
            |found| {
                if found.is_file() { found.len().min(found.blocks().saturating_mul(512)) } else { 0 }
            },
        )
    }

    /// A file without a name on the store's file system (`open(2)`, `O_TMPFILE`): gone with whoever holds it.
    ///
    /// # Errors
    /// Of the file system, which may not have such files.
    pub fn unnamed(&self) -> io::Result<File> {
        let flags = rustix::fs::OFlags::TMPFILE.bits().cast_signed();
        OpenOptions::new().read(true).write(true).mode(0o600).custom_flags(flags).open(&self.directory)
    }

    /// Opens a blob that [`Blobs::has`] it, without hashing it.
    ///
    /// # Errors
    /// [`Error::Absent`]; [`Error::Corrupt`] when it has another size; [`Error::Io`].
    pub fn open(&self, digest: &Digest, size: u64) -> Result<File, Error> {
        let path = self.path(digest);
        let file = match open_regular(&path) {
            Ok(Some(file)) => file,
            Ok(None) => return Err(Error::Absent { digest: *digest }),
            Err(source) => return Err(Error::Io { action: "open", path, source }),
        };
        let found = file.metadata().map_err(|source| Error::Io { action: "read", path, source })?.len();
        if found == size { Ok(file) } else { Err(Error::size(digest, size, found)) }
    }

    /// Opens a blob after hashing all of it, for use after an unclean stop or on demand.
    ///
    /// # Errors
    /// As [`Blobs::open`]; [`Error::Corrupt`] when its bytes are not those of its name. It is left where it is.
    pub fn open_verified(&self, digest: &Digest, size: u64) -> Result<File, Error> {
        let mut file = self.open(digest, size)?;
        let failed = |source| Error::Io { action: "read", path: self.path(digest), source };
        let (found, _) = hash(&mut file, size, &mut Sha256::new()).map_err(failed)?;
        if found != *digest {
            return Err(Error::Corrupt {
                digest: *digest,
                problem: format!("its {size} bytes have the digest {found}"),
            });
        }
        file.rewind().map_err(failed)?;
        Ok(file)
    }

    /// Goes on with an earlier download of a blob, or begins one. What is there is hashed, not trusted: wrong bytes of an
    /// earlier time come to light in [`Partial::verify`].
    ///
    /// The caller holds the store's lock, so that a blob has one writer.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn partial(&self, digest: &Digest, size: u64) -> Result<Partial, Error> {
        let path = self.partial_path(digest);
        let failed = |action, source| Error::Io { action, path: path.clone(), source };
        RealDisk
            .create_directories(&self.directory)
            .map_err(|source| failed("make the folder of", source))?;
        match RealDisk.kind(&path).map_err(|source| failed("look at", source))? {
            None | Some(Kind::File) => {}
            Some(Kind::Directory) => {
                RealDisk.remove_tree(&path).map_err(|source| failed("remove", source))?;
            }
            Some(Kind::Link | Kind::Other) => {
                RealDisk.remove_file(&path).map_err(|source| failed("remove", source))?;
            }
        }
        Partial::open(path.clone(), self.path(digest), *digest, size)
    }

    /// Gives verified blobs their names, and makes the names durable with one sync. `tree` says which file system was synced
    /// just now, by whoever read the blobs to their ends before: a blob that was not read, or is elsewhere, is synced here.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Io`].
    pub fn name(&self, verified: &[Verified], tree: &Path) -> Result<(), Error> {
        let failed = |action, path: &Path, source| Error::of_write(action, path.to_owned(), 0, source);
        let device = |path: &Path| std::fs::symlink_metadata(path).map(|found| found.dev());
        if verified.is_empty() {
            return Ok(());
        }
        let here = device(&self.directory).map_err(|source| failed("look at", &self.directory, source))?;
        let there = device(tree).map_err(|source| failed("look at", tree, source))?;
        for blob in verified {
            if here != there || !blob.arrival.was_read_whole() {
                blob.sync()?;
            }
            let renamed = RealDisk.rename(&blob.path, &blob.final_path);
            renamed.map_err(|source| failed("rename", &blob.path, source))?;
        }
        // I3: a version that gets its name after them has all of them.
        RealDisk.sync_directory(&self.directory).map_err(|source| failed("sync", &self.directory, source))
    }

    /// Puts in a blob whose bytes are in memory, such as a config. Nothing is done when it is there.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the bytes are not those of the digest; as [`Partial::write`] and [`Partial::finish`].
    pub fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), Error> {
        let size = bytes.len() as u64;
        if self.has(digest, size) {
            return Ok(());
        }
        let mut partial = self.partial(digest, size)?;
        partial.restart()?;
        partial.write(bytes)?;
        partial.finish()
    }

    /// All bytes of a small blob, hashed.
    ///
    /// # Errors
    /// As [`Blobs::open_verified`].
    pub fn read(&self, digest: &Digest, size: u64) -> Result<Vec<u8>, Error> {
        let mut file = self.open_verified(digest, size)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|source| Error::Io {
            action: "read",
            path: self.path(digest),
            source,
        })?;
        Ok(bytes)
    }

    /// Removes a blob and what there is of its download, to give back their room.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn forget(&self, digest: &Digest) -> Result<(), Error> {
        for path in [self.partial_path(digest), self.path(digest)] {
            RealDisk.remove_file(&path).map_err(|source| Error::Io { action: "remove", path, source })?;
        }
        Ok(())
    }

    /// Removes a blob that was found to be corrupt, so that it is fetched again.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove(&self, digest: &Digest) -> Result<(), Error> {
        let path = self.path(digest);
        disk::remove_file_synced(&RealDisk, &path).map_err(|source| Error::Io {
            action: "remove",
            path,
            source,
        })
    }
}

/// Before the digest in the name of a download that is not complete.
pub const PARTIAL: &str = "partial-";

/// Opens a regular file to read; `None` when there is nothing. Neither follows a link nor hangs at a FIFO.
fn open_regular(path: &Path) -> io::Result<Option<File>> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    match opened {
        Ok(file) if file.metadata()?.is_file() => Ok(Some(file)),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Feeds at most `limit` bytes to `hasher`; the digest so far and how many bytes there were.
fn hash(file: &mut File, limit: u64, hasher: &mut Sha256) -> io::Result<(Digest, u64)> {
    let mut buffer = vec![0; BUFFER];
    let mut input = file.take(limit);
    let mut total = 0;
    loop {
        let read = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(buffer.get(..read).unwrap_or_default());
        total += read as u64;
    }
    Ok((digest_of(hasher.clone()), total))
}

fn digest_of(hasher: Sha256) -> Digest {
    Digest::from_bytes(hasher.finalize().into())
}

/// The digest of bytes in memory.
pub fn digest_of_bytes(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests;
