//! The store's lock: one process changes the store at a time (I7). `flock(2)`: gone with the process, however it dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::clock;
use crate::disk::{Disk as _, RealDisk};
use crate::layout::Layout;
use crate::remedy::Remedy;

/// Held for as long as it lives.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

/// Why the store can't be changed now.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process is at it.
    #[error(
        "the store is in use by {holder} ({path} is locked); waited {} s, try again when it is done",
        .waited.as_secs()
    )]
    Held {
        /// The lock's file.
        path: PathBuf,
        /// What the holder wrote about itself.
        holder: String,
        /// How long was waited.
        waited: Duration,
    },
    /// There is no data directory.
    #[error("the data directory {path}: {source}; mount a volume there, or set DOCKERLOADER_DATA_DIR")]
    NoDataDirectory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The lock's file can't be used.
    #[error("lock {path}: {source}")]
    Io {
        /// The lock's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// What to do about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Held { .. } => Remedy::Later,
            Self::NoDataDirectory { .. } => Remedy::Local,
            Self::Io { source, .. } => Remedy::of_io(source),
        }
    }
}

/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(50);

impl StoreLock {
    /// Takes the lock, waiting for at most `wait`. `purpose` is one word for whoever has to wait for it, such as
    /// `pull`; `held` is told who has it, once, if it must be waited for.
    ///
    /// Blocks its thread.
    ///
    /// # Errors
    /// [`Error::Held`] after `wait`; [`Error::Io`].
    pub fn take(
        layout: &Layout,
        purpose: &str,
        wait: Duration,
        held: impl FnOnce(&str),
    ) -> Result<Self, Error> {
        let path = layout.store_lock();
        let failed = |source| Error::Io { path: path.clone(), source };
        // Never made here: a mount that is missing would be covered up.
        let data = layout.root().parent().unwrap_or(layout.root());
        let is_there = std::fs::metadata(data)
            .and_then(|found| if found.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) });
        is_there.map_err(|source| Error::NoDataDirectory { path: data.to_owned(), source })?;
        RealDisk.create_directories(layout.root()).map_err(failed)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            // What is written into it must not end up in another file.
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(failed)?;
        let begin = clock::now();
        let mut held = Some(held);
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(source)) => return Err(failed(source)),
                Err(TryLockError::WouldBlock) => {}
            }
            let holder = holder(&mut file);
            let waited = begin.elapsed();
            if waited >= wait {
                return Err(Error::Held { path, holder, waited });
            }
            if let Some(held) = held.take() {
                held(&holder);
            }
            std::thread::sleep(PAUSE.min(wait.saturating_sub(waited)));
        }
        // For people only, and never read by who holds the lock: a failure to write it changes nothing.
        let _ = describe(&mut file, purpose);
        Ok(Self { _file: file })
    }
}

fn describe(file: &mut File, purpose: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{purpose}, process {}", std::process::id())
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(100).read_to_string(&mut text));
    if read.is_err() || text.is_empty() { "another process".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_waits_and_is_told_who_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path());
        let first = StoreLock::take(&layout, "pull", Duration::ZERO, |_| panic!("nobody has it")).unwrap();
        let error = StoreLock::take(&layout, "gc", Duration::ZERO, |_| {}).unwrap_err();
        assert_eq!(error.remedy(), Remedy::Later);
        assert!(error.to_string().contains(&format!("pull, process {}", std::process::id())), "{error}");

        let (told, wait) = std::sync::mpsc::channel();
        let second = std::thread::spawn({
            let layout = layout.clone();
            move || {
                let tell = |holder: &str| told.send(holder.to_owned()).unwrap();
                StoreLock::take(&layout, "gc", Duration::from_secs(60), tell).map(drop)
            }
        });
        assert!(wait.recv().unwrap().starts_with("pull"));
        drop(first);
        second.join().unwrap().unwrap();
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "this test puts a link in the file's place")]
    fn what_a_link_in_its_place_leads_to_is_not_written_to() {
        let directory = tempfile::tempdir().unwrap();
        let outside = directory.path().join("mine");
        std::fs::write(&outside, "mine").unwrap();
        let layout = Layout::new(directory.path());
        RealDisk.create_directories(layout.root()).unwrap();
        RealDisk.symlink(&outside, &layout.store_lock()).unwrap();
        assert!(StoreLock::take(&layout, "pull", Duration::ZERO, |_| {}).is_err());
        assert_eq!(std::fs::read(&outside).unwrap(), b"mine");
    }

    #[test]
    fn a_lock_that_cannot_be_made_names_its_path() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path());
        RealDisk.create_directories(&layout.store_lock()).unwrap();
        let error = StoreLock::take(&layout, "pull", Duration::ZERO, |_| {}).unwrap_err();
        assert!(error.to_string().contains("store.lock"), "{error}");
    }
}
