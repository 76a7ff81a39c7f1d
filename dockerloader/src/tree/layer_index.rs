//! The entries of one layer without the contents: enough to know again, without the blob, what the layer does to a tree.
//!
//! ```text
//! "dockerloader-layer\n"  version: u32  records: u64  extractor: [u8; 32]  diff_id: [u8; 32]
//! warnings: u32  (kind: u8  count: u64  first: text)*
//! record: path  kind: u8, and for
//!         folder, file, link, device, FIFO: mode uid gid: u32  seconds: i64  nanoseconds: u32  xattrs
//!         file: size: u64  hash: [u8; 32]     symlink: target: text     devices: major minor: u32
//!         hard link: target: text             whiteout, opaque marker, entry of which nothing was made: no more
//! xattrs: 0 | 1 hash: [u8; 32]  number: u32  (name: text  value: text)*
//! BLAKE3 of all before: [u8; 32]              numbers and texts as in a seal
//! ```
//!
//! Records are in the order of the archive. Attributes are those that the extraction could set, which depends on who extracts:
//! the index of another user, or of the same one with other rights, is not used. Those of folders are set when all layers
//! are there, and are as the archive has them.

use std::borrow::Cow;

use crate::blobs::space::Need;
use crate::digest::Digest;

use super::encoding::{self, Decoder, Encoder, Flaw};
use super::entry::{Attributes, Xattr};
use super::extractor;
use super::warning::{Warning, WarningKind};

/// Bytes that a directory takes at least, and the last part of a file at most.
const BLOCK: u64 = 4096;
const MAGIC: &[u8; 19] = b"dockerloader-layer\n";
const VERSION: u32 = 1;

/// The index of a layer, in the form that is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct LayerIndex {
    bytes: Vec<u8>,
}

/// A stored index cannot be used: the layer's blob is needed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayerIndexError {
    /// Not an index at all, or cut off in its first bytes.
    #[error("the file is no index of a layer; the layer has to be extracted again")]
    Magic,
    /// An index of another format.
    #[error("the layer's index has format version {0}, not {VERSION}; the layer has to be extracted again")]
    Version(u32),
    /// Torn or changed.
    #[error("the checksum of the layer's index does not match; the layer has to be extracted again")]
    Checksum,
    /// The checksum is right, but the records make no sense.
    #[error("record {0} of the layer's index is malformed; the layer has to be extracted again")]
    Record(u64),
    /// Somebody else, or the same user with other rights, extracted the layer: the attributes would be others.
    #[error("the layer was extracted by a user with other rights; it has to be extracted again")]
    Extractor,
}

impl LayerIndexError {
    /// What helps: always to extract the layer again.
    pub const fn remedy(&self) -> crate::remedy::Remedy {
        crate::remedy::Remedy::Corrupt
    }
}

impl From<Flaw> for LayerIndexError {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Magic => Self::Magic,
            Flaw::Version(found) => Self::Version(found),
            Flaw::Checksum => Self::Checksum,
        }
    }
}

/// One entry of a layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    /// As the archive has it.
    pub(super) path: &'a [u8],
    pub(super) kind: RecordKind<'a>,
    /// Those on the disk; of folders those of the archive.
    pub(super) attributes: Attributes,
    pub(super) xattrs: Xattrs<'a>,
}

/// What an entry did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordKind<'a> {
    Directory,
    File {
        size: u64,
        hash: [u8; 32],
    },
    Symlink {
        target: &'a [u8],
    },
    CharDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
    Hardlink {
        target: &'a [u8],
    },
    Whiteout,
    Opaque,
    /// It only took away what was there: a device that could not be made.
    Nothing,
}

/// Extended attributes of an entry: those it asks for, and the hash over those that could be set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Xattrs<'a> {
    pub(super) hash: Option<[u8; 32]>,
    wanted: Decoder<'a>,
    count: u32,
}

impl<'a> Xattrs<'a> {
    const NONE: Self = Self { hash: None, wanted: Decoder(&[]), count: 0 };

    /// Names and values that the entry asks for, sorted by name.
    pub(super) fn wanted(&self) -> impl Iterator<Item = Xattr<'a>> {
        let mut decoder = self.wanted;
        (0..self.count)
            .map_while(move |_| Some((Cow::Borrowed(decoder.text()?), Cow::Borrowed(decoder.text()?))))
    }
}

