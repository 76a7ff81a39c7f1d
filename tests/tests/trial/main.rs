//! The life of a version under the real supervisor, without a registry: tried, committed, rolled back, forgotten.
#![expect(clippy::disallowed_methods, reason = "a test plants files and starts programs")]

mod apps;

mod success;

mod failure;

mod interruption;

mod requests;

mod notify;

mod after;
