//! A disk in memory: inodes, names, and changes of both. Copying one costs little, so that there may be thousands.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

/// A place in a disk's table of inodes. Numbers are never used twice.
pub(super) type Inode = usize;

/// The data directory.
pub(super) const ROOT: Inode = 0;

/// A name in a directory.
pub(super) type Name = Arc<[u8]>;

/// Bytes of a file, hashed once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bytes {
    pub(super) bytes: Vec<u8>,
    hash: u64,
}

impl Bytes {
    pub(super) fn new(bytes: Vec<u8>) -> Arc<Self> {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        Arc::new(Self { hash: hasher.finish(), bytes })
    }
}

/// What an inode is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Directory(Arc<BTreeMap<Name, Inode>>),
    File(Arc<Bytes>),
    Link(Arc<[u8]>),
    /// FIFOs, sockets and devices, by the words of `mknod(2)`.
    Node(Arc<str>),
}

impl Content {
    pub(super) const fn is_directory(&self) -> bool {
        matches!(self, Self::Directory(_))
    }

    /// For people.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Directory(names) => format!("a directory of {} names", names.len()),
            Self::File(bytes) => format!("a file of {} bytes", bytes.bytes.len()),
            Self::Link(target) => format!("a link to {}", String::from_utf8_lossy(target)),
            Self::Node(kind) => kind.to_string(),
        }
    }
}

/// What belongs to an inode besides its content. Times are those that were set, not those that passed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Attributes {
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    /// Seconds and nanoseconds; `None` when nobody set it.
    pub(super) modified: Option<(i64, u32)>,
    pub(super) extended: BTreeMap<Vec<u8>, Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Body {
    content: Content,
    attributes: Arc<Attributes>,
}

/// One change. Several of them make an operation, which happens as a whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// A name leads to this inode from now on, or to none.
    Name { directory: Inode, name: Name, inode: Option<Inode> },
    /// Bytes are written into a file.
    Write { file: Inode, offset: usize, bytes: Arc<[u8]> },
    /// A file is cut, or made longer by zeros.
    Length { file: Inode, length: usize },
    /// An inode has these attributes from now on.
    Attributes { inode: Inode, attributes: Arc<Attributes> },
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disk {
    bodies: Vec<Body>,
}

/// Something at a path.
#[derive(Debug, Clone)]
pub(super) struct Found<'d> {
    pub(super) path: Vec<u8>,
    pub(super) inode: Inode,
    pub(super) content: &'d Content,
    pub(super) attributes: &'d Attributes,
}

impl Disk {
    /// A disk with an empty data directory.
    pub(super) fn new() -> Self {
        let mut disk = Self { bodies: Vec::new() };
        disk.add(Content::Directory(Arc::default()), Attributes { mode: 0o755, ..Attributes::default() });
        disk
    }

    /// A new inode without a name.
    pub(super) fn add(&mut self, content: Content, attributes: Attributes) -> Inode {
        self.bodies.push(Body { content, attributes: Arc::new(attributes) });
        self.bodies.len() - 1
    }

    pub(super) fn inodes(&self) -> usize {
        self.bodies.len()
    }

    pub(super) fn attributes(&self, inode: Inode) -> &Arc<Attributes> {
        &self.bodies[inode].attributes
    }

    pub(super) fn content(&self, inode: Inode) -> &Content {
        &self.bodies[inode].content
    }

    pub(super) fn directory(&self, inode: Inode) -> Option<&BTreeMap<Name, Inode>> {
        match &self.bodies.get(inode)?.content {
            Content::Directory(names) => Some(names),
            _ => None,
        }
    }

