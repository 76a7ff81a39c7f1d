//! How much memory is used, whatever an image's size.
#![expect(clippy::disallowed_methods, reason = "a test starts programs")]

mod pulls;

mod updates;

mod supervisor;
