//! The spare tree: the last version that no slot names any more, kept to become the next one's. It has no launch file and
//! a name that is no version's, so that it takes part in no decision.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::blobs::space::{self, Free, Need};
use crate::digest::Digest;
use crate::disk::{self, Disk, Kind, RealDisk};
use crate::layout::{Layout, SPARE};
use crate::tree::{RecordKind, Seal};

/// Bytes that a file's last block takes at most beyond its contents, and a directory at least.
const BLOCK: u64 = 4096;

/// The spare trees that are there: one, or none.
///
/// # Errors
/// The folder of the trees can't be listed.
pub fn list(disk: &(impl Disk + ?Sized), layout: &Layout) -> io::Result<Vec<Digest>> {
    let names = match disk.list(&layout.extracted()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        names => names?,
    };
    Ok(names.iter().filter_map(|name| name.to_str()?.strip_prefix(SPARE)?.parse().ok()).collect())
}

/// Takes the tree of a version that nothing needs, and whose launch file is gone, for the spare one. Its seal and its
/// stamps keep their names.
///
/// # Errors
/// Of the rename or of the directory's sync.
pub fn keep(disk: &(impl Disk + ?Sized), layout: &Layout, digest: &Digest) -> io::Result<()> {
    let (tree, spare) = (layout.tree(digest), layout.spare(digest));
    match disk.kind(&tree)? {
        Some(_) => disk::rename_synced(disk, &tree, &spare),
        None => Ok(()),
    }
}

/// Makes the spare tree the beginning of another one, at `to`. From here on a crash leaves what every pull removes.
///
/// # Errors
/// Of the rename or of the directory's sync.
pub fn take(disk: &(impl Disk + ?Sized), layout: &Layout, digest: &Digest, to: &Path) -> io::Result<()> {
    disk::rename_synced(disk, &layout.spare(digest), to)
}

/// Before the digest in the name of a spare tree that is being changed into another one.
const TAKEN: &str = "tmp-spare-";

/// Where the spare tree of a version is while it is changed into another one. The name says what it was, so that a pull that is killed
/// does not lose it.
pub fn taken(layout: &Layout, of: &Digest) -> PathBuf {
    layout.extracted().join(format!("{TAKEN}{of}"))
}

/// Makes a spare tree that a killed pull had begun to change the spare one again, unless there is another. Whatever was done to it,
/// its stamps tell what it still has. The caller holds the store's lock.
///
/// # Errors
/// Of the first operation that failed.
pub fn recover(disk: &(impl Disk + ?Sized), layout: &Layout) -> io::Result<()> {
    let names = match disk.list(&layout.extracted()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        names => names?,
    };
    let taken = names.iter().filter_map(|name| name.to_str()?.strip_prefix(TAKEN)?.parse::<Digest>().ok());
    for of in taken {
        let (from, to) = (self::taken(layout, &of), layout.spare(&of));
        let is_whole = disk.kind(&from)? == Some(Kind::Directory)
            && disk.kind(&layout.seal(&of))? == Some(Kind::File)
            && disk.kind(&layout.stamps(&of))? == Some(Kind::File);
        if is_whole && list(disk, layout)?.is_empty() {
            disk::rename_synced(disk, &from, &to)?;
        }
    }
    Ok(())
}

/// Removes all spare trees, to give back their room. Whether there was one.
///
/// # Errors
/// Of the first operation that failed.
pub fn remove(disk: &(impl Disk + ?Sized), layout: &Layout) -> io::Result<bool> {
    let found = list(disk, layout)?;
    for digest in &found {
        let spare = layout.spare(digest);
        let aside = layout.extracted().join(format!("removing-{SPARE}{digest}"));
        disk.remove_tree(&aside)?;
        match disk.kind(&spare)? {
            Some(Kind::Directory) => {
                disk::rename_synced(disk, &spare, &aside)?;
                disk.remove_tree(&aside)?;
            }
            _ => disk.remove_file(&spare)?,
        }
        for path in [layout.seal(digest), layout.stamps(digest)] {
            // The version may be back under its own name.
            if disk.kind(&layout.tree(digest))?.is_none() {
                disk.remove_file(&path)?;
            }
        }
    }
    Ok(!found.is_empty())
}

