//! A seal, unpacked: each record at hand, and each path found by its name.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use super::entry::Attributes;
use super::seal::{RecordKind, Seal};
use super::stamps::{Stamp, Stamps};

/// What a tree was when it was sealed.
#[derive(Debug)]
pub(super) struct Facts {
    /// All paths, one after the other.
    paths: Vec<u8>,
    /// All targets of symbolic links.
    targets: Vec<u8>,
    nodes: Vec<Fact>,
    stamps: Option<Stamps>,
    /// Names of each group.
    groups: HashMap<u32, u32>,
}

/// One path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fact {
    path: (u32, u16),
    /// Where its name begins in its path.
    name: u16,
    /// The first record that is not below it.
    pub(super) end: u32,
    pub(super) kind: FactKind,
    pub(super) attributes: Attributes,
    pub(super) xattrs: Option<[u8; 32]>,
}

/// What a path was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FactKind {
    Directory,
    File { size: u64, hash: [u8; 32], group: u32 },
    Symlink { target: (u32, u16) },
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
    Fifo,
}

/// Paths by a hash of theirs; one that was met is compared.
#[derive(Debug)]
pub(super) struct Lookup {
    state: RandomState,
    records: HashMap<u64, u32>,
}

impl Facts {
    /// `None` for a tree whose paths have more bytes than can be counted here.
    pub(super) fn new(seal: &Seal, stamps: Option<Stamps>) -> Option<Self> {
        let count = usize::try_from(seal.len()).ok()?;
        let mut facts = Self {
            paths: Vec::new(),
            targets: Vec::new(),
            nodes: Vec::with_capacity(count),
            stamps,
            groups: HashMap::new(),
        };
        // The directories that the next record may be in.
        let mut open: Vec<u32> = Vec::new();
        let mut records = seal.records();
        while let Some(record) = records.next() {
            let number = u32::try_from(facts.nodes.len()).ok()?;
            let name = record.path.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
            let parent = record.path.get(..name.saturating_sub(1)).unwrap_or_default();
            while let Some(&last) = open.last()
                && !(facts.path(last as usize) == parent && !record.path.is_empty())
            {
                open.pop();
                facts.close(last, number);
            }
            let kind = match record.kind {
                RecordKind::Directory => {
                    open.push(number);
                    FactKind::Directory
                }
                RecordKind::File { size, hash, group } => {
                    if group != 0 {
                        *facts.groups.entry(group).or_default() += 1;
                    }
                    FactKind::File { size, hash, group }
                }
                RecordKind::Symlink { target } => {
                    FactKind::Symlink { target: append(&mut facts.targets, target)? }
                }
                RecordKind::CharDevice { major, minor } => FactKind::CharDevice { major, minor },
                RecordKind::BlockDevice { major, minor } => FactKind::BlockDevice { major, minor },
                RecordKind::Fifo => FactKind::Fifo,
            };
            let path = append(&mut facts.paths, record.path)?;
            facts.nodes.push(Fact {
                path,
                name: u16::try_from(name).ok()?,
                end: number + 1,
                kind,
                attributes: record.attributes,
                xattrs: record.xattrs,
            });
        }
        let end = u32::try_from(facts.nodes.len()).ok()?;
        open.into_iter().for_each(|number| facts.close(number, end));
        Some(facts)
    }

    fn close(&mut self, number: u32, end: u32) {
        if let Some(node) = self.nodes.get_mut(number as usize) {
            node.end = end;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn get(&self, number: usize) -> Option<&Fact> {
        self.nodes.get(number)
    }

    pub(super) fn path(&self, number: usize) -> &[u8] {
        let path = self.nodes.get(number).map(|node| node.path);
        path.and_then(|path| slice(&self.paths, path)).unwrap_or_default()
    }

    pub(super) fn name(&self, number: usize) -> &[u8] {
        let name = self.nodes.get(number).map_or(0, |node| node.name);
        self.path(number).get(usize::from(name)..).unwrap_or_default()
    }

    pub(super) fn target(&self, target: (u32, u16)) -> &[u8] {
        slice(&self.targets, target).unwrap_or_default()
    }

    /// The stamp, where stamps are known.
    pub(super) fn stamp(&self, number: usize) -> Stamp {
        self.stamps.as_ref().map_or(Stamp::UNKNOWN, |stamps| stamps.get(number))
    }

    /// Names that a file of this group has.
    pub(super) fn names(&self, group: u32) -> u64 {
        self.groups.get(&group).map_or(1, |&names| u64::from(names))
    }

    /// The records directly in a directory, sorted by name.
    pub(super) fn children(&self, directory: usize) -> impl Iterator<Item = usize> {
        let end = self.nodes.get(directory).map_or(0, |node| node.end as usize);
        let mut next = directory + 1;
        std::iter::from_fn(move || {
            let current = next;
            (current < end).then(|| {
                next = self.nodes.get(current).map_or(end, |node| node.end as usize);
                current
            })
        })
    }

    /// Makes the paths be found.
    pub(super) fn lookup(&self) -> Lookup {
        let state = RandomState::new();
        let numbers = (0..).take(self.nodes.len());
        let records =
            numbers.map(|number: u32| (state.hash_one(self.path(number as usize)), number)).collect();
        Lookup { state, records }
    }

    /// The record of a path.
    pub(super) fn find(&self, lookup: &Lookup, path: &[u8]) -> Option<usize> {
        let number = *lookup.records.get(&lookup.state.hash_one(path))? as usize;
        (self.path(number) == path).then_some(number)
    }
}

fn append(arena: &mut Vec<u8>, bytes: &[u8]) -> Option<(u32, u16)> {
    let place = (u32::try_from(arena.len()).ok()?, u16::try_from(bytes.len()).ok()?);
    arena.extend_from_slice(bytes);
    Some(place)
}

fn slice(arena: &[u8], (start, length): (u32, u16)) -> Option<&[u8]> {
    let start = usize::try_from(start).ok()?;
    arena.get(start..start + usize::from(length))
}
