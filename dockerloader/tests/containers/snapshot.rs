//! The data directory of a container as `docker cp` gives it: there is no shell in there, and its files are root's.

use std::collections::BTreeSet;
use std::path::Path;

use super::docker::docker;

/// What the contract speaks of, below `/data/dockerloader`.
#[derive(Debug)]
pub(crate) struct Snapshot {
    current: Option<String>,
    previous: Option<String>,
    attempt: Option<String>,
    attempting: Option<String>,
    update_attempt: Option<String>,
    /// Names in `storage/v1/images`.
    pub(crate) images: BTreeSet<String>,
    /// Names in `storage/v1/extracted`.
    pub(crate) extracted: BTreeSet<String>,
    /// Names in `storage/v1/blobs`.
    pub(crate) blobs: BTreeSet<String>,
}

impl Snapshot {
    pub(super) fn take(container: &str) -> Result<Self, String> {
        let copy = tempfile::tempdir().expect("there is room for a copy");
        let from = format!("{container}:/data/dockerloader");
        let copied = docker().arg("cp").arg(from).arg(copy.path()).output().expect("docker starts");
        if !copied.status.success() {
            return Err(String::from_utf8_lossy(&copied.stderr).into_owned());
        }
        let root = copy.path().join("dockerloader");
        let link =
            |name: &str| std::fs::read_link(root.join(name)).ok().map(|path| path.display().to_string());
        let names = |name: &str| names(&root.join("storage/v1").join(name));
        Ok(Self {
            current: link("entrypoint"),
            previous: link("entrypoint-previous"),
            attempt: link("entrypoint-attempt"),
            attempting: link("entrypoint-attempting"),
            update_attempt: std::fs::read_to_string(root.join("update-attempt")).ok(),
            images: names("images"),
            extracted: names("extracted"),
            blobs: names("blobs"),
        })
    }

    /// `entrypoint` names the executable of this version, and nothing is staged or on trial.
    pub(crate) fn runs(&self, digest: &str) -> bool {
        self.current == Some(executable(digest)) && self.attempt.is_none() && self.attempting.is_none()
    }

    /// `entrypoint-previous` names the executable of this version.
    pub(crate) fn can_go_back_to(&self, digest: &str) -> bool {
        self.previous == Some(executable(digest))
    }

    /// The digest in `update-attempt`.
    pub(crate) fn rejected(&self) -> Option<&str> {
        self.update_attempt.as_deref().map(str::trim)
    }

    /// Exactly these versions are stored, manifests and file systems, and beside them nothing but the tree of `spare`: it is kept
    /// where a tenth of the disk is free, which tests don't decide.
    pub(crate) fn holds_exactly(&self, digests: &[&str], spare: Option<&str>) -> bool {
        let versions = digests.iter().map(|digest| (*digest).to_owned()).collect::<BTreeSet<_>>();
        let spare = spare.map(|digest| format!("spare-{digest}"));
        let trees = self.extracted.iter().filter(|name| Some(*name) != spare.as_ref()).cloned();
        self.images == versions && trees.collect::<BTreeSet<_>>() == versions
    }
}

/// Links are absolute, by the contract.
fn executable(digest: &str) -> String {
    format!("/data/dockerloader/storage/v1/extracted/{digest}/entrypoint")
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
