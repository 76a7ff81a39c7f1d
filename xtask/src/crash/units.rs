//! What a crash may undo, unit by unit, and how each of them may turn out: pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::disk::{Attributes, Bytes, Change, Disk, Inode, ROOT};
use super::pending::Moment;

/// How much is at stake with a unit: by the names that lead to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Something that has no name yet, or none any more: `tmp-`, `partial-` and `removing-` of this path, with all below.
    /// Whoever recovers removes it or hashes it, and decides nothing by it.
    Scratch(Vec<u8>),
    /// A cache: whoever reads it has to notice what is wrong with it.
    Cache,
    /// Something that decisions are made by.
    Named,
}

/// How a unit turns out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As if it had never been.
    Lost,
    Names(Vec<Change>),
    File(Inode, Arc<Bytes>, Damage),
    Attributes(Inode, Arc<Attributes>),
}

/// What is wrong with a file's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    None,
    /// It ends in the middle of what was written.
    Torn,
    /// It has its length, and zeros for what was written: its blocks were allocated late.
    Zeros,
}

/// Something that a crash undoes, or not, or damages; independent of all other units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) class: Class,
    /// The first is that it is lost, the last that all is well.
    pub(super) outcomes: Vec<Outcome>,
    /// For people: the operation's number, or the path.
    pub(super) about: About,
}

/// Whom a unit is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    Operation(usize),
    Data(Inode),
    Attributes(Inode),
}

/// The units of a moment, in the order in which they are to be applied.
pub(super) fn units(moment: &Moment) -> Vec<Unit> {
    let classes = Classes::new(moment);
    let mut units = Vec::new();
    let mut data = BTreeMap::<Inode, Vec<&Change>>::new();
    let mut attributes = BTreeMap::<Inode, Arc<Attributes>>::new();
    for (number, changes) in &moment.pending {
        let mut names = Vec::new();
        for change in changes {
            match change {
                Change::Name { .. } => names.push(change.clone()),
                Change::Write { file, .. } | Change::Length { file, .. } => {
                    data.entry(*file).or_default().push(change);
                }
                Change::Attributes { inode, attributes: new } => {
                    attributes.insert(*inode, Arc::clone(new));
                }
            }
        }
        if !names.is_empty() {
            let class = classes.of_operation.get(number).cloned().unwrap_or(Class::Named);
            let outcomes = vec![Outcome::Lost, Outcome::Names(names)];
            units.push(Unit { class, outcomes, about: About::Operation(*number) });
        }
    }
    for (inode, changes) in data {
        let outcomes = of_data(&moment.durable, inode, &changes);
        if outcomes.len() > 1 {
            units.push(Unit { class: classes.of_inode(inode), outcomes, about: About::Data(inode) });
        }
    }
    for (inode, new) in attributes {
        let outcomes = vec![Outcome::Lost, Outcome::Attributes(inode, new)];
        units.push(Unit { class: classes.of_inode(inode), outcomes, about: About::Attributes(inode) });
    }
    units
}

/// Old bytes, torn, zeros, new ones; each once.
fn of_data(durable: &Disk, file: Inode, changes: &[&Change]) -> Vec<Outcome> {
    let mut after = durable.clone();
    changes.iter().for_each(|change| after.apply(change));
    let (Some(old), Some(new)) = (durable.file(file), after.file(file)) else { return Vec::new() };
    // The first byte that differs; what is before it was there already.
    let same = old.bytes.iter().zip(&new.bytes).take_while(|(one, other)| one == other).count();
    let torn = new.bytes[..same + (new.bytes.len() - same) / 2].to_vec();
    let mut zeros = new.bytes.clone();
    zeros[same..].fill(0);
    let mut outcomes = vec![Outcome::Lost];
    for (bytes, damage) in [(torn, Damage::Torn), (zeros, Damage::Zeros)] {
        let is_known = bytes == old.bytes || bytes == new.bytes;
        let is_twice =
            outcomes.iter().any(|one| matches!(one, Outcome::File(_, other, _) if other.bytes == bytes));
        if !is_known && !is_twice {
            outcomes.push(Outcome::File(file, Bytes::new(bytes), damage));
        }
    }
    if old.bytes != new.bytes {
        outcomes.push(Outcome::File(file, Arc::clone(new), Damage::None));
    }
    outcomes
}

/// The disk that is left when each unit turns out as chosen.
pub(super) fn disk(moment: &Moment, units: &[Unit], choice: &[u8]) -> Disk {
    let mut disk = moment.durable.clone();
    for (unit, chosen) in units.iter().zip(choice) {
        match &unit.outcomes[usize::from(*chosen)] {
            Outcome::Lost => {}
            Outcome::Names(changes) => changes.iter().for_each(|change| disk.apply(change)),
            Outcome::File(inode, bytes, _) => disk.set_file(*inode, Arc::clone(bytes)),
            Outcome::Attributes(inode, attributes) => {
                disk.apply(&Change::Attributes { inode: *inode, attributes: Arc::clone(attributes) });
            }
        }
    }
    disk
}

