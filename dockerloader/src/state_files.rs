//! Files beside the slots that are damaged: what `status` says of them. Each costs time or a verdict, never a start; the next pull
//! writes it anew.
//!
//! Only what is small is read: the supervisor answers `status` itself. Seals, stamps and indexes are told from other things by their kind
//! alone; what is in them `verify` and the next pull find out.

use std::io;
use std::path::Path;

use crate::disk::{Disk, Kind};
use crate::launch::Launch;
use crate::layout::Layout;
use crate::slots::Slots;

/// Largest file of JSON that is looked into, in bytes.
const BYTES: u64 = 64 << 10;

/// What is wrong with the files of a data directory, for people, in a fixed order.
pub fn findings(disk: &(impl Disk + ?Sized), layout: &Layout, slots: &Slots) -> Vec<String> {
    let mut findings = Vec::new();
    for digest in slots.named() {
        if let Err(error) = Launch::read(disk, layout, &digest) {
            findings.push(error.to_string());
        }
        for path in
            [layout.seal(&digest), layout.stamps(&digest), layout.image(&digest), layout.stack(&digest)]
        {
            findings.extend(not_a_file(disk, &path));
        }
    }
    for path in [layout.supervisor_lock(), layout.store_lock()] {
        findings.extend(not_a_file(disk, &path));
    }
    for path in [layout.volume(), layout.resolved(), layout.supervisor_address()] {
        findings.extend(not_json(disk, &path));
    }
    findings
}

fn not_a_file(disk: &(impl Disk + ?Sized), path: &Path) -> Option<String> {
    match disk.kind(path) {
        Ok(None | Some(Kind::File)) => None,
        Ok(Some(_)) => Some(format!("{} is no regular file", path.display())),
        Err(error) => Some(format!("{}: {error}", path.display())),
    }
}

fn not_json(disk: &(impl Disk + ?Sized), path: &Path) -> Option<String> {
    let problem = match disk.read(path, BYTES) {
        Ok(bytes) => serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).err()?.to_string(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => error.to_string(),
    };
    Some(format!("{} can't be used ({problem}); it is written anew", path.display()))
}
