//! Whether a new version works: what was seen of it -> proven, failed or not known yet. Pure.

use crate::swap::Failure;

/// What has been seen so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Not known yet: what is waited for.
    Waiting(String),
    /// It works.
    Proven,
    /// It does not.
    Failed(Failure),
}
