//! Subvolumes of btrfs: made, snapshotted and removed by `ioctl(2)` (btrfs-ioctl(2)).
#![expect(unsafe_code, reason = "ioctl(2) has no safe form: its argument's type depends on its number")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::ioctl::{Opcode, Setter, ioctl, opcode};

/// `BTRFS_SUPER_MAGIC`.
pub const MAGIC: u64 = 0x9123_683e;
/// `BTRFS_FIRST_FREE_OBJECTID`: the inode number of every subvolume's root.
const ROOT_INODE: u64 = 256;
/// `BTRFS_IOCTL_MAGIC`.
const GROUP: u8 = 0x94;

/// `struct btrfs_ioctl_vol_args` of `linux/btrfs.h`.
#[repr(C)]
struct VolumeArguments {
    descriptor: i64,
    name: [u8; 4088],
}

/// `struct btrfs_ioctl_vol_args_v2`, without quota groups.
#[repr(C)]
struct SnapshotArguments {
    descriptor: i64,
    transaction: u64,
    flags: u64,
    unused: [u64; 4],
    name: [u8; 4040],
}

const SUBVOL_CREATE: Opcode = opcode::write::<VolumeArguments>(GROUP, 14);
const SNAP_DESTROY: Opcode = opcode::write::<VolumeArguments>(GROUP, 15);
const SNAP_CREATE_V2: Opcode = opcode::write::<SnapshotArguments>(GROUP, 23);

/// Makes an empty subvolume at `path`.
///
/// # Errors
/// Of the kernel: the name exists, or this is no btrfs (`ENOTTY`).
pub fn create(path: &Path) -> io::Result<()> {
    let (parent, name) = split(path)?;
    let arguments = VolumeArguments { descriptor: 0, name };
    // SAFETY: the argument is of the type that BTRFS_IOC_SUBVOL_CREATE reads, and the kernel only reads it; its name ends with a
    // zero. Other file systems answer ENOTTY to numbers that they don't know.
    Ok(unsafe { ioctl(&parent, Setter::<SUBVOL_CREATE, _>::new(arguments)) }?)
}

/// Makes `path` a writable snapshot of the subvolume `of`.
///
/// # Errors
/// Of the kernel: the name exists, `of` is no subvolume of the same file system, or this is no btrfs.
pub fn snapshot(of: &Path, path: &Path) -> io::Result<()> {
    let source = File::open(of)?;
    let (parent, name) = split(path)?;
    let arguments = SnapshotArguments {
        descriptor: i64::from(source.as_raw_fd()),
        transaction: 0,
        flags: 0,
        unused: [0; 4],
        name,
    };
    // SAFETY: as in `create`, with BTRFS_IOC_SNAP_CREATE_V2; the descriptor in it is open until the call has returned.
    Ok(unsafe { ioctl(&parent, Setter::<SNAP_CREATE_V2, _>::new(arguments)) }?)
}

/// Removes the subvolume `path` with all that is in it, in one step. Another user than root may need the mount option
/// `user_subvol_rm_allowed`; an emptied subvolume is removed by `rmdir(2)` as well.
///
/// # Errors
/// Of the kernel: not permitted, or it is no subvolume.
pub fn destroy(path: &Path) -> io::Result<()> {
    let (parent, name) = split(path)?;
    let arguments = VolumeArguments { descriptor: 0, name };
    // SAFETY: as in `create`, with BTRFS_IOC_SNAP_DESTROY.
    Ok(unsafe { ioctl(&parent, Setter::<SNAP_DESTROY, _>::new(arguments)) }?)
}

/// Whether `path` itself, no link, is the root of a subvolume.
pub fn is_subvolume(path: &Path) -> bool {
    let looks_like_one =
        std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() && found.ino() == ROOT_INODE);
    looks_like_one && file_system(path).is_ok_and(|magic| magic == MAGIC)
}

/// The type of the file system that `path` is on (`statfs(2)`).
///
/// # Errors
/// Of `statfs(2)`.
pub fn file_system(path: &Path) -> io::Result<u64> {
    Ok(u64::try_from(rustix::fs::statfs(path)?.f_type).unwrap_or_default())
}

/// The open parent, and the name with zeros behind it.
fn split<const N: usize>(path: &Path) -> io::Result<(File, [u8; N])> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let (parent, last) = path.parent().zip(path.file_name()).ok_or_else(invalid)?;
    let mut name = [0; N];
    // One zero is left at the end.
    let room = name.get_mut(..last.len()).filter(|room| room.len() < N).ok_or_else(invalid)?;
    room.copy_from_slice(last.as_bytes());
    Ok((File::open(parent)?, name))
}
