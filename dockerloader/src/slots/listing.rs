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
        let Some(kind) = twice(|| disk.kind(&path))? else { continue };
        let target = if kind == Kind::Link { twice(|| disk.read_link(&path)).ok() } else { None };
        let leads_to = match target.as_ref().and_then(|target| locate(layout, target)) {
            Some((digest, program)) => {
                let program = layout.tree(&digest).join(program);
                let found = twice(|| disk.kind(&program)).ok().flatten();
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

/// Reads once more what could not be read: what is decided on this is written down, and one passing error of a device must
/// not have a link put aside, or verdicts forgotten.
fn twice<T>(read: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match read() {
        Err(error) if error.kind() != io::ErrorKind::NotFound => read(),
        first => first,
    }
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
    match twice(|| disk.read(path, limit)) {
        Ok(bytes) => Some(Ok(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(Err(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::disk::RealDisk;
    use crate::slots::{Link, Verdict, VerdictKind};

    /// A device of which every second answer is an error.
    #[derive(Default)]
    struct Stumbling(Cell<bool>);

    impl Stumbling {
        fn look<T>(&self, look: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
            self.0.set(!self.0.get());
            if self.0.get() { Err(io::Error::from_raw_os_error(5)) } else { look() }
        }
    }

    impl Disk for Stumbling {
        fn kind(&self, path: &Path) -> io::Result<Option<Kind>> {
            self.look(|| RealDisk.kind(path))
        }
        fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
            self.look(|| RealDisk.read_link(path))
        }
        fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
            self.look(|| RealDisk.read(path, limit))
        }
        fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
            RealDisk.list(directory)
        }
        fn modified(&self, path: &Path) -> io::Result<u64> {
            RealDisk.modified(path)
        }
        fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
            RealDisk.write_new(path, bytes)
        }
        fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
            RealDisk.symlink(target, path)
        }
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            RealDisk.rename(from, to)
        }
        fn remove_file(&self, path: &Path) -> io::Result<()> {
            RealDisk.remove_file(path)
        }
        fn remove_tree(&self, path: &Path) -> io::Result<()> {
            RealDisk.remove_tree(path)
        }
        fn create_directories(&self, path: &Path) -> io::Result<()> {
            RealDisk.create_directories(path)
        }
        fn sync_directory(&self, path: &Path) -> io::Result<()> {
            RealDisk.sync_directory(path)
        }
    }

    #[test]
    fn a_passing_error_of_the_device_changes_nothing_that_is_read() {
        let ground = tempfile::tempdir().unwrap();
        let layout = Layout::new(ground.path());
        let digest: Digest = format!("sha256:{}", "ab".repeat(32)).parse().unwrap();
        let program = layout.tree(&digest).join("entrypoint");
        RealDisk.create_directories(&layout.tree(&digest)).unwrap();
        RealDisk.write_new(&program, b"#!/bin/sh\n").unwrap();
        RealDisk.symlink(&program, &layout.slot(Slot::Current)).unwrap();
        let mut memory = Memory::default();
        memory.judge(Verdict {
            digest,
            kind: VerdictKind::Operator,
            reason: "rolled back by hand".to_owned(),
            at: 1,
            uptime: None,
            times: 0,
            output: Vec::new(),
        });
        RealDisk.write_new(&layout.state(), &memory.to_bytes()).unwrap();
        let slots = read(&Stumbling::default(), &layout).unwrap();
        assert!(matches!(slots.current, Link::Version(_)), "{:?}", slots.current);
        assert_eq!(slots, read(&RealDisk, &layout).unwrap());
        assert_eq!((slots.memory, slots.findings), (memory, Vec::<String>::new()));
    }
}
