//! `mount(2)` and `umount2(2)` for overlays. What is handed to the kernel is put together purely.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags};
use rustix::fs::{AtFlags, CWD, StatVfsMountFlags, StatxAttributes, StatxFlags};

/// What `mount(2)` takes of the data: one page, its last byte zero.
const PAGE: usize = 4096;
/// Mounts on one another at one place that are taken away; more are nobody's.
const STACKED: usize = 16;
/// In the list of mounts, where a device would stand.
const SOURCE: &str = "dockerloader";

/// An upper directory, and the kernel's directory beside it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Upper<'a> {
    pub(super) upper: &'a Path,
    pub(super) work: &'a Path,
}

/// Mounts an overlay of `lower`, lowest first; without an `upper` it can only be read.
pub(super) fn overlay(at: &Path, lower: &[PathBuf], upper: Option<Upper<'_>>) -> io::Result<()> {
    let data = options(lower, upper)?;
    let mut flags = flags_of(rustix::fs::statvfs(at)?.f_flag);
    flags.set(MsFlags::MS_RDONLY, upper.is_none());
    Ok(nix::mount::mount(Some(SOURCE), at, Some("overlay"), flags, Some(data.as_c_str()))?)
}

/// A mounted version allows what the data volume allows, and no more: an overlay does not take that over from its layers.
fn flags_of(volume: StatVfsMountFlags) -> MsFlags {
    [
        (StatVfsMountFlags::NOSUID, MsFlags::MS_NOSUID),
        (StatVfsMountFlags::NODEV, MsFlags::MS_NODEV),
        (StatVfsMountFlags::NOEXEC, MsFlags::MS_NOEXEC),
        (StatVfsMountFlags::NOATIME, MsFlags::MS_NOATIME),
        (StatVfsMountFlags::NODIRATIME, MsFlags::MS_NODIRATIME),
    ]
    .into_iter()
    .filter(|(on_volume, _)| volume.contains(*on_volume))
    .fold(MsFlags::empty(), |flags, (_, flag)| flags | flag)
}

/// The data of `mount(2)` (`overlayfs.rst`, "Multiple lower layers"): topmost layer first. What an image or a setting of the kernel
/// could turn on is turned off: redirects and files without contents would tie a frozen directory to the ones below by name,
/// an index would tie it to its upper directory.
fn options(lower: &[PathBuf], upper: Option<Upper<'_>>) -> io::Result<CString> {
    let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
    let mut data = b"index=off,redirect_dir=off,metacopy=off,lowerdir=".to_vec();
    for (index, path) in lower.iter().rev().enumerate() {
        if index > 0 {
            data.push(b':');
        }
        for &byte in checked(path)? {
            if byte == b':' {
                data.push(b'\\');
            }
            data.push(byte);
        }
    }
    for (option, path) in
        upper.iter().flat_map(|upper| [(",upperdir=", upper.upper), (",workdir=", upper.work)])
    {
        data.extend_from_slice(option.as_bytes());
        data.extend_from_slice(checked(path)?);
    }
    if data.len() >= PAGE {
        return Err(invalid(format!(
            "the paths of {} directories take {} bytes of the {} that mount(2) has: use a data directory with a shorter path",
            lower.len(),
            data.len(),
            PAGE - 1
        )));
    }
    CString::new(data).map_err(|error| invalid(error.to_string()))
}

/// Kernels differ in how they read commas and backslashes.
fn checked(path: &Path) -> io::Result<&[u8]> {
    let bytes = path.as_os_str().as_bytes();
    match bytes.iter().find(|&&byte| byte == b',' || byte == b'\\') {
        None => Ok(bytes),
        Some(&byte) => {
            let text = format!("the path {} of the data has a {:?} in it", path.display(), char::from(byte));
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        }
    }
}

/// Whether the file system of `path` can't be written to.
pub(super) fn is_read_only(path: &Path) -> io::Result<bool> {
    Ok(rustix::fs::statvfs(path)?.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Whether something is mounted at `path`, which is not followed. What is not there is no mount.
pub fn is_mounted(path: &Path) -> bool {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    if let Ok(found) = rustix::fs::statx(CWD, path, flags, StatxFlags::empty())
        && found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT)
    {
        return found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    }
    // Before Linux 5.8: an overlay has a device number of its own.
    let device = |path: &Path| std::fs::symlink_metadata(path).map(|found| found.dev()).ok();
    match (device(path), path.parent().and_then(device)) {
        (Some(own), Some(parent)) => own != parent,
        _ => false,
    }
}

/// Unmounts what is at `path` as soon as nobody uses it any more, and takes it from its name at once; says whether there was
/// something. Fine for versions that nobody is about to start.
///
/// # Errors
/// Of `umount2(2)`.
pub fn detach(path: &Path) -> io::Result<bool> {
    let mut found = false;
    for _ in 0..STACKED {
        if !is_mounted(path) {
            break;
        }
        nix::mount::umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)?;
        found = true;
    }
    Ok(found)
}

