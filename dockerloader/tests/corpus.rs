//! What fuzzing begins with, and what it once found, through the same targets: every input there is, without a fuzzer.

use std::path::Path;

use dockerloader::fuzzing;

/// Hands every input of a target to it.
fn replay(target: &str, run: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in std::fs::read_dir(&folder).expect("the corpus of the target") {
        run(&std::fs::read(entry.expect("an input").path()).expect("its bytes"));
        inputs += 1;
    }
    assert!(inputs > 0, "{}", folder.display());
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
    replay("references", text(fuzzing::reference));
}

#[test]
fn challenges() {
    replay("challenges", text(fuzzing::challenge));
}

#[test]
fn variables() {
    replay("dotenv", fuzzing::dotenv);
}

#[test]
fn blobs() {
    replay("blobs", |bytes| match bytes.first() {
        Some(b'{') => fuzzing::table(bytes),
        _ => fuzzing::decompress(bytes),
    });
}

#[test]
fn entries() {
    replay("entries", |bytes| {
        fuzzing::archive(bytes);
        fuzzing::path(bytes);
    });
}

#[test]
fn manifests() {
    replay("manifests", |bytes| {
        let Some((_, rest)) = bytes.split_first() else { return };
        fuzzing::config(rest);
        fuzzing::token(rest);
        fuzzing::manifest(rest, None);
        fuzzing::manifest(rest, Some("application/vnd.oci.image.index.v1+json"));
    });
}

#[test]
fn files_of_the_store() {
    replay("state", |bytes| {
        if let Some((&kind, rest)) = bytes.split_first() {
            fuzzing::state(kind, rest);
        }
    });
}
