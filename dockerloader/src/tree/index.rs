//! The tree as it is being built, in memory: every name and inode that was put on the disk, and nothing else.
//!
//! Paths of entries are resolved here, symbolic links included, and never by the kernel: on the disk, every step is one
//! name in one open directory, without following anything. So a link that somebody plants there is not a way out, and no
//! path is walked twice. The seal is written from it as well.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::limits::Limits;

use super::entry::{Attributes, OwnedXattr};
use super::path::components;
use super::refusal::Rule;
use super::stamps::Stamp;

/// Symbolic links on the way to one entry (`path_resolution(7)` has the same number).
const MAX_LINKS: u32 = 40;

/// One inode. Numbers of removed inodes are given out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct InodeId(u32);

/// What an inode is, as it is on the disk.
#[derive(Debug)]
pub(super) struct Inode {
    pub(super) attributes: Attributes,
    /// BLAKE3 of the extended attributes, when there are any.
    pub(super) xattrs: Option<Box<[u8; 32]>>,
    pub(super) content: Content,
    /// Names that lead to it.
    pub(super) links: u32,
    /// When it was changed last, where that is known.
    pub(super) stamp: Stamp,
}

#[derive(Debug)]
pub(super) enum Content {
    Directory(Box<Directory>),
    File {
        size: u64,
        hash: [u8; 32],
    },
    Symlink {
        target: Box<[u8]>,
    },
    CharDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
    /// Removed; the number waits for its next use.
    Free,
}

/// The names in a directory, and its own place.
#[derive(Debug, Default)]
pub(super) struct Directory {
    pub(super) parent: InodeId,
    pub(super) name: Box<[u8]>,
    pub(super) children: BTreeMap<Box<[u8]>, Child>,
    /// To be set with the attributes, when all layers are applied.
    pub(super) pending_xattrs: Vec<OwnedXattr>,
    depth: u64,
}

/// A name in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Child {
    pub(super) inode: InodeId,
    /// The layer whose entry named it last; a folder that no entry names has the layer below which it was implied.
    pub(super) layer: u32,
}

impl Default for InodeId {
    fn default() -> Self {
        Index::ROOT
    }
}

#[derive(Debug)]
pub(super) struct Index {
    inodes: Vec<Inode>,
    free: Vec<InodeId>,
    names: u64,
    max_depth: crate::limits::Limit,
    max_names: crate::limits::Limit,
}

/// A path on its way through the tree.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    at: InodeId,
    rest: Cow<'a, [u8]>,
    position: usize,
    links: u32,
}

/// Where a walk has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The directory that the whole path leads to.
    Arrived(InodeId),
    /// There is nothing of this name in this directory. Once there is, the walk can go on.
    Missing(InodeId, Box<[u8]>),
}

impl<'a> Walk<'a> {
    /// From the root.
    pub(super) const fn new(path: &'a [u8]) -> Self {
        Self { at: Index::ROOT, rest: Cow::Borrowed(path), position: 0, links: 0 }
    }

    /// The next component, and where the one after it starts.
    fn peek(&self) -> Option<(&[u8], usize)> {
        let rest = self.rest.get(self.position..)?;
        let component = components(rest).next()?;
        // The components before it are empty or `.`: the distance is that of the slices.
        let start = component.as_ptr().addr() - rest.as_ptr().addr();
        Some((component, self.position + start + component.len()))
    }
}

impl Index {
    pub(super) const ROOT: InodeId = InodeId(0);

    pub(super) fn new(limits: &Limits) -> Self {
        let root = Inode {
            attributes: Attributes::IMPLIED,
            xattrs: None,
            content: Content::Directory(Box::default()),
            links: 1,
            stamp: Stamp::UNKNOWN,
        };
        let (max_depth, max_names) = (limits.path_depth, limits.tree_entries);
        Self { inodes: vec![root], free: Vec::new(), names: 0, max_depth, max_names }
    }

    /// An inode. `None` only for a number of another index.
    pub(super) fn get(&self, id: InodeId) -> Option<&Inode> {
        self.inodes.get(id.0 as usize)
    }

    pub(super) fn get_mut(&mut self, id: InodeId) -> Option<&mut Inode> {
        self.inodes.get_mut(id.0 as usize)
    }

    /// Makes room for so many more inodes at once.
    pub(super) fn reserve(&mut self, inodes: usize) {
        self.inodes.reserve(inodes);
    }

    /// All numbers, also those of removed inodes.
    pub(super) fn ids(&self) -> impl Iterator<Item = InodeId> + use<> {
        (0..u32::try_from(self.inodes.len()).unwrap_or(u32::MAX)).map(InodeId)
    }

