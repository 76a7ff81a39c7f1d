//! A place to extract into, with a canary beside it: whatever a layer tries, the canary stays as it was.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use dockerloader::limits::Limits;
use dockerloader::tree::{Depth, Error, Extracted, Extraction, Refusal, Rule, Seal, verify};

use fixtures::image::{gzip, zstd};

pub(crate) struct Sandbox {
    // Dropped last: removes all.
    directory: tempfile::TempDir,
    pub(crate) root: PathBuf,
    canary: PathBuf,
    before: BTreeMap<String, String>,
}

impl Sandbox {
    #[expect(clippy::disallowed_methods, reason = "the canary is made by the test")]
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        let canary = directory.path().join("canary");
        std::fs::create_dir(&root).unwrap();
        std::fs::create_dir_all(canary.join("folder")).unwrap();
        std::fs::write(canary.join("file"), "canary").unwrap();
        std::fs::write(canary.join("folder/file"), "canary too").unwrap();
        std::os::unix::fs::symlink("file", canary.join("link")).unwrap();
        let before = snapshot(&canary, true);
        Self { directory, root, canary, before }
    }

    /// The canary's path, for entries that try to reach it.
    pub(crate) fn canary(&self) -> &str {
        self.canary.to_str().unwrap()
    }

    pub(crate) fn extract(&self, layers: &[Vec<u8>]) -> Result<Extracted, Error> {
        self.extract_within(layers, Limits::default())
    }

    /// Extracts, and checks what holds for every extraction: the canary is as before, nothing is beside the root, and a
    /// tree that was finished is what its seal says.
    pub(crate) fn extract_within(&self, layers: &[Vec<u8>], limits: Limits) -> Result<Extracted, Error> {
        let result = (|| {
            let mut extraction = Extraction::new(&self.root, limits, |_| ())?;
            for layer in layers {
                extraction.apply(layer.as_slice(), None)?;
            }
            extraction.finish()
        })();
        assert_eq!(snapshot(&self.canary, true), self.before, "the canary changed");
        let beside: Vec<_> = std::fs::read_dir(self.directory.path()).unwrap().collect();
        assert_eq!(beside.len(), 2, "something was made beside the root: {beside:?}");
        if let Ok(extracted) = &result {
            let seal = Seal::parse(extracted.seal.as_bytes().to_vec()).unwrap();
            assert_eq!(verify(&self.root, &seal, Depth::Full), [], "the tree is not what its seal says");
        }
        result
    }

    /// What is in the tree: paths, and what they are without owners and times.
    pub(crate) fn tree(&self) -> BTreeMap<String, String> {
        snapshot(&self.root, false)
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.tree().into_keys().collect()
    }

    pub(crate) fn stat(&self, path: &str) -> std::fs::Metadata {
        std::fs::symlink_metadata(self.root.join(path)).unwrap()
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.root.join(path)).unwrap()
    }
}

/// Extracts plain, gzip and zstd, each in a sandbox of its own: all three have to go the same way.
pub(crate) fn each_compression(layers: &[Vec<u8>], check: impl Fn(&Sandbox, Result<Extracted, Error>)) {
    for compress in [<[u8]>::to_vec as fn(&[u8]) -> Vec<u8>, gzip, zstd] {
        let sandbox = Sandbox::new();
        let layers: Vec<Vec<u8>> = layers.iter().map(|layer| compress(layer)).collect();
        let result = sandbox.extract(&layers);
        check(&sandbox, result);
    }
}

/// The rule by which all compressions of these layers are refused.
pub(crate) fn refused(layers: &[Vec<u8>]) -> Rule {
    let rule = std::cell::OnceCell::new();
    each_compression(layers, |_, result| match result {
        Err(Error::Refused(Refusal { rule: found, .. })) => {
            assert_eq!(rule.get_or_init(|| found.clone()), &found)
        }
        other => panic!("not refused: {other:?}"),
    });
    rule.into_inner().unwrap()
}

/// Every path below `root`, and what it is; with owners, times and inode changes if asked for.
pub(crate) fn snapshot(root: &Path, exact: bool) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_path_buf()];
    while let Some(directory) = pending.pop() {
        let listed = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
        for path in listed.chain((exact && directory == root).then(|| root.to_path_buf())) {
            let stat = std::fs::symlink_metadata(&path).unwrap();
            let kind = stat.file_type();
            let mut text = if kind.is_dir() {
                if path != root {
                    pending.push(path.clone());
                }
                "folder".to_owned()
            } else if kind.is_symlink() {
                format!("-> {}", std::fs::read_link(&path).unwrap().display())
            } else if kind.is_file() {
                String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned()
            } else if kind.is_fifo() {
                "fifo".to_owned()
            } else {
                format!("device {:x}", stat.rdev())
            };
            if exact {
                let times = (stat.mtime(), stat.mtime_nsec(), stat.ctime(), stat.ctime_nsec());
                text +=
                    &format!(" {:o} {}:{} {times:?} {}", stat.mode(), stat.uid(), stat.gid(), stat.nlink());
            }
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            found.insert(name, text);
        }
    }
    found
}

/// Whether owners and devices can be set here; a test of them says so when it cannot run.
pub(crate) fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("not run: needs root");
    }
    root
}
