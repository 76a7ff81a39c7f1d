//! The whole device manager with the real Docker: `cargo nextest run -p deviced --profile engine`.
#![expect(clippy::disallowed_methods, reason = "a test starts processes, makes files and waits")]

mod scene;

mod disks;
mod documents;
mod hooks;
mod kills;
mod orders;
mod refusals;
mod registries;
mod repairs;
mod restarts;
mod updates;