    pub(super) fn directory(&self, id: InodeId) -> Option<&Directory> {
        match &self.get(id)?.content {
            Content::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    pub(super) fn directory_mut(&mut self, id: InodeId) -> Option<&mut Directory> {
        match &mut self.get_mut(id)?.content {
            Content::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    pub(super) fn is_directory(&self, id: InodeId) -> bool {
        self.directory(id).is_some()
    }

    pub(super) fn child(&self, directory: InodeId, name: &[u8]) -> Option<Child> {
        self.directory(directory)?.children.get(name).copied()
    }

    /// Goes as far as the tree does. Links are followed inside the root: an absolute one starts there, and `..` of the
    /// root is the root.
    pub(super) fn walk(&self, walk: &mut Walk<'_>) -> Result<Step, Rule> {
        while let Some((name, after)) = walk.peek() {
            let Some(directory) = self.directory(walk.at) else { return Err(Rule::NotADirectory) };
            if name == b".." {
                walk.at = directory.parent;
                walk.position = after;
                continue;
            }
            let Some(child) = directory.children.get(name) else {
                return Ok(Step::Missing(walk.at, name.into()));
            };
            match self.get(child.inode).map(|inode| &inode.content) {
                Some(Content::Directory(_)) => {
                    walk.at = child.inode;
                    walk.position = after;
                }
                Some(Content::Symlink { target }) => {
                    walk.links += 1;
                    if walk.links > MAX_LINKS {
                        return Err(Rule::Links);
                    }
                    let rest = walk.rest.get(after..).unwrap_or_default();
                    let joined = [target, b"/".as_slice(), rest].concat();
                    if target.starts_with(b"/") {
                        walk.at = Self::ROOT;
                    }
                    walk.rest = Cow::Owned(joined);
                    walk.position = 0;
                }
                _ => return Err(Rule::NotADirectory),
            }
        }
        Ok(Step::Arrived(walk.at))
    }

    /// Whether a directory below this one stays within [`Limits::path_depth`]: links can lead deeper than a path is long.
    pub(super) fn check_depth(&self, parent: InodeId) -> Result<(), Rule> {
        let depth = self.directory(parent).map_or(0, |directory| directory.depth);
        self.max_depth.check(depth + 1)?;
        Ok(())
    }

    /// Whether one more name stays within [`Limits::tree_entries`].
    pub(super) fn check_names(&self) -> Result<(), Rule> {
        self.max_names.check(self.names + 1)?;
        Ok(())
    }

    /// Adds a name with a new inode. The name must be free.
    pub(super) fn insert(
        &mut self,
        parent: InodeId,
        name: &[u8],
        layer: u32,
        attributes: Attributes,
        content: Content,
    ) -> InodeId {
        let depth = self.directory(parent).map_or(0, |directory| directory.depth + 1);
        let mut inode = Inode { attributes, xattrs: None, content, links: 0, stamp: Stamp::UNKNOWN };
        if let Content::Directory(directory) = &mut inode.content {
            directory.parent = parent;
            directory.name = name.into();
            directory.depth = depth;
        }
        let id = match self.free.pop() {
            Some(id) => {
                if let Some(slot) = self.get_mut(id) {
                    *slot = inode;
                }
                id
            }
            None => {
                // Names are capped far below 2^32.
                let id = InodeId(u32::try_from(self.inodes.len()).unwrap_or(u32::MAX));
                self.inodes.push(inode);
                id
            }
        };
        self.link(parent, name, layer, id);
        id
    }

    /// A directory that is empty yet.
    pub(super) fn new_directory() -> Content {
        Content::Directory(Box::default())
    }

    /// Adds a name for an inode that there is. The name must be free.
    pub(super) fn link(&mut self, parent: InodeId, name: &[u8], layer: u32, inode: InodeId) {
        if let Some(directory) = self.directory_mut(parent) {
            directory.children.insert(name.into(), Child { inode, layer });
            self.names += 1;
        }
        if let Some(inode) = self.get_mut(inode) {
            inode.links += 1;
            inode.stamp = Stamp::UNKNOWN;
        }
    }

    /// Notes that an entry of `layer` named this.
    pub(super) fn touch(&mut self, parent: InodeId, name: &[u8], layer: u32) {
        if let Some(child) = self.directory_mut(parent).and_then(|directory| directory.children.get_mut(name))
        {
            child.layer = layer;
        }
    }

    /// Removes a name and all below it; each inode that is gone with it is told to `forget`.
    pub(super) fn remove(&mut self, parent: InodeId, name: &[u8], forget: &mut impl FnMut(InodeId)) {
        let removed = self.directory_mut(parent).and_then(|directory| directory.children.remove(name));
        let mut pending: Vec<InodeId> = removed.into_iter().map(|child| child.inode).collect();
        while let Some(id) = pending.pop() {
            self.names = self.names.saturating_sub(1);
            let Some(inode) = self.get_mut(id) else { continue };
            inode.links = inode.links.saturating_sub(1);
            inode.stamp = Stamp::UNKNOWN;
            if inode.links > 0 {
                continue;
            }
            if let Content::Directory(directory) = std::mem::replace(&mut inode.content, Content::Free) {
                pending.extend(directory.children.values().map(|child| child.inode));
            }
            inode.xattrs = None;
            forget(id);
            self.free.push(id);
        }
    }

    /// The path of a directory, for messages.
    pub(super) fn path(&self, id: InodeId, name: &[u8]) -> Vec<u8> {
        let mut names = vec![name];
        let mut at = id;
        while let Some(directory) = self.directory(at).filter(|_| at != Self::ROOT) {
            names.push(&directory.name);
            at = directory.parent;
        }
        names.retain(|name| !name.is_empty());
        names.reverse();
        names.join(&b'/')
    }

    /// Inodes that there are.
    pub(super) fn len(&self) -> u64 {
        (self.inodes.len() - self.free.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(index: &mut Index, path: &[u8], content: Content) {
        let (parent, name) = path
            .iter()
            .rposition(|&b| b == b'/')
            .map_or((&b""[..], path), |at| (&path[..at], &path[at + 1..]));
        let Ok(Step::Arrived(parent)) = index.walk(&mut Walk::new(parent)) else { panic!("no parent") };
        index.insert(parent, name, 0, Attributes::default(), content);
    }

    fn link(target: &str) -> Content {
        Content::Symlink { target: target.as_bytes().into() }
    }

    #[test]
    fn links_lead_anywhere_but_out() {
        let mut index = Index::new(&Limits::default());
        put(&mut index, b"usr", Index::new_directory());
        put(&mut index, b"usr/lib", Index::new_directory());
        put(&mut index, b"file", Content::Fifo);
        for (path, target) in [
            ("lib", "usr/lib"),
            ("absolute", "/usr/lib"),
            ("out", "../../../../usr/lib"),
            ("usr/up", ".."),
            ("chain", "usr/up/absolute/."),
            ("loop", "loop"),
            ("nowhere", "usr/../var/x"),
            ("tofile", "file"),
        ] {
            put(&mut index, path.as_bytes(), link(target));
        }
        let walk = |path: &[u8]| index.walk(&mut Walk::new(path));
        let lib = walk(b"usr/lib").unwrap();
        for path in ["lib", "absolute", "out", "usr/up/lib", "chain", "./lib//.", "usr/up/usr/up/usr/lib"] {
            assert_eq!(walk(path.as_bytes()).unwrap(), lib, "{path}");
        }
        assert_eq!(walk(b"usr/up"), Ok(Step::Arrived(Index::ROOT)));
        assert_eq!(walk(b"loop/x"), Err(Rule::Links));
        assert_eq!(walk(b"file/x"), Err(Rule::NotADirectory));
        assert_eq!(walk(b"tofile/x"), Err(Rule::NotADirectory));
        assert_eq!(walk(b"nowhere/y"), Ok(Step::Missing(Index::ROOT, b"var"[..].into())));
    }

    #[test]
    fn a_walk_goes_on_after_what_was_missing_is_there() {
        let mut index = Index::new(&Limits::default());
        put(&mut index, b"link", link("a/../b"));
        let mut walk = Walk::new(b"link/c");
        let mut made = Vec::new();
        let end = loop {
            match index.walk(&mut walk).unwrap() {
                Step::Arrived(end) => break end,
                Step::Missing(parent, name) => {
                    made.push(name.clone());
                    index.insert(parent, &name, 0, Attributes::IMPLIED, Index::new_directory());
                }
            }
        };
        assert_eq!(made, [b"a"[..].into(), b"b"[..].into(), Box::<[u8]>::from(&b"c"[..])]);
        assert_eq!(index.path(end, b""), b"b/c");
    }

    #[test]
    fn removal_takes_all_below_and_counts_names() {
        let mut index = Index::new(&Limits::default());
        put(&mut index, b"a", Index::new_directory());
        put(&mut index, b"a/b", Index::new_directory());
        put(&mut index, b"a/b/f", Content::Fifo);
        let Ok(Step::Arrived(b)) = index.walk(&mut Walk::new(b"a/b")) else { panic!() };
        let fifo = index.child(b, b"f").unwrap().inode;
        index.link(Index::ROOT, b"other", 0, fifo);
        assert_eq!(index.len(), 4);
        let mut forgotten = 0;
        index.remove(Index::ROOT, b"a", &mut |_| forgotten += 1);
        assert_eq!((forgotten, index.len(), index.get(fifo).unwrap().links), (2, 2, 1));
        index.remove(Index::ROOT, b"other", &mut |_| ());
        assert_eq!(index.len(), 1);
        put(&mut index, b"again", Content::Fifo);
        assert_eq!(index.len(), 2);
    }
}