impl LayerIndex {
    /// Largest index that is worth reading, in bytes: that of a layer of some million entries.
    pub const MAX_BYTES: u64 = 1 << 30;

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// An index from its stored bytes.
    ///
    /// # Errors
    /// When they are not exactly what was stored, of another format version, or of another extracting user.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, LayerIndexError> {
        let (count, _) = encoding::open(&bytes, MAGIC, VERSION)?;
        let index = Self { bytes };
        let start = index.start().ok_or(LayerIndexError::Record(0))?;
        if start.extractor != extractor::fingerprint() {
            return Err(LayerIndexError::Extractor);
        }
        let mut records = Records { decoder: start.records, path: Vec::new() };
        let mut read = 0;
        while let Some(record) = records.read() {
            record.ok_or(LayerIndexError::Record(read))?;
            read += 1;
        }
        if read == count { Ok(index) } else { Err(LayerIndexError::Record(read)) }
    }

    /// The digest of the layer's uncompressed bytes.
    pub fn diff_id(&self) -> Digest {
        Digest::from_bytes(self.start().map(|start| start.diff_id).unwrap_or_default())
    }

    /// Entries of the layer.
    pub fn len(&self) -> u64 {
        encoding::parts(&self.bytes, MAGIC.len()).map_or(0, |(count, _)| count)
    }

    /// What its files and folders take on the disk, at least.
    pub fn size(&self) -> Need {
        let mut need = Need::default();
        let mut records = self.records();
        while let Some(record) = records.next() {
            match record.kind {
                RecordKind::File { size, .. } => {
                    need.bytes = need.bytes.saturating_add(size.next_multiple_of(BLOCK));
                    need.files += 1;
                }
                RecordKind::Directory => {
                    need.bytes = need.bytes.saturating_add(BLOCK);
                    need.files += 1;
                }
                RecordKind::Symlink { .. }
                | RecordKind::CharDevice { .. }
                | RecordKind::BlockDevice { .. }
                | RecordKind::Fifo => need.files += 1,
                RecordKind::Hardlink { .. }
                | RecordKind::Whiteout
                | RecordKind::Opaque
                | RecordKind::Nothing => {}
            }
        }
        need
    }

    /// Whether the layer has no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the extraction of the layer had to deviate from it.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        self.start().map(|start| start.warnings).unwrap_or_default()
    }

    pub(super) fn records(&self) -> Records<'_> {
        let decoder = self.start().map_or(Decoder(&[]), |start| start.records);
        Records { decoder, path: Vec::new() }
    }

    fn start(&self) -> Option<Start<'_>> {
        let (_, mut decoder) = encoding::parts(&self.bytes, MAGIC.len())?;
        let extractor = *decoder.array()?;
        let diff_id = *decoder.array()?;
        let mut warnings = Vec::new();
        for _ in 0..decoder.number()? {
            let kind = WarningKind::from_code(decoder.byte()?)?;
            let count = decoder.long()?;
            let first = String::from_utf8(decoder.text()?.to_vec()).ok()?;
            warnings.push(Warning { kind, first, count });
        }
        Some(Start { extractor, diff_id, warnings, records: decoder })
    }
}

/// What stands before the records.
struct Start<'a> {
    extractor: [u8; 32],
    diff_id: [u8; 32],
    warnings: Vec<Warning>,
    records: Decoder<'a>,
}

impl std::fmt::Debug for LayerIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LayerIndex({}, {} records, {} bytes)", self.diff_id(), self.len(), self.bytes.len())
    }
}

/// Goes through the records; not an `Iterator`, since all paths share one buffer.
#[derive(Debug)]
pub(super) struct Records<'a> {
    decoder: Decoder<'a>,
    path: Vec<u8>,
}

