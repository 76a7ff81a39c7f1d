//! One supervisor a data directory (I7): a lock that vanishes with the process, however it dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::disk::{self, Disk as _, RealDisk};
use crate::layout::{Layout, Slot};

/// Why the place could not be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// Another supervisor has it.
    #[error(
        "another supervisor holds {path}: two must never run on one data directory; stop the other one, or set \
         DOCKERLOADER_DATA_DIR"
    )]
    Held {
        /// The lock's file.
        path: PathBuf,
    },
    /// The data directory can't be used.
    #[error(
        "can't use the data directory: {path}: {source}; mount a writable volume there, or set DOCKERLOADER_DATA_DIR"
    )]
    Unusable {
        /// What was tried.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The supervisor's place, for as long as this lives. The directory is locked as well as the file in it: where the file can't
/// be made or opened, on a read-only volume or one of another user, a version on disk is started all the same (I1), and
/// still by one supervisor alone.
#[derive(Debug)]
pub(crate) struct Locked {
    _file: Option<File>,
    _directory: Option<File>,
}

/// Takes the supervisor's place.
///
/// # Errors
/// [`LockError`].
pub(crate) fn take_place(layout: &Layout) -> Result<Locked, LockError> {
    let unusable = |path: PathBuf| move |source| LockError::Unusable { path, source };
    // The data directory itself is the operator's to make: a missing mount must not be covered up by a directory that
    // vanishes with the container.
    let data = layout.root().parent().unwrap_or(layout.root());
    let metadata = std::fs::metadata(data).map_err(unusable(data.to_owned()))?;
    if !metadata.is_dir() {
        return Err(unusable(data.to_owned())(io::ErrorKind::NotADirectory.into()));
    }
    RealDisk.create_directories(layout.root()).map_err(unusable(layout.root().to_owned()))?;
    let path = layout.supervisor_lock();
    let file = match open(&path).and_then(|file| lock(file, &path)) {
        Ok(file) => Some(file),
        Err(error @ LockError::Held { .. }) => return Err(error),
        // Whatever is in the file's place: a version on disk is not kept from running for that. The directory has to do.
        Err(LockError::Unusable { .. }) => None,
    };
    let directory = File::open(layout.root()).map_err(unusable(layout.root().to_owned()));
    let directory = match directory.and_then(|directory| lock(directory, layout.root())) {
        Ok(directory) => Some(directory),
        Err(error @ LockError::Held { .. }) => return Err(error),
        // Some network file systems lock no directories; then the file must do.
        Err(_) if file.is_some() => None,
        Err(error) => return Err(error),
    };
    Ok(Locked { _file: file, _directory: directory })
}

fn open(path: &Path) -> Result<File, LockError> {
    // Neither through a link, which may lead anywhere, nor waiting for the other end of a FIFO.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags);
    let file = options.clone().write(true).create(true).truncate(false).mode(0o600).open(path);
    file.or_else(|error| if is_out_of_reach(&error) { options.open(path) } else { Err(error) })
        .map_err(|source| LockError::Unusable { path: path.to_owned(), source })
}

fn lock(file: File, path: &Path) -> Result<File, LockError> {
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LockError::Held { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(LockError::Unusable { path: path.to_owned(), source }),
    }
}

/// Whether the directory can be read all the same.
fn is_out_of_reach(error: &io::Error) -> bool {
    use io::ErrorKind::{NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), NotFound | PermissionDenied | ReadOnlyFilesystem | StorageFull | QuotaExceeded)
}

/// Removes what an earlier supervisor was about to write when it died. What a pull stages is the next pull's to remove: one may be
/// at it.
pub(super) fn remove_unfinished(layout: &Layout) {
    let slots = [Slot::Current, Slot::Previous].map(|slot| layout.slot(slot));
    let files = [layout.state(), layout.update_attempt(), layout.supervisor_address(), layout.stopped()];
    for path in slots.into_iter().chain(files) {
        // On a read-only volume it stays, and harms nobody.
        let _ = disk::remove_unfinished(&RealDisk, &path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "this test puts things in the file's place")]
    fn whatever_is_in_the_files_place_the_directory_is_locked_and_nothing_outside_is_touched() {
        let ground = tempfile::tempdir().unwrap();
        let outside = tempfile::NamedTempFile::new().unwrap();
        let layout = Layout::new(ground.path());
        RealDisk.create_directories(&layout.supervisor_lock()).unwrap();
        let place = take_place(&layout).unwrap();
        assert!(matches!(take_place(&layout), Err(LockError::Held { .. })));
        drop(place);
        std::fs::remove_dir(layout.supervisor_lock()).unwrap();
        for target in [outside.path(), &ground.path().join("nowhere")] {
            std::os::unix::fs::symlink(target, layout.supervisor_lock()).unwrap();
            let place = take_place(&layout).unwrap();
            assert!(matches!(take_place(&layout), Err(LockError::Held { .. })));
            drop(place);
            std::fs::remove_file(layout.supervisor_lock()).unwrap();
        }
        assert!(!ground.path().join("nowhere").exists());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "this test makes files")]
    fn what_an_earlier_supervisor_was_about_to_write_goes() {
        let ground = tempfile::tempdir().unwrap();
        let layout = Layout::new(ground.path());
        std::fs::create_dir_all(layout.root()).unwrap();
        let names = ["tmp-state.json", "tmp-update-attempt", "tmp-supervisor.json", "tmp-entrypoint"];
        for name in names.iter().chain(&["tmp-entrypoint-attempt", "state.json"]) {
            std::fs::write(layout.root().join(name), "").unwrap();
        }
        remove_unfinished(&layout);
        let mut left = RealDisk.list(layout.root()).unwrap();
        left.sort_unstable();
        assert_eq!(left, ["state.json", "tmp-entrypoint-attempt"]);
        remove_unfinished(&Layout::new(&ground.path().join("nowhere")));
    }

    #[test]
    fn whoever_holds_the_file_or_only_the_directory_is_alone() {
        let ground = tempfile::tempdir().unwrap();
        let layout = Layout::new(ground.path());
        let place = take_place(&layout).unwrap();
        assert!(matches!(take_place(&layout), Err(LockError::Held { .. })));
        drop(place);
        // As on a read-only volume, where there is no file to lock.
        let directory = File::open(layout.root()).unwrap();
        directory.try_lock().unwrap();
        assert!(matches!(take_place(&layout), Err(LockError::Held { .. })));
        drop(directory);
        assert!(take_place(&layout).is_ok());
    }
}
