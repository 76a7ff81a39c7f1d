//! Two file systems, path by path.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

/// All that an archive can say of a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) size: u64,
    pub(crate) device: u64,
    pub(crate) mtime: (i64, i64),
    pub(crate) target: Option<Vec<u8>>,
    pub(crate) hash: Option<blake3::Hash>,
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The first path of the same inode, for what has several.
    pub(crate) same_as: Option<Vec<u8>>,
}

/// Everything below `root`; the root itself is the empty path.
pub(crate) fn list(root: &Path) -> BTreeMap<Vec<u8>, Facts> {
    let mut all = BTreeMap::new();
    let mut inodes: HashMap<u64, Vec<Vec<u8>>> = HashMap::new();
    let mut pending = vec![root.to_path_buf()];
    while let Some(path) = pending.pop() {
        let stat = std::fs::symlink_metadata(&path).unwrap();
        let kind = stat.file_type();
        if kind.is_dir() {
            pending.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
        if !kind.is_dir() && stat.nlink() > 1 {
            inodes.entry(stat.ino()).or_default().push(name.clone());
        }
        let is_device = kind.is_char_device() || kind.is_block_device();
        let facts = Facts {
            mode: stat.mode(),
            owner: (stat.uid(), stat.gid()),
            size: if kind.is_file() { stat.len() } else { 0 },
            device: if is_device { stat.rdev() } else { 0 },
            mtime: (stat.mtime(), stat.mtime_nsec()),
            target: kind
                .is_symlink()
                .then(|| std::fs::read_link(&path).unwrap().into_os_string().as_bytes().to_vec()),
            hash: kind.is_file().then(|| hash(&path)),
            xattrs: xattrs(&path),
            same_as: None,
        };
        all.insert(name, facts);
    }
    for names in inodes.into_values() {
        let first = names.iter().min().unwrap().clone();
        for name in names {
            all.get_mut(&name).unwrap().same_as = Some(first.clone());
        }
    }
    all
}

fn hash(path: &Path) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    std::io::copy(&mut std::fs::File::open(path).unwrap(), &mut hasher).unwrap();
    hasher.finalize()
}

fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 16 << 10];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap_or(0);
    let names = names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let mut value = vec![0; 64 << 10];
        let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
        value.truncate(length);
        value
    };
    names.map(|name| (name.to_vec(), value(name))).collect()
}

/// Compares and reports: the number of paths compared, and one line for each difference.
pub(crate) fn compare(
    mut ours: BTreeMap<Vec<u8>, Facts>,
    mut theirs: BTreeMap<Vec<u8>, Facts>,
    ignore: impl Fn(&[u8], &mut Facts) -> bool,
) -> (usize, Vec<String>) {
    let mut compared = 0;
    let mut differences = Vec::new();
    let names: std::collections::BTreeSet<Vec<u8>> = ours.keys().chain(theirs.keys()).cloned().collect();
    for name in names {
        let mut line = name.escape_ascii().to_string();
        let (mut mine, mut other) = (ours.remove(&name), theirs.remove(&name));
        // Both have to be seen, so no short circuit.
        let ignored =
            [&mut mine, &mut other].map(|side| side.as_mut().is_some_and(|facts| ignore(&name, facts)));
        if ignored.contains(&true) {
            continue;
        }
        compared += 1;
        if mine != other {
            let _ = write!(line, "\n  ours   {mine:?}\n  theirs {other:?}");
            differences.push(line);
        }
    }
    (compared, differences)
}
