//! The `.env` of an image.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| dockerloader::fuzzing::dotenv(bytes));
