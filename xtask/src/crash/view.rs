//! A data directory as its reader sees it, read from the disk in memory by our own understanding of the contract: nothing of the
//! product's code is asked.

use serde_json::Value;

use super::disk::{Bytes, Content, Disk, Inode};
use super::versions::{COUNT, Versions};

/// The store, relative to the data directory.
const STORE: &str = "dockerloader/storage/v1";

/// The four links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Current,
    Attempt,
    Attempting,
    Previous,
}

impl Slot {
    pub(super) const ALL: [Self; 4] = [Self::Current, Self::Attempt, Self::Attempting, Self::Previous];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Current => "entrypoint",
            Self::Attempt => "entrypoint-attempt",
            Self::Attempting => "entrypoint-attempting",
            Self::Previous => "entrypoint-previous",
        }
    }
}

/// What a link names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    Nothing,
    /// A version, by its number.
    Version(usize),
    /// Anything else, as it stands there.
    Other(String),
}

/// `state.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Memory {
    Absent,
    Whole(Value),
    /// Why it can't be read.
    Broken(String),
}

/// A data directory.
#[derive(Debug)]
pub(super) struct View<'v> {
    pub(super) disk: &'v Disk,
    pub(super) versions: &'v Versions,
    pub(super) slots: [Named; 4],
    pub(super) memory: Memory,
    /// The text of `update-attempt`.
    pub(super) update_attempt: Option<String>,
}

/// What a version's tree, seal and launch file have to be.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) disk: Disk,
    tree: Inode,
}

impl Reference {
    /// Of a version that was installed on this disk without any crash.
    pub(super) fn of(disk: &Disk, versions: &Versions, version: usize) -> Option<Self> {
        let tree = disk.find(store(&["extracted", versions.digest(version)]).as_bytes())?;
        Some(Self { disk: disk.clone(), tree })
    }
}

/// A path in the store.
pub(super) fn store(parts: &[&str]) -> String {
    format!("{STORE}/{}", parts.join("/"))
}

impl<'v> View<'v> {
    pub(super) fn new(disk: &'v Disk, versions: &'v Versions) -> Self {
        let mut view = Self {
            disk,
            versions,
            slots: Slot::ALL.map(|_| Named::Nothing),
            memory: Memory::Absent,
            update_attempt: None,
        };
        view.slots = Slot::ALL.map(|slot| view.read_slot(slot));
        view.memory = match view.file("dockerloader/state.json") {
            None => Memory::Absent,
            Some(bytes) => match serde_json::from_slice(&bytes.bytes) {
                Ok(value) => Memory::Whole(value),
                Err(error) => Memory::Broken(error.to_string()),
            },
        };
        let text = view
            .file("dockerloader/update-attempt")
            .map(|bytes| String::from_utf8_lossy(&bytes.bytes).into_owned());
        view.update_attempt = text;
        view
    }

    fn read_slot(&self, slot: Slot) -> Named {
        let Some(inode) = self.disk.find(format!("dockerloader/{}", slot.name()).as_bytes()) else {
            return Named::Nothing;
        };
        let Content::Link(target) = self.disk.content(inode) else { return Named::Other("no link".into()) };
        let target = String::from_utf8_lossy(target);
        let inside = target.split_once("/extracted/").map(|(_, inside)| inside);
        let version = inside.and_then(|inside| self.versions.find(inside.strip_suffix("/entrypoint")?));
        version.map_or_else(|| Named::Other(target.to_string()), Named::Version)
    }

    /// What a slot names.
    pub(super) fn slot(&self, slot: Slot) -> &Named {
        let at = Slot::ALL.iter().position(|other| *other == slot).unwrap_or(0);
        &self.slots[at]
    }

    /// The version that a slot names.
    pub(super) fn version(&self, slot: Slot) -> Option<usize> {
        match self.slot(slot) {
            Named::Version(version) => Some(*version),
            Named::Nothing | Named::Other(_) => None,
        }
    }

