//! The contents that a changed layer brings and the base does not have, into files of their own.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;

use super::archive::Body;
use super::assembly::{Made, Sink};
use super::attributes::{Applier, Target, failed, hash_xattrs};
use super::base::{KnownFile, Surveyed};
use super::contents::begin_like;
use super::entry::{Attributes, Entry, Kind, OwnedXattr};
use super::error::Error;
use super::index::{Content, Index, InodeId};
use super::layer::Maker;
use super::path::quote;
use super::replay::Listener;
use super::staging::{Staged, Staging};
use super::stamps::Stamp;
use super::survey::{READ, open_beneath};
use super::warning::{Warning, WarningKind, Warnings};
use super::write;

/// Files up to this size are hashed before anything is made for them; larger ones are compared while they come.
const BUFFERED: u64 = 1 << 20;

/// Contents that were read: the file that was made for them, if one was needed, and their hash.
type Read = (Option<(Staged, File)>, [u8; 32]);

/// Everything about the target that the index has no place for.
#[derive(Debug)]
pub(super) struct Stager {
    pub(super) staging: Staging,
    pub(super) base: Surveyed,
    pub(super) applier: Applier,
    /// Files that are there already, complete with their attributes.
    pub(super) staged: HashMap<InodeId, Staged>,
    /// Extended attributes that files, links and devices ask for.
    pub(super) xattrs: HashMap<InodeId, Vec<OwnedXattr>>,
    /// Bytes written.
    pub(super) bytes: u64,
    /// What was made for the entry that is being applied.
    latest: Option<Staged>,
    /// Where the last file was found in the base.
    hint: usize,
    buffer: Vec<u8>,
    old: Vec<u8>,
}

impl Stager {
    pub(super) fn new(staging: Staging, base: Surveyed) -> Self {
        Self {
            staging,
            base,
            applier: Applier::default(),
            staged: HashMap::new(),
            xattrs: HashMap::new(),
            bytes: 0,
            latest: None,
            hint: 0,
            buffer: Vec::new(),
            old: Vec::new(),
        }
    }

    /// Gives back the memory that all else takes: bytes written, and warnings.
    pub(super) fn end(self) -> (u64, Vec<Warning>) {
        (self.bytes, self.applier.warnings.into_vec())
    }

    /// The attributes that will be on the disk, as far as it can be told.
    pub(super) fn settle(&mut self, wanted: Attributes, path: &[u8]) -> Attributes {
        let (settled, kept) = self.staging.settle(wanted);
        if kept {
            self.applier.warnings.add(WarningKind::OwnerKept, path);
        }
        settled
    }

    fn file(
        &mut self,
        place: &[u8],
        size: u64,
        entry: &Entry<'_>,
        body: &mut Body<'_, impl BufRead>,
        progress: &mut impl FnMut(u64),
    ) -> Result<Made, Error> {
        let path = entry.path.as_bytes();
        let found = self.base.known().file(&self.base.facts, place, self.hint);
        self.hint = found.map_or(self.hint, |known| known.record);
        let known = found.filter(|known| known.size == size);
        let (staged, hash) = match (known, entry.sparse) {
            (_, None) if size <= BUFFERED => self.small(known, entry, body)?,
            (Some(known), None) => self.large(known, path, body)?,
            (_, sparse) => {
                let (staged, mut file) = self.new_file(path)?;
                let sparse = sparse.map(|map| (map, size));
                let hash = write::fill(&mut file, body, sparse, path, &mut |_| {})?;
                self.bytes += size;
                if known.is_some_and(|known| known.hash == hash) {
                    self.staging.drop(staged).map_err(|errno| failed("remove", path, errno))?;
                    (None, hash)
                } else {
                    (Some((staged, file)), hash)
                }
            }
        };
        let content = Content::File { size, hash };
        let Some((staged, file)) = staged else {
            let attributes = self.settle(entry.attributes, path);
            let xattrs = expected_hash(entry.xattrs.iter().map(|(name, value)| (&name[..], &value[..])));
            return Ok(Made { content, attributes, xattrs, stamp: Stamp::UNKNOWN });
        };
        progress(size);
        let target = Target::Open(file.as_fd());
        let outcome = self.applier.apply(&target, entry.attributes, &entry.xattrs, path)?;
        self.latest = Some(staged);
        let (attributes, xattrs) = (outcome.attributes, outcome.xattrs);
        Ok(Made { content, attributes, xattrs, stamp: Stamp::UNKNOWN })
    }

    fn new_file(&mut self, path: &[u8]) -> Result<(Staged, File), Error> {
        self.staging.file().map_err(|errno| failed("create", path, errno))
    }

    /// Nothing is made for contents that the base has under the same path.
    fn small(
        &mut self,
        known: Option<KnownFile>,
        entry: &Entry<'_>,
        body: &mut Body<'_, impl BufRead>,
    ) -> Result<Read, Error> {
        let path = entry.path.as_bytes();
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        body.read(u64::MAX, |bytes| {
            buffer.extend_from_slice(bytes);
            Ok(())
        })?;
        let hash = *blake3::hash(&buffer).as_bytes();
        let staged = if known.is_some_and(|known| known.hash == hash) {
            None
        } else {
            let (staged, mut file) = self.new_file(path)?;
            file.write_all(&buffer).map_err(about(path))?;
            self.bytes += buffer.len() as u64;
            Some((staged, file))
        };
        self.buffer = buffer;
        Ok((staged, hash))
    }

