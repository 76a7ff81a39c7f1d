//! The threads in front of the extraction: one inflates, one hashes, and the caller's writes files.
//!
//! A fixed set of buffers goes round: a buffer is in one thread's hands at a time, so there is no copy and no lock, and
//! memory does not depend on the layer. The buffers are the back-pressure.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::limits::Limits;

use super::decompress::Decompress;
use super::error::Error;

/// Bytes of a buffer: large enough that handing it over costs nothing, small enough to stay in the cache.
const CHUNK: usize = 256 << 10;

/// Buffers that go round: one in each thread's hands, and some waiting before each.
const CHUNKS: usize = 9;

/// A buffer, and how much of it is filled.
struct Chunk {
    buffer: Box<[u8]>,
    filled: usize,
}

/// Runs `consume` over the uncompressed bytes of `reader`, reads what it leaves to the end, and returns its result with
/// the SHA-256 of all uncompressed bytes.
///
/// # Errors
/// Of `consume`, of the decompression, or of the reader. A reader that blocks for ever blocks this too.
pub(super) fn run<R: Read + Send, T>(
    reader: R,
    limits: &Limits,
    consume: impl FnOnce(&mut Stream) -> Result<T, Error>,
) -> Result<(T, Digest), Error> {
    let (free, to_fill) = channel();
    let (filled, to_hash) = channel();
    let (hashed, to_read) = channel();
    for _ in 0..CHUNKS {
        // Cannot fail: the receiver is at hand.
        let _ = free.send(Chunk { buffer: vec![0; CHUNK].into_boxed_slice(), filled: 0 });
    }
    thread::scope(|scope| {
        let spawn_failed =
            |source| Error::Disk { operation: "start a thread for", path: String::new(), source };
        thread::Builder::new()
            .name("inflate".to_owned())
            .spawn_scoped(scope, move || inflate(reader, limits, &to_fill, &filled))
            .map_err(spawn_failed)?;
        let hasher = thread::Builder::new()
            .name("digest".to_owned())
            .spawn_scoped(scope, move || hash(&to_hash, &hashed))
            .map_err(spawn_failed)?;

        let mut stream = Stream { chunks: to_read, free, current: None, position: 0 };
        let result = consume(&mut stream)?;
        stream.drain()?;
        drop(stream);
        match hasher.join() {
            Ok(digest) => Ok((result, Digest::from_bytes(digest))),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

type Message = Result<Chunk, Error>;

/// Fills free buffers until the stream ends, fails, or nobody wants more.
fn inflate(reader: impl Read, limits: &Limits, free: &Receiver<Chunk>, filled: &Sender<Message>) {
    let mut stream = match Decompress::new(reader, limits) {
        Ok(stream) => stream,
        Err(error) => {
            let _ = filled.send(Err(error));
            return;
        }
    };
    while let Ok(mut chunk) = free.recv() {
        let message = stream.fill(&mut chunk.buffer).map(|count| Chunk { filled: count, ..chunk });
        let last = !matches!(&message, Ok(chunk) if chunk.filled == CHUNK);
        if filled.send(message).is_err() || last {
            return;
        }
    }
}

/// Hashes what passes by.
fn hash(filled: &Receiver<Message>, hashed: &Sender<Message>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    while let Ok(message) = filled.recv() {
        if let Ok(chunk) = &message {
            hasher.update(chunk.buffer.get(..chunk.filled).unwrap_or_default());
        }
        if hashed.send(message).is_err() {
            break;
        }
    }
    hasher.finalize().into()
}

/// The uncompressed bytes as a reader. Errors carry [`Error`]: see [`Error::from_stream`].
pub(super) struct Stream {
    chunks: Receiver<Message>,
    free: Sender<Chunk>,
    current: Option<Chunk>,
    position: usize,
}

impl Stream {
    fn drain(&mut self) -> Result<(), Error> {
        loop {
            match self.fill_buf().map_err(Error::from_stream)?.len() {
                0 => return Ok(()),
                count => self.consume(count),
            }
        }
    }
}

impl BufRead for Stream {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.as_ref().is_none_or(|chunk| self.position >= chunk.filled) {
            if let Some(used) = self.current.take() {
                // Fails only when the stream has ended and the thread is gone.
                let _ = self.free.send(used);
            }
            self.position = 0;
            match self.chunks.recv() {
                Ok(Ok(chunk)) => self.current = Some(chunk),
                Ok(Err(error)) => return Err(error.into_stream()),
                Err(_) => return Ok(&[]),
            }
        }
        let chunk = self.current.as_ref();
        Ok(chunk.and_then(|chunk| chunk.buffer.get(self.position..chunk.filled)).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.position += count;
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let count = available.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}
