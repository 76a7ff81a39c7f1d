//! Reading a blob while it comes in: the file is the queue between the download and the extraction.
//!
//! The download says how many bytes are there in a row; a reader gets them from the file, which means from the page cache,
//! and waits when it has read them all. However far the two are apart, no memory depends on it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::digest::Digest;

/// A blob on its way in, as its readers see it.
#[derive(Debug, Clone)]
pub struct Arrival(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    digest: Digest,
    size: u64,
    /// Open for as long as anybody reads, whatever becomes of its name.
    file: Arc<File>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes that are there without a gap from the first one on.
    in_row: u64,
    /// Whether a reader has been given any.
    was_read: bool,
    /// Whether a reader has been told of the end.
    was_read_whole: bool,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Verified,
    Abandoned,
}

/// No more bytes will come, or those that came were wrong: what was made from them is to be thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the download of blob {digest} was given up, or its bytes were wrong; what was made of them is of no use"
)]
pub struct Abandoned {
    /// The blob.
    pub digest: Digest,
}

impl Arrival {
    /// The blob.
    pub fn digest(&self) -> &Digest {
        &self.0.digest
    }

    /// A reader from the first byte on. It blocks its thread while bytes are missing.
    pub fn follow(&self) -> Follow {
        Follow { arrival: self.clone(), position: 0 }
    }

    /// Whether the download ended without the right bytes.
    pub fn is_abandoned(&self) -> bool {
        self.lock().end == Some(End::Abandoned)
    }

    /// Whether a reader has been given bytes.
    pub fn was_read(&self) -> bool {
        self.lock().was_read
    }

    /// Whether a reader has come to the end: whatever it did after that, it did after all bytes had been written.
    pub(super) fn was_read_whole(&self) -> bool {
        self.lock().was_read_whole
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The download's side of an [`Arrival`]. Dropped before the blob was verified, it tells the readers that no more comes.
#[derive(Debug)]
pub(super) struct Publisher(Arrival);

impl Publisher {
    pub(super) fn new(digest: Digest, size: u64, file: Arc<File>) -> Self {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Self(Arrival(Arc::new(Shared { digest, size, file, state, changed })))
    }

    pub(super) fn arrival(&self) -> Arrival {
        self.0.clone()
    }

    /// So many bytes are there in a row.
    pub(super) fn publish(&self, in_row: u64) {
        self.0.lock().in_row = in_row;
        self.0.0.changed.notify_all();
    }

    /// All bytes are there, and they are the right ones.
    pub(super) fn verified(&self) {
        self.end(End::Verified);
    }

    fn end(&self, end: End) {
        self.0.lock().end.get_or_insert(end);
        self.0.0.changed.notify_all();
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.end(End::Abandoned);
    }
}

/// Reads a blob behind its download. Ends where the blob ends, be it verified by then or not; an error with [`Abandoned`]
/// in it says that the download was given up.
#[derive(Debug)]
pub struct Follow {
    arrival: Arrival,
    position: u64,
}

impl Follow {
    /// Waits for bytes after the position; how many there are.
    fn wait(&self) -> io::Result<u64> {
        let Shared { digest, size, changed, .. } = &*self.arrival.0;
        let is_over = |state: &State| state.in_row > self.position || self.position >= *size;
        let state = self.arrival.lock();
        let mut state = changed
            .wait_while(state, |state| state.end != Some(End::Abandoned) && !is_over(state))
            .unwrap_or_else(PoisonError::into_inner);
        if state.end == Some(End::Abandoned) {
            return Err(io::Error::other(Abandoned { digest: *digest }));
        }
        state.was_read = true;
        state.was_read_whole |= self.position >= *size;
        Ok(state.in_row.saturating_sub(self.position))
    }
}

impl Read for Follow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let available = usize::try_from(self.wait()?).unwrap_or(usize::MAX);
        let length = buffer.len().min(available);
        let read = match buffer.get_mut(..length) {
            Some(room) if !room.is_empty() => self.arrival.0.file.read_at(room, self.position)?,
            _ => return Ok(0),
        };
        if read == 0 {
            let problem = "the file of a blob became shorter while it was read";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, problem));
        }
        self.position += read as u64;
        Ok(read)
    }
}