impl Records<'_> {
    /// The next record.
    pub(super) fn next(&mut self) -> Option<Record<'_>> {
        self.read()?
    }

    /// `None` at the end, `Some(None)` for a malformed record.
    fn read(&mut self) -> Option<Option<Record<'_>>> {
        (!self.decoder.is_empty()).then(|| self.record())
    }

    fn record(&mut self) -> Option<Record<'_>> {
        let Self { decoder, path } = self;
        decoder.path(path)?;
        let kind = decoder.byte()?;
        let (mut attributes, mut xattrs) = (Attributes::default(), Xattrs::NONE);
        if !matches!(kind, b'h' | b'w' | b'o' | b'x') {
            attributes = decoder.attributes()?;
            xattrs = read_xattrs(decoder)?;
        }
        let kind = match kind {
            b'd' => RecordKind::Directory,
            b'f' => RecordKind::File { size: decoder.long()?, hash: *decoder.array()? },
            b'l' => RecordKind::Symlink { target: decoder.text()? },
            b'c' => RecordKind::CharDevice { major: decoder.number()?, minor: decoder.number()? },
            b'b' => RecordKind::BlockDevice { major: decoder.number()?, minor: decoder.number()? },
            b'p' => RecordKind::Fifo,
            b'h' => RecordKind::Hardlink { target: decoder.text()? },
            b'w' => RecordKind::Whiteout,
            b'o' => RecordKind::Opaque,
            b'x' => RecordKind::Nothing,
            _ => return None,
        };
        Some(Record { path, kind, attributes, xattrs })
    }
}

fn read_xattrs<'a>(decoder: &mut Decoder<'a>) -> Option<Xattrs<'a>> {
    let hash = match decoder.byte()? {
        0 => None,
        1 => Some(*decoder.array()?),
        _ => return None,
    };
    let count = decoder.number()?;
    let wanted = *decoder;
    for _ in 0..count {
        decoder.text()?;
        decoder.text()?;
    }
    Some(Xattrs { hash, wanted, count })
}

/// Writes the index of a layer while it is extracted.
#[derive(Debug)]
pub(super) struct Recorder {
    records: Encoder,
    count: u64,
}

impl Recorder {
    pub(super) fn new() -> Self {
        Self { records: Encoder::new(&[], VERSION), count: 0 }
    }

    /// An entry without attributes of its own.
    pub(super) fn add(&mut self, path: &[u8], kind: RecordKind<'_>) {
        self.describe(path, kind, Attributes::default(), None, &[]);
    }

