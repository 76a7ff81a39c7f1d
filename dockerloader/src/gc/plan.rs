//! What is needed + what is there -> what goes. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::blobs::PARTIAL;
use crate::digest::Digest;
use crate::layout::{Layout, SPARE};

/// Before the name of something that is being written; garbage once nobody holds the store's lock.
pub(super) const TEMPORARY: &str = "tmp-";

/// Before the name of something that is being removed.
pub(super) const REMOVING: &str = "removing-";

/// A folder of the store, in the order in which a version is taken apart: first what makes it look usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Folder {
    /// `launch`.
    Launch,
    /// `seals`.
    Seals,
    /// `stamps`.
    Stamps,
    /// `stacks`.
    Stacks,
    /// `extracted`.
    Extracted,
    /// `writes`.
    Writes,
    /// `frozen`.
    Frozen,
    /// `images`.
    Images,
    /// `indexes`.
    Indexes,
    /// `blobs`.
    Blobs,
    /// `quarantine`: all of it goes.
    Quarantine,
}

impl Folder {
    /// All of them, in that order.
    pub const ALL: [Self; 11] = [
        Self::Launch,
        Self::Seals,
        Self::Stamps,
        Self::Stacks,
        Self::Extracted,
        Self::Writes,
        Self::Frozen,
        Self::Images,
        Self::Indexes,
        Self::Blobs,
        Self::Quarantine,
    ];

    /// Where it is.
    pub fn path(self, layout: &Layout) -> PathBuf {
        match self {
            Self::Launch => layout.launches(),
            Self::Seals => layout.seals(),
            Self::Stamps => layout.stamps_folder(),
            Self::Stacks => layout.stacks(),
            Self::Extracted => layout.extracted(),
            Self::Writes => layout.all_writes(),
            Self::Frozen => layout.frozen(),
            Self::Images => layout.images(),
            Self::Indexes => layout.layer_indexes(),
            Self::Blobs => layout.blobs(),
            Self::Quarantine => layout.quarantine(),
        }
    }
}

/// The names in each folder.
pub type Present = BTreeMap<Folder, BTreeSet<OsString>>;

/// The blobs that a needed version's manifest names; `None` when it can't be known.
pub type References = BTreeMap<Digest, Option<BTreeSet<Digest>>>;

/// One thing to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete {
    /// Where it is.
    pub folder: Folder,
    /// Its name there.
    pub name: OsString,
}

/// What to remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order of removal.
    pub deletes: Vec<Delete>,
    /// The tree that is kept as the spare one, if there is room; under its version's name or as the spare already.
    pub spare: Option<Digest>,
    /// What was left alone, and why.
    pub findings: Vec<String>,
}

/// Decides what goes. `versions` are needed; when they are not `complete`, because a slot couldn't be read, nothing that
/// has a digest for its name goes. When the blobs of one needed version can't be known, no blob goes.
///
/// Of the trees that are not needed, that of `spare` stays with its seal and its stamps.
pub fn plan(
    versions: &BTreeSet<Digest>,
    complete: bool,
    present: &Present,
    references: &References,
    spare: Option<Digest>,
) -> Plan {
    let spare = spare.filter(|spare| complete && !versions.contains(spare));
    let mut plan = Plan { spare, ..Plan::default() };
    let blobs = needed_blobs(versions, references);
    if complete && blobs.is_none() {
        plan.findings
            .push("no blob is removed: the manifest of a needed version is missing or damaged".to_owned());
    }
    let has_tree = |digest: &Digest| {
        let name = OsString::from(digest.to_string());
        present.get(&Folder::Extracted).is_some_and(|names| names.contains(&name))
    };
    for (&folder, names) in present.iter().filter(|(folder, _)| **folder != Folder::Frozen) {
        for name in names {
            let goes = match classify(name) {
                Name::Leftover => true,
                // What was in its place is repaired, or has been told.
                _ if folder == Folder::Quarantine => true,
                Name::Foreign => {
                    plan.findings.push(format!("{folder:?}: {name:?} is not the loader's and is left alone"));
                    false
                }
                Name::Content(_) | Name::Partial(_) | Name::Spare(_) if !complete => false,
                // Of two trees of one version, the one that has its name is whole.
                Name::Spare(digest) if folder == Folder::Extracted => {
                    spare != Some(digest) || has_tree(&digest)
                }
                Name::Content(digest) | Name::Partial(digest)
                    if matches!(folder, Folder::Blobs | Folder::Indexes) =>
                {
                    blobs.as_ref().is_some_and(|blobs| !blobs.contains(&digest))
                }
                Name::Content(digest)
                    if matches!(folder, Folder::Seals | Folder::Stamps | Folder::Extracted) =>
                {
                    !versions.contains(&digest) && spare != Some(digest)
                }
                Name::Content(digest) => !versions.contains(&digest),
                // A download outside of the blobs, a spare that is no tree: nothing of ours makes such a name.
                Name::Partial(_) | Name::Spare(_) => false,
            };
            if goes {
                plan.deletes.push(Delete { folder, name: name.clone() });
            }
        }
    }
    plan
}

