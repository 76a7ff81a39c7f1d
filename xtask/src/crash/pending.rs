//! What is durable, and what a crash may still undo: pure.
//!
//! The model is weaker than every file system in use, on purpose: names, data and attributes become durable in any order, each name
//! by itself, until they are synced (`fsync(2)`, `syncfs(2)`). What is named in one call stays one: `rename(2)` is atomic.

use super::disk::{Change, Disk, Inode, Name};
use super::record::{Deed, Operation, Scope};

/// A moment between two operations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment {
    /// What is there after a crash in any case.
    pub(super) durable: Disk,
    /// What may be there, in order: by the operations' numbers.
    pub(super) pending: Vec<(usize, Vec<Change>)>,
}

impl Moment {
    /// The beginning: all that is there is durable.
    pub(super) fn new(start: Disk) -> Self {
        Self { durable: start, pending: Vec::new() }
    }

    /// One operation later.
    pub(super) fn take(&mut self, number: usize, operation: &Operation) {
        match &operation.deed {
            Deed::Change(changes) if changes.is_empty() => {}
            Deed::Change(changes) => self.pending.push((number, changes.clone())),
            Deed::Sync(scope) => self.sync(*scope, operation.began),
            Deed::Execute(_) => {}
        }
    }

    /// What ended before `began`, and is covered, becomes durable.
    fn sync(&mut self, scope: Scope, began: usize) {
        let mut later = Vec::<(usize, Vec<Change>)>::new();
        for (number, changes) in std::mem::take(&mut self.pending) {
            if number >= began || !changes.iter().any(|change| covers(scope, change)) {
                later.push((number, changes));
                continue;
            }
            for change in &changes {
                self.durable.apply(change);
                // An earlier change of the same name, which is still pending, can't come after this one.
                if let Some(name) = name_of(change) {
                    later
                        .iter_mut()
                        .for_each(|(_, earlier)| earlier.retain(|other| name_of(other) != Some(name)));
                }
            }
        }
        later.retain(|(_, changes)| !changes.is_empty());
        self.pending = later;
    }

    /// What there would be without a crash.
    pub(super) fn whole(&self) -> Disk {
        let mut disk = self.durable.clone();
        self.pending.iter().flat_map(|(_, changes)| changes).for_each(|change| disk.apply(change));
        disk
    }
}

fn name_of(change: &Change) -> Option<(Inode, &Name)> {
    match change {
        Change::Name { directory, name, .. } => Some((*directory, name)),
        _ => None,
    }
}

fn covers(scope: Scope, change: &Change) -> bool {
    let of = match change {
        Change::Name { directory, .. } => *directory,
        Change::Write { file, .. } | Change::Length { file, .. } => *file,
        Change::Attributes { inode, .. } => *inode,
    };
    match scope {
        Scope::Everything => true,
        Scope::Inode(inode) => inode == of,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::disk::{Attributes, Bytes, Content, ROOT};
    use super::*;

    fn name(directory: Inode, name: &str, inode: Option<Inode>) -> Change {
        Change::Name { directory, name: name.as_bytes().into(), inode }
    }

    fn operation(deed: Deed, began: usize) -> Operation {
        Operation { deed, label: String::new(), began }
    }

    fn file(disk: &mut Disk) -> Inode {
        disk.add(Content::File(Bytes::new(Vec::new())), Attributes::default())
    }

    #[test]
    fn a_file_is_durable_without_its_name_and_a_name_without_its_file() {
        let mut start = Disk::new();
        let inode = file(&mut start);
        let mut moment = Moment::new(start);
        let write = Change::Write { file: inode, offset: 0, bytes: Arc::from(*b"x") };
        moment.take(0, &operation(Deed::Change(vec![name(ROOT, "a", Some(inode))]), 0));
        moment.take(1, &operation(Deed::Change(vec![write]), 1));
        let mut file_synced = moment.clone();
        file_synced.take(2, &operation(Deed::Sync(Scope::Inode(inode)), 2));
        assert_eq!((file_synced.durable.find(b"a"), file_synced.pending.len()), (None, 1));
        assert_eq!(file_synced.durable.file(inode).unwrap().bytes, b"x");
        let mut name_synced = moment.clone();
        name_synced.take(2, &operation(Deed::Sync(Scope::Inode(ROOT)), 2));
        assert_eq!(name_synced.durable.find(b"a"), Some(inode));
        assert!(name_synced.durable.file(inode).unwrap().bytes.is_empty());
        // What had not ended when the sync began is not covered.
        moment.take(2, &operation(Deed::Sync(Scope::Everything), 1));
        assert_eq!(moment.pending.len(), 1);
    }

    #[test]
    fn a_rename_between_two_directories_is_durable_as_one_and_nothing_earlier_comes_after_it() {
        let mut start = Disk::new();
        let directory = start.add(Content::Directory(Arc::default()), Attributes::default());
        let (one, other) = (file(&mut start), file(&mut start));
        start.apply(&name(ROOT, "d", Some(directory)));
        start.apply(&name(ROOT, "a", Some(one)));
        let mut moment = Moment::new(start);
        moment.take(0, &operation(Deed::Change(vec![name(directory, "b", Some(other))]), 0));
        let rename = vec![name(ROOT, "a", None), name(directory, "b", Some(one))];
        moment.take(1, &operation(Deed::Change(rename), 1));
        moment.take(2, &operation(Deed::Sync(Scope::Inode(ROOT)), 2));
        assert!(moment.pending.is_empty());
        assert_eq!((moment.durable.find(b"a"), moment.durable.find(b"d/b")), (None, Some(one)));
        assert_eq!(moment.whole(), moment.durable);
    }
}
