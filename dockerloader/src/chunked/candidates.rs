//! Which blobs on disk are worth comparing a new one with. Pure.

use crate::limits::Limits;
use crate::manifest::Descriptor;

use super::Place;

/// Old blobs that a new one is compared with, at most: each costs the reading of its table.
const MOST: usize = 3;

/// A blob on disk that has a table of contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The blob.
    pub descriptor: Descriptor,
    /// Where its table is.
    pub place: Place,
}

impl Candidate {
    /// The blob of a descriptor, if it has a table.
    pub fn of(descriptor: &Descriptor, limits: &Limits) -> Option<Self> {
        let place = Place::of(descriptor, limits)?;
        Some(Self { descriptor: descriptor.clone(), place })
    }

    /// The likeliest earlier builds of a blob, the likeliest first: of the same format, and of a similar size. Of two that are
    /// as near, the earlier in `all`.
    pub fn nearest(&self, all: &[Self]) -> Vec<Self> {
        let is_same = |other: &&Self| {
            std::mem::discriminant(&other.place) == std::mem::discriminant(&self.place)
                && other.descriptor.digest != self.descriptor.digest
        };
        let mut found: Vec<&Self> = all.iter().filter(is_same).collect();
        found.sort_by_key(|other| other.descriptor.size.abs_diff(self.descriptor.size));
        let mut seen = std::collections::BTreeSet::new();
        found.retain(|other| seen.insert(other.descriptor.digest));
        found.into_iter().take(MOST).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn candidate(byte: u8, size: u64, is_zstd: bool) -> Candidate {
        let digest = Digest::from_bytes([byte; 32]);
        let annotation = if is_zstd {
            ("io.github.containers.zstd-chunked.manifest-position".to_owned(), "20:1:1:1".to_owned())
        } else {
            ("containerd.io/snapshot/stargz/toc.digest".to_owned(), digest.to_string())
        };
        let descriptor = Descriptor {
            media_type: String::new(),
            digest,
            size,
            urls: Vec::new(),
            annotations: [annotation].into(),
            platform: None,
        };
        Candidate::of(&descriptor, &Limits::default()).unwrap()
    }

    #[test]
    fn the_nearest_of_the_same_format_are_chosen() {
        let all = [
            candidate(1, 100, true),
            candidate(2, 900, true),
            candidate(3, 500, false),
            candidate(4, 510, true),
            candidate(5, 490, true),
            candidate(4, 510, true),
            candidate(6, 500, true),
        ];
        let bytes = |new: Candidate| -> Vec<u8> {
            new.nearest(&all).iter().map(|found| found.descriptor.digest.bytes()[0]).collect()
        };
        assert_eq!(bytes(candidate(6, 500, true)), [4, 5, 1], "not itself, and none twice");
        assert_eq!(bytes(candidate(9, 1000, true)), [2, 4, 6]);
        assert_eq!(bytes(candidate(9, 1000, false)), [3]);
    }
}
