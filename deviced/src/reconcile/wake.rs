//! What wakes the loop.

use dockerloader::digest::Digest;

use super::pulls::PullFailure;
use super::try_out::TriedOut;
use crate::apply::Outcome;
use crate::engine::{Error, Event};
use crate::health::Proof;
use crate::sources::Survey;

/// Something that the loop has to know. Each comes from a task of its own, through one bounded queue.
#[derive(Debug)]
pub(super) enum Wake {
    /// The engine says that something happened; or events are lost since its connection was.
    Event(Result<Event, Error>),
    /// A connection for events is there: from now on they are told.
    Listening,
    /// A worker has ended.
    Worked { subject: String, outcome: Outcome },
    /// A pull has ended: from where it came, or why it did not.
    Pulled { container: String, digest: Digest, result: Result<String, PullFailure> },
    /// Registries have answered.
    Surveyed { container: String, survey: Survey },
    /// More is known about a version that has to prove itself.
    Proof { container: String, operation: String, proof: Proof },
    /// Registries have answered about a document that is not in force.
    TriedOut(Box<TriedOut>),
    /// The document's file may have changed.
    File,
}
