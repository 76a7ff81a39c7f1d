//! Inode and change time of each path of a sealed tree. No program can set a change time (`inode(7)`, "ctime"): a file that has
//! its stamp still was neither written to, nor given other attributes, since it was sealed.
//!
//! ```text
//! "dockerloader-stamps\n"  version: u32  records: u64  checksum of the seal: [u8; 32]
//! record: inode: u64  seconds: i64  nanoseconds: u32            in the order of the seal's records
//! BLAKE3 of all before: [u8; 32]                                all numbers little-endian
//! ```
//!
//! The change time of a directory moves with each name in it: a directory that has its stamp still has its names still. The
//! root has none, since naming the tree changes it.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Mode, Stat};
use rustix::io::Errno;

use super::encoding::{self, Encoder, Flaw};
use super::seal::Seal;

const MAGIC: &[u8; 20] = b"dockerloader-stamps\n";
const VERSION: u32 = 1;
/// Bytes before the first record, and of each.
const PREAMBLE: usize = MAGIC.len() + 4 + 8 + 32;
const RECORD: usize = 8 + 8 + 4;
const CHECKSUM: usize = 32;

/// When an inode was changed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Stamp {
    inode: u64,
    seconds: i64,
    nanoseconds: u32,
}

impl Stamp {
    /// That of no inode: whoever meets it has to look closer.
    pub(super) const UNKNOWN: Self = Self { inode: 0, seconds: 0, nanoseconds: 0 };

    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            inode: stat.st_ino,
            seconds: stat.st_ctime,
            nanoseconds: u32::try_from(stat.st_ctime_nsec).unwrap_or(0),
        }
    }

    pub(super) fn is_known(self) -> bool {
        self != Self::UNKNOWN
    }

    const fn time(self) -> (i64, u32) {
        (self.seconds, self.nanoseconds)
    }
}

/// The stamps of a tree, in the form that is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Stamps {
    /// Shared, like the seal's.
    bytes: Arc<Vec<u8>>,
}

/// Stored stamps cannot be used: contents have to be looked at instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StampsError {
    /// Not stamps at all, or cut off in the first bytes.
    #[error("the file has no stamps of an extracted tree; the tree has to be extracted again")]
    Magic,
    /// Stamps of another format.
    #[error("the stamps have format version {0}, not {VERSION}; the tree has to be extracted again")]
    Version(u32),
    /// Torn or changed.
    #[error("the checksum of the stamps does not match; the tree has to be extracted again")]
    Checksum,
    /// Of another tree, or of another extraction of it.
    #[error("the stamps belong to another seal; the tree has to be extracted again")]
    Seal,
}

impl StampsError {
    /// What helps: always to extract the tree again.
    pub const fn remedy(&self) -> crate::remedy::Remedy {
        crate::remedy::Remedy::Corrupt
    }
}

impl From<Flaw> for StampsError {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Magic => Self::Magic,
            Flaw::Version(found) => Self::Version(found),
            Flaw::Checksum => Self::Checksum,
        }
    }
}

impl Stamps {
    /// Largest file of stamps that is worth reading, in bytes: that of a tree of some million files.
    pub const MAX_BYTES: u64 = 1 << 30;

    /// Stamps in the order of the records of `seal`.
    pub(super) fn new(seal: &Seal, stamps: impl Iterator<Item = Stamp>) -> Self {
        let mut encoder = Encoder::new(MAGIC, VERSION);
        encoder.array(&seal.checksum());
        let mut count = 0;
        for stamp in stamps {
            encoder.long(stamp.inode);
            encoder.array(&stamp.seconds.to_le_bytes());
            encoder.number(stamp.nanoseconds);
            count += 1;
        }
        Self { bytes: Arc::new(encoder.finish(count)) }
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The stamps of the tree of this seal from their stored bytes.
    ///
    /// # Errors
    /// When they are not exactly what was stored, of another format version, or of another seal.
    pub fn parse(bytes: Vec<u8>, seal: &Seal) -> Result<Self, StampsError> {
        let (count, mut decoder) = encoding::open(&bytes, MAGIC, VERSION)?;
        let bound = decoder.array().is_some_and(|checksum| *checksum == seal.checksum());
        let complete =
            Some(decoder.0.len() as u64) == count.checked_mul(RECORD as u64) && count == seal.len();
        if bound && complete { Ok(Self { bytes: Arc::new(bytes) }) } else { Err(StampsError::Seal) }
    }

    /// The stamp of the record with this number.
    pub(super) fn get(&self, record: usize) -> Stamp {
        let end = self.bytes.len().saturating_sub(CHECKSUM);
        let found = record.checked_mul(RECORD).and_then(|at| self.bytes.get(PREAMBLE + at..end));
        let mut decoder = encoding::Decoder(found.unwrap_or_default());
        let mut read = || {
            Some(Stamp { inode: decoder.long()?, seconds: decoder.signed()?, nanoseconds: decoder.number()? })
        };
        read().unwrap_or_default()
    }
}

impl std::fmt::Debug for Stamps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stamps({} bytes)", self.bytes.len())
    }
}

/// Returns when whatever is changed in the tree from now on gets a later change time than all of `stamps`: file systems take
/// the time from a clock that stands still for some milliseconds, and two changes within one tick look like one.
pub(super) fn settle(root: BorrowedFd<'_>, stamps: impl Iterator<Item = Stamp>) -> Result<(), Errno> {
    /// A clock that does not move within this number of milliseconds is none.
    const TRIES: u32 = 50;
    let latest = stamps.map(Stamp::time).max().unwrap_or_default();
    let mode = Mode::from_raw_mode(rustix::fs::fstat(root)?.st_mode & 0o7777);
    for _ in 0..TRIES {
        // The file system's own clock: what it takes for a change of the root now.
        rustix::fs::fchmod(root, mode)?;
        if Stamp::of(&rustix::fs::fstat(root)?).time() > latest {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::tree::entry::Attributes;
    use crate::tree::index::{Content, Index};

    fn sample(size: u64) -> (Seal, Stamps) {
        let mut index = Index::new(&Limits::default());
        index.insert(Index::ROOT, b"f", 0, Attributes::default(), Content::File { size, hash: [0; 32] });
        let seal = Seal::new(&index);
        let stamp = Stamp { inode: 7, seconds: -1, nanoseconds: 3 };
        let stamps = Stamps::new(&seal, [Stamp::UNKNOWN, stamp].into_iter());
        (seal, stamps)
    }

    #[test]
    fn what_is_stored_is_read_again_for_its_seal_alone() {
        let (seal, stamps) = sample(1);
        let read = Stamps::parse(stamps.as_bytes().to_vec(), &seal).unwrap();
        assert_eq!(read.get(1), Stamp { inode: 7, seconds: -1, nanoseconds: 3 });
        assert!(!read.get(0).is_known() && !read.get(2).is_known());
        let (other, _) = sample(2);
        assert_eq!(Stamps::parse(stamps.as_bytes().to_vec(), &other), Err(StampsError::Seal));
        let short = Stamps::new(&seal, std::iter::once(Stamp::UNKNOWN));
        assert_eq!(Stamps::parse(short.as_bytes().to_vec(), &seal), Err(StampsError::Seal));
        let good = stamps.as_bytes();
        for at in 0..good.len() {
            let mut bad = good.to_vec();
            bad[at] ^= 0x10;
            assert!(Stamps::parse(bad, &seal).is_err(), "byte {at} changed");
            assert!(Stamps::parse(good[..at].to_vec(), &seal).is_err(), "cut at {at}");
        }
    }
}
