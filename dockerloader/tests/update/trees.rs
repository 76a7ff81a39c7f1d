//! Trees on the disk, and what lies beside them.
#![expect(clippy::disallowed_methods, reason = "the test makes what is beside the trees")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use dockerloader::limits::Limits;
use dockerloader::tree::{Contents, Error, Extracted, Extraction, LayerIndex};

/// Room for some trees, with something beside them that nobody may touch.
pub(crate) struct Ground {
    // Dropped last: removes all.
    directory: tempfile::TempDir,
    before: BTreeMap<PathBuf, String>,
}

impl Ground {
    pub(crate) fn new() -> Self {
        // In memory if possible: a sync of the machine's disk takes longer than all the rest.
        let memory = tempfile::tempdir_in("/dev/shm");
        let directory = memory.or_else(|_| tempfile::tempdir()).unwrap();
        let outside = directory.path().join("outside");
        fs::create_dir_all(outside.join("folder")).unwrap();
        fs::create_dir(directory.path().join("links")).unwrap();
        fs::write(outside.join("file"), "canary").unwrap();
        fs::write(outside.join("folder/file"), "canary too").unwrap();
        let before = look(&outside);
        Self { directory, before }
    }

    /// A directory beside the trees.
    pub(crate) fn outside(&self) -> PathBuf {
        self.directory.path().join("outside")
    }

    pub(crate) fn check_outside(&self) {
        assert_eq!(look(&self.outside()), self.before, "something outside the tree changed");
    }

    /// Files that a workload gave names outside the tree, and what is in them.
    pub(crate) fn links(&self) -> BTreeMap<PathBuf, String> {
        look(&self.directory.path().join("links"))
    }

    /// An empty directory for a tree.
    pub(crate) fn root(&self, name: &str) -> PathBuf {
        let root = self.directory.path().join(name);
        fs::create_dir(&root).unwrap();
        root
    }
}

/// Each path below a directory, with all that a write or a change of attributes would change.
fn look(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let stat = fs::symlink_metadata(&path).unwrap();
        if stat.is_dir() {
            found.extend(look(&path));
        }
        let contents = if stat.is_file() { fs::read(&path).unwrap_or_default() } else { Vec::new() };
        let hash = blake3_of(&contents);
        let text = format!("{:o} {}:{} {} {hash}", stat.mode(), stat.uid(), stat.gid(), stat.mtime());
        found.insert(path, text);
    }
    found
}

fn blake3_of(bytes: &[u8]) -> String {
    format!("{} bytes, {:?}", bytes.len(), bytes.get(..bytes.len().min(32)))
}

/// Extracts the layers into an empty directory.
pub(crate) fn extract(root: &Path, layers: &[Vec<u8>]) -> Result<(Extracted, Vec<LayerIndex>), Error> {
    let mut extraction = Extraction::new(root, Limits::default(), |_| ())?;
    let indexes: Result<Vec<_>, _> =
        layers.iter().map(|layer| extraction.apply(layer.as_slice(), None)).collect();
    let indexes = indexes?;
    Ok((extraction.finish()?, indexes))
}

/// The files of another tree.
pub(crate) struct Tree(pub(crate) PathBuf);

impl Contents for Tree {
    fn open(&self, path: &[u8], _: u64, _: &[u8; 32]) -> Option<fs::File> {
        use std::os::unix::ffi::OsStrExt as _;
        let path = self.0.join(std::ffi::OsStr::from_bytes(path));
        fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?;
        fs::File::open(path).ok()
    }
}
