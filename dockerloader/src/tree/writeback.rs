//! Writing to the disk while more is being extracted, so that little is left to wait for at the end.
//!
//! Left alone, the kernel writes a page after 30 seconds, or when a tenth of the memory is dirty: an extraction is over by
//! then, and waits for the disk with nothing else to do. Asking for it file by file costs a system call for each.

use std::os::fd::BorrowedFd;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use rustix::fs::{Mode, OFlags};

/// Bytes that are extracted between two starts: each sync commits the journal too, which those who make files wait for.
const STEP: u64 = 128 << 20;

/// What a file takes besides its contents, about: an inode and a name.
const FILE: u64 = 512;

/// A thread that syncs a file system again and again, as long as there is something new.
#[derive(Debug, Default)]
pub(super) struct Writeback {
    begin: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    unwritten: u64,
}

impl Writeback {
    /// For the file system of the open directory `root`.
    pub(super) fn new(root: BorrowedFd<'_>) -> Self {
        // Opened again: `syncfs(2)` tells each open file once of what went wrong on the disk, and the last sync, by way of
        // `root`, has to hear of it.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::openat(root, ".", flags, Mode::empty()) {
            Ok(directory) => Self::start(move || {
                // For speed alone: the last sync is the one that counts.
                let _ = rustix::fs::syncfs(&directory);
            }),
            Err(_) => Self::default(),
        }
    }

    /// Without a thread, all is left to the last sync.
    fn start(sync: impl Fn() + Send + 'static) -> Self {
        // One may wait while another is at work.
        let (begin, begun) = sync_channel(1);
        let work = move || begun.iter().for_each(|()| sync());
        match thread::Builder::new().name("writeback".to_owned()).spawn(work) {
            Ok(thread) => Self { begin: Some(begin), thread: Some(thread), unwritten: 0 },
            Err(_) => Self::default(),
        }
    }

    /// Notes that bytes were written to a file. Never waits.
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, mpsc};

    use super::*;

    #[test]
    fn each_step_is_begun_without_waiting_and_the_end_waits() {
        let syncs = Arc::new(AtomicU32::new(0));
        let (started, starts) = mpsc::channel();
        let (go_on, wait) = mpsc::channel::<()>();
        let mut writeback = Writeback::start({
            let syncs = Arc::clone(&syncs);
            move || {
                started.send(()).unwrap();
                // Fails when nobody holds it up any more.
                let _ = wait.recv();
                syncs.fetch_add(1, Ordering::Relaxed);
            }
        });
        writeback.add(STEP - 2 * FILE);
        assert_eq!(starts.try_recv(), Err(mpsc::TryRecvError::Empty));
        writeback.add(0);
        starts.recv().unwrap();
        // One is at work, one waits, and the others become part of a later one.
        for _ in 0..5 {
            writeback.add(STEP);
        }
        assert!(writeback.unwritten >= 4 * STEP);
        go_on.send(()).unwrap();
        starts.recv().unwrap();
        assert_eq!(syncs.load(Ordering::Relaxed), 1);
        drop(go_on);
        writeback.end();
        assert_eq!((syncs.load(Ordering::Relaxed), starts.recv()), (2, Err(mpsc::RecvError)));
        writeback.add(STEP);
    }
}
