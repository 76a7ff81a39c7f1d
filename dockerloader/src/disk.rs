//! The only place that changes names on the disk. Small primitives, so that a test can record, reorder and drop them; the
//! compound operations below are written in their terms.
//!
//! A name is durable when its directory was synced after the change (`fsync(2)`, "Calling fsync() does not necessarily
//! ensure that the entry in the directory containing the file has also reached disk").

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What a name is, without following links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// Anything else.
    Other,
}

/// The operations that slots, state and store are built on. Every path is absolute.
pub trait Disk {
    /// What `path` is; `None` when there is nothing.
    fn kind(&self, path: &Path) -> io::Result<Option<Kind>>;
    /// The target of a symbolic link.
    fn read_link(&self, path: &Path) -> io::Result<PathBuf>;
    /// A regular file's bytes; an error of kind `InvalidData` when there are more than `limit`, or it is no regular file.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;
    /// Names in a directory, unsorted.
    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>>;
    /// Seconds since 1970 at which the name's inode was last modified (the link itself, if it is one).
    fn modified(&self, path: &Path) -> io::Result<u64>;
    /// A new file of mode 0600 with these bytes, synced; an error when the name exists.
    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// A new symbolic link; an error when the name exists.
    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()>;
    /// `rename(2)`: atomic, replaces a file or link.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file or link; fine when there is none.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory with all below it, following no link; fine when there is none.
    fn remove_tree(&self, path: &Path) -> io::Result<()>;
    /// Makes a directory and its parents, mode 0755, synced; fine when they exist.
    fn create_directories(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
}

/// The machine's disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

#[expect(clippy::disallowed_methods, reason = "this is disk.rs")]
impl Disk for RealDisk {
    fn kind(&self, path: &Path) -> io::Result<Option<Kind>> {
        match std::fs::symlink_metadata(path) {
            Ok(metadata) => Ok(Some(match metadata.file_type() {
                kind if kind.is_file() => Kind::File,
                kind if kind.is_dir() => Kind::Directory,
                kind if kind.is_symlink() => Kind::Link,
                _ => Kind::Other,
            })),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::read_link(path)
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        // O_NONBLOCK: opening a FIFO that somebody put there must not hang.
        let nonblocking = 0o4000;
        let nofollow = 0o400_000;
        let file = OpenOptions::new().read(true).custom_flags(nonblocking | nofollow).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
        }
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("larger than {limit} bytes")));
        }
        Ok(bytes)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        std::fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn modified(&self, path: &Path) -> io::Result<u64> {
        use std::os::unix::fs::MetadataExt as _;
        Ok(u64::try_from(std::fs::symlink_metadata(path)?.mtime()).unwrap_or(0))
    }

    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        // I2, I6: the name that it gets next never leads to half of it.
        file.sync_all()
    }

    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        std::os::unix::fs::symlink(target, path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        absent_is_fine(std::fs::remove_file(path))
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        // A subvolume goes in one step, whatever is in it. Where that is not permitted, it goes like a directory.
        #[cfg(feature = "loader")]
        if crate::volume::subvolume::is_subvolume(path) && crate::volume::subvolume::destroy(path).is_ok() {
            return Ok(());
        }
        match std::fs::remove_dir_all(path) {
            // Directories of images may be closed to their owner, which only root doesn't notice.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                open_directories(path)?;
                absent_is_fine(std::fs::remove_dir_all(path))
            }
            other => absent_is_fine(other),
        }
    }

    fn create_directories(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.create_directories(parent)?;
        }
        match std::fs::DirBuilder::new().mode(0o755).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            Err(error) => Err(error),
            // I3: what is lost of a directory is lost with all that was made durable in it.
            Ok(()) => path.parent().map_or(Ok(()), |parent| self.sync_directory(parent)),
        }
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

/// Makes a file's bytes durable.
///
/// # Errors
/// Of `fsync(2)`: the bytes must then be taken for lost, since a second try may say that all is well.
#[expect(clippy::disallowed_methods, reason = "this is disk.rs")]
pub fn sync_file(file: &File) -> io::Result<()> {
    file.sync_all()
}

/// Swaps two names of one file system in one step, and makes that durable. Where the file system can't (`renameat2(2)`,
/// `RENAME_EXCHANGE`), the first takes the second's place in two steps, and the second is left as `aside`.
///
/// # Errors
/// Of the renames or of the sync.
#[cfg(feature = "loader")]
pub fn exchange(disk: &(impl Disk + ?Sized), new: &Path, old: &Path, aside: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE) {
        Ok(()) => disk.rename(new, aside)?,
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            disk.rename(old, aside)?;
            disk.rename(new, old)?;
        }
        Err(error) => return Err(error.into()),
    }
    sync_parent(disk, old)
}

/// Whether an error means that the disk, or a quota on it, is full.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether an error tells of the trouble that the machine is in at the moment (a full disk, no descriptors or memory left, a
/// device that fails), and nothing about what a file system can do.
#[cfg(feature = "loader")]
pub fn is_passing(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let trouble = [
        Errno::NOSPC,
        Errno::DQUOT,
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
        Errno::IO,
        Errno::INTR,
        Errno::AGAIN,
        Errno::BUSY,
    ];
    Errno::from_io_error(error).is_some_and(|errno| trouble.contains(&errno))
}

