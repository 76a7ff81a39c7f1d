//! A blob as it arrives: never longer than its descriptor, and an end before that is an error.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use reqwest::Response;

use super::error::Error;
use super::pace::Pace;
use super::transport::{Deadlines, Transport};
use crate::clock;
use crate::digest::Digest;
use crate::manifest::Descriptor;

/// The body of a blob, or of a part of it. Its bytes are not verified here: whoever stores them computes the digest as they come.
pub struct Blob {
    /// Where the bytes begin: the offset that was asked for, or 0 where the registry can't send a part.
    pub start: u64,
    /// Where they end: as it was asked for, or the blob's size where the registry can't send a part.
    pub end: u64,
    /// `host[:port]` of the registry or mirror that was asked.
    pub source: String,
    digest: Digest,
    size: u64,
    position: u64,
    /// `None` when all of it was there already.
    body: Option<Response>,
    transport: Arc<Transport>,
    pace: Pace,
}

impl Blob {
    pub(super) fn new(
        transport: Arc<Transport>,
        source: String,
        descriptor: &Descriptor,
        range: Range<u64>,
        body: Option<Response>,
    ) -> Self {
        let (digest, size) = (descriptor.digest, descriptor.size);
        let Range { start, end } = range;
        Self { start, end, source, digest, size, position: start, body, transport, pace: Pace::default() }
    }

    /// The next bytes; `None` at the end, when there are as many as the descriptor says, or as were asked for.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Timeout`] and [`Error::Broken`], after which the rest can be asked for from
    /// [`Blob::position`] on; [`Error::Size`] when there is more than the descriptor says.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(body) = &mut self.body else { return Ok(None) };
        let is_complete = self.position == self.end;
        let Deadlines { stall, slow, .. } = self.transport.deadlines;
        if !is_complete && self.pace.is_too_slow(slow) {
            let host = self.source.clone();
            return Err(Error::Timeout { host, what: "fewer than 8192 bytes", after: slow });
        }
        let began = clock::now();
        let chunk = match tokio::time::timeout(stall, body.chunk()).await {
            Ok(Ok(chunk)) => chunk,
            // All of it is here: how the connection ends is of no interest.
            _ if is_complete => None,
            Ok(Err(error)) if error.is_body() || error.is_decode() => return Err(self.truncated()),
            Ok(Err(error)) => return Err(self.transport.explain(&error.without_url(), self.source.clone())),
            Err(_) => {
                let host = self.source.clone();
                return Err(Error::Timeout { host, what: "no more bytes", after: stall });
            }
        };
        let length = chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        self.pace.count(length, clock::now().saturating_duration_since(began));
        let Some(mut chunk) = chunk else {
            self.body = None;
            return if self.position == self.end { Ok(None) } else { Err(self.truncated()) };
        };
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        if self.end < self.size && chunk.len() >= left {
            // All that was asked for. Where the registry sends more, that is nobody's loss but the connection's.
            chunk.truncate(left);
            if is_complete {
                self.body = None;
                return Ok(None);
            }
        }
        self.position = self.position.saturating_add(chunk.len() as u64);
        if self.position > self.size {
            self.body = None;
            let (host, digest, expected) = (self.source.clone(), self.digest, self.size);
            return Err(Error::Size { host, digest, expected, found: self.position });
        }
        Ok(Some(chunk))
    }

    /// How many bytes of the blob have come, those before `start` included.
    pub const fn position(&self) -> u64 {
        self.position
    }

    fn truncated(&self) -> Error {
        Error::Truncated {
            host: self.source.clone(),
            digest: self.digest,
            expected: self.end,
            found: self.position,
        }
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob")
            .field("source", &self.source)
            .field("digest", &self.digest)
            .field("start", &self.start)
            .field("end", &self.end)
            .field("position", &self.position)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}
