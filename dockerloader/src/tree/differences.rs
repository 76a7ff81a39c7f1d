//! What has to be done to a tree that is there so that it becomes another. Nothing here touches a disk.
//!
//! Both trees are walked side by side, names sorted. What is the same stays; what is not is made elsewhere and renamed into its
//! place. A file with several names is one thing: it is kept for one file of the target at most, and gains and loses names.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::iter::Peekable;

use super::entry::Attributes;
use super::facts::{FactKind, Facts};
use super::index::{Child, Content, Index, Inode, InodeId};
use super::survey::{State, Survey, is_same_time};

/// A name in a directory of the target.
pub(super) type Place = (InodeId, Box<[u8]>);

/// One step. They are to be taken in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operation {
    /// Put the contents of a file of the base aside: they are needed elsewhere.
    Salvage { inode: InodeId, from: usize },
    /// Remove whatever has this name, with all below it.
    Remove { place: Place },
    /// Make a directory; the name is free.
    MakeDirectory { place: Place },
    /// Make anything else, and rename it to this place.
    Make { place: Place, inode: InodeId },
    /// Give a file another name, instead of whatever has it.
    Link { from: Place, place: Place },
    /// Give a file that stays other attributes.
    Adjust { place: Place, inode: InodeId, reset_xattrs: bool },
    /// Give a directory its attributes, now that nothing in it changes any more.
    Finish { inode: InodeId, reset_xattrs: bool },
}

/// All steps, and where the stamps of the target come from.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) operations: Vec<Operation>,
    /// For each record of the target's seal the record of the base whose inode it still is, unchanged.
    pub(super) origins: Vec<Option<usize>>,
    /// Names that stay.
    pub(super) kept: u64,
}

/// Plans how `base`, found as in `survey`, becomes `target`. Files in `staged` need no contents from elsewhere.
pub(super) fn differences(
    base: &Facts,
    survey: &Survey,
    target: &Index,
    staged: &impl Fn(InodeId) -> bool,
) -> Plan {
    let mut planner = Planner {
        base,
        survey,
        target,
        touched: HashSet::new(),
        lessened: HashSet::new(),
        directories: Vec::new(),
        stays: HashMap::new(),
        grouped: Vec::new(),
        origins: Vec::new(),
        removes: Vec::new(),
        makes: Vec::new(),
        adjusts: Vec::new(),
    };
    planner.directory(Index::ROOT, Some(0));
    planner.extras();
    planner.groups();
    planner.finish(staged)
}

/// A name of a file that has several, in one tree or the other.
struct Grouped {
    record: usize,
    place: Place,
    inode: InodeId,
    base: Option<usize>,
}

/// An inode of the base: a group, or the only name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Group(u32),
    Name(usize),
}

/// A directory of the target.
struct Visited {
    inode: InodeId,
    record: usize,
    /// It has to get its attributes, even if nothing in it changes.
    differs: bool,
    reset_xattrs: bool,
}

struct Planner<'p> {
    base: &'p Facts,
    survey: &'p Survey,
    target: &'p Index,
    /// Directories of the target in which names change.
    touched: HashSet<InodeId>,
    /// Groups of the base that lose or gain names, which changes the change time of the others.
    lessened: HashSet<u32>,
    directories: Vec<Visited>,
    /// Directories of the base that stay, and what they are in the target.
    stays: HashMap<usize, InodeId>,
    grouped: Vec<Grouped>,
    origins: Vec<Option<usize>>,
    removes: Vec<Operation>,
    makes: Vec<Operation>,
    adjusts: Vec<Operation>,
}

