//! Manifests, indexes and configs. The first byte says what the registry calls it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, rest)) = bytes.split_first() else { return };
    let content_type = match kind {
        b'i' => Some("application/vnd.oci.image.index.v1+json"),
        b'm' => Some("application/vnd.oci.image.manifest.v1+json; charset=utf-8"),
        b'd' => Some("application/vnd.docker.distribution.manifest.v2+json"),
        b'l' => Some("application/vnd.docker.distribution.manifest.list.v2+json"),
        b'c' => return dockerloader::fuzzing::config(rest),
        b't' => return dockerloader::fuzzing::token(rest),
        _ => None,
    };
    dockerloader::fuzzing::manifest(rest, content_type);
});
