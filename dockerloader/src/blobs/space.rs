//! Room on the disk: asked for before the first byte, and named when it ran out.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::RealDisk;
use crate::layout::Layout;
use crate::remedy::Remedy;
use crate::reserve;

/// What the file system of a path has left for this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Free {
    /// Bytes.
    pub bytes: u64,
    /// Files; `None` where the file system has no fixed number of them.
    pub files: Option<u64>,
}

/// What an operation will take, at least.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Need {
    /// Bytes.
    pub bytes: u64,
    /// Files.
    pub files: u64,
}

/// No room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no room on the file system of {path}: {need}, {free}; free some, for example by `dockerloader gc`, or give it a \
     larger volume"
)]
pub struct Full {
    /// Where.
    pub path: PathBuf,
    need: String,
    free: String,
}

impl Full {
    /// What to do about it: the next try may find room.
    pub const fn remedy(&self) -> Remedy {
        Remedy::Later
    }

    /// The disk was full with at least `needed` bytes still to be written to `path`.
    pub fn while_writing(path: PathBuf, needed: u64) -> Self {
        let free = path.parent().and_then(|parent| free(parent).ok());
        let free = free.map_or_else(
            || "an unknown number is free".to_owned(),
            |free| match free.files {
                Some(0) => "no file can be made any more".to_owned(),
                _ => format!("{} bytes are free", free.bytes),
            },
        );
        Self { path, need: format!("{needed} more bytes are needed"), free }
    }
}

/// Asks the file system of `path`.
///
/// # Errors
/// Of `statvfs(3)`.
pub fn free(path: &Path) -> io::Result<Free> {
    let found = rustix::fs::statvfs(path)?;
    Ok(Free {
        bytes: found.f_bavail.saturating_mul(found.f_frsize),
        // btrfs, overlay on it and others say 0 of 0.
        files: (found.f_files > 0).then_some(found.f_favail),
    })
}

/// Sees to it that the reserve for the loader's own state is there, if there is plenty of room. A reserve that can't be made is made
/// another time: nothing is told of it.
pub fn keep_reserve(layout: &Layout) {
    if let Ok(free) = free(layout.root()) {
        let _ = reserve::fill(&RealDisk, layout, free.bytes, free.files);
    }
}

/// Whether `need` fits into `free`. Pure.
///
/// # Errors
/// [`Full`] with both figures.
pub fn check(path: &Path, need: Need, free: Free) -> Result<(), Full> {
    let full = |need: String, free: String| Err(Full { path: path.to_owned(), need, free });
    if need.bytes > free.bytes {
        return full(format!("at least {} bytes are needed", need.bytes), format!("{} are free", free.bytes));
    }
    match free.files {
        Some(files) if need.files > files => {
            full(format!("at least {} files are needed", need.files), format!("{files} can be made"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_files_must_both_fit() {
        for (need, free, fits) in [
            ((10, 1), (10, Some(1)), true),
            ((11, 1), (10, Some(1)), false),
            ((1, 2), (10, Some(1)), false),
            ((1, 2), (10, None), true),
            ((0, 0), (0, Some(0)), true),
        ] {
            let (need, free) = (Need { bytes: need.0, files: need.1 }, Free { bytes: free.0, files: free.1 });
            let result = check(Path::new("/data"), need, free);
            assert_eq!(result.is_ok(), fits, "{need:?} {free:?}");
            if let Err(full) = result {
                assert!(full.to_string().contains("/data"), "{full}");
                assert_eq!(full.remedy(), Remedy::Later);
            }
        }
    }
}
