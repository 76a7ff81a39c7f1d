//! `storage/v1/health.json`: what the last look at each version came to, for `status`, for the next start and for the next pull.
//!
//! Lost, it costs a look.

use std::io;

use crate::clock;
use crate::digest::Digest;
use crate::disk::{self, Disk, RealDisk};
use crate::layout::Layout;
use crate::reserve;
use crate::status::{Condition, Health};

/// Largest file that is read, in bytes.
const BYTES: u64 = 256 << 10;

/// Versions that are remembered at most, the latest.
const VERSIONS: usize = 16;

/// What is remembered, the latest last. Nothing where it can't be read.
pub fn read(disk: &(impl Disk + ?Sized), layout: &Layout) -> Vec<Health> {
    let bytes = disk.read(&layout.health(), BYTES);
    bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// Whether a version was found to be damaged, and could not be repaired yet.
pub fn is_damaged(disk: &(impl Disk + ?Sized), layout: &Layout, version: &Digest) -> bool {
    read(disk, layout)
        .iter()
        .any(|health| health.digest == *version && health.condition == Condition::Damaged)
}

/// Remembers what a look at a version came to. What is intact as it was before is not written again.
///
/// # Errors
/// Of the file system.
pub fn note(layout: &Layout, version: &Digest, condition: Condition, detail: &str) -> io::Result<()> {
    let mut all = read(&RealDisk, layout);
    let before = all.iter().position(|health| health.digest == *version).map(|at| all.remove(at));
    // That it was repaired is worth knowing for longer than until the next look.
    let known = before.is_some_and(|before| before.condition != Condition::Damaged);
    if known && condition == Condition::Intact {
        return Ok(());
    }
    all.push(Health { digest: *version, condition, at: clock::unix_seconds(), detail: detail.to_owned() });
    let surplus = all.len().saturating_sub(VERSIONS);
    all.drain(..surplus);
    let bytes = serde_json::to_vec_pretty(&all).map_err(io::Error::other)?;
    RealDisk.create_directories(&layout.storage())?;
    reserve::with_room(&RealDisk, layout, || disk::replace_file(&RealDisk, &layout.health(), &bytes))
}
