//! What all files beside a tree have in common: they begin with what they are, and end with a checksum.
//!
//! ```text
//! MAGIC  version: u32  records: u64  ...  BLAKE3 of all before: [u8; 32]
//! text:  length: u32  the bytes                       all numbers little-endian
//! path:  shared: u32  rest: text                      it begins like the path before
//! attributes: mode uid gid: u32  seconds: i64  nanoseconds: u32
//! ```

use super::entry::Attributes;
use super::pax::Timestamp;

const CHECKSUM: usize = 32;

/// Why stored bytes are not what was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Something else, or cut off in its first bytes.
    Magic,
    /// Another format version.
    Version(u32),
    /// Torn or changed.
    Checksum,
}

/// Writes a file of this kind.
#[derive(Debug)]
pub(super) struct Encoder {
    bytes: Vec<u8>,
    previous: Vec<u8>,
    /// Where the number of records goes.
    count: usize,
}

impl Encoder {
    pub(super) fn new(magic: &[u8], version: u32) -> Self {
        let mut encoder = Self { bytes: magic.to_vec(), previous: Vec::new(), count: magic.len() + 4 };
        encoder.number(version);
        encoder.long(0);
        encoder
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(super) fn number(&mut self, number: u32) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn long(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    /// Bytes whose number is known to the reader.
    pub(super) fn array(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn text(&mut self, text: &[u8]) {
        self.number(u32::try_from(text.len()).unwrap_or(u32::MAX));
        self.bytes.extend_from_slice(text);
    }

    pub(super) fn path(&mut self, path: &[u8]) {
        let shared = shared(&self.previous, path);
        self.number(u32::try_from(shared).unwrap_or(u32::MAX));
        self.text(path.get(shared..).unwrap_or_default());
        self.previous.truncate(shared);
        self.previous.extend_from_slice(path.get(shared..).unwrap_or_default());
    }

    pub(super) fn attributes(&mut self, attributes: Attributes) {
        let Attributes { mode, uid, gid, mtime } = attributes;
        [mode, uid, gid].into_iter().for_each(|number| self.number(number));
        self.array(&mtime.seconds.to_le_bytes());
        self.number(mtime.nanoseconds);
    }

    /// All after the number of records, for a file that is put together from parts.
    pub(super) fn body(&self) -> &[u8] {
        self.bytes.get(self.count + 8..).unwrap_or_default()
    }

    /// The finished file.
    pub(super) fn finish(self, records: u64) -> Vec<u8> {
        let Self { mut bytes, count, .. } = self;
        if let Some(place) = bytes.get_mut(count..count + 8) {
            place.copy_from_slice(&records.to_le_bytes());
        }
        let checksum = blake3::hash(&bytes);
        bytes.extend_from_slice(checksum.as_bytes());
        bytes
    }
}

/// Bytes that both begin with.
pub(super) fn shared(left: &[u8], right: &[u8]) -> usize {
    /// Compared at once.
    const STEP: usize = 16;
    let steps =
        left.chunks_exact(STEP).zip(right.chunks_exact(STEP)).take_while(|(left, right)| left == right);
    let start = steps.count() * STEP;
    let rest = left.iter().zip(right).skip(start);
    start + rest.take_while(|(left, right)| left == right).count()
}

/// The number of records and all between it and the checksum.
pub(super) fn open<'b>(bytes: &'b [u8], magic: &[u8], version: u32) -> Result<(u64, Decoder<'b>), Flaw> {
    let mut start = Decoder(bytes.strip_prefix(magic).ok_or(Flaw::Magic)?);
    match start.number().ok_or(Flaw::Magic)? {
        found if found == version => {}
        other => return Err(Flaw::Version(other)),
    }
    let split = bytes.len().checked_sub(CHECKSUM).and_then(|at| bytes.split_at_checked(at));
    let (contents, checksum) = split.ok_or(Flaw::Checksum)?;
    if blake3::hash(contents).as_bytes() != checksum {
        return Err(Flaw::Checksum);
    }
    parts(bytes, magic.len()).ok_or(Flaw::Checksum)
}

/// The same of a file whose checksum was right.
pub(super) fn parts(bytes: &[u8], magic: usize) -> Option<(u64, Decoder<'_>)> {
    let contents = bytes.get(magic + 4..bytes.len().checked_sub(CHECKSUM)?)?;
    let mut decoder = Decoder(contents);
    Some((decoder.long()?, decoder))
}

/// The checksum at the end of a file.
pub(super) fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    bytes.last_chunk().copied().unwrap_or_default()
}

/// Reads what an [`Encoder`] wrote; `None` where it ends too early.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decoder<'a>(pub(super) &'a [u8]);

impl<'a> Decoder<'a> {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(array)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| *byte)
    }

    pub(super) fn number(&mut self) -> Option<u32> {
        self.array().map(|bytes| u32::from_le_bytes(*bytes))
    }

    pub(super) fn long(&mut self) -> Option<u64> {
        self.array().map(|bytes| u64::from_le_bytes(*bytes))
    }

    pub(super) fn signed(&mut self) -> Option<i64> {
        self.array().map(|bytes| i64::from_le_bytes(*bytes))
    }

    pub(super) fn attributes(&mut self) -> Option<Attributes> {
        Some(Attributes {
            mode: self.number()?,
            uid: self.number()?,
            gid: self.number()?,
            mtime: Timestamp { seconds: self.signed()?, nanoseconds: self.number()? },
        })
    }

    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// Turns the path before into the next one.
    pub(super) fn path(&mut self, path: &mut Vec<u8>) -> Option<()> {
        let shared = usize::try_from(self.number()?).ok()?;
        let rest = self.text()?;
        (shared <= path.len()).then_some(())?;
        path.truncate(shared);
        path.extend_from_slice(rest);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_paths_begin_with_is_found_however_long_they_are() {
        let text = (0..100).collect::<Vec<u8>>();
        for length in 0..text.len() {
            for at in 0..length {
                let mut other = text[..length].to_vec();
                other[at] ^= 1;
                assert_eq!(shared(&text, &other), at, "{length}");
            }
            assert_eq!((shared(&text, &text[..length]), shared(&text[..length], &text)), (length, length));
        }
    }
}
