//! What a tree was when it was extracted: every path with its attributes, and the BLAKE3 of every file.
//!
//! ```text
//! "dockerloader-seal\n"  version: u32  records: u64  record*  BLAKE3 of all before: [u8; 32]
//! record: shared: u32  rest: bytes         the path; it begins like the previous one
//!         kind: u8  mode uid gid: u32  seconds: i64  nanoseconds: u32  xattrs: 0 | 1 [u8; 32]
//!         file: size: u64  hash: [u8; 32]  group: u32      names of one inode have the same group, sole names 0
//!         symlink: target: bytes           devices: major minor: u32
//! bytes:  length: u32  the bytes           all numbers little-endian
//! ```
//!
//! Records are in depth-first order, names of a folder sorted: a folder comes before what is in it.

use std::collections::HashMap;
use std::sync::Arc;

use super::encoding::{self, Decoder, Encoder, Flaw};
use super::entry::Attributes;
use super::index::{Content, Index, InodeId};

const MAGIC: &[u8; 18] = b"dockerloader-seal\n";
const VERSION: u32 = 1;

/// The seal of a tree, in the form that is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Seal {
    /// Shared: a pull looks at a base's seal in several places at once, and it has megabytes.
    bytes: Arc<Vec<u8>>,
}

/// A stored seal cannot be used: the tree counts as unsealed and is to be extracted again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Not a seal at all, or cut off in its first bytes.
    #[error("the file is no seal of an extracted tree; the tree has to be extracted again")]
    Magic,
    /// A seal of another format.
    #[error("the seal has format version {0}, not {VERSION}; the tree has to be extracted again")]
    Version(u32),
    /// Torn or changed.
    #[error("the seal's checksum does not match its contents; the tree has to be extracted again")]
    Checksum,
    /// The checksum is right, but the records make no sense.
    #[error("record {0} of the seal is malformed; the tree has to be extracted again")]
    Record(u64),
}

impl SealError {
    /// What helps: always to extract the tree again.
    pub const fn remedy(&self) -> crate::remedy::Remedy {
        crate::remedy::Remedy::Corrupt
    }
}

/// One path of a sealed tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Relative to the tree, without slashes around it; empty for the root.
    pub path: &'a [u8],
    /// What it is.
    pub kind: RecordKind<'a>,
    /// Mode, owner and time as they are on the disk.
    pub attributes: Attributes,
    /// Hash over the extended attributes that were set; `None` when there were none.
    pub xattrs: Option<[u8; 32]>,
}

/// What a path of a sealed tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind<'a> {
    /// A folder.
    Directory,
    /// A regular file.
    File {
        /// Its size.
        size: u64,
        /// BLAKE3 of its contents.
        hash: [u8; 32],
        /// Names of one file have the same number; 0 for a file with one name.
        group: u32,
    },
    /// A symbolic link.
    Symlink {
        /// Its target.
        target: &'a [u8],
    },
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

impl Seal {
    /// Largest seal that is read, in bytes: that of a tree of some million files.
    pub const MAX_BYTES: u64 = 1 << 30;

    /// The seal of a finished tree.
    pub(super) fn new(index: &Index) -> Self {
        let encoder = Encoder::new(MAGIC, VERSION);
        let mut sealer = Sealer { encoder, records: 0, groups: HashMap::new() };
        sealer.add(index, Index::ROOT, &mut Vec::new());
        Self { bytes: Arc::new(sealer.encoder.finish(sealer.records)) }
    }

    /// Tells this seal from every other.
    pub(super) fn checksum(&self) -> [u8; 32] {
        encoding::checksum(&self.bytes)
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A seal from its stored bytes.
    ///
    /// # Errors
    /// When they are not exactly what was stored, or of another format version.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, SealError> {
        encoding::open(&bytes, MAGIC, VERSION)?;
        let seal = Self { bytes: Arc::new(bytes) };
        let mut records = seal.records();
        let mut count = 0;
        while let Some(record) = records.read() {
            record.ok_or(SealError::Record(count))?;
            count += 1;
        }
        if count == seal.len() && count > 0 { Ok(seal) } else { Err(SealError::Record(count)) }
    }

