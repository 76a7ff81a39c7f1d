//! A seal, unpacked: each record at hand, and each path found by its name. What a record says stays in the seal's bytes: most of
//! them are looked at once or not at all.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::encoding::shared;
use super::entry::Attributes;
use super::seal::{Description, Seal};
use super::stamps::{Stamp, Stamps};

pub(super) use super::seal::RecordKind as FactKind;

/// What a tree was when it was sealed.
#[derive(Debug)]
pub(super) struct Facts {
    seal: Seal,
    /// All paths, one after the other.
    paths: Vec<u8>,
    nodes: Vec<Node>,
    stamps: Option<Stamps>,
    /// Names of each group.
    groups: HashMap<u32, u32>,
}

/// Where one path is.
#[derive(Debug, Clone, Copy)]
struct Node {
    path: u32,
    length: u16,
    /// Where its name begins in its path.
    name: u16,
    /// The first record that is not below it.
    end: u32,
    /// Its description in the seal.
    place: u32,
}

/// One path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fact<'f> {
    /// The first record that is not below it.
    pub(super) end: u32,
    /// What it was.
    pub(super) kind: FactKind<'f>,
    pub(super) attributes: Attributes,
    pub(super) xattrs: Option<[u8; 32]>,
}

impl Fact<'_> {
    pub(super) fn is_directory(&self) -> bool {
        self.kind == FactKind::Directory
    }
}

impl Facts {
    /// `None` for a tree whose paths have more bytes than can be counted here.
    pub(super) fn new(seal: &Seal, stamps: Option<Stamps>) -> Option<Self> {
        let count = usize::try_from(seal.len()).ok()?;
        let mut facts = Self {
            seal: seal.clone(),
            paths: Vec::new(),
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
                && (facts.path(last as usize) != parent || record.path.is_empty())
            {
                open.pop();
                facts.close(last, number);
            }
            match record.kind {
                FactKind::Directory => open.push(number),
                FactKind::File { group, .. } if group != 0 => *facts.groups.entry(group).or_default() += 1,
                _ => {}
            }
            let path = u32::try_from(facts.paths.len()).ok()?;
            let length = u16::try_from(record.path.len()).ok()?;
            facts.paths.extend_from_slice(record.path);
            let (name, place) = (u16::try_from(name).ok()?, u32::try_from(records.place()).ok()?);
            facts.nodes.push(Node { path, length, name, end: number + 1, place });
        }
        let end = u32::try_from(facts.nodes.len()).ok()?;
        open.into_iter().for_each(|number| facts.close(number, end));
        facts.paths.shrink_to_fit();
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

    pub(super) fn get(&self, number: usize) -> Option<Fact<'_>> {
        let node = self.nodes.get(number)?;
        let Description { kind, attributes, xattrs } = self.seal.at(node.place)?;
        Some(Fact { end: node.end, kind, attributes, xattrs })
    }

    /// The first record that is not below this one; for no record its own number.
    pub(super) fn end(&self, number: usize) -> usize {
        self.nodes.get(number).map_or(number, |node| node.end as usize)
    }

    pub(super) fn path(&self, number: usize) -> &[u8] {
        self.nodes.get(number).map(|node| self.path_of(node)).unwrap_or_default()
    }

    fn path_of(&self, node: &Node) -> &[u8] {
        let start = node.path as usize;
        self.paths.get(start..start + usize::from(node.length)).unwrap_or_default()
    }

    pub(super) fn name(&self, number: usize) -> &[u8] {
        let name = self.nodes.get(number).map_or(0, |node| node.name);
        self.path(number).get(usize::from(name)..).unwrap_or_default()
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
        let end = if directory < self.len() { self.end(directory) } else { 0 };
        let mut next = directory + 1;
        std::iter::from_fn(move || {
            let current = next;
            (current < end).then(|| {
                next = self.end(current).max(current + 1);
                current
            })
        })
    }

    /// The record of a path. It is looked for from `hint` on, in steps that grow: paths that are asked for one after the other
    /// are near each other.
    pub(super) fn find(&self, path: &[u8], hint: usize) -> Option<usize> {
        let before = |node: &Node| compare(self.path_of(node), path) == Ordering::Less;
        let (mut low, mut step) = (0, 1);
        if self.nodes.get(hint).is_some_and(before) {
            low = hint + 1;
            while self.nodes.get(low + step).is_some_and(before) {
                low += step + 1;
                step *= 2;
            }
        } else {
            step = hint;
        }
        let high = low.saturating_add(step).saturating_add(1).min(self.nodes.len());
        let found = low + self.nodes.get(low..high)?.partition_point(before);
        (self.nodes.get(found).map(|node| self.path_of(node)) == Some(path)).then_some(found)
    }
}

/// The order of records: what is in a directory comes right behind it, before names that begin like the directory's.
fn compare(left: &[u8], right: &[u8]) -> Ordering {
    let start = shared(left, right);
    // No name has a zero.
    let next = |path: &[u8]| path.get(start).map(|&byte| if byte == b'/' { 0 } else { byte });
    next(left).cmp(&next(right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::tree::index::{Content, Index};

    #[test]
    fn every_path_is_found_from_everywhere_and_no_other() {
        let mut index = Index::new(&Limits::default());
        for name in ["a", "a-b", "a.b", "b", "\u{1}", "\u{ff}"] {
            let inode =
                index.insert(Index::ROOT, name.as_bytes(), 0, Attributes::IMPLIED, Index::new_directory());
            for below in ["a", "a-b", "x"] {
                index.insert(inode, below.as_bytes(), 0, Attributes::IMPLIED, Content::Fifo);
            }
        }
        let facts = Facts::new(&Seal::new(&index), None).unwrap();
        assert_eq!(facts.len(), 25);
        for hint in 0..facts.len() + 2 {
            for record in 0..facts.len() {
                assert_eq!(facts.find(facts.path(record), hint), Some(record), "from {hint}");
                let longer = [facts.path(record), b"0"].concat();
                assert_eq!(facts.find(&longer, hint), None);
            }
            assert_eq!(facts.find(b"zzz", hint), None);
        }
        let names: Vec<_> = facts.children(0).map(|child| facts.name(child)).collect();
        assert_eq!(names.len(), 6);
        assert!(names.is_sorted());
        assert_eq!(
            Facts::new(&Seal::new(&Index::new(&Limits::default())), None).unwrap().find(b"a", 0),
            None
        );
    }
}
