//! What an entry of a layer means for the tree, in memory: where it goes, what it replaces, what it hides. Whoever has a
//! disk behind the tree hears of each change in time to make it there as well.

use crate::limits::Limits;

use super::entry::{AUFS, Attributes, Xattr};
use super::error::Error;
use super::index::{Content, Index, InodeId, Step, Walk};
use super::overlay::{self, Hidden};
use super::path::{RelativePath, quote};
use super::refusal::{Refusal, Rule};
use super::stamps::Stamp;

/// Hears of changes before the index has them.
pub(super) trait Sink {
    /// A new directory, private until all layers are applied. `entry` is the path that needs it, for errors.
    fn make_directory(
        &mut self,
        index: &Index,
        parent: InodeId,
        name: &[u8],
        entry: &[u8],
    ) -> Result<(), Error>;

    /// A name goes, with all below it.
    fn remove(&mut self, index: &Index, parent: InodeId, name: &[u8]) -> Result<(), Error>;

    /// An inode has lost its last name; its number may mean another one soon.
    fn forget(&mut self, inode: InodeId);

    /// Another name for the inode that `from` names.
    fn link(
        &mut self,
        index: &Index,
        from: (InodeId, &[u8]),
        to: (InodeId, &[u8]),
        entry: &[u8],
    ) -> Result<(), Error>;
}

/// What was made for an entry that is neither a directory nor a hard link.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) content: Content,
    pub(super) attributes: Attributes,
    pub(super) xattrs: Option<Box<[u8; 32]>>,
    pub(super) stamp: Stamp,
}

/// The tree that layers make.
#[derive(Debug)]
pub(super) struct Assembly {
    pub(super) index: Index,
    pub(super) limits: Limits,
    /// Bytes of all files of all layers.
    pub(super) bytes: u64,
    layer: u32,
    /// The parent of the entry before, as its path was written. Nothing but a removal can change where a path leads to.
    last: Option<InodeId>,
    last_path: Vec<u8>,
}

impl Assembly {
    pub(super) fn new(limits: Limits) -> Self {
        let index = Index::new(&limits);
        Self { index, limits, bytes: 0, layer: 0, last: None, last_path: Vec::new() }
    }

