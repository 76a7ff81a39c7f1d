//! One deviced a directory (I7): locks that vanish with the process, however it dies (`flock(2)`).

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The lock's file. What is in it is for people only.
pub(super) const NAME: &str = "deviced.lock";

/// `O_NOFOLLOW | O_NONBLOCK` (`open(2)`): neither through a link, which may lead anywhere, nor waiting for the other end of a FIFO.
const CAREFULLY: i32 = 0o400_000 | 0o4000;

/// Held for as long as it lives. The directory is locked as well as the file in it: on a read-only disk there may be no file to lock.
#[derive(Debug)]
pub(super) struct Lock {
    _file: Option<File>,
    _directory: File,
}

/// Why the lock could not be taken.
#[derive(Debug)]
pub(super) enum Taken {
    /// Somebody has it: what they wrote about themselves.
    By(String),
    /// There is nothing to lock.
    Unusable(io::Error),
}

/// Takes the lock of a directory, without waiting.
pub(super) fn take(directory: &Path) -> Result<Lock, Taken> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(CAREFULLY)
        .open(directory.join(NAME));
    // Whatever is in the file's place: the directory has to do.
    let file = match file.ok().map(lock) {
        Some(Ok(file)) => Some(file),
        Some(Err(Taken::By(holder))) => return Err(Taken::By(holder)),
        Some(Err(Taken::Unusable(_))) | None => None,
    };
    let directory = lock(File::open(directory).map_err(Taken::Unusable)?)?;
    // A failure to write it changes nothing.
    let _ = file.as_ref().map(describe);
    Ok(Lock { _file: file, _directory: directory })
}

fn lock(file: File) -> Result<File, Taken> {
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Taken::By(holder(&file))),
        Err(TryLockError::Error(source)) => Err(Taken::Unusable(source)),
    }
}

fn describe(mut file: &File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "deviced, process {}", std::process::id())
}

fn holder(mut file: &File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(100).read_to_string(&mut text));
    if read.is_err() || text.is_empty() { "another deviced".to_owned() } else { text }
}