    /// Paths in the tree, the root included.
    pub fn len(&self) -> u64 {
        self.parts().0
    }

    /// Never: a tree has a root.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The records, in order.
    pub fn records(&self) -> Records<'_> {
        Records { decoder: self.parts().1, path: Vec::new(), place: 0 }
    }

    /// The record whose [`Records::place`] this is, but for its path.
    pub(super) fn at(&self, place: u32) -> Option<Description<'_>> {
        let contents = self.parts().1.0;
        let start = contents.len().checked_sub(usize::try_from(place).ok()?)?;
        Decoder(contents.get(start..)?).description()
    }

    fn parts(&self) -> (u64, Decoder<'_>) {
        encoding::parts(&self.bytes, MAGIC.len()).unwrap_or((0, Decoder(&[])))
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seal({} records, {} bytes)", self.len(), self.bytes.len())
    }
}

/// Goes through the records of a [`Seal`]; not an `Iterator`, since all paths share one buffer.
#[derive(Debug)]
pub struct Records<'a> {
    decoder: Decoder<'a>,
    path: Vec<u8>,
    place: usize,
}

/// A record without its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Description<'a> {
    pub(super) kind: RecordKind<'a>,
    pub(super) attributes: Attributes,
    pub(super) xattrs: Option<[u8; 32]>,
}

impl Records<'_> {
    /// The next record.
    pub fn next(&mut self) -> Option<Record<'_>> {
        self.read()?
    }

    /// Where [`Seal::at`] finds what was read last.
    pub(super) const fn place(&self) -> usize {
        self.place
    }

    /// `None` at the end, `Some(None)` for a malformed record.
    fn read(&mut self) -> Option<Option<Record<'_>>> {
        (!self.decoder.is_empty()).then(|| self.record())
    }

    fn record(&mut self) -> Option<Record<'_>> {
        self.decoder.path(&mut self.path)?;
        // Counted from the end, where nothing is added any more.
        self.place = self.decoder.0.len();
        let Description { kind, attributes, xattrs } = self.decoder.description()?;
        Some(Record { path: &self.path, kind, attributes, xattrs })
    }
}

impl<'a> Decoder<'a> {
    fn description(&mut self) -> Option<Description<'a>> {
        let kind = self.byte()?;
        let attributes = self.attributes()?;
        let xattrs = match self.byte()? {
            0 => None,
            1 => Some(*self.array()?),
            _ => return None,
        };
        let kind = match kind {
            b'd' => RecordKind::Directory,
            b'f' => RecordKind::File { size: self.long()?, hash: *self.array()?, group: self.number()? },
            b'l' => RecordKind::Symlink { target: self.text()? },
            b'c' => RecordKind::CharDevice { major: self.number()?, minor: self.number()? },
            b'b' => RecordKind::BlockDevice { major: self.number()?, minor: self.number()? },
            b'p' => RecordKind::Fifo,
            _ => return None,
        };
        Some(Description { kind, attributes, xattrs })
    }
}

impl From<Flaw> for SealError {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Magic => Self::Magic,
            Flaw::Version(found) => Self::Version(found),
            Flaw::Checksum => Self::Checksum,
        }
    }
}

struct Sealer {
    encoder: Encoder,
    records: u64,
    /// Numbers of the inodes with several names, in the order of their first ones: the same tree has the same seal,
    /// however it came to be.
    groups: HashMap<InodeId, u32>,
}

