//! Versions and digests, as people tell them apart.

use crate::report::VersionReport;

/// The first twelve digits of a digest.
pub(super) fn short(digest: &str) -> String {
    digest.strip_prefix("sha256:").unwrap_or(digest).chars().take(12).collect()
}

/// A tag; a digest is cut.
pub(super) fn tag(text: &str) -> String {
    if text.starts_with("sha256:") { short(text) } else { text.to_owned() }
}

/// A version by its tag.
pub(super) fn version(version: &VersionReport) -> String {
    tag(&version.version)
}

/// What runs and what has to run; a tag that was moved is told by its digests.
pub(super) fn change(current: Option<&VersionReport>, wanted: Option<&VersionReport>) -> String {
    match (current, wanted) {
        (None, None) => String::new(),
        (Some(current), None) => version(current),
        (None, Some(wanted)) => format!("-> {}", version(wanted)),
        (Some(current), Some(wanted)) if current.digest == wanted.digest => version(current),
        (Some(current), Some(wanted)) if current.version == wanted.version => {
            format!("{} {} -> {}", version(current), short(&current.digest), short(&wanted.digest))
        }
        (Some(current), Some(wanted)) => format!("{} -> {}", version(current), version(wanted)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        let report = |version: &str, digest: char| VersionReport {
            version: version.into(),
            digest: format!("sha256:{}", digest.to_string().repeat(64)),
            ..VersionReport::default()
        };
        let (one, two, moved) = (report("1.4.1", 'a'), report("1.4.2", 'b'), report("1.4.1", 'c'));
        for (current, wanted, text) in [
            (None, None, ""),
            (Some(&one), None, "1.4.1"),
            (None, Some(&two), "-> 1.4.2"),
            (Some(&one), Some(&one), "1.4.1"),
            (Some(&one), Some(&two), "1.4.1 -> 1.4.2"),
            (Some(&one), Some(&moved), "1.4.1 aaaaaaaaaaaa -> cccccccccccc"),
        ] {
            assert_eq!(change(current, wanted), text);
        }
        let by_digest = VersionReport { version: one.digest.clone(), ..one };
        assert_eq!(version(&by_digest), "aaaaaaaaaaaa");
    }
}