    pub(super) fn file(&self, inode: Inode) -> Option<&Arc<Bytes>> {
        match &self.bodies.get(inode)?.content {
            Content::File(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn set_directory(&mut self, inode: Inode, names: BTreeMap<Name, Inode>) {
        self.bodies[inode].content = Content::Directory(Arc::new(names));
    }

    pub(super) fn set_file(&mut self, inode: Inode, bytes: Arc<Bytes>) {
        self.bodies[inode].content = Content::File(bytes);
    }

    /// What a path relative to the data directory leads to, following no link.
    pub(super) fn find(&self, path: &[u8]) -> Option<Inode> {
        let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
        parts.into_iter().try_fold(ROOT, |at, part| self.directory(at)?.get(part).copied())
    }

    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Name { directory, name, inode } => {
                if let Content::Directory(names) = &mut self.bodies[*directory].content {
                    let names = Arc::make_mut(names);
                    match inode {
                        Some(inode) => names.insert(Arc::clone(name), *inode),
                        None => names.remove(name),
                    };
                }
            }
            Change::Write { file, offset, bytes } => self.edit(*file, |content| {
                let end = offset + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*offset..end].copy_from_slice(bytes);
            }),
            Change::Length { file, length } => self.edit(*file, |content| content.resize(*length, 0)),
            Change::Attributes { inode, attributes } => {
                self.bodies[*inode].attributes = Arc::clone(attributes);
            }
        }
    }

    fn edit(&mut self, file: Inode, edit: impl FnOnce(&mut Vec<u8>)) {
        if let Content::File(bytes) = &mut self.bodies[file].content {
            let mut content = bytes.bytes.clone();
            edit(&mut content);
            *bytes = Bytes::new(content);
        }
    }

    /// Everything with a name, each directory before what is in it.
    pub(super) fn walk(&self) -> Vec<Found<'_>> {
        let mut found = Vec::new();
        self.walk_below(ROOT, &mut Vec::new(), &mut found);
        found
    }

    fn walk_below<'d>(&'d self, directory: Inode, path: &mut Vec<u8>, found: &mut Vec<Found<'d>>) {
        for (name, inode) in self.directory(directory).into_iter().flatten() {
            let length = path.len();
            if length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            let Body { content, attributes } = &self.bodies[*inode];
            found.push(Found { path: path.clone(), inode: *inode, content, attributes });
            // A directory that was lost can't be in itself, but who knows what a mutant does.
            if path.len() < 4096 {
                self.walk_below(*inode, path, found);
            }
            path.truncate(length);
        }
    }

    /// A number that two disks share when they look the same from outside: names, contents, attributes.
    pub(super) fn fingerprint(&self) -> u128 {
        let (mut one, mut two) = (DefaultHasher::new(), DefaultHasher::new());
        two.write_u8(1);
        let mut groups = BTreeMap::new();
        self.hash_below(ROOT, 0, &mut groups, &mut |word| {
            one.write_u64(word);
            two.write_u64(word);
        });
        (u128::from(one.finish()) << 64) | u128::from(two.finish())
    }

    fn hash_below(
        &self,
        directory: Inode,
        depth: u32,
        groups: &mut BTreeMap<Inode, u64>,
        feed: &mut impl FnMut(u64),
    ) {
        let hash = |value: &dyn Fn(&mut DefaultHasher)| {
            let mut hasher = DefaultHasher::new();
            value(&mut hasher);
            hasher.finish()
        };
        for (name, inode) in self.directory(directory).into_iter().flatten() {
            let Body { content, attributes } = &self.bodies[*inode];
            feed(hash(&|hasher| (name, attributes).hash(hasher)));
            // Two names of one file are something else than two files.
            let next = groups.len() as u64;
            match content {
                Content::Directory(_) if depth < 64 => {
                    feed(1);
                    self.hash_below(*inode, depth + 1, groups, feed);
                    feed(2);
                }
                Content::Directory(_) => {}
                Content::File(bytes) => {
                    feed(*groups.entry(*inode).or_insert(next));
                    feed(bytes.hash);
                }
                Content::Link(target) => feed(hash(&|hasher| target.hash(hasher))),
                Content::Node(kind) => feed(hash(&|hasher| kind.hash(hasher))),
            }
        }
    }
}
