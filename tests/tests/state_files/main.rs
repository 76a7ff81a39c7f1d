//! Bad input of every state file: the last good version starts, `status` says what was found, nothing outside is touched.
#![expect(clippy::disallowed_methods, reason = "a test damages files and starts programs")]

mod bytes;

mod damage;

mod places;
