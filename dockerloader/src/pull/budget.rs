//! What a pull will take of the disk, as far as that is known before its first byte. Pure.
//!
//! Of the bytes on the wire the manifest tells all; of what they become, the version before tells something: how much larger, and how
//! many files. That is a guess, so three quarters of it count, and no layer is expected to grow more than threefold: a false alarm would
//! keep a device from its update, while a disk that fills up costs a download.

use crate::blobs::space::Need;

/// A layer that is read to make the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layer {
    /// Bytes of its blob.
    pub(super) size: u64,
    /// What it becomes, where it was extracted before.
    pub(super) becomes: Option<Need>,
}

/// The version before: its blobs, and what they became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct History {
    pub(super) blobs: u64,
    pub(super) tree: Need,
}

/// Most that a layer is expected to grow by decompression.
const GROWTH: u64 = 3;

/// Files besides those of the image: the tree's folder, its program, the seal, the launch file.
const OWN_FILES: u64 = 4;

/// What is needed. `missing` are bytes and number of the blobs that are to be fetched; `layers` all that are read. `whole` is whether the
/// tree is written from nothing, so that all of what they become is: else most of it is there already, and the largest layer,
/// which is hardly ever smaller than compressed, is what is sure.
pub(super) fn need(missing: Need, layers: &[Layer], history: Option<History>, whole: bool) -> Need {
    let largest = layers.iter().map(|layer| layer.size).max().unwrap_or(0);
    let sure =
        Need { bytes: missing.bytes.saturating_add(largest), files: missing.files.saturating_add(OWN_FILES) };
    let Some(history) = history.filter(|history| whole && history.blobs > 0) else { return sure };
    let becomes = layers.iter().map(|layer| layer.becomes.unwrap_or_else(|| history.becomes(layer.size)));
    let all = becomes.fold(Need::default(), |all, layer| Need {
        bytes: all.bytes.saturating_add(layer.bytes),
        files: all.files.saturating_add(layer.files),
    });
    Need {
        bytes: missing.bytes.saturating_add(three_quarters(all.bytes)).max(sure.bytes),
        files: missing.files.saturating_add(OWN_FILES).saturating_add(three_quarters(all.files)),
    }
}

impl History {
    /// What a layer of this size becomes, if it is like those of the version before.
    fn becomes(&self, size: u64) -> Need {
        let scaled = |of: u64| {
            let scaled = u128::from(of) * u128::from(size) / u128::from(self.blobs.max(1));
            u64::try_from(scaled).unwrap_or(u64::MAX)
        };
        Need {
            bytes: scaled(self.tree.bytes).min(size.saturating_mul(GROWTH)),
            files: scaled(self.tree.files),
        }
    }
}

const fn three_quarters(of: u64) -> u64 {
    of - of / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn bytes_and_files(bytes: u64, files: u64) -> Need {
        Need { bytes, files }
    }

    #[test]
    fn what_is_needed_is_told_by_the_manifest_and_by_the_version_before() {
        let layer = |size| Layer { size, becomes: None };
        let known = |size, bytes, files| Layer { size, becomes: Some(bytes_and_files(bytes, files)) };
        // 1000 bytes of blobs became 2000 bytes in 40 files.
        let history = Some(History { blobs: 1000, tree: bytes_and_files(2000, 40) });
        let small = Some(History { blobs: 1000, tree: bytes_and_files(100, 4) });
        let bomb = Some(History { blobs: 1000, tree: bytes_and_files(1_000_000, 4) });
        let nothing = Some(History { blobs: 0, tree: bytes_and_files(0, 0) });
        for (missing, layers, history, whole, expected) in [
            // The first version: the download and its largest layer.
            ((400, 2), vec![layer(300), layer(100)], None, true, (700, 6)),
            ((400, 2), vec![layer(300), layer(100)], nothing, true, (700, 6)),
            // An update in place: the same.
            ((100, 1), vec![layer(100)], history, false, (200, 5)),
            // Whole: twice its size, and three quarters of that.
            ((400, 2), vec![layer(300), layer(100)], history, true, (400 + 600, 6 + 12)),
            // Never less than what is sure.
            ((400, 2), vec![layer(300), layer(100)], small, true, (700, 6 + 1)),
            // The version before was mostly zeros; this one need not be.
            ((400, 2), vec![layer(400)], bomb, true, (400 + 900, 6 + 1)),
            // A layer that was extracted before is known.
            ((100, 1), vec![known(300, 4000, 400), layer(100)], history, true, (100 + 3150, 5 + 303)),
            // Nothing overflows.
            (
                (u64::MAX, 1),
                vec![layer(u64::MAX), layer(u64::MAX)],
                Some(History { blobs: 1, tree: bytes_and_files(u64::MAX, 0) }),
                true,
                (u64::MAX, 5),
            ),
        ] {
            let missing = bytes_and_files(missing.0, missing.1);
            let found = need(missing, &layers, history, whole);
            assert_eq!((found.bytes, found.files), expected, "{layers:?} {history:?} {whole}");
        }
    }
}
