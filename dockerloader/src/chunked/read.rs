//! From a blob's last bytes to its table of contents.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

use super::place::{Format, Located};
use super::table::Table;
use super::{Error, Place};
use crate::digest::Digest;
use crate::limits::Limits;

/// The name that the table has in the archive of eStargz.
const STARGZ_NAME: &[u8] = b"stargz.index.json";

/// Bytes of a tar header (POSIX ustar).
const HEADER: usize = 512;

/// Bytes that are read at a time.
const BUFFER: usize = 64 << 10;

/// Reads a table. `tail` are the blob's bytes from [`Located::tail`] on.
///
/// # Errors
/// [`Error::Malformed`], [`Error::Limit`]: by what is in it, or because it is not the one that the annotations name;
/// [`Error::Io`] of the reader.
pub fn read(mut tail: impl Read, located: &Located, limits: &Limits) -> Result<Table, Error> {
    let before = located.table.start.saturating_sub(located.tail);
    io::copy(&mut tail.by_ref().take(before), &mut io::sink()).map_err(Error::io("read"))?;
    let mut table = Hashed::new(tail.take(located.table.end.saturating_sub(located.table.start)));
    match located.format {
        Format::Zstd { inflated, checksum } => {
            let input = BufReader::with_capacity(BUFFER, &mut table);
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(input).map_err(Error::io("decompress"))?;
            let log = u32::try_from(limits.zstd_window_log.max).unwrap_or(u32::MAX);
            decoder.window_log_max(log).map_err(Error::io("decompress"))?;
            let parsed = Table::parse(decoder.take(inflated), located.tail, limits)?;
            match checksum {
                Some(checksum) => table.verify(checksum).map(|()| parsed),
                None => Ok(parsed),
            }
        }
        Format::Stargz { digest } => {
            let mut archive = MultiGzDecoder::new(BufReader::with_capacity(BUFFER, table));
            let mut header = [0; HEADER];
            archive.read_exact(&mut header).map_err(Error::io("decompress"))?;
            let size = size_in(&header).ok_or_else(|| Error::malformed("it is not where the footer says"))?;
            limits.table_inflated_bytes.check(size)?;
            let mut json = Hashed::new(archive.take(size));
            let parsed = Table::parse(&mut json, located.tail, limits)?;
            json.verify(digest).map(|()| parsed)
        }
    }
}

/// Bytes at the end of a blob in which the footer is.
const FOOTER: u64 = 51;

/// Reads the table of a blob on disk, of `size` bytes.
///
/// # Errors
/// As [`read`].
pub(super) fn read_file(
    file: &std::fs::File,
    size: u64,
    place: &Place,
    limits: &Limits,
) -> Result<Table, Error> {
    use std::os::unix::fs::FileExt as _;
    let mut last_bytes = [0; FOOTER as usize];
    let at = size.checked_sub(FOOTER).ok_or_else(|| Error::malformed("the blob is too small"))?;
    file.read_exact_at(&mut last_bytes, at).map_err(Error::io("read"))?;
    let located = place.locate(&last_bytes, size, limits)?;
    read(From { file, offset: located.tail }, &located, limits)
}

/// A file from an offset on.
pub(super) struct From<'f> {
    pub(super) file: &'f std::fs::File,
    pub(super) offset: u64,
}

impl Read for From<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt as _;
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// The size of the table by its tar header; `None` if it is that of another file.
fn size_in(header: &[u8; HEADER]) -> Option<u64> {
    let name = header.get(..100)?.strip_prefix(STARGZ_NAME)?;
    let digits = std::str::from_utf8(header.get(124..136)?).ok()?;
    if name.first() != Some(&0) {
        return None;
    }
    u64::from_str_radix(digits.trim_matches([' ', '\0']), 8).ok()
}

/// Hashes what is read.
struct Hashed<R> {
    reader: R,
    hasher: Sha256,
}

impl<R: Read> Hashed<R> {
    fn new(reader: R) -> Self {
        Self { reader, hasher: Sha256::new() }
    }

    /// Reads what is left, and compares.
    fn verify(mut self, expected: Digest) -> Result<(), Error> {
        io::copy(&mut self, &mut io::sink()).map_err(Error::io("read"))?;
        let found = Digest::from_bytes(self.hasher.finalize().into());
        if found == expected {
            Ok(())
        } else {
            Err(Error::malformed(format_args!("its digest is {found}, expected {expected}")))
        }
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}
