//! What fuzzing begins with, and what it once found, through the same targets, and what a blind hand makes of it: a smoke without a fuzzer,
//! which knows nothing of coverage.

#![expect(
    clippy::disallowed_methods,
    reason = "what an extraction is surrounded by is no file of the product's"
)]

use std::path::Path;

use dockerloader::fuzzing;
use dockerloader::limits::Limits;
use dockerloader::tree::{Depth, Extraction, LayerIndex, Seal, verify};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

/// Mutants of a target, a few seconds' worth in a debug build.
const MANY: u32 = 30_000;
/// Of one whose inputs are slow: values that name values, files that are written.
const FEW: u32 = 2_000;

/// Hands every input of a target to it, and then so many mutants of them, the same ones each time.
fn replay(target: &str, mutants: u32, run: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).expect("the corpus of the target");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an input").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{}", folder.display());
    let inputs: Vec<_> = paths.iter().map(|path| std::fs::read(path).expect("its bytes")).collect();
    inputs.iter().for_each(|input| run(input));
    let config = ProptestConfig { cases: mutants, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let change = (0..6_u8, any::<[Index; 2]>(), any::<u8>());
    let changes = (any::<[Index; 2]>(), proptest::collection::vec(change, 1..8));
    let told = runner.run(&changes, |([input, other], changes)| {
        let (mut bytes, other) =
            (inputs[input.index(inputs.len())].clone(), &inputs[other.index(inputs.len())]);
        changes.into_iter().for_each(|(kind, at, byte)| mutate(&mut bytes, other, kind, at, byte));
        run(&bytes);
        Ok(())
    });
    told.unwrap();
}

/// One change of an input: a bit, a byte, a part that is left out, doubled or taken from another input, its end.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], kind: u8, [one, two]: [Index; 2], byte: u8) {
    let within = |length: usize| {
        let (one, two) = (one.index(length + 1), two.index(length + 1));
        one.min(two)..one.max(two).min(one.min(two) + 64)
    };
    let range = within(bytes.len());
    match kind {
        0 => bytes.truncate(one.index(bytes.len() + 1)),
        1 => drop(bytes.drain(range)),
        2 => {
            let part = bytes[range.clone()].to_vec();
            bytes.splice(range.start..range.start, part);
        }
        3 => drop(bytes.splice(range, other[within(other.len())].iter().copied())),
        _ if bytes.is_empty() => bytes.push(byte),
        4 => {
            let at = one.index(bytes.len());
            bytes[at] = byte;
        }
        _ => {
            let at = one.index(bytes.len());
            bytes[at] ^= 1 << (byte % 8);
        }
    }
}

fn text(run: impl Fn(&str)) -> impl Fn(&[u8]) {
    move |bytes| {
        if let Ok(text) = std::str::from_utf8(bytes) {
            run(text);
        }
    }
}

#[test]
fn references() {
    replay("references", MANY, text(fuzzing::reference));
}

#[test]
fn challenges() {
    replay("challenges", MANY, text(fuzzing::challenge));
}

#[test]
fn variables() {
    replay("dotenv", FEW, fuzzing::dotenv);
}

#[test]
fn blobs() {
    replay("blobs", MANY, |bytes| match bytes.first() {
        Some(b'{') => fuzzing::table(bytes),
        _ => fuzzing::decompress(bytes),
    });
}

#[test]
fn entries() {
    replay("entries", MANY, |bytes| {
        let mut bytes = bytes.to_vec();
        seal_headers(&mut bytes);
        fuzzing::archive(&bytes);
        fuzzing::path(&bytes);
    });
}

#[test]
fn archives() {
    replay("archives", FEW, extract);
}

#[test]
fn manifests() {
    replay("manifests", MANY, |bytes| {
        let Some((_, rest)) = bytes.split_first() else { return };
        fuzzing::config(rest);
        fuzzing::token(rest);
        fuzzing::manifest(rest, None);
        fuzzing::manifest(rest, Some("application/vnd.oci.image.index.v1+json"));
    });
}

#[test]
fn files_of_the_store() {
    replay("state", MANY, |bytes| {
        if let Some((&kind, rest)) = bytes.split_first() {
            fuzzing::state(kind, rest);
        }
    });
}

include!("../../fuzz/extract.rs");
include!("../../fuzz/seal_headers.rs");