    /// The file of the base is read along. It is copied up to the first difference, and not at all if there is none.
    fn large(
        &mut self,
        known: KnownFile,
        path: &[u8],
        body: &mut Body<'_, impl BufRead>,
    ) -> Result<Read, Error> {
        let base =
            open_beneath(self.staging.root(), self.base.facts.path(known.record), READ).map(File::from);
        let Ok(base) = base else {
            let (staged, mut file) = self.new_file(path)?;
            let hash = write::fill(&mut file, body, None, path, &mut |_| {})?;
            self.bytes += known.size;
            return Ok((Some((staged, file)), hash));
        };
        let mut hasher = blake3::Hasher::new();
        let mut position = 0;
        let mut staged: Option<(Staged, File)> = None;
        let mut shared = false;
        body.read(u64::MAX, |bytes| {
            hasher.update(bytes);
            let same = (staged.is_none() || shared) && has(&base, bytes, position, &mut self.old);
            if !same {
                if staged.is_none() {
                    let (name, file) = self.staging.file().map_err(|errno| failed("create", path, errno))?;
                    shared = begin_like(&base, &file, position).map_err(about(path))?;
                    if !shared {
                        self.bytes += position;
                    }
                    staged = Some((name, file));
                }
                if let Some((_, file)) = &staged {
                    file.write_all_at(bytes, position).map_err(about(path))?;
                    self.bytes += bytes.len() as u64;
                }
            }
            position += bytes.len() as u64;
            Ok(())
        })?;
        Ok((staged, *hasher.finalize().as_bytes()))
    }

    /// Whether a device may be made here: it is tried.
    fn can_make(&mut self, content: &Content, path: &[u8]) -> Result<bool, Error> {
        let trial = self.staging.reserve();
        match write::make_node(self.staging.fd(), trial.name().as_bytes(), content) {
            Some(Err(rustix::io::Errno::PERM)) => {
                self.applier.warnings.add(WarningKind::DeviceSkipped, path);
                Ok(false)
            }
            Some(Err(errno)) => Err(failed("create", path, errno)),
            Some(Ok(())) => {
                self.staging.drop(trial).map_err(|errno| failed("remove", path, errno))?;
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

fn about(path: &[u8]) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Disk { operation: "write", path: quote(path), source }
}

/// Whether a file has these bytes at this position.
fn has(file: &File, bytes: &[u8], position: u64, buffer: &mut Vec<u8>) -> bool {
    buffer.resize(bytes.len(), 0);
    file.read_exact_at(buffer, position).is_ok() && buffer.as_slice() == bytes
}

/// The hash over the extended attributes that will be set, if all can be.
pub(super) fn expected_hash<'x>(wanted: impl Iterator<Item = (&'x [u8], &'x [u8])>) -> Option<Box<[u8; 32]>> {
    let overlay = |name: &[u8]| name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.");
    let set: Vec<_> = wanted.filter(|(name, _)| !overlay(name)).collect();
    hash_xattrs(&set)
}

impl Sink for Stager {
    fn make_directory(&mut self, _: &Index, _: InodeId, _: &[u8], _: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    fn remove(&mut self, _: &Index, _: InodeId, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    fn forget(&mut self, inode: InodeId) {
        if let Some(staged) = self.staged.remove(&inode) {
            // What stays is removed with all the rest.
            let _ = self.staging.drop(staged);
        }
        self.xattrs.remove(&inode);
    }

    fn link(&mut self, _: &Index, _: (InodeId, &[u8]), _: (InodeId, &[u8]), _: &[u8]) -> Result<(), Error> {
        Ok(())
    }
}

impl Listener for Stager {
    fn xattrs(&mut self, inode: InodeId, xattrs: Vec<OwnedXattr>) {
        self.xattrs.insert(inode, xattrs);
    }
}

impl Maker for Stager {
    fn create(
        &mut self,
        index: &Index,
        (parent, name): (InodeId, &[u8]),
        entry: &Entry<'_>,
        body: &mut Body<'_, impl BufRead>,
        progress: &mut impl FnMut(u64),
    ) -> Result<Option<Made>, Error> {
        self.latest = None;
        let path = entry.path.as_bytes();
        let content = match entry.kind {
            Kind::File { size } => {
                let place = index.path(parent, name);
                return self.file(&place, size, entry, body, progress).map(Some);
            }
            Kind::Symlink { target } => Content::Symlink { target: target.into() },
            Kind::Fifo => Content::Fifo,
            Kind::CharDevice { major: 0, minor: 0 } => {
                // Overlay file systems take such a node for a whiteout.
                self.applier.warnings.add(WarningKind::OverlayMarker, path);
                return Ok(None);
            }
            Kind::CharDevice { major, minor } => Content::CharDevice { major, minor },
            Kind::BlockDevice { major, minor } => Content::BlockDevice { major, minor },
            _ => return Ok(None),
        };
        if matches!(content, Content::CharDevice { .. } | Content::BlockDevice { .. })
            && !self.can_make(&content, path)?
        {
            return Ok(None);
        }
        let mut attributes = self.settle(entry.attributes, path);
        if matches!(content, Content::Symlink { .. }) {
            attributes.mode = 0o777;
        }
        let xattrs = expected_hash(entry.xattrs.iter().map(|(name, value)| (&name[..], &value[..])));
        Ok(Some(Made { content, attributes, xattrs, stamp: Stamp::UNKNOWN }))
    }

    fn created(&mut self, inode: InodeId, entry: &Entry<'_>) {
        if let Some(staged) = self.latest.take() {
            self.staged.insert(inode, staged);
        }
        if !entry.xattrs.is_empty() {
            let owned = entry.xattrs.iter().map(|(name, value)| (name[..].into(), value[..].into()));
            self.xattrs.insert(inode, owned.collect());
        }
    }

    fn warnings(&mut self) -> &mut Warnings {
        &mut self.applier.warnings
    }
}
