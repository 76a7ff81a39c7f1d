//! What a tag meant at the last look: a poll that finds the same again needs one HEAD request and nothing else.
//!
//! A cache: lost or damaged, it costs two requests. So it is not synced.

use std::io;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::disk::{self, Disk};
use crate::layout::Layout;

/// Largest file that is read, in bytes.
const BYTES: u64 = 16 << 10;

/// What a tag meant at the last look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The reference, with Docker's defaults filled in.
    pub reference: String,
    /// The platform that was chosen for, `os/architecture[/variant]`.
    pub platform: String,
    /// The digest that the tag pointed to: of an index, or of the manifest itself.
    pub tag: Digest,
    /// The digest of the platform's manifest: the version.
    pub manifest: Digest,
    /// Why the version could not be brought on disk, if that was so and would be so again.
    #[serde(default)]
    pub failure: Option<Failure>,
}

/// Why a version could not be brought on disk: remembered, so that not every poll downloads and extracts it again for the
/// same end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The disk was full: it is not begun again with so few bytes free as there were at its start.
    NoRoom {
        /// Bytes free at its start.
        free: u64,
    },
    /// The image itself is refused.
    Refused {
        /// Why.
        reason: String,
        /// The version of the loader that refused it: another one may take it.
        loader: String,
    },
}

impl Resolved {
    /// The last look; `None` when there was none, or when the file can't be read.
    pub fn read(disk: &(impl Disk + ?Sized), layout: &Layout) -> Option<Self> {
        serde_json::from_slice(&disk.read(&layout.resolved(), BYTES).ok()?).ok()
    }

    /// Puts this look in the place of the last one.
    ///
    /// # Errors
    /// Of the file system.
    pub fn write(&self, disk: &(impl Disk + ?Sized), layout: &Layout) -> io::Result<()> {
        let bytes = serde_json::to_vec(self).map_err(io::Error::other)?;
        disk.create_directories(&layout.storage())?;
        disk::replace_cache(disk, &layout.resolved(), &bytes)
    }

    /// The version, if this look was for the same reference and platform and the tag points to the same digest now.
    pub fn version(&self, reference: &str, platform: &str, tag: &Digest) -> Option<Digest> {
        (self.reference == reference && self.platform == platform && self.tag == *tag)
            .then_some(self.manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn only_the_same_question_has_the_same_answer() {
        let (tag, manifest) = (Digest::from_bytes([1; 32]), Digest::from_bytes([2; 32]));
        let last = Resolved {
            reference: "r/a:1".into(),
            platform: "linux/amd64".into(),
            tag,
            manifest,
            failure: None,
        };
        assert_eq!(last.version("r/a:1", "linux/amd64", &tag), Some(manifest));
        assert_eq!(last.version("r/a:2", "linux/amd64", &tag), None);
        assert_eq!(last.version("r/a:1", "linux/arm64", &tag), None);
        assert_eq!(last.version("r/a:1", "linux/amd64", &manifest), None);
    }

    #[test]
    fn a_damaged_file_is_no_answer() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path());
        RealDisk.create_directories(&layout.storage()).unwrap();
        assert_eq!(Resolved::read(&RealDisk, &layout), None);
        let digest = Digest::from_bytes([1; 32]);
        let last = Resolved {
            reference: "r".into(),
            platform: "p".into(),
            tag: digest,
            manifest: digest,
            failure: None,
        };
        last.write(&RealDisk, &layout).unwrap();
        assert_eq!(Resolved::read(&RealDisk, &layout), Some(last));
        disk::replace_file(&RealDisk, &layout.resolved(), b"{").unwrap();
        assert_eq!(Resolved::read(&RealDisk, &layout), None);
    }
}
