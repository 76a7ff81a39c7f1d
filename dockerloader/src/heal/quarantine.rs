//! What was found to be damaged is put aside before something else takes its place: it may be all that is left of what a person needs, or
//! show what broke. Bounded, and removed by the next clean-up.

use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::disk::{Disk, Kind, RealDisk};
use crate::layout::Layout;

/// Bytes that are kept at most, of all files together.
pub const MAX_BYTES: u64 = 64 << 20;

/// Files and directories that are kept at most.
pub const MAX_FILES: usize = 100;

/// Longest part of a file's own name in that in the quarantine, in bytes.
const NAME_BYTES: usize = 64;

/// The quarantine of a store, with what is in it.
#[derive(Debug)]
pub(super) struct Quarantine {
    folder: PathBuf,
    files: usize,
    bytes: u64,
    next: u64,
}

impl Quarantine {
    /// Opens it. What can't be listed counts as empty.
    pub(super) fn open(layout: &Layout) -> Self {
        let folder = layout.quarantine();
        let names = RealDisk.list(&folder).unwrap_or_default();
        let size = |name| std::fs::symlink_metadata(folder.join(name)).map_or(0, |found| found.len());
        let bytes = names.iter().map(size).sum();
        let number = |name: &std::ffi::OsString| name.to_str()?.split('-').nth(1)?.parse::<u64>().ok();
        let next = names.iter().filter_map(number).max().map_or(1, |last| last.saturating_add(1));
        Self { files: names.len(), bytes, next, folder }
    }

    /// Puts a file, link or directory of a version aside; its name may still lead to it afterwards, to be replaced in one step. `false`
    /// when there is nothing, or no room within the bounds.
    ///
    /// # Errors
    /// Of the file system.
    pub(super) fn keep(&mut self, version: &Digest, path: &Path) -> io::Result<bool> {
        let Some(kind) = RealDisk.kind(path)? else { return Ok(false) };
        let size = std::fs::symlink_metadata(path)?.len();
        if !fits(self.files, self.bytes, size) {
            return Ok(false);
        }
        RealDisk.create_directories(&self.folder)?;
        let own = path.file_name().unwrap_or_default().to_string_lossy();
        let to = self.folder.join(name(version, self.next, &own));
        let linked = kind != Kind::Directory && std::fs::hard_link(path, &to).is_ok();
        if !linked {
            // A directory; or a file system without links, or files of others that may not be linked to.
            RealDisk.rename(path, &to)?;
        }
        self.files += 1;
        self.bytes = self.bytes.saturating_add(size);
        self.next = self.next.saturating_add(1);
        Ok(true)
    }
}

/// Whether something of this size may be kept beside what there is. Pure.
const fn fits(files: usize, bytes: u64, size: u64) -> bool {
    files < MAX_FILES && bytes.saturating_add(size) <= MAX_BYTES
}

/// The name of a thing in the quarantine: whose it is, a number, and what it was called, as far as that can't do harm. Pure.
fn name(version: &Digest, number: u64, own: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '_' };
    let own: String = own.chars().map(plain).take(NAME_BYTES).collect();
    format!("{}-{number}-{own}", version.short())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_tell_whose_it_was() {
        let version = Digest::from_bytes([0xab; 32]);
        assert_eq!(name(&version, 7, "libssl.so.3"), "abababababab-7-libssl.so.3");
        assert_eq!(name(&version, 8, "../\u{1b}[x\n"), "abababababab-8-..___x_");
        assert!(name(&version, 9, &"x".repeat(1000)).len() < 100);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        for (files, bytes, size, may) in [
            (0, 0, MAX_BYTES, true),
            (0, 0, MAX_BYTES + 1, false),
            (0, MAX_BYTES, 0, true),
            (0, MAX_BYTES, 1, false),
            (MAX_FILES - 1, 0, 1, true),
            (MAX_FILES, 0, 0, false),
            (0, u64::MAX, u64::MAX, false),
        ] {
            assert_eq!(fits(files, bytes, size), may, "{files} {bytes} {size}");
        }
    }

    #[test]
    fn a_file_keeps_its_name_until_it_is_replaced_and_a_directory_goes() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path());
        let tree = layout.tree(&Digest::from_bytes([1; 32]));
        RealDisk.create_directories(&tree.join("lib")).unwrap();
        RealDisk.write_new(&tree.join("lib/a"), b"damaged").unwrap();
        let mut quarantine = Quarantine::open(&layout);
        let version = Digest::from_bytes([1; 32]);
        assert!(quarantine.keep(&version, &tree.join("lib/a")).unwrap());
        assert!(tree.join("lib/a").exists());
        assert!(quarantine.keep(&version, &tree.join("lib")).unwrap());
        assert!(!tree.join("lib").exists());
        assert!(!quarantine.keep(&version, &tree.join("none")).unwrap());
        // Numbers go on where they were.
        assert_eq!(Quarantine::open(&layout).next, 3);
        assert_eq!(std::fs::read(layout.quarantine().join("010101010101-1-a")).unwrap(), b"damaged");
    }
}
