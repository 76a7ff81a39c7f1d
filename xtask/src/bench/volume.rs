//! A fresh file system in a file, for as long as it is needed.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use fixtures::mounts;

use crate::call::Call;
use crate::failure::{Context as _, Failure, Result};
use crate::workspace::find_program;

/// What a file system is made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileSystem {
    /// With a journal, as nearly everybody has it.
    Ext4,
    /// With reflinks.
    Xfs,
    Btrfs,
}

impl FileSystem {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "XFS",
            Self::Btrfs => "btrfs",
        }
    }

    const fn maker(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Ext4 => ("mkfs.ext4", &["-q", "-F"]),
            Self::Xfs => ("mkfs.xfs", &["-q", "-f", "-m", "reflink=1"]),
            Self::Btrfs => ("mkfs.btrfs", &["-q", "-f"]),
        }
    }

    /// Whether such file systems can be made here.
    pub(super) fn is_there(self) -> bool {
        find_program(self.maker().0).is_some()
    }
}

/// A place that runs write to, and that counts what reaches its disk.
#[derive(Debug)]
pub(super) struct Volume {
    directory: PathBuf,
    /// Open while it is mounted, for `syncfs`.
    handle: Option<File>,
    /// Name of the block device below it, as `/proc/diskstats` has it.
    device: Option<String>,
    /// Removed when this is dropped.
    temporary: tempfile::TempDir,
    mounted: bool,
}

impl Volume {
    /// Makes and mounts a file system; its file is sparse, in a new directory of `parent`.
    pub(super) fn make(kind: FileSystem, parent: &Path, size: u64) -> Result<Self> {
        let temporary = tempfile::Builder::new().prefix("volume-").tempdir_in(parent);
        let temporary = temporary.context(format_args!("make a directory in {}", parent.display()))?;
        let (file, directory) = (temporary.path().join("image"), temporary.path().join("mounted"));
        let made = File::create(&file).and_then(|file| file.set_len(size));
        made.and_then(|()| std::fs::create_dir(&directory)).context("make the file of a file system")?;
        let (program, options) = kind.maker();
        let program = find_program(program).ok_or_else(|| Failure::new(format!("there is no {program}")))?;
        Call::new(program).args(options).args([&file]).read()?;
        // As on a disk of its own: without the page cache of the file system that the file lies on.
        let device =
            Call::new("losetup").args(["--find", "--show", "--direct-io=on"]).args([&file]).read()?;
        let mut call = Call::new("mount");
        if kind == FileSystem::Ext4 {
            // Nothing is initialised in the background while something is measured.
            call = call.arg("--options", "noinit_itable");
        }
        let mounted = call.args([Path::new(&device), &directory]).read();
        // From now on the device goes when the file system is unmounted, or at once if it isn't mounted.
        let detached = Call::new("losetup").args(["--detach", &device]).even_when_interrupted().read();
        let device = Path::new(&device).file_name().map(|name| name.to_string_lossy().into_owned());
        let mut volume = Self { directory, handle: None, device, temporary, mounted: mounted.is_ok() };
        mounted.and(detached)?;
        volume.open()?;
        Ok(volume)
    }

    /// A new directory on a file system that is there.
    pub(super) fn within(parent: &Path) -> Result<Self> {
        let parent = parent.canonicalize().context(format_args!("use {}", parent.display()))?;
        let temporary = tempfile::Builder::new().prefix("bench-").tempdir_in(&parent);
        let temporary = temporary.context(format_args!("make a directory in {}", parent.display()))?;
        let directory = temporary.path().join("mounted");
        std::fs::create_dir(&directory).context("make a directory")?;
        let device = directory.metadata().context("look at the directory")?.dev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let device = device_named(&diskstats(), major, minor);
        let mut volume = Self { directory, handle: None, device, temporary, mounted: false };
        volume.open()?;
        Ok(volume)
    }

    fn open(&mut self) -> Result {
        let handle =
            File::open(&self.directory).context(format_args!("open {}", self.directory.display()))?;
        self.handle = Some(handle);
        Ok(())
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Waits until everything is on the disk.
    pub(super) fn sync(&self) -> Result {
        let Some(handle) = &self.handle else { return Ok(()) };
        rustix::fs::syncfs(handle).context(format_args!("sync {}", self.directory.display()))
    }

    /// Bytes that were written to the block device so far; `None` where there is none.
    pub(super) fn written(&self) -> Option<u64> {
        written(&diskstats(), self.device.as_deref()?)
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        self.handle = None;
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        // What a tool has mounted inside comes first.
        let inside = mounts::below(&mounts, &[self.temporary.path()]);
        if !self.mounted && inside.is_empty() {
            return;
        }
        for point in inside {
            if let Err(failure) = Call::new("umount").args([&point]).even_when_interrupted().read() {
                eprintln!("{failure}");
            }
        }
    }
}

fn diskstats() -> String {
    std::fs::read_to_string("/proc/diskstats").unwrap_or_default()
}

/// The name of the device with these numbers, in the text of `/proc/diskstats`.
fn device_named(stats: &str, major: u32, minor: u32) -> Option<String> {
    let (major, minor) = (major.to_string(), minor.to_string());
    let mut lines = stats.lines().map(|line| line.split_whitespace().take(3).collect::<Vec<_>>());
    let line = lines
        .find(|words| words.first() == Some(&major.as_str()) && words.get(1) == Some(&minor.as_str()))?;
    line.get(2).map(|name| (*name).to_owned())
}

/// Bytes written to a device: the seventh number behind its name, in sectors of 512 bytes (Documentation/admin-guide/iostats.rst).
fn written(stats: &str, device: &str) -> Option<u64> {
    let mut lines = stats.lines().map(|line| line.split_whitespace().skip(2));
    let mut numbers = lines.find_map(|mut words| (words.next() == Some(device)).then_some(words))?;
    Some(numbers.nth(6)?.parse::<u64>().ok()? * 512)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATS: &str = "   7       0 loop0 49 0 392 4 11 2 104 5 0 8 9 0 0 0 0\n\
                         254       0 vda 100 2 3 4 5 6 7 8 9 10 11\n";

    #[test]
    fn sectors_written_are_found_by_device() {
        assert_eq!(written(STATS, "loop0"), Some(104 * 512));
        assert_eq!(written(STATS, "vda"), Some(7 * 512));
        assert_eq!(written(STATS, "loop1"), None);
        assert_eq!(device_named(STATS, 254, 0).as_deref(), Some("vda"));
        assert_eq!(device_named(STATS, 254, 1), None);
    }

    #[test]
    fn a_file_system_counts_what_is_written_and_leaves_nothing() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: only root can mount");
            return;
        }
        let parent = tempfile::tempdir().expect("a temporary directory");
        let volume = Volume::make(FileSystem::Ext4, parent.path(), 64 << 20).expect("an ext4");
        let before = volume.written().expect("a loop device counts");
        std::fs::write(volume.directory().join("file"), vec![1; 3_000_000]).expect("room for it");
        volume.sync().expect("it syncs");
        let written = volume.written().expect("a loop device counts") - before;
        assert!((3_000_000..6_000_000).contains(&written), "{written}");
        drop(volume);
        assert_eq!(std::fs::read_dir(parent.path()).expect("it is there").count(), 0);
    }
}