/// Which names lead to what, in any state that the moment may leave.
struct Classes {
    of_operation: BTreeMap<usize, Class>,
    inodes: BTreeMap<Inode, Class>,
}

impl Classes {
    fn new(moment: &Moment) -> Self {
        let mut classes = Self { of_operation: BTreeMap::new(), inodes: BTreeMap::new() };
        let mut disk = moment.durable.clone();
        let mut paths = BTreeMap::from([(ROOT, Vec::new())]);
        for found in disk.walk() {
            classes.note(found.inode, &found.path);
            paths.insert(found.inode, found.path);
        }
        for (number, changes) in &moment.pending {
            for change in changes {
                disk.apply(change);
                let Change::Name { directory, name, inode } = change else { continue };
                let path = join(paths.get(directory).map_or(&[][..], Vec::as_slice), name);
                let class = class(&path);
                let known = classes.of_operation.entry(*number).or_insert_with(|| class.clone());
                if class > *known {
                    *known = class;
                }
                // Each name: one that was given and taken away again may be all that is left.
                if let Some(inode) = inode {
                    classes.see(&disk, *inode, path, &mut paths);
                }
            }
        }
        classes
    }

    /// Notes a new name, and with it those of all that is below it.
    fn see(&mut self, disk: &Disk, inode: Inode, path: Vec<u8>, paths: &mut BTreeMap<Inode, Vec<u8>>) {
        self.note(inode, &path);
        for (name, below) in disk.directory(inode).into_iter().flatten() {
            if path.len() < 4096 {
                self.see(disk, *below, join(&path, name), paths);
            }
        }
        paths.insert(inode, path);
    }

    /// The highest class of all its names counts.
    fn note(&mut self, inode: Inode, path: &[u8]) {
        let class = class(path);
        let known = self.inodes.entry(inode).or_insert_with(|| class.clone());
        if class > *known {
            *known = class;
        }
    }

    fn of_inode(&self, inode: Inode) -> Class {
        self.inodes.get(&inode).cloned().unwrap_or_else(|| Class::Scratch(Vec::new()))
    }
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = directory.to_vec();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// Names that begin so have no meaning to anybody but those who clean up or go on.
const SCRATCH: [&[u8]; 3] = [b"tmp-", b"partial-", b"removing-"];

/// Caches and locks, by the beginnings of their paths.
const CACHES: [&str; 7] = [
    "dockerloader/storage/v1/stamps/",
    "dockerloader/storage/v1/indexes/",
    "dockerloader/storage/v1/volume.json",
    "dockerloader/storage/v1/resolved.json",
    "dockerloader/supervisor.json",
    "dockerloader/supervisor.lock",
    "dockerloader/store.lock",
];

/// The class of a path relative to the data directory.
fn class(path: &[u8]) -> Class {
    let mut end = 0;
    for part in path.split(|byte| *byte == b'/') {
        end += part.len();
        if SCRATCH.iter().any(|start| part.starts_with(start)) {
            return Class::Scratch(path[..end].to_vec());
        }
        end += 1;
    }
    if CACHES.iter().any(|cache| path.starts_with(cache.as_bytes())) { Class::Cache } else { Class::Named }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_what_is_at_stake() {
        let scratch = |path: &str| Class::Scratch(path.as_bytes().to_vec());
        for (path, expected) in [
            ("dockerloader/entrypoint", Class::Named),
            ("dockerloader/tmp-state.json", scratch("dockerloader/tmp-state.json")),
            (
                "dockerloader/storage/v1/extracted/tmp-sha256:a/etc/x",
                scratch("dockerloader/storage/v1/extracted/tmp-sha256:a"),
            ),
            ("dockerloader/storage/v1/stamps/sha256:a", Class::Cache),
            ("dockerloader/storage/v1/extracted/sha256:a/etc/x", Class::Named),
        ] {
            assert_eq!(class(path.as_bytes()), expected, "{path}");
        }
        assert!(Class::Named > Class::Cache && Class::Cache > scratch("x"));
    }

    #[test]
    fn data_is_old_torn_zeros_or_new() {
        let mut durable = Disk::new();
        let file =
            durable.add(super::super::disk::Content::File(Bytes::new(b"ab".to_vec())), Attributes::default());
        let write = Change::Write { file, offset: 2, bytes: Arc::from(*b"cdef") };
        let outcomes = of_data(&durable, file, &[&write]);
        let bytes = |outcome: &Outcome| match outcome {
            Outcome::File(_, bytes, _) => bytes.bytes.clone(),
            _ => b"lost".to_vec(),
        };
        let found: Vec<_> = outcomes.iter().map(bytes).collect();
        assert_eq!(found, [b"lost".to_vec(), b"abcd".to_vec(), b"ab\0\0\0\0".to_vec(), b"abcdef".to_vec()]);
    }
}
