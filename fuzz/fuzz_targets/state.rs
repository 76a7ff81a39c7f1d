//! Files of the store. The first byte says which one.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some((&kind, rest)) = bytes.split_first() {
        dockerloader::fuzzing::state(kind, rest);
    }
});