/// What a tree takes on the disk, from its seal.
pub fn size(seal: &Seal) -> Need {
    let mut need = Need::default();
    let mut groups = BTreeSet::new();
    let mut records = seal.records();
    while let Some(record) = records.next() {
        match record.kind {
            RecordKind::File { group, .. } if group != 0 && !groups.insert(group) => {}
            RecordKind::File { size, .. } => {
                need.bytes = need.bytes.saturating_add(size.next_multiple_of(BLOCK));
                need.files += 1;
            }
            RecordKind::Directory => {
                need.bytes = need.bytes.saturating_add(BLOCK);
                need.files += 1;
            }
            _ => need.files += 1,
        }
    }
    need
}

/// A file system: what it has, and what is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What is left.
    pub free: Free,
    /// Bytes in all.
    pub bytes: u64,
    /// Files in all; `None` where there is no fixed number of them.
    pub files: Option<u64>,
}

impl Room {
    /// Asks the file system of `path`.
    ///
    /// # Errors
    /// Of `statvfs(3)`.
    pub fn of(path: &Path) -> io::Result<Self> {
        let found = rustix::fs::statvfs(path)?;
        Ok(Self {
            free: space::free(path)?,
            bytes: found.f_blocks.saturating_mul(found.f_frsize),
            files: (found.f_files > 0).then_some(found.f_files),
        })
    }

    /// Whether a spare tree of this size may stay: beside it there is room for two more of it, and a tenth of the volume,
    /// in bytes and in files. Pure.
    pub fn spares(&self, tree: Need) -> bool {
        let enough = |free: u64, all: u64, tree: u64| free >= tree.saturating_mul(2) && free >= all / 10;
        let files = match (self.free.files, self.files) {
            (Some(free), Some(all)) => enough(free, all, tree.files),
            _ => true,
        };
        files && enough(self.free.bytes, self.bytes, tree.bytes)
    }
}

/// Whether there is room to keep the tree of `digest`, which is on disk, beside all else. Not if that can't be known.
pub fn fits(layout: &Layout, digest: &Digest) -> bool {
    let seal =
        RealDisk.read(&layout.seal(digest), Seal::MAX_BYTES).ok().and_then(|bytes| Seal::parse(bytes).ok());
    let room = Room::of(&layout.storage()).ok();
    seal.zip(room).is_some_and(|(seal, room)| room.spares(size(&seal)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spare_tree_stays_while_there_is_plenty_of_room() {
        // (free bytes, of, free files, of), tree's bytes and files, stays
        for (room, tree, stays) in [
            ((2000, 10_000, Some(200), 1000), (1000, 100), true),
            ((1999, 10_000, Some(200), 1000), (1000, 100), false),
            ((2000, 10_000, Some(199), 1000), (1000, 100), false),
            ((2000, 20_001, Some(200), 1000), (1000, 100), true),
            ((2000, 20_010, Some(200), 1000), (1000, 100), false),
            ((2000, 10_000, Some(200), 2010), (1000, 100), false),
            ((2000, 10_000, None, 0), (1000, 100), true),
            ((0, 10_000, None, 0), (0, 0), false),
            ((u64::MAX, u64::MAX, None, 0), (u64::MAX, 1), true),
        ] {
            let (bytes, all, files, all_files) = room;
            let room = Room { free: Free { bytes, files }, bytes: all, files: files.map(|_| all_files) };
            let tree = Need { bytes: tree.0, files: tree.1 };
            assert_eq!(room.spares(tree), stays, "{room:?} {tree:?}");
        }
    }
}
