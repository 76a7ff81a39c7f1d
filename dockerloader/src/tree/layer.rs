//! One layer, from its blob through the rules of the image specification into a tree.

use std::io::{BufRead, Read};

use crate::digest::Digest;

use super::archive::{Archive, Body};
use super::assembly::{Assembly, Made, Sink};
use super::entry::{Entry, Kind};
use super::error::Error;
use super::index::{Content, Index, InodeId};
use super::layer_index::{LayerIndex, RecordKind, Recorder};
use super::pipeline::{self, Stream};
use super::warning::{WarningKind, Warnings};

/// Makes what the entries of a layer describe.
pub(super) trait Maker: Sink {
    /// Makes a file, symbolic link, device or FIFO; `None` where it can't or must not be made. The name is free.
    fn create(
        &mut self,
        index: &Index,
        place: (InodeId, &[u8]),
        entry: &Entry<'_>,
        body: &mut Body<'_, impl BufRead>,
        progress: &mut impl FnMut(u64),
    ) -> Result<Option<Made>, Error>;

    /// What was created last has this number in the index.
    fn created(&mut self, inode: InodeId, entry: &Entry<'_>);

    /// Where deviations are noted.
    fn warnings(&mut self) -> &mut Warnings;
}

/// Applies a layer, plain or compressed. It is read to its end; `expected` is its `diff_id`.
pub(super) fn apply(
    assembly: &mut Assembly,
    maker: &mut impl Maker,
    reader: impl Read + Send,
    expected: Option<&Digest>,
    progress: &mut impl FnMut(u64),
) -> Result<LayerIndex, Error> {
    let limits = assembly.limits;
    let before = std::mem::take(maker.warnings());
    let mut recorder = Recorder::new();
    let ((), found) = pipeline::run(reader, &limits, |stream| {
        apply_entries(assembly, maker, stream, &mut recorder, progress)
    })?;
    if let Some(&expected) = expected.filter(|&&expected| expected != found) {
        return Err(Error::DiffId { expected, found });
    }
    let own = std::mem::replace(maker.warnings(), before).into_vec();
    let index = recorder.finish(&found, &own);
    maker.warnings().merge(own);
    Ok(index)
}

fn apply_entries(
    assembly: &mut Assembly,
    maker: &mut impl Maker,
    stream: &mut Stream,
    recorder: &mut Recorder,
    progress: &mut impl FnMut(u64),
) -> Result<(), Error> {
    let limits = assembly.limits;
    let mut archive = Archive::new(stream, &limits);
    while let Some((entry, mut body)) = archive.next()? {
        apply_entry(assembly, maker, &entry, &mut body, recorder, progress)?;
    }
    if has_data(archive.source())? {
        maker.warnings().add(WarningKind::TrailingData, b"");
    }
    assembly.end_layer(maker)
}

fn apply_entry(
    assembly: &mut Assembly,
    maker: &mut impl Maker,
    entry: &Entry<'_>,
    body: &mut Body<'_, impl BufRead>,
    recorder: &mut Recorder,
    progress: &mut impl FnMut(u64),
) -> Result<(), Error> {
    let path = entry.path.as_bytes();
    let size = match entry.kind {
        Kind::Skip(_) => return Ok(()),
        Kind::Directory => {
            let xattrs = entry.xattrs.iter().cloned();
            assembly.directory(maker, entry.path, entry.attributes, xattrs)?;
            recorder.describe(path, RecordKind::Directory, entry.attributes, None, &entry.xattrs);
            return Ok(());
        }
        Kind::Hardlink { target } => {
            assembly.hardlink(maker, entry.path, target)?;
            recorder.add(path, RecordKind::Hardlink { target: target.as_bytes() });
            return Ok(());
        }
        Kind::Whiteout { name } => {
            assembly.whiteout(maker, entry.path, name)?;
            recorder.add(path, RecordKind::Whiteout);
            return Ok(());
        }
        Kind::Opaque => {
            assembly.opaque(maker, entry.path)?;
            recorder.add(path, RecordKind::Opaque);
            return Ok(());
        }
        Kind::File { size } => Some(size),
        Kind::Symlink { .. } | Kind::CharDevice { .. } | Kind::BlockDevice { .. } | Kind::Fifo => None,
    };
    let made = assembly.other(maker, entry.path, size, |maker, index, parent, name| {
        maker.create(index, (parent, name), entry, body, progress)
    })?;
    if let Some(id) = made {
        maker.created(id, entry);
    }
    let inode = made.and_then(|id| assembly.index.get(id));
    let kind = match inode.map(|inode| &inode.content) {
        Some(Content::File { size, hash }) => RecordKind::File { size: *size, hash: *hash },
        Some(Content::Symlink { target }) => RecordKind::Symlink { target },
        Some(&Content::CharDevice { major, minor }) => RecordKind::CharDevice { major, minor },
        Some(&Content::BlockDevice { major, minor }) => RecordKind::BlockDevice { major, minor },
        Some(Content::Fifo) => RecordKind::Fifo,
        Some(Content::Directory(_) | Content::Free) | None => RecordKind::Nothing,
    };
    let attributes = inode.map(|inode| inode.attributes).unwrap_or_default();
    let hash = inode.and_then(|inode| inode.xattrs.as_deref());
    recorder.describe(path, kind, attributes, hash, &entry.xattrs);
    Ok(())
}

/// Whether anything but zeros, which pad archives to some block size, is left of the stream.
fn has_data(stream: &mut impl BufRead) -> Result<bool, Error> {
    loop {
        let available = stream.fill_buf().map_err(Error::from_stream)?;
        if available.is_empty() {
            return Ok(false);
        }
        if available.iter().any(|&byte| byte != 0) {
            return Ok(true);
        }
        let count = available.len();
        stream.consume(count);
    }
}
