//! File systems in files: made once, copied for every case, and copied while they are written to, which is a power cut.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, umount2};
use rustix::fs::SeekFrom;

use crate::call::Call;
use crate::failure::{Context as _, Failure, Result};
use crate::workspace::find_program;

/// A file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum FileSystem {
    Ext4,
    Xfs,
    Btrfs,
}

impl FileSystem {
    pub(super) const ALL: [Self; 3] = [Self::Ext4, Self::Xfs, Self::Btrfs];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    const fn maker(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Ext4 => ("mkfs.ext4", &["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"]),
            Self::Xfs => ("mkfs.xfs", &["-q", "-f", "-m", "reflink=1"]),
            Self::Btrfs => ("mkfs.btrfs", &["-q", "-f"]),
        }
    }

    /// Bytes of the device: as few as the maker takes.
    const fn size(self) -> u64 {
        match self {
            Self::Ext4 => 48 << 20,
            Self::Xfs => 300 << 20,
            Self::Btrfs => 160 << 20,
        }
    }

    /// Several copies of one file system are mounted at a time.
    const fn options(self) -> &'static str {
        match self {
            Self::Ext4 | Self::Btrfs => "loop",
            Self::Xfs => "loop,nouuid",
        }
    }

    /// Whether such file systems can be made here.
    pub(super) fn is_there(self) -> bool {
        find_program(self.maker().0).is_some()
    }

    /// Makes one in a new file.
    pub(super) fn make(self, image: &Path) -> Result {
        let made = File::create(image).and_then(|file| file.set_len(self.size()));
        made.context("make the file of a file system")?;
        let (program, options) = self.maker();
        let program = find_program(program).ok_or_else(|| Failure::new(format!("there is no {program}")))?;
        Call::new(program).args(options).args([image]).read().map(drop)
    }

    /// Mounts an image.
    pub(super) fn mount(self, image: &Path, point: &Path) -> Result<Mounted> {
        std::fs::create_dir_all(point).context("make a mount point")?;
        Call::new("mount").arg("-o", self.options()).args([image, point]).read()?;
        let device = device_of(point)?;
        Ok(Mounted { point: point.to_owned(), image: image.to_owned(), device })
    }
}

/// A mounted image. Dropped, it is unmounted.
#[derive(Debug)]
pub(super) struct Mounted {
    point: PathBuf,
    image: PathBuf,
    /// The statistics of the block device, where the kernel shows them.
    device: PathBuf,
}

/// How often a copy is tried while the kernel writes.
const ATTEMPTS: u32 = 200;

impl Mounted {
    /// What a power cut leaves now: what was written to the device, and nothing of what only the kernel's memory has. Whoever writes
    /// has to be stopped.
    pub(super) fn cut(&self, to: &Path) -> Result {
        let statistics = || std::fs::read_to_string(&self.device);
        for _ in 0..ATTEMPTS {
            let before = statistics().context("read the statistics of a loop device")?;
            copy_sparse(&self.image, to).context("copy an image")?;
            let after = statistics().context("read the statistics of a loop device")?;
            // Else the copy may be of no single moment.
            if is_quiet(&before, &after) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(Failure::new("the file system never stopped writing"))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        fixtures::mounts::unmount_inside(&self.point);
        let deadline = Instant::now() + Duration::from_secs(5);
        // Whoever was killed a moment ago may still hold a file.
        while let Err(error) = umount2(&self.point, MntFlags::empty()) {
            if Instant::now() > deadline {
                eprintln!("can't unmount {}: {error}", self.point.display());
                let _ = umount2(&self.point, MntFlags::MNT_DETACH);
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// `/sys/dev/block/MAJOR:MINOR/stat` of the device that is mounted.
fn device_of(point: &Path) -> Result<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo").context("read the mounts")?;
    let source = mounts
        .lines()
        .rev()
        .filter(|line| line.split(' ').nth(4) == point.to_str())
        .find_map(|line| line.split_once(" - ")?.1.split(' ').nth(1))
        .and_then(|source| Path::new(source).file_name())
        .ok_or_else(|| Failure::new(format!("{} is not mounted", point.display())))?;
    Ok(Path::new("/sys/block").join(source).join("stat"))
}

/// Whether a device wrote nothing between two looks at its statistics, and had nothing under way
/// (`Documentation/block/stat.rst`: the fifth number counts writes, the ninth what is in flight).
fn is_quiet(before: &str, after: &str) -> bool {
    let number = |text: &str, index: usize| text.split_ascii_whitespace().nth(index)?.parse::<u64>().ok();
    number(before, 4).is_some()
        && number(before, 4) == number(after, 4)
        && number(before, 8) == Some(0)
        && number(after, 8) == Some(0)
}

/// Copies a file with its holes, over whatever is there.
pub(super) fn copy_sparse(from: &Path, to: &Path) -> io::Result<()> {
    let source = File::open(from)?;
    let target = File::create(to)?;
    let length = source.metadata()?.len();
    target.set_len(length)?;
    let mut buffer = vec![0; 256 << 10];
    let mut at = 0;
    while at < length {
        at = match rustix::fs::seek(&source, SeekFrom::Data(at)) {
            Ok(data) => data,
            Err(rustix::io::Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(&source, SeekFrom::Hole(at))?;
        while at < end {
            let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
            let count = source.read_at(buffer.get_mut(..wanted).unwrap_or_default(), at)?;
            if count == 0 {
                return Ok(());
            }
            target.write_all_at(buffer.get(..count).unwrap_or_default(), at)?;
            at += count as u64;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_quiet_when_nothing_was_written_between_two_looks() {
        let still = "  49 0 392 4 11 2 104 5 0 8 9 0 0 0 0 0 0";
        assert!(is_quiet(still, still));
        assert!(!is_quiet(still, "  49 0 392 4 12 2 112 5 0 8 9 0 0 0 0 0 0"));
        assert!(!is_quiet(still, "  49 0 392 4 11 2 104 5 1 8 9 0 0 0 0 0 0"));
        assert!(!is_quiet("", ""));
    }

    #[test]
    fn a_copy_has_the_bytes_and_the_holes() {
        use std::os::unix::fs::MetadataExt as _;
        let folder = tempfile::tempdir().expect("a temporary directory");
        let (from, to) = (folder.path().join("a"), folder.path().join("b"));
        let file = File::create(&from).expect("a file");
        file.set_len(64 << 20).expect("a length");
        file.write_all_at(&[7; 5000], 10 << 20).expect("room");
        std::fs::write(&to, vec![9; 100_000]).expect("room");
        copy_sparse(&from, &to).expect("a copy");
        assert_eq!(std::fs::read(&from).expect("bytes"), std::fs::read(&to).expect("bytes"));
        assert!(to.metadata().expect("a file").blocks() < 1000);
    }
}
