//! The whole device manager with the real Docker: `cargo nextest run -p deviced --profile engine`.
#![expect(clippy::disallowed_methods, reason = "a test starts processes, makes files and waits")]

mod scene;

mod documents;
mod kills;
mod repairs;
mod updates;
