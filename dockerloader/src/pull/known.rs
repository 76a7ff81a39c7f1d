//! Which blobs on disk a new one may be put together from.

use std::collections::BTreeSet;

use crate::blobs::Blobs;
use crate::chunked::Candidate;
use crate::digest::Digest;
use crate::disk::{Disk as _, RealDisk};
use crate::layout::Layout;
use crate::limits::Limits;

use super::content::Content;

/// Versions whose layers are looked at, at most: those in the slots, and some that a clean-up has not come to.
const VERSIONS: usize = 8;

/// Layers on disk that have a table of contents, those of `current` first. None when no layer that is to be fetched has one.
pub(super) fn candidates(
    layout: &Layout,
    current: Option<Digest>,
    new: &Content,
    blobs: &Blobs,
    limits: &Limits,
) -> Vec<Candidate> {
    if !new.missing(blobs).any(|blob| Candidate::of(blob, limits).is_some()) {
        return Vec::new();
    }
    let names = RealDisk.list(&layout.images()).unwrap_or_default();
    let listed: BTreeSet<Digest> = names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect();
    let others = listed.into_iter().filter(|version| Some(*version) != current && *version != new.digest);
    let versions = current.into_iter().chain(others).take(VERSIONS);
    // One that is missing or damaged is of no use, and another matter.
    let contents = versions.filter_map(|version| Content::read(layout, &version, limits).ok());
    let layers = contents.chain([new.clone()]).flat_map(|content| content.image.layers);
    let complete = layers.filter(|layer| blobs.has(&layer.descriptor.digest, layer.descriptor.size));
    complete.filter_map(|layer| Candidate::of(&layer.descriptor, limits)).collect()
}
