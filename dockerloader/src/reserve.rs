//! Room that is kept for the few small files by which the loader changes its state: a full disk must not keep a commit, a rollback or
//! a verdict from being written.
//!
//! ```text
//! reserve/1 .. reserve/4     128 KiB of zeros each: the blocks and the inodes of the next state files
//! ```
//!
//! Whoever can't write a state file for want of room removes one of them and tries again, four times at most. A pull that has something
//! to bring, a repair and a clean-up make them again, as soon as there is plenty of room.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{self, Disk, Kind};
use crate::layout::Layout;

/// Files of the reserve. More than one, since whoever fills the disk may be quicker than the one who needs the room.
pub const FILES: u8 = 4;

/// Bytes of each: a `state.json` with many verdicts and the last lines of ten versions.
pub const FILE_BYTES: u64 = 128 << 10;

/// The reserve is made where at least this many times its size is free: it must not be what fills a small volume.
const PLENTY: u64 = 16;

/// Whether there is room to make the reserve, of which `there` files are left. Pure; `free` in bytes and, where they are counted, in
/// files.
pub const fn has_room(there: u8, free: u64, free_files: Option<u64>) -> bool {
    let missing = FILES.saturating_sub(there) as u64;
    let files = match free_files {
        Some(files) => files >= missing * PLENTY,
        None => true,
    };
    files && free >= FILE_BYTES * FILES as u64 * PLENTY
}

fn files(layout: &Layout) -> impl Iterator<Item = PathBuf> {
    let folder = layout.reserve();
    (1..=FILES).map(move |number| folder.join(number.to_string()))
}

/// How many files of the reserve are there.
pub fn present(disk: &(impl Disk + ?Sized), layout: &Layout) -> u8 {
    let is_there = |path: &PathBuf| matches!(disk.kind(path), Ok(Some(Kind::File)));
    u8::try_from(files(layout).filter(is_there).count()).unwrap_or(FILES)
}

/// Gives back the room of one file; whether there was one.
///
/// # Errors
/// Of the removal or of the directory's sync, after which file systems with a journal have the blocks back.
pub fn release(disk: &(impl Disk + ?Sized), layout: &Layout) -> io::Result<bool> {
    for path in files(layout) {
        if disk.kind(&path)? == Some(Kind::File) {
            disk::remove_file_synced(disk, &path)?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Makes what is missing of the reserve, if `free` bytes and files allow it. Whether all of it is there then.
///
/// # Errors
/// Of the file system. What was made until then stays, and is of use.
pub fn fill(
    disk: &(impl Disk + ?Sized),
    layout: &Layout,
    free: u64,
    free_files: Option<u64>,
) -> io::Result<bool> {
    let there = present(disk, layout);
    if there >= FILES {
        return Ok(true);
    }
    if !has_room(there, free, free_files) {
        return Ok(false);
    }
    let folder = layout.reserve();
    disk.create_directories(&folder)?;
    let zeros = vec![0; usize::try_from(FILE_BYTES).unwrap_or(0)];
    for path in files(layout) {
        if disk.kind(&path)?.is_none() {
            make(disk, &path, &zeros)?;
        }
    }
    disk.sync_directory(&folder)?;
    Ok(true)
}

fn make(disk: &(impl Disk + ?Sized), path: &Path, zeros: &[u8]) -> io::Result<()> {
    disk.write_new(path, zeros).inspect_err(|_| {
        // Half a file would be taken for a whole one; the first error is the one to report.
        let _ = disk.remove_file(path);
    })
}

/// Does something that writes small files; when there is no room for it, gives back a file of the reserve and does it again. What is
/// done must be what can be done again.
///
/// # Errors
/// Of the last try.
pub fn with_room<T>(
    disk: &(impl Disk + ?Sized),
    layout: &Layout,
    mut act: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    let mut left = FILES;
    loop {
        match act() {
            Err(error) if disk::is_full(&error) && left > 0 => {
                left -= 1;
                // Why the reserve can't be given back matters less than what it was needed for.
                if !release(disk, layout).unwrap_or(false) {
                    return Err(error);
                }
                tracing::warn!(
                    event = "reserve_used",
                    "the disk is full: a part of the reserve is given back to write state; make room on {}",
                    layout.root().display()
                );
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    fn layout() -> (tempfile::TempDir, Layout) {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path());
        (directory, layout)
    }

    #[test]
    fn the_reserve_is_made_where_there_is_plenty_of_room() {
        let enough = FILE_BYTES * u64::from(FILES) * PLENTY;
        for (there, free, files, room) in [
            (0, enough, None, true),
            (0, enough - 1, None, false),
            (0, enough, Some(64), true),
            (0, enough, Some(63), false),
            (3, enough, Some(16), true),
            (3, enough, Some(15), false),
            (0, 0, Some(0), false),
        ] {
            assert_eq!(has_room(there, free, files), room, "{there} {free} {files:?}");
        }
    }

    #[test]
    fn each_write_that_finds_no_room_gets_some_until_nothing_is_left() {
        let (_directory, layout) = layout();
        assert!(fill(&RealDisk, &layout, u64::MAX, None).unwrap());
        assert_eq!(present(&RealDisk, &layout), FILES);
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        // The second try has room.
        let mut tries = 0;
        let mut twice = || {
            tries += 1;
            if tries < 2 { Err(full()) } else { Ok(tries) }
        };
        assert_eq!(with_room(&RealDisk, &layout, &mut twice).unwrap(), 2);
        assert_eq!(present(&RealDisk, &layout), FILES - 1);
        // Other errors are no reason to give it back.
        let denied = || Err::<(), _>(io::Error::from(io::ErrorKind::PermissionDenied));
        assert!(with_room(&RealDisk, &layout, denied).is_err());
        assert_eq!(present(&RealDisk, &layout), FILES - 1);
        // Somebody else takes all that is given back.
        let mut tries = 0;
        let never = || {
            tries += 1;
            Err::<(), _>(full())
        };
        assert!(disk::is_full(&with_room(&RealDisk, &layout, never).unwrap_err()));
        assert_eq!((tries, present(&RealDisk, &layout)), (FILES, 0));
        assert!(!release(&RealDisk, &layout).unwrap());
        assert!(!fill(&RealDisk, &layout, 1000, None).unwrap());
        assert!(fill(&RealDisk, &layout, u64::MAX, Some(1000)).unwrap());
        assert_eq!(present(&RealDisk, &layout), FILES);
    }
}
