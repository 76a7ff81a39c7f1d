//! Whole layers into a directory: whatever they are, nothing beside it changes, and a tree that was finished is what its seal
//! says. The first byte says where the bytes are cut into two layers.
#![no_main]

use std::path::Path;

use dockerloader::limits::Limits;
use dockerloader::tree::{Depth, Extraction, LayerIndex, Seal, verify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| extract(bytes));

include!("../extract.rs");
include!("../seal_headers.rs");
