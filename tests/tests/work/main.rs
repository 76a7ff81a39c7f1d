//! How much work is done, not how long it takes: system calls, requests, bytes, instructions. Seconds differ from machine to
//! machine; these figures don't, so each has a ceiling (`ceilings.rs`), and what costs more than before is noticed.
//!
//! Where a figure is about one more file or one more byte, two runs are compared: what both do alike cancels out.
#![expect(clippy::disallowed_methods, reason = "a test starts programs")]

mod ceilings;

mod callgrind;
mod scene;
mod strace;

mod cold;
mod instructions;
mod resume;
mod updates;
