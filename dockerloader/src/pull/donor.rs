//! The files of the version that runs, for a tree that needs the same contents. They are only ever read; what the workload
//! made of them is found out by whoever takes them, since they are hashed.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::tree::Contents;

/// An extracted tree that files are taken from.
#[derive(Debug)]
pub(super) struct Donor {
    root: OwnedFd,
}

impl Donor {
    /// `None` when there is no such tree.
    pub(super) fn new(tree: &Path) -> Option<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Some(Self { root: rustix::fs::open(tree, flags, Mode::empty()).ok()? })
    }
}

impl Contents for Donor {
    /// The file at the same path, if it has the same size.
    fn open(&self, path: &[u8], size: u64, _hash: &[u8; 32]) -> Option<File> {
        let path = Path::new(OsStr::from_bytes(path));
        // Neither a FIFO nor a terminal is to hang us or to become ours; access times stay, where that is ours to say.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = match open_below(self.root.as_fd(), path, flags | OFlags::NOATIME) {
            Err(Errno::PERM) => open_below(self.root.as_fd(), path, flags),
            other => other,
        };
        let file = File::from(opened.ok()?);
        file.metadata().is_ok_and(|found| found.is_file() && found.len() == size).then_some(file)
    }
}

/// Opens a path without leaving the tree and without following a link, whatever a workload put on the way.
fn open_below(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
        // Before Linux 5.6, and in containers whose filter of system calls is older than that.
        Err(Errno::NOSYS) => {
            let through = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut directory = root.try_clone_to_owned().map_err(|_| Errno::MFILE)?;
            for part in path.parent().into_iter().flatten() {
                directory = rustix::fs::openat(&directory, part, through, Mode::empty())?;
            }
            rustix::fs::openat(&directory, path.file_name().ok_or(Errno::INVAL)?, flags, Mode::empty())
        }
        other => other,
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests make the tree")]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_tree_are_handed_out() {
        let directory = tempfile::tempdir().unwrap();
        let (tree, outside) = (directory.path().join("tree"), directory.path().join("outside"));
        std::fs::create_dir_all(tree.join("a")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        for path in [tree.join("a/file"), outside.join("file")] {
            std::fs::write(path, "four").unwrap();
        }
        std::os::unix::fs::symlink(&outside, tree.join("out")).unwrap();
        std::os::unix::fs::symlink("file", tree.join("a/link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, tree.join("a/fifo"), Mode::RWXU).unwrap();
        let donor = Donor::new(&tree).unwrap();
        for (path, size, found) in [
            ("a/file", 4, true),
            ("a/file", 5, false),
            ("a/none", 4, false),
            ("a", 4096, false),
            ("a/link", 4, false),
            ("a/fifo", 0, false),
            ("out/file", 4, false),
            ("../outside/file", 4, false),
            ("", 0, false),
        ] {
            assert_eq!(donor.open(path.as_bytes(), size, &[0; 32]).is_some(), found, "{path} {size}");
        }
        assert!(Donor::new(&tree.join("a/file")).is_none());
        assert!(Donor::new(&tree.join("out")).is_none());
    }
}