    /// Any entry; `hash` is over the extended attributes that could be set.
    pub(super) fn describe(
        &mut self,
        path: &[u8],
        kind: RecordKind<'_>,
        attributes: Attributes,
        hash: Option<&[u8; 32]>,
        wanted: &[Xattr<'_>],
    ) {
        self.count += 1;
        let encoder = &mut self.records;
        encoder.path(path);
        let (code, described) = match kind {
            RecordKind::Directory => (b'd', true),
            RecordKind::File { .. } => (b'f', true),
            RecordKind::Symlink { .. } => (b'l', true),
            RecordKind::CharDevice { .. } => (b'c', true),
            RecordKind::BlockDevice { .. } => (b'b', true),
            RecordKind::Fifo => (b'p', true),
            RecordKind::Hardlink { .. } => (b'h', false),
            RecordKind::Whiteout => (b'w', false),
            RecordKind::Opaque => (b'o', false),
            RecordKind::Nothing => (b'x', false),
        };
        encoder.byte(code);
        if described {
            encoder.attributes(attributes);
            encoder.byte(u8::from(hash.is_some()));
            encoder.array(hash.map_or(&[], |hash| hash));
            encoder.number(u32::try_from(wanted.len()).unwrap_or(u32::MAX));
            for (name, value) in wanted {
                encoder.text(name);
                encoder.text(value);
            }
        }
        match kind {
            RecordKind::File { size, hash } => {
                encoder.long(size);
                encoder.array(&hash);
            }
            RecordKind::Symlink { target } | RecordKind::Hardlink { target } => encoder.text(target),
            RecordKind::CharDevice { major, minor } | RecordKind::BlockDevice { major, minor } => {
                encoder.number(major);
                encoder.number(minor);
            }
            _ => {}
        }
    }

    pub(super) fn finish(self, diff_id: &Digest, warnings: &[Warning]) -> LayerIndex {
        let mut encoder = Encoder::new(MAGIC, VERSION);
        encoder.array(&extractor::fingerprint());
        encoder.array(diff_id.bytes());
        encoder.number(u32::try_from(warnings.len()).unwrap_or(u32::MAX));
        for Warning { kind, first, count } in warnings {
            encoder.byte(kind.code());
            encoder.long(*count);
            encoder.text(first.as_bytes());
        }
        encoder.array(self.records.body());
        LayerIndex { bytes: encoder.finish(self.count) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::pax::Timestamp;

    fn sample() -> LayerIndex {
        let mut recorder = Recorder::new();
        let mtime = Timestamp { seconds: -2, nanoseconds: 5 };
        let attributes = Attributes { mode: 0o4755, uid: 1, gid: 2, mtime };
        let xattrs: [Xattr<'_>; 2] =
            [(b"user.a"[..].into(), b"1"[..].into()), (b"user.b"[..].into(), b""[..].into())];
        recorder.describe(b"etc/", RecordKind::Directory, attributes, None, &xattrs);
        let file = RecordKind::File { size: 3, hash: [7; 32] };
        recorder.describe(b"etc/passwd", file, attributes, Some(&[9; 32]), &xattrs);
        recorder.describe(b"l", RecordKind::Symlink { target: b"etc" }, attributes, None, &[]);
        let device = RecordKind::CharDevice { major: 1, minor: 3 };
        recorder.describe(b"null", device, attributes, None, &[]);
        recorder.add(b"etc/passwd-", RecordKind::Hardlink { target: b"etc/passwd" });
        recorder.add(b"etc/.wh.old", RecordKind::Whiteout);
        recorder.add(b"etc/.wh..wh..opq", RecordKind::Opaque);
        recorder.add(b"skipped", RecordKind::Nothing);
        let warning = Warning { kind: WarningKind::OwnerKept, first: "etc".to_owned(), count: 4 };
        recorder.finish(&Digest::from_bytes([5; 32]), &[warning])
    }

    #[test]
    fn what_is_recorded_is_read_again() {
        let index = LayerIndex::parse(sample().as_bytes().to_vec()).unwrap();
        assert_eq!((index.len(), index.is_empty()), (8, false));
        assert_eq!(index.diff_id(), Digest::from_bytes([5; 32]));
        assert_eq!(index.warnings().len(), 1);
        assert_eq!((index.warnings()[0].kind, index.warnings()[0].count), (WarningKind::OwnerKept, 4));
        let mut records = index.records();
        let mut paths = Vec::new();
        while let Some(record) = records.next() {
            paths.push(record.path.escape_ascii().to_string());
            match record.kind {
                RecordKind::File { size, hash } => {
                    assert_eq!((size, hash, record.xattrs.hash), (3, [7; 32], Some([9; 32])));
                    let wanted: Vec<_> = record.xattrs.wanted().map(|(name, _)| name.into_owned()).collect();
                    assert_eq!(wanted, [b"user.a", b"user.b"]);
                    assert_eq!((record.attributes.mode, record.attributes.mtime.seconds), (0o4755, -2));
                }
                RecordKind::Hardlink { target } => assert_eq!(target, b"etc/passwd"),
                RecordKind::CharDevice { major, minor } => assert_eq!((major, minor), (1, 3)),
                _ => {}
            }
        }
        let expected =
            ["etc/", "etc/passwd", "l", "null", "etc/passwd-", "etc/.wh.old", "etc/.wh..wh..opq", "skipped"];
        assert_eq!(paths, expected);
    }

    #[test]
    fn every_change_of_an_index_is_noticed() {
        let good = sample().as_bytes().to_vec();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(LayerIndex::parse(bad).is_err(), "byte {at} changed");
            assert!(LayerIndex::parse(good[..at].to_vec()).is_err(), "cut at {at}");
        }
        let mut newer = good.clone();
        newer[MAGIC.len()] = 2;
        assert_eq!(LayerIndex::parse(newer), Err(LayerIndexError::Version(2)));
        // The checksum is right, and somebody else extracted the layer, or the records make no sense.
        let resealed = |at: usize| {
            let mut bytes = good[..good.len() - 32].to_vec();
            bytes[at] ^= 0x40;
            let checksum = *blake3::hash(&bytes).as_bytes();
            LayerIndex::parse([bytes, checksum.to_vec()].concat())
        };
        assert_eq!(resealed(MAGIC.len() + 12), Err(LayerIndexError::Extractor));
        assert!(matches!(resealed(good.len() - 33), Err(LayerIndexError::Record(7))));
    }
}
