//! Passes on what the application writes and keeps the last lines, so that a failed version's last words survive it.
//!
//! A terminal is not put between: there the application writes by itself, and nothing is kept.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{pipe2, read, write};

use super::tail::Tail;

/// One chunk. A pipe that polls as writable takes this much without blocking (`pipe(7)`, "`PIPE_BUF`").
const CHUNK: usize = 4096;
/// Most chunks that are passed on after the application's end.
const LAST_CHUNKS: usize = 256;
/// How long the reader of our output may take for one of those chunks, in milliseconds.
const LAST_PATIENCE: u16 = 100;

/// One stream of the application, on its way to the supervisor's own.
#[derive(Debug)]
pub(super) struct Stream {
    source: Option<OwnedFd>,
    target: OwnedFd,
    chunk: Box<[u8; CHUNK]>,
    /// The part of the chunk that is not passed on yet.
    pending: std::ops::Range<usize>,
}

impl Stream {
    /// A pipe towards `target`; the writing end is the application's. `None` when the target is a terminal.
    ///
    /// # Errors
    /// Those of `pipe(2)` and `dup(2)`.
    pub(super) fn towards(target: BorrowedFd<'_>) -> io::Result<Option<(Self, OwnedFd)>> {
        if nix::unistd::isatty(target).unwrap_or(false) {
            return Ok(None);
        }
        let (source, sink) = pipe2(OFlag::O_CLOEXEC)?;
        fcntl(&source, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let target = target.try_clone_to_owned()?;
        Ok(Some((Self { source: Some(source), target, chunk: Box::new([0; CHUNK]), pending: 0..0 }, sink)))
    }

    /// What to poll for; `None` when the stream is over.
    pub(super) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        if self.pending.is_empty() {
            self.source.as_ref().map(|source| (source.as_fd(), PollFlags::POLLIN))
        } else {
            Some((self.target.as_fd(), PollFlags::POLLOUT))
        }
    }

    /// Goes one step on, after a poll said that it can.
    pub(super) fn step(&mut self, tail: &mut Tail) {
        if self.pending.is_empty() {
            self.fill(tail);
        } else {
            self.drain();
        }
    }

    /// Whether a chunk was read.
    fn fill(&mut self, tail: &mut Tail) -> bool {
        let Some(source) = &self.source else { return false };
        match read(source, self.chunk.as_mut_slice()) {
            Ok(0) => self.source = None,
            Ok(count) => {
                tail.push(self.chunk.get(..count).unwrap_or_default());
                self.pending = 0..count;
                return true;
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => self.source = None,
        }
        false
    }

    fn drain(&mut self) {
        match write(&self.target, self.chunk.get(self.pending.clone()).unwrap_or_default()) {
            Ok(count) => self.pending.start = self.pending.start.saturating_add(count),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            // Nobody reads our output any more; the application must not be stopped by that.
            Err(_) => self.pending = 0..0,
        }
    }

    /// Passes on what is left in the pipe. Bounded, since a descendant may go on writing for ever.
    pub(super) fn finish(&mut self, tail: &mut Tail) {
        for _ in 0..LAST_CHUNKS {
            while !self.pending.is_empty() {
                let mut set = [PollFd::new(self.target.as_fd(), PollFlags::POLLOUT)];
                if poll(&mut set, PollTimeout::from(LAST_PATIENCE)).is_ok_and(|ready| ready > 0) {
                    self.drain();
                } else {
                    self.pending = 0..0;
                }
            }
            if !self.fill(tail) {
                return;
            }
        }
    }
}
