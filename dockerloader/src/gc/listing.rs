//! What is there and what is needed, read from the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;

use super::{Error, Folder, Plan, Present, References, Stacks, failed, plan};
use crate::blobs::digest_of_bytes;
use crate::digest::Digest;
use crate::disk::{Disk, Kind};
use crate::layout::{Layout, Slot};
use crate::limits::Limits;
use crate::manifest::{self, Document};
use crate::pull::resolved::Resolved;
use crate::volume::overlay;

/// The versions that are needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keep {
    /// Their digests.
    pub versions: BTreeSet<Digest>,
    /// Whether these are all: no slot was unreadable.
    pub complete: bool,
}

/// All that a plan is made from.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// What is needed.
    pub keep: Keep,
    /// What is there.
    pub present: Present,
    /// What the needed versions' manifests name.
    pub references: References,
    /// What the needed versions' trees stand on.
    pub stacks: Stacks,
    /// When the seals of trees that are not needed were written, in seconds since 1970.
    pub ages: BTreeMap<Digest, u64>,
    /// What is odd.
    pub findings: Vec<String>,
}

/// Times that the slots are read anew because the supervisor moved them meanwhile.
const SLOT_READS: usize = 10;

impl Listing {
    /// Reads it all.
    ///
    /// # Errors
    /// A folder of the store can't be listed.
    pub fn read(
        disk: &(impl Disk + ?Sized),
        layout: &Layout,
        keep: &BTreeSet<Digest>,
        rejected: &BTreeSet<Digest>,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let mut listing = Self::default();
        // The folders first: what is staged later than this listing is not in it.
        for folder in Folder::ALL {
            let path = folder.path(layout);
            let names = match disk.list(&path) {
                Ok(names) => names.into_iter().collect(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
                Err(error) => return Err(failed("list", &path)(error)),
            };
            listing.present.insert(folder, names);
        }
        listing.keep = slots(disk, layout, &mut listing.findings);
        listing.keep.versions.extend(keep);
        let target = Resolved::read(disk, layout).map(|resolved| resolved.manifest);
        listing.keep.versions.extend(target.filter(|target| !rejected.contains(target)));
        listing.references = listing
            .keep
            .versions
            .iter()
            .map(|version| (*version, blobs_of(disk, layout, version, limits)))
            .collect::<BTreeMap<_, _>>();
        listing.stacks =
            listing.keep.versions.iter().filter_map(|version| stack_of(disk, layout, version)).collect();
        listing.ages = listing
            .names(Folder::Seals)
            .filter_map(|name| name.to_str()?.parse().ok())
            .filter(|digest| !listing.keep.versions.contains(digest))
            .filter_map(|digest| Some((digest, disk.modified(&layout.seal(&digest)).ok()?)))
            .collect();
        Ok(listing)
    }

    fn names(&self, folder: Folder) -> impl Iterator<Item = &OsString> {
        self.present.get(&folder).into_iter().flatten()
    }

    /// What goes. With `spare`, one tree that is not needed stays as the spare one.
    pub fn plan(&self, spare: bool) -> Plan {
        let Self { keep, present, references, ages, .. } = self;
        let spare = if spare { plan::choose_spare(&keep.versions, present, ages) } else { None };
        let mut plan = plan::plan(&keep.versions, keep.complete, present, references, spare);
        let frozen = plan::plan_frozen(keep.complete, present, &self.stacks);
        plan.deletes.extend(frozen.deletes);
        plan.findings.extend(frozen.findings);
        plan
    }
}

/// The frozen directories of a version that has a stack.
fn stack_of(
    disk: &(impl Disk + ?Sized),
    layout: &Layout,
    version: &Digest,
) -> Option<(Digest, Option<BTreeSet<OsString>>)> {
    match overlay::stack(disk, layout, version) {
        Ok(None) => None,
        Ok(Some(stack)) => {
            let names = stack.frozen().iter().map(|frozen| frozen.name.clone().into()).collect();
            Some((*version, Some(names)))
        }
        Err(_) => Some((*version, None)),
    }
}

/// The versions in the four slots. The supervisor moves links without the store's lock: they are read until two readings
/// agree, so that a version on its way from one slot to another is not missed.
fn slots(disk: &(impl Disk + ?Sized), layout: &Layout, findings: &mut Vec<String>) -> Keep {
    let mut before = read_slots(disk, layout);
    for _ in 0..SLOT_READS {
        let now = read_slots(disk, layout);
        if now == before {
            let (keep, odd) = now;
            findings.extend(odd);
            return keep;
        }
        before = now;
    }
    findings.push("the slots never stood still: nothing is removed".to_owned());
    Keep { complete: false, ..before.0 }
}

fn read_slots(disk: &(impl Disk + ?Sized), layout: &Layout) -> (Keep, Vec<String>) {
    let mut keep = Keep { versions: BTreeSet::new(), complete: true };
    let mut odd = Vec::new();
    for slot in Slot::ALL {
        let path = layout.slot(slot);
        let problem = match disk.kind(&path) {
            Ok(None) => continue,
            Ok(Some(Kind::Link)) => match disk.read_link(&path) {
                Ok(target) => match layout.version_of(&target) {
                    Some((version, _)) => {
                        keep.versions.insert(version);
                        continue;
                    }
                    None => format!("leads to {}, which is no version", target.display()),
                },
                // It was moved between the two calls: the next reading differs.
                Err(error) if error.kind() == io::ErrorKind::NotFound => "was moved".to_owned(),
                Err(error) => error.to_string(),
            },
            Ok(Some(_)) => "is no symbolic link".to_owned(),
            Err(error) => error.to_string(),
        };
        keep.complete = false;
        odd.push(format!("no version is removed: slot {} {problem}", slot.name()));
    }
    (keep, odd)
}

/// The blobs that a version's manifest names; `None` when it is missing, damaged or can't be read.
fn blobs_of(
    disk: &(impl Disk + ?Sized),
    layout: &Layout,
    version: &Digest,
    limits: &Limits,
) -> Option<BTreeSet<Digest>> {
    let bytes = disk.read(&layout.image(version), limits.manifest_bytes.max).ok()?;
    if digest_of_bytes(&bytes) != *version {
        return None;
    }
    match manifest::parse(&bytes, None, limits).ok()? {
        Document::Image(image) => {
            let layers = image.layers.iter().map(|layer| layer.descriptor.digest);
            Some(layers.chain([image.config.digest]).collect())
        }
        Document::Index(_) => None,
    }
}
