//! Versions of frozen directories under the real supervisor, with and without the right to mount.
#![expect(clippy::disallowed_methods, reason = "a test plants files and starts programs")]

mod versions;

mod running;

mod commands;
