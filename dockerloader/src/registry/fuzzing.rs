//! Ways for fuzz targets to what no interface leads to.

use super::{challenge, token};

/// Reads headers as the challenges of a 401.
pub fn challenge(headers: &str) {
    let Some(challenge::Challenge::Bearer { realm, service, scope }) = challenge::choose(headers.lines())
    else {
        return;
    };
    let parts = [Some(realm), service, scope];
    let length: usize = parts.iter().flatten().map(String::len).sum();
    assert!(length <= headers.len(), "a challenge is longer than its header");
}

/// Reads the answer of a token service.
pub fn token(bytes: &[u8]) {
    if let Ok(token) = token::parse(bytes) {
        assert!(token.value.bytes().all(|byte| byte.is_ascii_graphic()), "a token that no header can hold");
        assert!(token.lifetime.as_secs() <= 3600, "a token is kept for too long");
    }
}
