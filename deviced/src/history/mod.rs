//! What outlives a restart: document revisions, overrides, swaps, versions, verdicts, operations, what happened and who did it. SQLite.

mod record;

pub use record::{Audit, Happening, Operation, OperationState, Override, Revision, Verdict, Version};