impl Sealer {
    /// Depth first; the depth of the index is capped.
    fn add(&mut self, index: &Index, id: InodeId, path: &mut Vec<u8>) {
        let Some(inode) = index.get(id) else { return };
        let kind = match &inode.content {
            Content::Directory(_) => b'd',
            Content::File { .. } => b'f',
            Content::Symlink { .. } => b'l',
            Content::CharDevice { .. } => b'c',
            Content::BlockDevice { .. } => b'b',
            Content::Fifo => b'p',
            Content::Free => return,
        };
        self.records += 1;
        let encoder = &mut self.encoder;
        encoder.path(path);
        encoder.byte(kind);
        encoder.attributes(inode.attributes);
        encoder.byte(u8::from(inode.xattrs.is_some()));
        encoder.array(inode.xattrs.as_deref().map_or(&[], |hash| hash));
        match &inode.content {
            Content::Directory(directory) => {
                for (name, child) in &directory.children {
                    let length = path.len();
                    if length > 0 {
                        path.push(b'/');
                    }
                    path.extend_from_slice(name);
                    self.add(index, child.inode, path);
                    path.truncate(length);
                }
            }
            Content::File { size, hash } => {
                encoder.long(*size);
                encoder.array(hash);
                let next = u32::try_from(self.groups.len() + 1).unwrap_or(u32::MAX);
                let shared = inode.links > 1;
                encoder.number(if shared { *self.groups.entry(id).or_insert(next) } else { 0 });
            }
            Content::Symlink { target } => encoder.text(target),
            Content::CharDevice { major, minor } | Content::BlockDevice { major, minor } => {
                encoder.number(*major);
                encoder.number(*minor);
            }
            Content::Fifo | Content::Free => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::tree::pax::Timestamp;

    fn sample() -> Seal {
        let mut index = Index::new(&Limits::default());
        let mtime = Timestamp { seconds: -2, nanoseconds: 5 };
        let attributes = Attributes { mode: 0o4755, uid: 1, gid: 2, mtime };
        let folder = index.insert(Index::ROOT, b"etc", 0, attributes, Index::new_directory());
        let file = Content::File { size: 3, hash: [7; 32] };
        let file = index.insert(folder, b"passwd", 0, attributes, file);
        index.link(folder, b"passwd-", 0, file);
        index.get_mut(file).unwrap().xattrs = Some(Box::new([9; 32]));
        index.insert(folder, b"\xff", 0, attributes, Content::Symlink { target: b"x"[..].into() });
        index.insert(Index::ROOT, b"etc.d", 0, attributes, Content::Fifo);
        index.insert(Index::ROOT, b"null", 0, attributes, Content::CharDevice { major: 1, minor: 3 });
        Seal::new(&index)
    }

    #[test]
    fn what_is_sealed_is_read_again() {
        let seal = Seal::parse(sample().as_bytes().to_vec()).unwrap();
        let mut records = seal.records();
        let mut paths = Vec::new();
        let mut groups = Vec::new();
        while let Some(record) = records.next() {
            paths.push(record.path.escape_ascii().to_string());
            if let RecordKind::File { size: 3, hash, group } = record.kind {
                assert_eq!((hash, record.xattrs, record.attributes.mode), ([7; 32], Some([9; 32]), 0o4755));
                assert_eq!(record.attributes.mtime, Timestamp { seconds: -2, nanoseconds: 5 });
                groups.push(group);
            }
        }
        assert_eq!(paths, ["", "etc", "etc/passwd", "etc/passwd-", "etc/\\xff", "etc.d", "null"]);
        assert!(groups.len() == 2 && groups[0] == groups[1] && groups[0] != 0);
        assert_eq!(seal.len(), 7);
    }

    #[test]
    fn every_change_of_a_seal_is_noticed() {
        let good = sample().as_bytes().to_vec();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(Seal::parse(bad).is_err(), "byte {at} changed");
            assert!(Seal::parse(good[..at].to_vec()).is_err(), "cut at {at}");
        }
        let mut longer = good.clone();
        longer.push(0);
        assert_eq!(Seal::parse(longer), Err(SealError::Checksum));
        let mut newer = good;
        newer[MAGIC.len()] = 2;
        assert_eq!(Seal::parse(newer), Err(SealError::Version(2)));
        assert_eq!(Seal::parse(Vec::new()), Err(SealError::Magic));
    }
}
