//! `WWW-Authenticate` headers, one a line.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| dockerloader::fuzzing::challenge(text));