impl Planner<'_> {
    /// A directory that is in the target; `base` is what it goes on from.
    fn directory(&mut self, inode: InodeId, base: Option<usize>) {
        let record = self.next_record(base);
        let (differs, reset_xattrs) = match (base, self.target.get(inode)) {
            (Some(base), Some(wanted)) => {
                self.stays.insert(base, inode);
                self.compare(base, wanted)
            }
            _ => (true, false),
        };
        self.directories.push(Visited { inode, record, differs, reset_xattrs });
        let Some(directory) = self.target.directory(inode) else { return };
        let mut old = base.into_iter().flat_map(|base| self.base.children(base)).peekable();
        for (name, &child) in &directory.children {
            while let Some(gone) = next_before(&mut old, self.base, name) {
                self.remove((inode, self.base.name(gone).into()), gone);
            }
            let same = old.next_if(|&old| self.base.name(old) == &**name);
            self.name((inode, name.clone()), child, same);
        }
        for gone in old {
            self.remove((inode, self.base.name(gone).into()), gone);
        }
    }

    fn next_record(&mut self, base: Option<usize>) -> usize {
        self.origins.push(base);
        self.origins.len() - 1
    }

    /// A name of the target, with what the base has there.
    fn name(&mut self, place: Place, child: Child, base: Option<usize>) {
        let Some(wanted) = self.target.get(child.inode) else { return };
        let fact = base.and_then(|base| self.base.get(base));
        let state = base.and_then(|base| self.survey.deviations.get(&base)).map(|deviation| deviation.state);
        let usable = base.filter(|_| !matches!(state, Some(State::Missing | State::Other)));
        if let Content::Directory(_) = wanted.content {
            if let Some(base) = usable.filter(|_| fact.is_some_and(|fact| fact.kind == FactKind::Directory)) {
                return self.directory(child.inode, Some(base));
            }
            if let Some(base) = base {
                self.remove(place.clone(), base);
            }
            self.touched.insert(place.0);
            self.makes.push(Operation::MakeDirectory { place });
            return self.directory(child.inode, None);
        }
        // A directory can't be renamed over, nor can what nobody knows.
        let in_the_way =
            fact.is_some_and(|fact| fact.kind == FactKind::Directory) || state == Some(State::Other);
        let present = usable.filter(|_| !in_the_way);
        if let Some(base) = base.filter(|_| in_the_way) {
            self.remove(place.clone(), base);
        }
        let group = present.map_or(0, |base| self.group(base));
        let is_file = matches!(wanted.content, Content::File { .. });
        if group != 0 || (is_file && wanted.links > 1) {
            let record = self.next_record(None);
            self.grouped.push(Grouped { record, place, inode: child.inode, base: present });
            return;
        }
        let same = present.filter(|&base| self.is_same(base, wanted));
        let Some(same) = same else { return self.make(place, child.inode) };
        let (differs, reset_xattrs) = self.compare(same, wanted);
        if !differs {
            self.next_record(Some(same));
        } else if is_file {
            self.next_record(None);
            self.adjusts.push(Operation::Adjust { place, inode: child.inode, reset_xattrs });
        } else {
            self.make(place, child.inode);
        }
    }

    fn make(&mut self, place: Place, inode: InodeId) {
        self.next_record(None);
        self.touched.insert(place.0);
        self.makes.push(Operation::Make { place, inode });
    }

    /// What the base has under this name goes.
    fn remove(&mut self, place: Place, base: usize) {
        if let Some(deviation) = self.survey.deviations.get(&base)
            && deviation.state == State::Missing
        {
            // Gone already, which its directory may still have to forget.
            self.touched.insert(place.0);
            return;
        }
        self.lose(base);
        self.touched.insert(place.0);
        self.removes.push(Operation::Remove { place });
    }

    /// Files of the base that lose a name here, or below.
    fn lose(&mut self, base: usize) {
        let end = self.base.end(base);
        for below in base..end {
            let group = self.group(below);
            if group != 0 {
                self.lessened.insert(group);
            }
        }
    }

    fn group(&self, base: usize) -> u32 {
        match self.base.get(base).map(|fact| fact.kind) {
            Some(FactKind::File { group, .. }) => group,
            _ => 0,
        }
    }

    /// Names that the base should not have had.
    fn extras(&mut self) {
        for (directory, name) in &self.survey.extras {
            // With a directory that goes they go as well.
            if let Some(&inode) = self.stays.get(directory) {
                self.touched.insert(inode);
                self.removes.push(Operation::Remove { place: (inode, name.clone()) });
            }
        }
    }

    /// Files with several names.
    fn groups(&mut self) {
        let grouped = std::mem::take(&mut self.grouped);
        let mut claims: HashMap<InodeId, Key> = HashMap::new();
        let mut claimed: HashSet<Key> = HashSet::new();
        for name in &grouped {
            let Some(wanted) = self.target.get(name.inode) else { continue };
            let Some(base) = name.base.filter(|&base| self.is_same(base, wanted)) else { continue };
            let key = self.key(base);
            if !claims.contains_key(&name.inode) && claimed.insert(key) {
                claims.insert(name.inode, key);
            }
        }
        let keeps = |planner: &Self, name: &Grouped| {
            name.base.filter(|&base| claims.get(&name.inode) == Some(&planner.key(base)))
        };
        let mut anchors: HashMap<InodeId, Place> = HashMap::new();
        let mut relinked: HashSet<InodeId> = HashSet::new();
        let mut adjusted: HashSet<InodeId> = HashSet::new();
        for name in &grouped {
            let Some(base) = keeps(self, name) else { continue };
            if anchors.insert(name.inode, name.place.clone()).is_some() {
                continue;
            }
            let compared = self.target.get(name.inode).map(|wanted| self.compare(base, wanted));
            if let Some((true, reset_xattrs)) = compared {
                let place = name.place.clone();
                self.adjusts.push(Operation::Adjust { place, inode: name.inode, reset_xattrs });
                adjusted.insert(name.inode);
            }
        }
        for name in &grouped {
            if keeps(self, name).is_some() {
                continue;
            }
            if let Some(base) = name.base {
                self.lose(base);
            }
            self.touched.insert(name.place.0);
            let file = self
                .target
                .get(name.inode)
                .is_some_and(|inode| matches!(inode.content, Content::File { .. }));
            let place = name.place.clone();
            match anchors.get(&name.inode).filter(|_| file) {
                Some(from) => {
                    relinked.insert(name.inode);
                    self.makes.push(Operation::Link { from: from.clone(), place });
                }
                None => {
                    anchors.insert(name.inode, place.clone());
                    self.makes.push(Operation::Make { place, inode: name.inode });
                }
            }
        }
        for name in &grouped {
            let Some(base) = keeps(self, name) else { continue };
            let unchanged = !relinked.contains(&name.inode)
                && !adjusted.contains(&name.inode)
                && !self.lessened.contains(&self.group(base));
            if let Some(origin) = self.origins.get_mut(name.record).filter(|_| unchanged) {
                *origin = Some(base);
            }
        }
    }

    fn key(&self, base: usize) -> Key {
        match self.group(base) {
            0 => Key::Name(base),
            group => Key::Group(group),
        }
    }

    /// Whether the base has the contents that are wanted; it is known that it has something usable.
    fn is_same(&self, base: usize, wanted: &Inode) -> bool {
        let Some(fact) = self.base.get(base) else { return false };
        match (fact.kind, &wanted.content) {
            (FactKind::File { size, hash, .. }, Content::File { size: wanted_size, hash: wanted_hash }) => {
                size == *wanted_size && hash == *wanted_hash
            }
            (FactKind::Symlink { target }, Content::Symlink { target: wanted }) => target == &**wanted,
            (
                FactKind::CharDevice { major, minor },
                Content::CharDevice { major: wanted, minor: wanted_minor },
            )
            | (
                FactKind::BlockDevice { major, minor },
                Content::BlockDevice { major: wanted, minor: wanted_minor },
            ) => major == *wanted && minor == *wanted_minor,
            (FactKind::Fifo, Content::Fifo) => true,
            _ => false,
        }
    }

    /// Whether attributes differ from those on the disk, and whether the extended ones do.
    fn compare(&self, base: usize, wanted: &Inode) -> (bool, bool) {
        let Some(fact) = self.base.get(base) else { return (true, true) };
        let state = self.survey.deviations.get(&base).map(|deviation| deviation.state);
        let (attributes, xattrs) = match state {
            Some(State::Altered { attributes, xattrs, .. }) => (attributes, xattrs),
            _ => (fact.attributes, fact.xattrs),
        };
        let reset = xattrs != wanted.xattrs.as_deref().copied();
        (reset || !is_same(attributes, wanted.attributes), reset)
    }

    fn finish(mut self, staged: &impl Fn(InodeId) -> bool) -> Plan {
        let mut finishes = Vec::new();
        for visited in self.directories.iter().rev() {
            // Naming the tree changes the time of the root.
            if visited.differs || visited.inode == Index::ROOT || self.touched.contains(&visited.inode) {
                let Visited { inode, reset_xattrs, .. } = *visited;
                finishes.push(Operation::Finish { inode, reset_xattrs });
                if let Some(origin) = self.origins.get_mut(visited.record) {
                    *origin = None;
                }
            }
        }
        let mut operations = self.salvages(staged);
        let made = |operation: &Operation| {
            matches!(
                operation,
                Operation::Make { .. } | Operation::Link { .. } | Operation::MakeDirectory { .. }
            )
        };
        let changed = self.makes.iter().filter(|operation| made(operation)).count();
        let kept = self.origins.len().saturating_sub(changed + self.adjusts.len());
        for part in [self.removes, self.makes, self.adjusts, finishes] {
            operations.extend(part);
        }
        Plan { operations, origins: self.origins, kept: kept as u64 }
    }

    /// Contents that the base has, though not where they belong.
    fn salvages(&self, staged: &impl Fn(InodeId) -> bool) -> Vec<Operation> {
        let mut wanted: BTreeMap<InodeId, (u64, [u8; 32])> = BTreeMap::new();
        for operation in &self.makes {
            if let Operation::Make { inode, .. } = operation
                && let Some(Content::File { size, hash }) =
                    self.target.get(*inode).map(|inode| &inode.content)
                && !staged(*inode)
            {
                wanted.insert(*inode, (*size, *hash));
            }
        }
        if wanted.is_empty() {
            return Vec::new();
        }
        let mut contents: HashMap<(u64, [u8; 32]), usize> = HashMap::new();
        let mut at = 0;
        while let Some(fact) = self.base.get(at) {
            let state = self.survey.deviations.get(&at).map(|deviation| deviation.state);
            if matches!(state, Some(State::Missing | State::Other)) {
                at = fact.end as usize;
                continue;
            }
            if let FactKind::File { size, hash, .. } = fact.kind {
                contents.entry((size, hash)).or_insert(at);
            }
            at += 1;
        }
        let found = wanted.into_iter().filter_map(|(inode, key)| Some((inode, *contents.get(&key)?)));
        found.map(|(inode, from)| Operation::Salvage { inode, from }).collect()
    }
}

/// The next child of the base whose name comes before `name`.
fn next_before(
    children: &mut Peekable<impl Iterator<Item = usize>>,
    base: &Facts,
    name: &[u8],
) -> Option<usize> {
    children.next_if(|&child| base.name(child) < name)
}

fn is_same(found: Attributes, wanted: Attributes) -> bool {
    (found.mode, found.uid, found.gid) == (wanted.mode, wanted.uid, wanted.gid)
        && is_same_time(found.mtime, wanted.mtime)
}

#[cfg(test)]
#[path = "differences_tests.rs"]
mod tests;
