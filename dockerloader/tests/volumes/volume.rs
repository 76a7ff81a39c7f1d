//! A file system in a file, mounted for one test.

use std::path::{Path, PathBuf};
use std::process::Command;

use fixtures::mounts::enter_own_namespace;

/// A kind of file system, and the method that is chosen on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) method: &'static str,
    make: &'static [&'static str],
}

pub(crate) const EXT4: Kind = Kind { name: "ext4", method: "copy", make: &["mkfs.ext4", "-q", "-m", "0"] };
pub(crate) const XFS: Kind = Kind { name: "xfs", method: "reflink", make: &["mkfs.xfs", "-q"] };
pub(crate) const BTRFS: Kind = Kind { name: "btrfs", method: "snapshot", make: &["mkfs.btrfs", "-q"] };

pub(crate) const ALL: [Kind; 3] = [EXT4, XFS, BTRFS];

/// A mounted file system. Unmounted and removed when dropped. It is mounted in a namespace of the test's thread and of those that this
/// one starts: it is gone with them, also when they are killed.
pub(crate) struct Volume {
    directory: tempfile::TempDir,
}

impl Volume {
    /// A new one; `None`, with the reason on stderr, where it can't be had.
    pub(crate) fn new(kind: Kind) -> Option<Self> {
        Self::of_size(kind, 400 << 20)
    }

    /// A new one of so many bytes. XFS wants 300 MB at least.
    pub(crate) fn of_size(kind: Kind, bytes: u64) -> Option<Self> {
        let skip = |reason: &str| {
            eprintln!("SKIPPED on {}: {reason}", kind.name);
            None
        };
        if !nix::unistd::geteuid().is_root() {
            return skip("only root may mount");
        }
        let directory = tempfile::Builder::new().prefix("volume-").tempdir().unwrap();
        let image = directory.path().join("image");
        std::fs::File::create(&image).unwrap().set_len(bytes).unwrap();
        match Command::new(kind.make[0]).args(&kind.make[1..]).arg(&image).output() {
            Err(error) => return skip(&format!("{}: {error}", kind.make[0])),
            Ok(output) if !output.status.success() => {
                return skip(&String::from_utf8_lossy(&output.stderr));
            }
            Ok(_) => {}
        }
        if let Err(error) = enter_own_namespace() {
            return skip(&format!("no mount namespace: {error}"));
        }
        std::fs::create_dir(directory.path().join("mounted")).unwrap();
        let volume = Self { directory };
        let output =
            Command::new("mount").args(["-o", "loop"]).arg(&image).arg(volume.path()).output().unwrap();
        if output.status.success() { Some(volume) } else { skip(&String::from_utf8_lossy(&output.stderr)) }
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("mounted")
    }

    /// Mounts it anew: nothing is left in the kernel's caches.
    pub(crate) fn remount(&self) {
        assert!(Command::new("umount").arg(self.path()).status().unwrap().success());
        let image = self.directory.path().join("image");
        let mounted = Command::new("mount").args(["-o", "loop"]).arg(image).arg(self.path()).status();
        assert!(mounted.unwrap().success());
    }

    /// Bytes that are free for everybody.
    pub(crate) fn free(&self) -> u64 {
        dockerloader::blobs::space::free(&self.path()).unwrap().bytes
    }

    /// Takes room until only `left` bytes are free. Removed by [`Volume::empty`].
    pub(crate) fn fill(&self, left: u64) {
        let ballast = std::fs::OpenOptions::new();
        let file = { ballast }.create(true).truncate(false).write(true).open(self.ballast()).unwrap();
        let size = file.metadata().unwrap().len() + self.free().saturating_sub(left);
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size).unwrap();
    }

    /// Gives back what [`Volume::fill`] took.
    pub(crate) fn empty(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let unmount = |option: &str| {
            let mut command = Command::new("umount");
            command.args(Some(option).filter(|option| !option.is_empty())).arg(self.path());
            command.output().is_ok_and(|output| output.status.success())
        };
        // A failed test may have files open still: they keep it alive no longer than they live.
        if is_mounted(&self.path()) && !unmount("") {
            unmount("--lazy");
        }
    }
}

fn is_mounted(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let device = |path: &Path| std::fs::metadata(path).map(|found| found.dev()).ok();
    path.parent().and_then(device) != device(path)
}
