//! Reads the data directory at the contract's paths.

use std::io;

use super::memory::Memory;
use super::state::{Listing, RawLink, Slots, locate};
use crate::digest::Digest;
use crate::disk::{Disk, Kind};
use crate::layout::{Layout, Slot};

/// Reads and parses the slots. What can't be read becomes a finding; only a directory that can't be looked into at all is an
/// error.
///
/// # Errors
/// The system's, for a slot's path.
pub fn read(disk: &(impl Disk + ?Sized), layout: &Layout) -> io::Result<Slots> {
    let mut listing = Listing::default();
    for slot in Slot::ALL {
        let path = layout.slot(slot);
        let Some(kind) = disk.kind(&path)? else { continue };
        let target = if kind == Kind::Link { disk.read_link(&path).ok() } else { None };
        let leads_to = match target.as_ref().and_then(|target| locate(layout, target)) {
            Some((digest, program)) => {
                let found = disk.kind(&layout.tree(&digest).join(program)).ok().flatten();
                found.or_else(|| has_stack(disk, layout, &digest).then_some(Kind::File))
            }
            None => None,
        };
        listing.links.push((slot, RawLink { kind, target, leads_to }));
    }
    listing.state = read_optional(disk, &layout.state(), Memory::BYTES);
    // A digest, and room for a line's end; more is read so that the finding is about the content.
    listing.update_attempt =
        read_optional(disk, &layout.update_attempt(), (Digest::TEXT_LENGTH as u64).saturating_mul(4));
    Ok(Slots::parse(layout, &listing))
}

/// Whether a version is on disk as a stack that is not mounted: that shows an empty directory. Whether it can be mounted is found
/// out when it is to be started; if not, it is restored from its layers.
fn has_stack(disk: &(impl Disk + ?Sized), layout: &Layout, digest: &Digest) -> bool {
    matches!(disk.kind(&layout.stack(digest)), Ok(Some(Kind::File)))
        && disk.list(&layout.tree(digest)).is_ok_and(|names| names.is_empty())
}

fn read_optional(
    disk: &(impl Disk + ?Sized),
    path: &std::path::Path,
    limit: u64,
) -> Option<Result<Vec<u8>, String>> {
    match disk.read(path, limit) {
        Ok(bytes) => Some(Ok(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(Err(error.to_string())),
    }
}
