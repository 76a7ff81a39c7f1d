//! One supervisor a data directory (I7): a lock that vanishes with the process, however it dies, and the address beside it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use crate::disk::{Disk as _, RealDisk, replace_file};
use crate::layout::Layout;

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

/// Takes the supervisor's place for as long as the file is held.
///
/// # Errors
/// [`LockError`].
pub(crate) fn take_place(layout: &Layout) -> Result<File, LockError> {
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
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .or_else(|error| match error.kind() {
            // A version on disk is started from a read-only volume too; the lock works on any open file.
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => File::open(&path),
            _ => Err(error),
        })
        .map_err(unusable(path.clone()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LockError::Held { path }),
        Err(TryLockError::Error(source)) => Err(LockError::Unusable { path, source }),
    }
}

/// Writes where the supervisor can be reached, for commands that are not its children.
pub(super) fn publish(layout: &Layout, control: &str) {
    let address = serde_json::json!({ "pid": std::process::id(), "control": control });
    if let Err(error) = replace_file(&RealDisk, &layout.supervisor_address(), address.to_string().as_bytes())
    {
        tracing::warn!(
            event = "not_published",
            "commands outside the application can't reach this supervisor: {error}"
        );
    }
}
