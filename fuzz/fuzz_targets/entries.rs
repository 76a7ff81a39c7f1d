//! The entries of a tar stream. Headers get right checksums, so that what is behind them is read.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    seal_headers(&mut bytes);
    dockerloader::fuzzing::archive(&bytes);
    dockerloader::fuzzing::path(&bytes);
});

include!("../seal_headers.rs");
