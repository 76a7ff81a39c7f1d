//! A layer again, from its index: the same tree in memory, without the blob.

use super::assembly::{Assembly, Made, Sink};
use super::entry::{OwnedXattr, WHITEOUT};
use super::error::Error;
use super::index::{Content, InodeId};
use super::layer_index::{LayerIndex, Record, RecordKind};
use super::path::RelativePath;
use super::refusal::{Refusal, Rule};
use super::stamps::Stamp;

/// Hears of what the tree in memory has no place for.
pub(super) trait Listener: Sink {
    /// Extended attributes that an inode which is no directory is to have.
    fn xattrs(&mut self, inode: InodeId, xattrs: Vec<OwnedXattr>);
}

/// Applies a layer that was extracted before.
pub(super) fn replay(
    assembly: &mut Assembly,
    listener: &mut impl Listener,
    layer: &LayerIndex,
) -> Result<(), Error> {
    let mut records = layer.records();
    while let Some(record) = records.next() {
        apply(assembly, listener, &record)?;
    }
    assembly.end_layer(listener)
}

fn apply(assembly: &mut Assembly, listener: &mut impl Listener, record: &Record<'_>) -> Result<(), Error> {
    let limits = assembly.limits;
    let refuse = |rule: Rule| Refusal::new(record.path, rule);
    let path = RelativePath::parse(record.path, &limits).map_err(refuse)?;
    let mut size = None;
    let content = match record.kind {
        RecordKind::Directory => {
            return assembly.directory(listener, path, record.attributes, record.xattrs.wanted());
        }
        RecordKind::Hardlink { target } => {
            let target = RelativePath::parse(target, &limits).map_err(refuse)?;
            return assembly.hardlink(listener, path, target);
        }
        RecordKind::Whiteout => {
            let name = path.split_last().and_then(|(_, name)| name.strip_prefix(WHITEOUT));
            return assembly.whiteout(listener, path, name.ok_or_else(|| refuse(Rule::Whiteout))?);
        }
        RecordKind::Opaque => return assembly.opaque(listener, path),
        RecordKind::File { size: bytes, hash } => {
            size = Some(bytes);
            Some(Content::File { size: bytes, hash })
        }
        RecordKind::Symlink { target } => Some(Content::Symlink { target: target.into() }),
        RecordKind::CharDevice { major, minor } => Some(Content::CharDevice { major, minor }),
        RecordKind::BlockDevice { major, minor } => Some(Content::BlockDevice { major, minor }),
        RecordKind::Fifo => Some(Content::Fifo),
        RecordKind::Nothing => None,
    };
    let made = content.map(|content| Made {
        content,
        attributes: record.attributes,
        xattrs: record.xattrs.hash.map(Box::new),
        stamp: Stamp::UNKNOWN,
    });
    let inode = assembly.other(listener, path, size, |_, _, _, _| Ok(made))?;
    let xattrs: Vec<OwnedXattr> =
        record.xattrs.wanted().map(|(name, value)| (name[..].into(), value[..].into())).collect();
    if let Some(inode) = inode.filter(|_| !xattrs.is_empty()) {
        listener.xattrs(inode, xattrs);
    }
    Ok(())
}
