//! Writing to the disk while more is being extracted, so that little is left to wait for at the end.
//!
//! Left alone, the kernel writes a page after 30 seconds, or when a tenth of the memory is dirty: an extraction is over by
//! then, and waits for the disk with nothing else to do. Asking for it file by file costs a system call for each.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Bytes that are extracted between two starts: some tens of milliseconds of a fast disk's time.
const STEP: u64 = 32 << 20;

/// What a file takes besides its contents, about: an inode and a name.
const FILE: u64 = 512;

/// A thread that syncs a file system again and again, as long as there is something new.
#[derive(Debug)]
pub(super) struct Writeback {
    begin: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    unwritten: u64,
}

impl Writeback {
    /// For the file system of the open directory `root`.
    pub(super) fn new(root: BorrowedFd<'_>) -> Self {
        // The file system of its own: an error of the disk is told once to each opened file (`syncfs(2)`), and the last
        // sync, which is done by the root's, has to hear of it.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let thread = rustix::fs::openat(root, ".", flags, Mode::empty()).ok().and_then(start);
        let (begin, thread) = thread.unzip();
        Self { begin, thread, unwritten: 0 }
    }

    /// Notes that bytes were written to a file.
    pub(super) fn add(&mut self, bytes: u64) {
        self.unwritten += bytes + FILE;
        if self.unwritten >= STEP
            && let Some(begin) = &self.begin
            && begin.try_send(()).is_ok()
        {
            self.unwritten = 0;
        }
    }

    /// Waits for what was begun, and begins no more.
    pub(super) fn end(&mut self) {
        self.begin = None;
        if let Some(thread) = self.thread.take() {
            // It has no result: errors are the last sync's to tell.
            let _ = thread.join();
        }
    }
}

impl Drop for Writeback {
    fn drop(&mut self) {
        self.end();
    }
}

/// Without a thread, all is left to the last sync.
fn start(directory: OwnedFd) -> Option<(SyncSender<()>, JoinHandle<()>)> {
    // One may wait while another is at work.
    let (begin, begun) = sync_channel(1);
    let work = move || {
        while begun.recv().is_ok() {
            let _: Result<(), Errno> = rustix::fs::syncfs(&directory);
        }
    };
    let thread = thread::Builder::new().name("writeback".to_owned()).spawn(work).ok()?;
    Some((begin, thread))
}
