//! A real directory -> a disk in memory, and back.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;

use super::disk::{Attributes, Bytes, Content, Disk, Inode, ROOT};
use crate::failure::{Context as _, Failure, Result};

/// Below it, times of modification belong to what is extracted; elsewhere they only pass.
const TREES: &str = "dockerloader/storage/v1/extracted/";

/// Reads a data directory.
pub(super) fn read(root: &Path) -> Result<Disk> {
    let mut disk = Disk::new();
    let mut links = HashMap::new();
    let names = read_below(&mut disk, root, Path::new(""), &mut links)?;
    disk.set_directory(ROOT, names);
    Ok(disk)
}

type Names = BTreeMap<Arc<[u8]>, Inode>;

fn read_below(
    disk: &mut Disk,
    root: &Path,
    inside: &Path,
    links: &mut HashMap<(u64, u64), Inode>,
) -> Result<Names> {
    let mut names = Names::new();
    let directory = root.join(inside);
    for entry in fs::read_dir(&directory).context(format_args!("read {}", directory.display()))? {
        let name = entry.context("read a name")?.file_name();
        let (path, inside) = (directory.join(&name), inside.join(&name));
        let found = fs::symlink_metadata(&path).context(format_args!("look at {}", path.display()))?;
        let mode = if found.is_symlink() { 0o777 } else { found.mode() & 0o7777 };
        let is_of_image = inside.to_string_lossy().strip_prefix(TREES).is_some_and(|rest| rest.contains('/'));
        let nanoseconds = u32::try_from(found.mtime_nsec()).unwrap_or_default();
        let attributes = Attributes {
            mode,
            owner: (found.uid(), found.gid()),
            modified: is_of_image.then_some((found.mtime(), nanoseconds)),
            extended: BTreeMap::new(),
        };
        let number = (found.dev(), found.ino());
        let inode = if let Some(inode) = links.get(&number) {
            *inode
        } else if found.is_dir() {
            let names = read_below(disk, root, &inside, links)?;
            disk.add(super::disk::directory(names), attributes)
        } else if found.is_symlink() {
            let target = fs::read_link(&path).context("read a link")?;
            disk.add(Content::Link(target.as_os_str().as_bytes().into()), attributes)
        } else if found.is_file() {
            let bytes = fs::read(&path).context(format_args!("read {}", path.display()))?;
            disk.add(Content::File(Bytes::new(bytes)), attributes)
        } else {
            return Err(Failure::new(format!("{} is neither file, directory nor link", path.display())));
        };
        links.insert(number, inode);
        names.insert(name.as_bytes().into(), inode);
    }
    Ok(names)
}

/// Makes a data directory of a disk, at a path where nothing is. Links that lead into `recorded`, where the disk was, lead
/// into the new one.
pub(super) fn write(disk: &Disk, recorded: &Path, root: &Path) -> Result {
    fs::create_dir(root).context(format_args!("make {}", root.display()))?;
    let mut made: HashMap<Inode, PathBuf> = HashMap::new();
    let found = disk.walk();
    for one in &found {
        let path = root.join(PathBuf::from(std::ffi::OsString::from_vec(one.path.clone())));
        let about = || format!("make {}", path.display());
        if let Some(other) = made.get(&one.inode) {
            fs::hard_link(other, &path).context(about())?;
            continue;
        }
        match one.content {
            Content::Directory(_) => fs::create_dir(&path).context(about())?,
            Content::File(bytes) => fs::write(&path, &bytes.bytes).context(about())?,
            Content::Link(target) => {
                let target = Path::new(std::ffi::OsStr::from_bytes(target));
                let moved = target.strip_prefix(recorded).map(|inside| root.join(inside));
                symlink(moved.as_deref().unwrap_or(target), &path).context(about())?;
            }
            Content::Node(kind) => return Err(Failure::new(format!("can't make a {kind}"))),
        }
        if one.content.is_directory() {
            continue;
        }
        made.insert(one.inode, path.clone());
        set_attributes(one.content, one.attributes, &path)?;
    }
    // What is made in a directory changes its time, and its mode may forbid to make anything.
    for one in found.iter().rev().filter(|one| one.content.is_directory()) {
        let path = root.join(PathBuf::from(std::ffi::OsString::from_vec(one.path.clone())));
        set_attributes(one.content, one.attributes, &path)?;
    }
    Ok(())
}

fn set_attributes(content: &Content, attributes: &Attributes, path: &Path) -> Result {
    let about = || format!("set the attributes of {}", path.display());
    let is_link = matches!(content, Content::Link(_));
    let (user, group) = attributes.owner;
    if (user, group) != (0, 0) {
        let own = if is_link { lchown } else { chown };
        own(path, Some(user), Some(group)).context(about())?;
    }
    if !is_link {
        fs::set_permissions(path, fs::Permissions::from_mode(attributes.mode)).context(about())?;
    }
    if let Some((seconds, nanoseconds)) = attributes.modified {
        let time = TimeSpec::new(seconds, nanoseconds.into());
        utimensat(nix::fcntl::AT_FDCWD, path, &time, &time, UtimensatFlags::NoFollowSymlink)
            .context(about())?;
    }
    Ok(())
}

/// How two disks differ, for people; empty when they don't. Times are compared where both have one.
pub(super) fn differences(expected: &Disk, found: &Disk) -> Vec<String> {
    let index = |disk: &Disk| -> BTreeMap<Vec<u8>, (Content, Attributes)> {
        let walked = disk.walk().into_iter();
        walked.map(|one| (one.path, (one.content.clone(), one.attributes.clone()))).collect()
    };
    let (expected, mut found) = (index(expected), index(found));
    let mut differences = Vec::new();
    for (path, (content, attributes)) in expected {
        let shown = String::from_utf8_lossy(&path).into_owned();
        let Some((other, others)) = found.remove(&path) else {
            differences.push(format!("{shown} is missing"));
            continue;
        };
        let same = match (&content, &other) {
            (Content::Directory(_), Content::Directory(_)) => true,
            (one, other) => one == other,
        };
        if !same {
            differences.push(format!(
                "{shown} has other contents: {} and {}",
                content.shown(),
                other.shown()
            ));
        }
        let times = attributes.modified.zip(others.modified);
        let is_link = matches!(content, Content::Link(_));
        if attributes.owner != others.owner
            || (!is_link && attributes.mode != others.mode)
            || times.is_some_and(|(one, other)| one != other)
        {
            differences.push(format!("{shown} has other attributes: {attributes:?} and {others:?}"));
        }
    }
    differences
        .extend(found.keys().map(|path| format!("{} is there unexpectedly", String::from_utf8_lossy(path))));
    differences
}