/// Unmounts what is at `path`: after this, nothing is written to its upper directory. Who still looks at it, like a thread that only
/// waits for the disk, doesn't matter; who could still write does.
pub(super) fn release(path: &Path) -> io::Result<()> {
    match nix::mount::umount2(path, MntFlags::UMOUNT_NOFOLLOW) {
        Err(nix::errno::Errno::EBUSY) => {
            // The whole file system, not only this mount of it. EBUSY again, while a file is open for writing.
            let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
            nix::mount::mount(None::<&str>, path, None::<&str>, flags, None::<&str>)?;
            detach(path).map(drop)
        }
        other => Ok(other?),
    }
}

/// The root of an overlay is that of its upper directory: gives `to` mode, owner, time and attributes of `from`.
pub(super) fn copy_root(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
    let stat = rustix::fs::stat(from)?;
    rustix::fs::chown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    rustix::fs::chmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    for name in xattr_names(from)? {
        let mut value = vec![0; rustix::fs::lgetxattr_query(from, &*name)?];
        let length = rustix::fs::lgetxattr(from, &*name, &mut value[..])?;
        value.truncate(length);
        rustix::fs::lsetxattr(to, &*name, &value, XattrFlags::empty())?;
    }
    let time =
        |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: i64::try_from(nanoseconds).unwrap_or(0) };
    let times = Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    };
    Ok(rustix::fs::utimensat(CWD, to, &times, AtFlags::empty())?)
}

/// The extended attributes of a directory, without those by which the kernel marks layers.
fn xattr_names(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let size = match rustix::fs::llistxattr_query(path) {
        Err(rustix::io::Errno::OPNOTSUPP) => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = vec![0; size];
    let length = rustix::fs::llistxattr(path, &mut names[..])?;
    names.truncate(length);
    let ours = |name: &&[u8]| !name.is_empty() && !name.starts_with(b"trusted.overlay.");
    // The machine's own label is given by the machine.
    let kept = |name: &&[u8]| ours(name) && *name != b"security.selinux";
    Ok(names.split(|&byte| byte == 0).filter(kept).map(<[u8]>::to_vec).collect())
}

/// The extended attribute of a path; `None` when it has none of this name.
pub(super) fn xattr(path: &Path, name: &OsStr) -> io::Result<Option<Vec<u8>>> {
    let mut value = vec![0; 256];
    match rustix::fs::lgetxattr(path, name, &mut value[..]) {
        Ok(length) => {
            value.truncate(length);
            Ok(Some(value))
        }
        Err(rustix::io::Errno::NODATA) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lower: &[&str], upper: Option<(&str, &str)>) -> Result<String, String> {
        let lower: Vec<_> = lower.iter().map(PathBuf::from).collect();
        let upper = upper.map(|(upper, work)| Upper { upper: Path::new(upper), work: Path::new(work) });
        let data = options(&lower, upper).map_err(|error| error.to_string())?;
        Ok(data.into_string().unwrap().replace("index=off,redirect_dir=off,metacopy=off,", ""))
    }

    #[test]
    fn the_topmost_layer_stands_first_and_colons_are_no_separators() {
        assert_eq!(
            text(&["/f/a", "/f/b"], Some(("/w/sha256:1/upper", "/w/sha256:1/work"))).unwrap(),
            "lowerdir=/f/b:/f/a,upperdir=/w/sha256:1/upper,workdir=/w/sha256:1/work"
        );
        assert_eq!(text(&["/d:e/a"], None).unwrap(), "lowerdir=/d\\:e/a");
    }

    #[test]
    fn what_the_kernel_could_misread_or_cut_off_is_refused() {
        for path in ["/a,upperdir=/etc", "/a\\", "/a\0b"] {
            assert!(text(&[path], None).is_err(), "{path}");
            assert!(text(&["/a"], Some((path, "/w"))).is_err(), "{path}");
        }
        let deep = format!("/{}", "d".repeat(600));
        let error = text(&[deep.as_str(); 8], None).unwrap_err();
        assert!(error.contains("shorter path"), "{error}");
        let name = format!("/data/dockerloader/storage/v1/frozen/{}", "a".repeat(20));
        assert!(text(&[name.as_str(); 8], Some((&name, &name))).unwrap().len() < 1000);
    }

    #[test]
    fn a_mount_allows_what_the_volume_allows() {
        let volume = StatVfsMountFlags::NOSUID | StatVfsMountFlags::NOEXEC | StatVfsMountFlags::RELATIME;
        assert_eq!(flags_of(volume), MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC);
        assert_eq!(flags_of(StatVfsMountFlags::empty()), MsFlags::empty());
    }
}