/// Puts `bytes` at `path` so that a reader, also one after a crash, sees the old bytes or the new ones and nothing between.
///
/// # Errors
/// Of the first operation that failed; the old bytes are then still there.
pub fn replace_file(disk: &(impl Disk + ?Sized), path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = beside(path);
    disk.remove_file(&temporary)?;
    disk.write_new(&temporary, bytes).inspect_err(|_| {
        // Give the space back; the first error is the one to report.
        let _ = disk.remove_file(&temporary);
    })?;
    disk.rename(&temporary, path)?;
    sync_parent(disk, path)
}

/// Puts `bytes` at `path` without making them durable: a reader sees the old bytes or the new ones, but after a crash it may find
/// any, or none, and has to notice.
///
/// # Errors
/// Of the first operation that failed; the old bytes are then still there.
#[cfg(feature = "loader")]
pub fn replace_cache(disk: &(impl Disk + ?Sized), path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = beside(path);
    disk.remove_file(&temporary)?;
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
    written.and_then(|mut file| file.write_all(bytes)).inspect_err(|_| {
        // Give the space back; the first error is the one to report.
        let _ = disk.remove_file(&temporary);
    })?;
    disk.rename(&temporary, path)
}

/// Points the link at `path` to `target`, atomically and durably.
///
/// # Errors
/// As [`replace_file`].
pub fn replace_symlink(disk: &(impl Disk + ?Sized), target: &Path, path: &Path) -> io::Result<()> {
    let temporary = beside(path);
    disk.remove_file(&temporary)?;
    disk.symlink(target, &temporary)?;
    disk.rename(&temporary, path)?;
    sync_parent(disk, path)
}

/// Removes what a crash left between the two steps of [`replace_file`] or [`replace_symlink`]. The caller is the only one that
/// writes `path`.
///
/// # Errors
/// Of the removal.
pub fn remove_unfinished(disk: &(impl Disk + ?Sized), path: &Path) -> io::Result<()> {
    disk.remove_file(&beside(path))
}

/// Renames durably, within one directory.
///
/// # Errors
/// Of the rename or of the directory's sync.
pub fn rename_synced(disk: &(impl Disk + ?Sized), from: &Path, to: &Path) -> io::Result<()> {
    disk.rename(from, to)?;
    sync_parent(disk, to)
}

/// Removes a file or link durably.
///
/// # Errors
/// Of the removal or of the directory's sync.
pub fn remove_file_synced(disk: &(impl Disk + ?Sized), path: &Path) -> io::Result<()> {
    disk.remove_file(path)?;
    sync_parent(disk, path)
}

/// Makes `path`'s name durable: steps stay in their order (I1, I3, I4, I5), and what was reported as done stays done (I8).
fn sync_parent(disk: &(impl Disk + ?Sized), path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| disk.sync_directory(parent))
}

/// `tmp-<name>` in the same directory: found and removed by the clean-up after a crash. Each name has one writer at a
/// time (the supervisor, or the holder of the store's lock), so it needs no random part.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from("tmp-");
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

/// Gives the owner all rights to a directory and those below it.
fn open_directories(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        // Of the entry itself: a link to a directory is none.
        if entry.file_type()?.is_dir() {
            open_directories(&entry.path())?;
        }
    }
    Ok(())
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if is_absent(&error) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "loader")]
    #[test]
    fn trouble_is_told_from_what_a_file_system_can_not() {
        use rustix::io::Errno;
        for (errno, passing) in [
            (Errno::NOSPC, true),
            (Errno::DQUOT, true),
            (Errno::MFILE, true),
            (Errno::IO, true),
            (Errno::PERM, false),
            (Errno::NODEV, false),
            (Errno::OPNOTSUPP, false),
            (Errno::NOTTY, false),
        ] {
            assert_eq!(is_passing(&errno.into()), passing, "{errno}");
        }
        assert!(!is_passing(&io::Error::other("no whiteout")));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "this test makes and looks at files")]
    fn a_tree_is_removed_though_its_directories_are_closed_and_its_links_lead_out() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let outside = directory.path().join("outside");
        let tree = directory.path().join("tree");
        std::fs::create_dir_all(tree.join("a/b/c")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("mine"), "mine").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let before = mode(&outside);
        std::fs::write(tree.join("a/b/file"), "x").unwrap();
        std::os::unix::fs::symlink(&outside, tree.join("a/b/out")).unwrap();
        for (path, mode) in [("a/b/c", 0o000), ("a/b", 0o555), ("a", 0o500)] {
            std::fs::set_permissions(tree.join(path), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        // Root removes it at once: what others need is called for itself as well.
        open_directories(&tree).unwrap();
        assert_eq!(mode(&tree.join("a/b/c")), 0o700);
        std::fs::set_permissions(tree.join("a"), std::fs::Permissions::from_mode(0o500)).unwrap();
        RealDisk.remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        assert_eq!(std::fs::read(outside.join("mine")).unwrap(), b"mine");
        assert_eq!(mode(&outside), before);
        RealDisk.remove_tree(&tree).unwrap();
    }
}
