//! What is needed + what is there -> what goes. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::blobs::PARTIAL;
use crate::digest::Digest;
use crate::layout::Layout;

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
    /// `extracted`.
    Extracted,
    /// `images`.
    Images,
    /// `blobs`.
    Blobs,
}

impl Folder {
    /// All of them, in that order.
    pub const ALL: [Self; 5] = [Self::Launch, Self::Seals, Self::Extracted, Self::Images, Self::Blobs];

    /// Where it is.
    pub fn path(self, layout: &Layout) -> PathBuf {
        match self {
            Self::Launch => layout.launches(),
            Self::Seals => layout.seals(),
            Self::Extracted => layout.extracted(),
            Self::Images => layout.images(),
            Self::Blobs => layout.blobs(),
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
    /// What was left alone, and why.
    pub findings: Vec<String>,
}

/// Decides what goes. `versions` are needed; when they are not `complete`, because a slot couldn't be read, nothing that
/// has a digest for its name goes. When the blobs of one needed version can't be known, no blob goes.
pub fn plan(versions: &BTreeSet<Digest>, complete: bool, present: &Present, references: &References) -> Plan {
    let mut plan = Plan::default();
    let blobs = needed_blobs(versions, references);
    if complete && blobs.is_none() {
        plan.findings
            .push("no blob is removed: the manifest of a needed version is missing or damaged".to_owned());
    }
    for (&folder, names) in present {
        for name in names {
            let goes = match classify(name) {
                Name::Leftover => true,
                Name::Foreign => {
                    plan.findings.push(format!("{folder:?}: {name:?} is not the loader's and is left alone"));
                    false
                }
                Name::Content(_) | Name::Partial(_) if !complete => false,
                Name::Content(digest) | Name::Partial(digest) if folder == Folder::Blobs => {
                    blobs.as_ref().is_some_and(|blobs| !blobs.contains(&digest))
                }
                Name::Content(digest) => !versions.contains(&digest),
                // A download outside of the blobs: nothing of ours makes such a name.
                Name::Partial(_) => false,
            };
            if goes {
                plan.deletes.push(Delete { folder, name: name.clone() });
            }
        }
    }
    plan
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
    Content(Digest),
    Foreign,
}

fn classify(name: &OsStr) -> Name {
    if is_leftover(name) {
        return Name::Leftover;
    }
    let Some(text) = name.to_str() else { return Name::Foreign };
    let (text, of): (_, fn(Digest) -> Name) = match text.strip_prefix(PARTIAL) {
        Some(text) => (text, Name::Partial),
        None => (text, Name::Content),
    };
    text.parse().map_or(Name::Foreign, of)
}

pub(super) fn is_leftover(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    bytes.starts_with(TEMPORARY.as_bytes()) || bytes.starts_with(REMOVING.as_bytes())
}