/// The frozen directories that each needed version with a stack stands on; `None` for a stack that can't be used.
pub type Stacks = BTreeMap<Digest, Option<BTreeSet<OsString>>>;

/// Decides which frozen directories go: those that no needed version stands on. When the needed versions are not `complete`, or
/// the stack of one of them can't be used, only leftovers go.
pub fn plan_frozen(complete: bool, present: &Present, stacks: &Stacks) -> Plan {
    let mut plan = Plan::default();
    let needed: Option<BTreeSet<_>> = stacks
        .values()
        .map(Option::as_ref)
        .collect::<Option<Vec<_>>>()
        .map(|all| all.into_iter().flatten().collect());
    if complete && needed.is_none() {
        plan.findings
            .push("no frozen directory is removed: the stack of a needed version is damaged".to_owned());
    }
    for name in present.get(&Folder::Frozen).into_iter().flatten() {
        let unneeded = || complete && needed.as_ref().is_some_and(|needed| !needed.contains(name));
        if is_leftover(name) || unneeded() {
            plan.deletes.push(Delete { folder: Folder::Frozen, name: name.clone() });
        }
    }
    plan
}

/// The tree to keep as the spare one: of those that no slot names, the youngest that has its seal and its stamps, else the
/// one that is the spare. `ages` are the times at which seals were written.
pub fn choose_spare(
    versions: &BTreeSet<Digest>,
    present: &Present,
    ages: &BTreeMap<Digest, u64>,
) -> Option<Digest> {
    let sealed = |digest: &Digest| {
        let name = OsString::from(digest.to_string());
        let has = |folder| present.get(&folder).is_some_and(|names| names.contains(&name));
        // A mount point is no tree.
        has(Folder::Seals) && has(Folder::Stamps) && !has(Folder::Stacks) && !versions.contains(digest)
    };
    let trees = present.get(&Folder::Extracted)?;
    let youngest = |of: fn(Name) -> Option<Digest>| {
        let found = trees.iter().filter_map(|name| of(classify(name))).filter(sealed);
        found.max_by_key(|digest| (ages.get(digest).copied(), *digest))
    };
    youngest(|name| if let Name::Content(digest) = name { Some(digest) } else { None })
        .or_else(|| youngest(|name| if let Name::Spare(digest) = name { Some(digest) } else { None }))
}

/// All blobs of all needed versions; `None` when one of them is unknown.
fn needed_blobs(versions: &BTreeSet<Digest>, references: &References) -> Option<BTreeSet<Digest>> {
    let mut needed = BTreeSet::new();
    for version in versions {
        needed.extend(references.get(version)?.as_ref()?);
    }
    Some(needed)
}

enum Name {
    Leftover,
    Partial(Digest),
    Spare(Digest),
    Content(Digest),
    Foreign,
}

fn classify(name: &OsStr) -> Name {
    if is_leftover(name) {
        return Name::Leftover;
    }
    let Some(text) = name.to_str() else { return Name::Foreign };
    let after = |prefix: &str| text.strip_prefix(prefix)?.parse::<Digest>().ok();
    match (after(PARTIAL), after(SPARE), after("")) {
        (Some(digest), ..) => Name::Partial(digest),
        (_, Some(digest), _) => Name::Spare(digest),
        (.., Some(digest)) => Name::Content(digest),
        (None, None, None) => Name::Foreign,
    }
}

pub(super) fn is_leftover(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    bytes.starts_with(TEMPORARY.as_bytes()) || bytes.starts_with(REMOVING.as_bytes())
}
