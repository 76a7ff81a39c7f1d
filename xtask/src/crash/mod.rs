//! `cargo xtask crash`: every state that a crash may leave, and what comes of it.
//!
//! ```text
//! the real binary under strace -> calls -> operations on the data directory       strace, record: pure
//!   -> moments: what is durable, what is pending -> units -> choices -> states     pending, units, choose: pure
//!   -> the invariants hold in each                                                 view, invariants, explore: pure
//!   -> the real binary recovers from it, and crashes while it does                 recover, workers
//!   -> and if a sync were missing, or two steps were swapped?                      mutants, commuting: pure
//! ```
//!
//! `docs/proofs/crash.md` has the model, its limits, and what it found.

mod strace;

mod disk;

mod record;

mod real;

mod pending;

mod units;

mod choose;

mod versions;

mod process;

mod history;

mod view;

mod invariants;

mod explore;

mod study;

mod recover;

mod workers;

mod mutants;

mod commuting;

mod report;

mod run;

pub(crate) use run::{Arguments, run};
