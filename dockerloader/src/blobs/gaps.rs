//! What of a file is there, as the file system itself knows it: what was never written is a hole (`lseek(2)`).

use std::fs::File;
use std::io;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::spans::Spans;

/// A write into a file with holes ends at a multiple of this, or at the end of what was asked for: the rest of a file
/// system's block that was begun would read as zeros, and nothing would tell them from the blob's own.
pub(super) const BLOCK: u64 = 4096;

/// What was written of the file's first `length` bytes.
///
/// A file system that keeps no holes says that all of it was written, which it was: nothing is written out of order there.
pub(super) fn written(file: &File, length: u64, block: u64) -> io::Result<Spans> {
    let mut found = Spans::default();
    let mut from = 0;
    while from < length {
        let start = match rustix::fs::seek(file, SeekFrom::Data(from)) {
            Ok(start) => start.min(length),
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(std::iter::once(0..length).collect()),
            Err(errno) => return Err(errno.into()),
        };
        let end = rustix::fs::seek(file, SeekFrom::Hole(start))?.clamp(start, length);
        // Where blocks are larger than ours, the last one may have been begun only.
        let unsure = if block > BLOCK && end < length { block } else { 0 };
        found.insert(start..end.saturating_sub(unsure).max(start));
        from = end.max(from.saturating_add(1));
    }
    Ok(found)
}

/// Makes a file that ends at `end` as long as `size`, if the file system keeps what lies between as a hole; whether it
/// does. If not, the file is as before. What is behind the last whole block is cut off: the rest of that block would read
/// as zeros.
pub(super) fn open_gap(file: &File, end: u64, size: u64) -> io::Result<bool> {
    file.set_len(size)?;
    // With room for blocks that are larger than ours.
    let probe = end.saturating_add(1 << 20);
    if probe < size && matches!(rustix::fs::seek(file, SeekFrom::Data(probe)), Err(Errno::NXIO)) {
        file.set_len(end - end % BLOCK)?;
        file.set_len(size)?;
        return Ok(true);
    }
    file.set_len(end)?;
    Ok(false)
}
