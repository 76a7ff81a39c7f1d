//! The physical floor: what inflating, hashing and creating the same files cost by themselves, one after the other on one
//! thread. Divided by the cores, nothing that does this work can be faster.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Mode, OFlags, linkat, mkdirat, open, openat, symlinkat};
use sha2::{Digest as _, Sha256};

use super::measure::Cost;
use super::volume::Volume;
use crate::failure::{Context as _, Result};

const BUFFER: usize = 256 << 10;

/// What each kind of work took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Floor {
    inflate: Duration,
    /// SHA-256 of the blobs and of the archives.
    hash: Duration,
    /// `open`, `write` and `close` of each file, `mkdir`, `link`, `symlink`.
    create: Duration,
}

impl Floor {
    fn sum(&self) -> Duration {
        self.inflate + self.hash + self.create
    }

    /// As a cost, on this machine's cores.
    pub(super) fn cost(&self, sync: Duration, written: Option<u64>) -> Cost {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let cores = u32::try_from(cores).unwrap_or(1);
        Cost { wall: self.sum() / cores, sync, processor: self.sum(), written, ..Cost::default() }
    }
}

/// Extracts layers into a new directory of a volume.
pub(super) fn measure(blobs: &[PathBuf], volume: &Volume) -> Result<Cost> {
    let root = volume.directory().join("floor");
    std::fs::create_dir_all(&root).context(format_args!("make {}", root.display()))?;
    volume.sync()?;
    let before = volume.written();
    let mut floor = Floor::default();
    for blob in blobs {
        extract(blob, &root, &mut floor).context(format_args!("extract {}", blob.display()))?;
    }
    let began = Instant::now();
    volume.sync()?;
    let written = volume.written().zip(before).map(|(after, before)| after.saturating_sub(before));
    Ok(floor.cost(began.elapsed(), written))
}

fn extract(blob: &Path, root: &Path, floor: &mut Floor) -> io::Result<()> {
    let times = RefCell::new(Floor::default());
    let compressed =
        Hashed { inner: File::open(blob)?, hash: Sha256::new(), times: &times, inflating: false };
    let inflated = flate2::bufread::MultiGzDecoder::new(io::BufReader::with_capacity(BUFFER, compressed));
    let inflated = Hashed { inner: inflated, hash: Sha256::new(), times: &times, inflating: true };
    let mut archive = tar::Archive::new(io::BufReader::with_capacity(BUFFER, inflated));
    let mut tree = Tree::new(root)?;
    let mut buffer = vec![0; BUFFER];
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".wh.")) {
            continue;
        }
        let target = entry.link_name()?.map(std::borrow::Cow::into_owned).unwrap_or_default();
        let kind = entry.header().entry_type();
        let began = Instant::now();
        let name = tree.enter(&path)?;
        let parent = tree.inside();
        let mut created = began.elapsed();
        let began = Instant::now();
        if kind.is_dir() {
            tree.directory(&path)?;
            created += began.elapsed();
        } else if kind.is_symlink() {
            symlinkat(&target, parent, name)?;
            created += began.elapsed();
        } else if kind.is_hard_link() {
            linkat(&tree.root, &target, parent, name, AtFlags::empty())?;
            created += began.elapsed();
        } else {
            let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC | OFlags::CLOEXEC;
            let mut file = File::from(openat(parent, name, flags, Mode::from_raw_mode(0o644))?);
            created += began.elapsed();
            loop {
                let count = entry.read(&mut buffer)?;
                let began = Instant::now();
                if count == 0 {
                    drop(file);
                    created += began.elapsed();
                    break;
                }
                file.write_all(buffer.get(..count).unwrap_or_default())?;
                created += began.elapsed();
            }
        }
        times.borrow_mut().create += created;
    }
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    let found = times.into_inner();
    floor.inflate += found.inflate;
    floor.hash += found.hash;
    floor.create += found.create;
    Ok(())
}

/// Hashes what is read; of the inflated side also says how long reading took, without the hash of what was read below.
struct Hashed<'t, R> {
    inner: R,
    hash: Sha256,
    times: &'t RefCell<Floor>,
    inflating: bool,
}

impl<R: Read> Read for Hashed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (began, hashed) = (Instant::now(), self.times.borrow().hash);
        let count = self.inner.read(buffer)?;
        let took = began.elapsed();
        let below = self.times.borrow().hash - hashed;
        let began = Instant::now();
        self.hash.update(buffer.get(..count).unwrap_or_default());
        let mut times = self.times.borrow_mut();
        times.hash += began.elapsed();
        if self.inflating {
            times.inflate += took.saturating_sub(below);
        }
        Ok(count)
    }
}

/// A tree that is being made. The directory used last stays open, as the next file mostly belongs there too.
struct Tree {
    root: OwnedFd,
    last: Option<(PathBuf, OwnedFd)>,
}

impl Tree {
    fn new(root: &Path) -> io::Result<Self> {
        Ok(Self { root: open(root, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?, last: None })
    }

    /// Opens the directory that a path is in, made if it isn't there. Gives the name in it.
    fn enter<'p>(&mut self, path: &'p Path) -> io::Result<&'p Path> {
        let (parent, name) =
            (path.parent().unwrap_or(Path::new("")), Path::new(path.file_name().unwrap_or_default()));
        if self.last.as_ref().is_none_or(|(last, _)| last != parent) {
            let found = self.open(parent);
            let handle = match found {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.directory(parent)?;
                    self.open(parent)?
                }
                found => found?,
            };
            self.last = Some((parent.to_owned(), handle));
        }
        Ok(name)
    }

    /// The directory that was entered last.
    fn inside(&self) -> BorrowedFd<'_> {
        self.last.as_ref().map_or(self.root.as_fd(), |(_, handle)| handle.as_fd())
    }

    fn open(&self, directory: &Path) -> io::Result<OwnedFd> {
        let directory = if directory == Path::new("") { Path::new(".") } else { directory };
        Ok(openat(&self.root, directory, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Makes a directory and those above it.
    fn directory(&self, path: &Path) -> io::Result<()> {
        match mkdirat(&self.root, path, Mode::from_raw_mode(0o755)) {
            Err(rustix::io::Errno::NOENT) => {
                self.directory(path.parent().unwrap_or(Path::new("")))?;
                self.directory(path)
            }
            Err(rustix::io::Errno::EXIST) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::tools::files;

    #[test]
    fn the_floor_creates_every_file_and_counts_each_kind_of_work() {
        use fixtures::image::Layer;
        let directory = tempfile::tempdir().expect("a temporary directory");
        let volume = Volume::within(directory.path()).expect("a volume");
        let lower =
            Layer::new().dir("a/b", 0o755).file("a/b/one", 0o644, &vec![1; 600_000]).symlink("a/link", "b");
        let upper =
            Layer::new().file("c/d/two", 0o644, b"2").hardlink("c/same", "c/d/two").whiteout("a/gone");
        let blobs = [lower, upper].into_iter().enumerate().map(|(number, layer)| {
            let path = directory.path().join(format!("layer-{number}"));
            std::fs::write(&path, layer.build().bytes).expect("room for it");
            path
        });
        let cost = measure(&blobs.collect::<Vec<_>>(), &volume).expect("it can be extracted");
        assert!(cost.processor > Duration::ZERO && cost.wall <= cost.processor, "{cost:?}");
        let root = volume.directory().join("floor");
        assert_eq!(files(&root).expect("a tree"), 3);
        assert_eq!(std::fs::read(root.join("a/b/one")).expect("the file").len(), 600_000);
    }
}