    /// A directory; the contents of one that is there stay.
    pub(super) fn directory<'x>(
        &mut self,
        sink: &mut impl Sink,
        path: RelativePath<'_>,
        attributes: Attributes,
        xattrs: impl Iterator<Item = Xattr<'x>>,
    ) -> Result<(), Error> {
        let entry = path.as_bytes();
        let id = match path.split_last() {
            None => Index::ROOT,
            Some((parent, name)) => {
                let parent = self.find_or_make(sink, parent, entry)?;
                match self.index.child(parent, name) {
                    Some(present) if self.index.is_directory(present.inode) => {
                        self.index.touch(parent, name, self.layer);
                        present.inode
                    }
                    present => {
                        if present.is_some() {
                            self.remove(sink, parent, name)?;
                        }
                        self.make_directory(sink, parent, name, entry)?
                    }
                }
            }
        };
        // Set when all layers are applied.
        if let Some(inode) = self.index.get_mut(id) {
            inode.attributes = attributes;
            if let Content::Directory(directory) = &mut inode.content {
                directory.pending_xattrs =
                    xattrs.map(|(name, value)| (name[..].into(), value[..].into())).collect();
            }
        }
        Ok(())
    }

    /// Anything that is neither a directory nor a link to something: `make` makes it once its name is free, or nothing.
    pub(super) fn other<S: Sink>(
        &mut self,
        sink: &mut S,
        path: RelativePath<'_>,
        size: Option<u64>,
        make: impl FnOnce(&mut S, &Index, InodeId, &[u8]) -> Result<Option<Made>, Error>,
    ) -> Result<Option<InodeId>, Error> {
        let Some((parent, name)) = path.split_last() else { return Ok(None) };
        let entry = path.as_bytes();
        let parent = self.find_or_make(sink, parent, entry)?;
        // The size is checked before anything is thrown away for it.
        if let Some(size) = size {
            let bytes = self.limits.tree_bytes.check(self.bytes.saturating_add(size));
            self.bytes = bytes.map_err(|over| Refusal::new(entry, over.into()))?;
        }
        if self.index.child(parent, name).is_some() {
            self.remove(sink, parent, name)?;
        }
        self.index.check_names().map_err(|rule| Refusal::new(entry, rule))?;
        let Some(made) = make(sink, &self.index, parent, name)? else { return Ok(None) };
        let id = self.index.insert(parent, name, self.layer, made.attributes, made.content);
        if let Some(inode) = self.index.get_mut(id) {
            inode.xattrs = made.xattrs;
            inode.stamp = made.stamp;
        }
        Ok(Some(id))
    }

    /// Another name for a file. The attributes of the link's entry are not applied: they would change the file under its
    /// other names.
    pub(super) fn hardlink(
        &mut self,
        sink: &mut impl Sink,
        path: RelativePath<'_>,
        target: RelativePath<'_>,
    ) -> Result<(), Error> {
        let Some((parent, name)) = path.split_last() else { return Ok(()) };
        let entry = path.as_bytes();
        let refuse = |rule| Refusal::new(entry, rule);
        let parent = self.find_or_make(sink, parent, entry)?;
        self.find_hardlink_target(target).map_err(refuse)?;
        if self.index.child(parent, name).is_some() {
            self.remove(sink, parent, name)?;
        }
        // Looked up again: what was in the way of the link may have been, or have held, its target.
        let (target_parent, target_name, inode) = self.find_hardlink_target(target).map_err(refuse)?;
        self.index.check_names().map_err(refuse)?;
        sink.link(&self.index, (target_parent, target_name), (parent, name), entry)?;
        self.index.link(parent, name, self.layer, inode);
        Ok(())
    }

    /// `.wh.NAME` in the directory of `path`.
    pub(super) fn whiteout(
        &mut self,
        sink: &mut impl Sink,
        path: RelativePath<'_>,
        name: &[u8],
    ) -> Result<(), Error> {
        match self.find_parent(path)? {
            Some(directory) => {
                let hidden = overlay::whiteout(&self.index, directory, name, self.layer);
                self.hide(sink, hidden)
            }
            None => Ok(()),
        }
    }

    /// `.wh..wh..opq` in the directory of `path`.
    pub(super) fn opaque(&mut self, sink: &mut impl Sink, path: RelativePath<'_>) -> Result<(), Error> {
        match self.find_parent(path)? {
            Some(directory) => {
                let hidden = overlay::opaque(&self.index, directory, self.layer);
                self.hide(sink, hidden)
            }
            None => Ok(()),
        }
    }

    /// The next entries are of the next layer. The folders of aufs at the root go: hard links of the layer pointed into them,
    /// the image has no such folders.
    pub(super) fn end_layer(&mut self, sink: &mut impl Sink) -> Result<(), Error> {
        let root = self.index.directory(Index::ROOT);
        let names = root.into_iter().flat_map(|root| root.children.keys());
        let aufs: Vec<_> = names.filter(|name| name.starts_with(AUFS)).cloned().collect();
        self.layer += 1;
        aufs.iter().try_for_each(|name| self.remove(sink, Index::ROOT, name))
    }

    fn find_parent(&self, path: RelativePath<'_>) -> Result<Option<InodeId>, Error> {
        let Some((parent, _)) = path.split_last() else { return Ok(None) };
        Ok(self.find(parent).map_err(|rule| Refusal::new(path.as_bytes(), rule))?)
    }

    fn find_hardlink_target<'t>(
        &self,
        target: RelativePath<'t>,
    ) -> Result<(InodeId, &'t [u8], InodeId), Rule> {
        let quoted = || quote(target.as_bytes());
        let (parent, name) = target.split_last().ok_or_else(|| Rule::HardlinkToDirectory(quoted()))?;
        let found = self.find(parent)?.and_then(|parent| Some((parent, self.index.child(parent, name)?)));
        match found {
            None => Err(Rule::HardlinkTarget(quoted())),
            Some((_, child)) if self.index.is_directory(child.inode) => {
                Err(Rule::HardlinkToDirectory(quoted()))
            }
            Some((parent, child)) => Ok((parent, name, child.inode)),
        }
    }

    /// The directory at `path`, if there is one.
    fn find(&self, path: RelativePath<'_>) -> Result<Option<InodeId>, Rule> {
        match self.index.walk(&mut Walk::new(path.as_bytes()))? {
            Step::Arrived(directory) => Ok(Some(directory)),
            Step::Missing(..) => Ok(None),
        }
    }

    /// The directory at `path`; what is missing on the way is made, as if it were described by [`Attributes::IMPLIED`].
    fn find_or_make(
        &mut self,
        sink: &mut impl Sink,
        path: RelativePath<'_>,
        entry: &[u8],
    ) -> Result<InodeId, Error> {
        if let Some(last) = self.last.filter(|_| self.last_path == path.as_bytes()) {
            return Ok(last);
        }
        let mut walk = Walk::new(path.as_bytes());
        let found = loop {
            match self.index.walk(&mut walk).map_err(|rule| Refusal::new(entry, rule))? {
                Step::Arrived(directory) => break directory,
                Step::Missing(parent, name) => {
                    self.make_directory(sink, parent, &name, entry)?;
                }
            }
        };
        self.last = Some(found);
        self.last_path.clear();
        self.last_path.extend_from_slice(path.as_bytes());
        Ok(found)
    }

    fn make_directory(
        &mut self,
        sink: &mut impl Sink,
        parent: InodeId,
        name: &[u8],
        entry: &[u8],
    ) -> Result<InodeId, Error> {
        // A link's target may have names that no path of an entry could have.
        let room = self.index.check_depth(parent).and_then(|()| self.index.check_names());
        room.map_err(|rule| Refusal::new(entry, rule))?;
        sink.make_directory(&self.index, parent, name, entry)?;
        Ok(self.index.insert(parent, name, self.layer, Attributes::IMPLIED, Index::new_directory()))
    }

    fn remove(&mut self, sink: &mut impl Sink, parent: InodeId, name: &[u8]) -> Result<(), Error> {
        self.last = None;
        sink.remove(&self.index, parent, name)?;
        self.index.remove(parent, name, &mut |id| sink.forget(id));
        Ok(())
    }

    fn hide(&mut self, sink: &mut impl Sink, hidden: Hidden) -> Result<(), Error> {
        for (parent, name) in &hidden.removed {
            self.remove(sink, *parent, name)?;
        }
        for (parent, name) in &hidden.renewed {
            let child = self.index.child(*parent, name);
            if let Some(inode) = child.and_then(|child| self.index.get_mut(child.inode)) {
                inode.attributes = Attributes::IMPLIED;
                if let Content::Directory(directory) = &mut inode.content {
                    directory.pending_xattrs.clear();
                }
            }
        }
        Ok(())
    }
}
