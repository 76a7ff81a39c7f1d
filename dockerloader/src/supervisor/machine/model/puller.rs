//! The two other programs that work on the directory beside the supervisor: the pull and the clean-up. Both hold the store's lock,
//! neither holds the supervisor's.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use super::directory::{Directory, Held, TODAY, Tree, VERSIONS, Version, index};
use crate::gc::{Folder, plan};
use crate::layout::Slot;

/// A pull that has looked and is bringing a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Puller {
    pub(super) target: Version,
    /// Whether it is the supervisor's helper; else a person's.
    pub(super) ours: bool,
    /// It has staged the version and is about to say so.
    pub(super) done: bool,
}

/// What a look at the registry comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    UpToDate,
    Skipped,
    Wanted,
}

/// As `pull --stage` judges what the tag means, with the slots as they are: `cli::pull` and `pull::look`.
pub(super) fn look(directory: &Directory, tag: Version) -> Look {
    let slots = directory.slots();
    let current = slots.attempting.version().or(slots.current.version()).map(|named| named.digest);
    if current == Some(tag.digest()) {
        Look::UpToDate
    } else if slots.rejected(&tag.digest(), &TODAY.into()).is_some() {
        Look::Skipped
    } else {
        Look::Wanted
    }
}

/// As `pull::install::withdraw`: the target is back at the version that runs.
pub(super) fn withdraw(directory: &mut Directory, current: Version) {
    if directory.held(Slot::Attempt).is_some_and(|staged| staged != current) {
        directory.links[index(Slot::Attempt)] = Held::Nothing;
    }
}

impl Puller {
    /// As `pull::install`: the tree gets its name, then the slot its link.
    pub(super) fn stage(&mut self, directory: &mut Directory) {
        if !self.done {
            directory.trees[self.target.number()] = Tree::Whole;
            directory.links[index(Slot::Attempt)] = Held::Version(self.target);
            self.done = true;
        }
    }
}

/// A clean-up that has read what is needed and has not removed anything yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CleanUp {
    /// What goes.
    pub(super) doomed: [bool; VERSIONS],
    /// Whether it is the supervisor's helper; else a person's.
    pub(super) ours: bool,
}

impl CleanUp {
    /// The real plan over what is there. `target` is what the tag meant at the last look.
    pub(super) fn plan(directory: &Directory, running: Option<Version>, target: Version, ours: bool) -> Self {
        let slots = directory.slots();
        let mut keep: BTreeSet<_> = slots.named().into_iter().chain(running.map(Version::digest)).collect();
        if slots.rejected(&target.digest(), &TODAY.into()).is_none() {
            keep.insert(target.digest());
        }
        let complete = directory.links.iter().all(|held| *held != Held::Foreign);
        let there =
            Version::all(VERSIONS).filter(|version| directory.trees[version.number()] != Tree::Missing);
        let names = there.map(|version| OsString::from(version.digest().to_string())).collect();
        let present = BTreeMap::from([(Folder::Extracted, names)]);
        let planned = plan(&keep, complete, &present, &BTreeMap::new(), None);
        let mut doomed = [false; VERSIONS];
        for version in Version::all(VERSIONS) {
            let name = OsString::from(version.digest().to_string());
            doomed[version.number()] = planned.deletes.iter().any(|delete| delete.name == name);
        }
        Self { doomed, ours }
    }

    pub(super) fn remove(&self, directory: &mut Directory) {
        for version in Version::all(VERSIONS) {
            if self.doomed[version.number()] {
                directory.trees[version.number()] = Tree::Missing;
            }
        }
    }
}
