//! A blob on its way from registries to the engine: it goes on at the next one when it breaks off, and never ends if it is not the right one.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use dockerloader::digest::Digest;
use dockerloader::manifest::Descriptor;
use dockerloader::registry::Blob;
use sha2::{Digest as _, Sha256};

use super::rank::Outcome;
use super::ticket::Ticket;
use super::tries::Tries;

/// A blob that is being fetched.
pub(super) struct Feed {
    ticket: Arc<Ticket>,
    descriptor: Descriptor,
    tries: Tries,
    /// Where it comes from now.
    body: Option<(usize, Blob)>,
    /// Bytes that have come.
    position: u64,
    hasher: Sha256,
    /// What came last. It is handed on when more has come, or when all of it has turned out to be right.
    held: Option<Bytes>,
    /// Where its bytes came from.
    from: BTreeSet<usize>,
    is_over: bool,
}

impl Feed {
    pub(super) fn new(ticket: Arc<Ticket>, descriptor: Descriptor) -> Self {
        Self {
            tries: ticket.tries(&descriptor.digest),
            ticket,
            descriptor,
            body: None,
            position: 0,
            hasher: Sha256::new(),
            held: None,
            from: BTreeSet::new(),
            is_over: false,
        }
    }

    /// The next bytes; `None` when that was all, and all of it was right.
    ///
    /// # Errors
    /// Why the rest can't be had, or must not.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, String> {
        while !self.is_over {
            match self.advance().await? {
                Some(bytes) => {
                    if let Some(before) = self.held.replace(bytes) {
                        return Ok(Some(before));
                    }
                }
                None => {
                    self.verify()?;
                    self.is_over = true;
                }
            }
        }
        Ok(self.held.take())
    }

    /// Bytes that were not there before.
    async fn advance(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            let (place, mut blob) = match self.body.take() {
                Some(body) => body,
                None => self.begin().await?,
            };
            match blob.chunk().await {
                Ok(None) => return Ok(None),
                Ok(Some(mut bytes)) => {
                    // One that can't send a part begins anew.
                    let first = blob.position().saturating_sub(bytes.len() as u64);
                    let known = usize::try_from(self.position.saturating_sub(first)).unwrap_or(usize::MAX);
                    bytes.advance(known.min(bytes.len()));
                    self.body = Some((place, blob));
                    if !bytes.is_empty() {
                        self.hasher.update(&bytes);
                        self.position = self.position.saturating_add(bytes.len() as u64);
                        self.tries.progress(bytes.len() as u64);
                        self.from.insert(place);
                        return Ok(Some(bytes));
                    }
                }
                Err(error) => self.ticket.failed(&mut self.tries, place, &error).await?,
            }
        }
    }

    async fn begin(&mut self) -> Result<(usize, Blob), String> {
        loop {
            let (place, origin) = self.ticket.turn(&self.tries)?;
            match origin.client.blob(&origin.reference, &self.descriptor, self.position).await {
                Ok(blob) => {
                    self.ticket.note(place, Outcome::Answered);
                    tracing::debug!(
                        event = "relay_blob",
                        digest = %self.descriptor.digest,
                        registry = origin.url,
                        from = blob.start,
                    );
                    return Ok((place, blob));
                }
                Err(error) => self.ticket.failed(&mut self.tries, place, &error).await?,
            }
        }
    }

    fn verify(&mut self) -> Result<(), String> {
        let (expected, found) =
            (self.descriptor.digest, Digest::from_bytes(self.hasher.finalize_reset().into()));
        if found == expected {
            return Ok(());
        }
        let error = self.ticket.suspect(&expected, found, &self.from);
        Err(error.to_string())
    }
}
