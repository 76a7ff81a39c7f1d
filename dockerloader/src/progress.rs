//! What a long operation tells while it goes on. The library never prints: who calls it draws bars or writes lines.

use serde::Serialize;

use crate::digest::Digest;
use crate::volume::Made;

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Another process holds the store's lock; this one waits for it.
    Waiting {
        /// Who holds it.
        holder: String,
    },
    /// The tag, or the platform's image of its index, was resolved.
    Resolved {
        /// Digest of the platform's manifest: the version.
        digest: Digest,
    },
    /// What is to be downloaded is known.
    Planned {
        /// Blobs that are not on disk.
        blobs: u64,
        /// Their bytes, less those that an earlier download left.
        bytes: u64,
    },
    /// A blob comes in. Sent when it starts, now and then, and when it is complete and verified.
    Blob {
        /// The blob.
        digest: Digest,
        /// Bytes on disk.
        done: u64,
        /// Its size.
        total: u64,
    },
    /// A download is tried again.
    Retrying {
        /// The blob.
        digest: Digest,
        /// What went wrong.
        problem: String,
    },
    /// A layer is being extracted. Sent when it starts, now and then, and at its end.
    Extracting {
        /// The layer's blob.
        digest: Digest,
        /// Compressed bytes read.
        done: u64,
        /// Its size.
        total: u64,
    },
    /// The tree of the version is complete: how it came to be.
    Made {
        /// The version.
        digest: Digest,
        /// How it was made.
        #[serde(flatten)]
        made: Made,
    },
    /// The version is complete on disk.
    Installed {
        /// The version.
        digest: Digest,
    },
}

/// Takes events. Called from several threads.
pub trait Progress: Send + Sync {
    /// Takes one; must be quick.
    fn event(&self, event: Event);
}

/// Takes events and forgets them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _event: Event) {}
}

impl<F: Fn(Event) + Send + Sync> Progress for F {
    fn event(&self, event: Event) {
        self(event);
    }
}
