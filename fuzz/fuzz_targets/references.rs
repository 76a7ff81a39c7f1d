//! Image references and digests.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| dockerloader::fuzzing::reference(text));
