//! Listing of the data directory -> [`Slots`]: pure.

use std::path::{Path, PathBuf};

use super::memory::Memory;
use crate::clock::Moment;
use crate::digest::Digest;
use crate::disk::Kind;
use crate::layout::{Layout, Slot};

/// What was found at the contract's paths.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// What is at each slot's path, in the order of [`Slot::ALL`]; absent slots are left out.
    pub links: Vec<(Slot, RawLink)>,
    /// `state.json`: its bytes, or why they can't be read; `None` when there is none.
    pub state: Option<Result<Vec<u8>, String>>,
    /// `update-attempt`, likewise.
    pub update_attempt: Option<Result<Vec<u8>, String>>,
}

/// What is at a slot's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawLink {
    /// Link, file, directory or other.
    pub kind: Kind,
    /// A link's target.
    pub target: Option<PathBuf>,
    /// The kind of what lies in our store at the place that the target means, without following links.
    pub leads_to: Option<Kind>,
}

/// A version that a slot names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Named {
    /// Digest of the image's manifest.
    pub digest: Digest,
    /// The executable inside its tree.
    pub program: String,
}

/// What a slot holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Link {
    /// Nothing.
    #[default]
    Absent,
    /// A version whose executable is there.
    Version(Named),
    /// A link to a version that is not on disk.
    Dangling(Named),
    /// A file, a directory or a link to elsewhere: not ours, so never followed and never deleted.
    Foreign(String),
}

impl Link {
    /// The version, if it can be run.
    pub fn version(&self) -> Option<&Named> {
        match self {
            Self::Version(named) => Some(named),
            Self::Absent | Self::Dangling(_) | Self::Foreign(_) => None,
        }
    }

    /// The digest that the link names, whether it is on disk or not.
    pub fn digest(&self) -> Option<Digest> {
        match self {
            Self::Version(named) | Self::Dangling(named) => Some(named.digest),
            Self::Absent | Self::Foreign(_) => None,
        }
    }
}

/// The state of one data directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slots {
    /// `entrypoint`.
    pub current: Link,
    /// `entrypoint-attempt`.
    pub attempt: Link,
    /// `entrypoint-attempting`.
    pub attempting: Link,
    /// `entrypoint-previous`.
    pub previous: Link,
    /// `update-attempt`.
    pub update_attempt: Option<Digest>,
    /// `state.json`.
    pub memory: Memory,
    /// What is odd, for people.
    pub findings: Vec<String>,
}

impl Slots {
    /// Makes sense of a listing. Total: whatever is on the disk, there is an answer.
    pub fn parse(layout: &Layout, listing: &Listing) -> Self {
        let mut slots = Self::default();
        for (slot, raw) in &listing.links {
            let link = parse_link(layout, raw);
            match &link {
                Link::Dangling(named) => slots.findings.push(format!(
                    "{} points to {}, but {} is not on disk",
                    slot.name(),
                    named.digest,
                    named.program
                )),
                Link::Foreign(what) => slots.findings.push(format!("{} is {what}", slot.name())),
                Link::Absent | Link::Version(_) => {}
            }
            *slots.link_mut(*slot) = link;
        }
        slots.memory = match &listing.state {
            None => Memory::default(),
            Some(bytes) => {
                bytes.as_ref().map_err(Clone::clone).and_then(|b| Memory::parse(b)).unwrap_or_else(|why| {
                    slots
                        .findings
                        .push(format!("state.json can't be used, so verdicts are forgotten: {why}"));
                    Memory::default()
                })
            }
        };
        slots.update_attempt = match &listing.update_attempt {
            None => None,
            Some(Ok(bytes)) => {
                match std::str::from_utf8(bytes).ok().and_then(|text| text.trim().parse().ok()) {
                    Some(digest) => Some(digest),
                    None => {
                        slots.findings.push("update-attempt holds no digest".to_owned());
                        None
                    }
                }
            }
            Some(Err(why)) => {
                slots.findings.push(format!("update-attempt can't be read: {why}"));
                None
            }
        };
        slots
    }

    /// What a slot holds.
    pub const fn link(&self, slot: Slot) -> &Link {
        match slot {
            Slot::Current => &self.current,
            Slot::Attempt => &self.attempt,
            Slot::Attempting => &self.attempting,
            Slot::Previous => &self.previous,
        }
    }

    /// Likewise, to change it.
    pub const fn link_mut(&mut self, slot: Slot) -> &mut Link {
        match slot {
            Slot::Current => &mut self.current,
            Slot::Attempt => &mut self.attempt,
            Slot::Attempting => &mut self.attempting,
            Slot::Previous => &mut self.previous,
        }
    }

    /// Every digest that a slot names: what a clean-up must keep (I3).
    pub fn named(&self) -> Vec<Digest> {
        let mut digests: Vec<_> = Slot::ALL.iter().filter_map(|slot| self.link(*slot).digest()).collect();
        digests.extend(self.memory.trial.iter().flat_map(|trial| {
            std::iter::once(trial.digest).chain(trial.from.iter().map(|(digest, _)| *digest))
        }));
        digests.sort_unstable();
        digests.dedup();
        digests
    }

    /// Why a version may not be tried `now`, if so. The contract's `update-attempt` counts as well,
    /// also when the memory of its reason is lost.
    pub fn rejected(&self, digest: &Digest, now: &Moment) -> Option<String> {
        match self.memory.verdict(digest) {
            Some(verdict) => verdict.blocks(now).then(|| verdict.reason.clone()),
            None => (self.update_attempt == Some(*digest)).then(|| "an earlier attempt failed".to_owned()),
        }
    }
}

fn parse_link(layout: &Layout, raw: &RawLink) -> Link {
    let target = match (raw.kind, &raw.target) {
        (Kind::Link, Some(target)) => target,
        (Kind::Directory, _) => return Link::Foreign("a directory, not a link".to_owned()),
        (Kind::File, _) => return Link::Foreign("a file, not a link".to_owned()),
        (Kind::Link | Kind::Other, _) => return Link::Foreign("no link that can be read".to_owned()),
    };
    let Some((digest, program)) = locate(layout, target) else {
        return Link::Foreign(format!("a link to {}, outside the store", target.display()));
    };
    let Some(program) = program.to_str().map(str::to_owned) else {
        return Link::Foreign("a link whose target is no UTF-8".to_owned());
    };
    let named = Named { digest, program };
    // A link as executable is resolved inside the tree when it is started.
    if matches!(raw.leads_to, Some(Kind::File | Kind::Link)) {
        Link::Version(named)
    } else {
        Link::Dangling(named)
    }
}

/// The version that a link's target means. The data directory may have been mounted elsewhere when the link was made: the
/// part from `storage/v1/extracted` on decides.
pub(super) fn locate(layout: &Layout, target: &Path) -> Option<(Digest, PathBuf)> {
    if let Some((digest, program)) = layout.version_of(target) {
        return Some((digest, program.to_owned()));
    }
    let text = target.to_str()?;
    let (_, inside) = text.rsplit_once("/dockerloader/storage/v1/extracted/")?;
    let moved = layout.extracted().join(inside);
    layout.version_of(&moved).map(|(digest, program)| (digest, program.to_owned()))
}
