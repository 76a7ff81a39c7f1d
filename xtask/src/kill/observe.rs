//! Looks from outside at a data directory: links, names, and what the files of a version hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::versions::{Node, Version, contents};
use crate::failure::{Context as _, Result};

/// Digests of the versions' manifests, and the other way round.
#[derive(Debug, Clone)]
pub(super) struct Digests {
    by_version: BTreeMap<Version, String>,
}

impl Digests {
    pub(super) fn new(by_version: BTreeMap<Version, String>) -> Self {
        Self { by_version }
    }

    pub(super) fn of(&self, version: Version) -> &str {
        self.by_version.get(&version).map_or("", String::as_str)
    }

    pub(super) fn version(&self, digest: &str) -> Option<Version> {
        self.by_version.iter().find(|(_, known)| *known == digest).map(|(version, _)| *version)
    }
}

/// Where the tree of a version is, below `data`.
fn tree(data: &Path, digest: &str) -> PathBuf {
    data.join("dockerloader/storage/v1/extracted").join(digest)
}

/// How the tree of a version differs from what was packed; what the application added does not count.
pub(super) fn damage(data: &Path, version: Version, digests: &Digests) -> Vec<String> {
    let root = tree(data, digests.of(version));
    let mut damage = Vec::new();
    for (path, node) in contents(version) {
        let whole = root.join(path);
        let found = match &node {
            Node::File(_) => std::fs::read(&whole).map(Node::File),
            Node::Link(expected) => std::fs::read_link(&whole).map(|target| {
                if target == Path::new(expected) { node.clone() } else { Node::File(Vec::new()) }
            }),
        };
        match found {
            Ok(found) if found == node => {}
            Ok(_) => damage.push(format!("{path} of {version} is not what was packed (I2)")),
            Err(error) => damage.push(format!("{path} of {version}: {error} (I2)")),
        }
    }
    if version != Version::V1 && std::fs::symlink_metadata(root.join("lib/old")).is_ok() {
        damage.push(format!("lib/old is in {version}, which removes it (I2)"));
    }
    damage
}

/// What the links of the contract name. A link that leads nowhere we know is left out.
pub(super) fn slots(data: &Path, digests: &Digests) -> BTreeMap<&'static str, Version> {
    let names = ["entrypoint", "entrypoint-attempt", "entrypoint-attempting", "entrypoint-previous"];
    let named = |name: &str| {
        let target = std::fs::read_link(data.join("dockerloader").join(name)).ok()?;
        let mut parts = target.iter().skip_while(|part| *part != "extracted");
        digests.version(parts.nth(1)?.to_str()?)
    };
    names.into_iter().filter_map(|name| Some((name, named(name)?))).collect()
}

/// The names in a data directory: those of the root, and of each folder of the store. What is inside of trees is not listed, and
/// what says how something was made, and how often, is left out.
pub(super) fn names(data: &Path) -> Result<BTreeSet<String>> {
    let root = data.join("dockerloader");
    let mut names = BTreeSet::new();
    for (folder, prefix) in [(root.clone(), ""), (root.join("storage/v1"), "storage/v1/")] {
        for name in list(&folder)? {
            let path = folder.join(&name);
            if prefix.is_empty() || !path.is_dir() {
                names.insert(format!("{prefix}{name}"));
                continue;
            }
            for inner in list(&path)? {
                names.insert(format!("{prefix}{name}/{inner}"));
            }
        }
    }
    Ok(names)
}

fn list(folder: &Path) -> Result<Vec<String>> {
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => {
            let entries = entries.context(format_args!("list {}", folder.display()))?;
            Ok(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
        }
    }
}
