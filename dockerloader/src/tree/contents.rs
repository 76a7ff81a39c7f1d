//! Contents of files from another tree: shared where the file system can, copied elsewhere, and never believed.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use super::verify::hash_file;

/// Hands out contents that a tree has to have, and that neither its base nor a layer that is read brings: those of the version
/// that runs.
pub trait Contents {
    /// An open file with these contents, or with what may be these: they are hashed before they are used. `path` is where the
    /// new tree has them. `None` when there are none.
    fn open(&self, path: &[u8], size: u64, hash: &[u8; 32]) -> Option<File>;
}

/// No contents at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoContents;

impl Contents for NoContents {
    fn open(&self, _: &[u8], _: u64, _: &[u8; 32]) -> Option<File> {
        None
    }
}

/// How contents came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copied {
    /// Both files have the same blocks.
    Shared,
    /// Written again.
    Written,
    /// They are others than expected: the new file is of no use.
    Wrong,
}

/// Bytes that are read and written at a time.
const CHUNK: usize = 256 << 10;

/// Size from which blocks are shared. What is shared has to be read from the disk again, to be hashed: the memory that holds
/// one file's bytes does not serve another file of the same blocks. For small files that costs far more than writing them.
const SHARED_FROM: u64 = 128 << 10;

/// Brings `size` bytes that have this hash from one file into another, which is empty.
pub(super) fn copy(from: &File, to: &File, size: u64, hash: &[u8; 32]) -> io::Result<Copied> {
    let metadata = from.metadata()?;
    if !metadata.is_file() || metadata.len() != size {
        return Ok(Copied::Wrong);
    }
    let mut buffer = Vec::new();
    if size >= SHARED_FROM && rustix::fs::ioctl_ficlone(to, from).is_ok() {
        let found = hash_file(to.as_fd(), &mut buffer)?;
        return Ok(if found == *hash { Copied::Shared } else { Copied::Wrong });
    }
    // Holes stay holes.
    let sparse = metadata.blocks().saturating_mul(512) < size;
    buffer.resize(usize::try_from(size).map_or(CHUNK, |size| size.clamp(1, CHUNK)), 0);
    let mut hasher = blake3::Hasher::new();
    let mut position = 0;
    loop {
        let count = match from.read_at(&mut buffer, position) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        hasher.update(bytes);
        if !sparse || bytes.iter().any(|&byte| byte != 0) {
            to.write_all_at(bytes, position)?;
        }
        position += count as u64;
    }
    if sparse {
        to.set_len(position)?;
    }
    Ok(if hasher.finalize() == *hash { Copied::Written } else { Copied::Wrong })
}

/// Makes an empty file begin like another one: with its first `length` bytes, or with all of them, where they cost nothing.
/// Says whether it is all.
pub(super) fn begin_like(from: &File, to: &File, length: u64) -> io::Result<bool> {
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(true);
    }
    let (mut source, mut target) = (0, 0);
    while target < length {
        let left = usize::try_from(length - target).unwrap_or(usize::MAX);
        match rustix::fs::copy_file_range(from, Some(&mut source), to, Some(&mut target), left) {
            // Shorter than it was: what is missing is found by the hash.
            Ok(0) => break,
            Ok(_) => {}
            Err(_) => {
                plainly(from, to, target, length)?;
                break;
            }
        }
    }
    Ok(false)
}

/// Where the kernel can't copy by itself.
fn plainly(from: &File, to: &File, mut position: u64, length: u64) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    while position < length {
        let wanted = usize::try_from(length - position).unwrap_or(usize::MAX).min(CHUNK);
        let count = from.read_at(buffer.get_mut(..wanted).unwrap_or_default(), position)?;
        if count == 0 {
            break;
        }
        to.write_all_at(buffer.get(..count).unwrap_or_default(), position)?;
        position += count as u64;
    }
    Ok(())
}