    pub(super) fn file(&self, path: &str) -> Option<&'v Bytes> {
        self.disk.file(self.disk.find(path.as_bytes())?).map(|bytes| &**bytes)
    }

    /// The names in one of the store's folders.
    pub(super) fn names(&self, folder: &str) -> impl Iterator<Item = String> + use<'v> {
        let folder = self.disk.find(store(&[folder]).as_bytes());
        let names = folder.and_then(|folder| self.disk.directory(folder)).into_iter().flatten();
        names.map(|(name, _)| String::from_utf8_lossy(name).into_owned())
    }

    /// Whether a version's program is there, whatever is in it.
    pub(super) fn has_program(&self, version: usize) -> bool {
        self.file(&store(&["extracted", self.versions.digest(version), "entrypoint"])).is_some()
    }

    /// A value of `state.json`, by its path; `Null` where there is none.
    pub(super) fn remembered(&self, pointer: &str) -> &Value {
        match &self.memory {
            Memory::Whole(value) => value.pointer(pointer).unwrap_or(&Value::Null),
            Memory::Absent | Memory::Broken(_) => &Value::Null,
        }
    }

    /// The kind of the verdict on a version.
    pub(super) fn verdict(&self, version: usize) -> Option<&str> {
        let verdicts = self.remembered("/verdicts").as_array()?;
        let verdict = verdicts.iter().find(|verdict| verdict["digest"] == self.versions.digest(version))?;
        verdict["kind"].as_str()
    }

    /// How the tree of a version differs from what was extracted, the first difference that is found.
    pub(super) fn tree_difference(&self, version: usize, reference: &Reference) -> Option<String> {
        let name = self.versions.digest(version);
        let Some(tree) = self.disk.find(store(&["extracted", name]).as_bytes()) else {
            return Some("it is missing".into());
        };
        differs(self.disk, tree, &reference.disk, reference.tree, &mut String::new())
    }

    /// How the file of a version in a folder differs from what was written, if it does.
    pub(super) fn file_difference(
        &self,
        folder: &str,
        version: usize,
        reference: &Reference,
    ) -> Option<&'static str> {
        let path = store(&[folder, self.versions.digest(version)]);
        let expected = reference.disk.find(path.as_bytes()).and_then(|inode| reference.disk.file(inode));
        match self.file(&path) {
            None => Some("is missing"),
            found if found == expected.map(|bytes| &**bytes) => None,
            Some(_) => Some("is damaged"),
        }
    }
}

fn differs(one: &Disk, at: Inode, other: &Disk, other_at: Inode, path: &mut String) -> Option<String> {
    let (attributes, others) = (one.attributes(at), other.attributes(other_at));
    let is_link = matches!(one.content(at), Content::Link(_));
    let times = attributes.modified.zip(others.modified).is_some_and(|(one, other)| one != other);
    if attributes.owner != others.owner || times || (!is_link && attributes.mode != others.mode) {
        return Some(format!("{path}/ has other attributes"));
    }
    match (one.directory(at), other.directory(other_at)) {
        (Some(names), Some(others)) => {
            for (name, inode) in names.iter() {
                let length = path.len();
                path.push('/');
                path.push_str(&String::from_utf8_lossy(name));
                let Some(other_inode) = others.get(name) else { return Some(format!("{path} is there")) };
                if let Some(difference) = differs(one, *inode, other, *other_inode, path) {
                    return Some(difference);
                }
                path.truncate(length);
            }
            let missing = others.keys().find(|name| !names.contains_key(*name))?;
            Some(format!("{path}/{} is missing", String::from_utf8_lossy(missing)))
        }
        _ if one.content(at) == other.content(other_at) => None,
        _ => Some(format!("{path} is {}, not {}", one.content(at).shown(), other.content(other_at).shown())),
    }
}

/// How often each version was executed on trial.
pub(super) type Trials = [u32; COUNT];
