//! A path at the relay -> what it asks for. Pure.

use dockerloader::digest::Digest;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route<'p> {
    /// Whether this is a registry.
    Base,
    /// A manifest of the pull with this key.
    Manifest(&'p str, Digest),
    /// A blob of the pull with this key.
    Blob(&'p str, Digest),
}

/// Reads a path (OCI distribution spec, "Endpoints"): `/v2/<key>/<any name>/manifests/<digest>`. Whatever has no digest is nothing: a tag could
/// move.
pub(super) fn route(path: &str) -> Option<Route<'_>> {
    let rest = path.strip_prefix("/v2")?;
    let Some(rest) = rest.strip_prefix('/') else { return rest.is_empty().then_some(Route::Base) };
    if rest.is_empty() {
        return Some(Route::Base);
    }
    let (key, rest) = rest.split_once('/')?;
    let (rest, digest) = rest.rsplit_once('/')?;
    let (name, kind) = rest.rsplit_once('/')?;
    let digest = digest.parse().ok().filter(|_| !name.is_empty())?;
    match kind {
        "manifests" => Some(Route::Manifest(key, digest)),
        "blobs" => Some(Route::Blob(key, digest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digests_are_named() {
        let digest = Digest::from_bytes([7; 32]);
        for (path, expected) in [
            ("/v2/", Some(Route::Base)),
            ("/v2", Some(Route::Base)),
            (&format!("/v2/k/acme/web/manifests/{digest}"), Some(Route::Manifest("k", digest))),
            (&format!("/v2/k/web/blobs/{digest}"), Some(Route::Blob("k", digest))),
            (&format!("/v2/k/manifests/blobs/{digest}"), Some(Route::Blob("k", digest))),
            (&format!("/v2/k/blobs/{digest}"), None),
            (&format!("/v2/k//blobs/{digest}"), None),
            (&format!("/v2/blobs/{digest}"), None),
            (&format!("/v2/k/web/referrers/{digest}"), None),
            (&format!("/v2/k/web/blobs/{digest}/"), None),
            (&format!("/v1/k/web/blobs/{digest}"), None),
            ("/v2/k/web/manifests/latest", None),
            ("/v2/k/web/blobs/uploads/", None),
            ("/v2/_catalog", None),
            ("/v2x", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(route(path), expected, "{path}");
        }
    }
}
