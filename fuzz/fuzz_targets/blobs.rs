//! Compressed streams, and tables of contents of layers.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if bytes.first() == Some(&b'{') {
        dockerloader::fuzzing::table(bytes);
    } else {
        dockerloader::fuzzing::decompress(bytes);
    }
});
