//! A disk in memory: inodes, names, and changes of both. Copying one costs little, so that there may be thousands.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::{Arc, OnceLock};

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
        Arc::new(Self { hash: hash_of(&bytes), bytes })
    }
}

/// The names in a directory, hashed at most once.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: BTreeMap<Name, Inode>,
    hash: OnceLock<u64>,
}

impl Clone for Names {
    /// The copy is about to be changed.
    fn clone(&self) -> Self {
        Self { names: self.names.clone(), hash: OnceLock::new() }
    }
}

impl PartialEq for Names {
    fn eq(&self, other: &Self) -> bool {
        self.names == other.names
    }
}

impl Eq for Names {}

impl Names {
    /// Of the names alone, not of what they lead to.
    fn hash(&self) -> u64 {
        *self.hash.get_or_init(|| hash_of(&self.names.keys().collect::<Vec<_>>()))
    }
}

fn hash_of(value: &impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// What an inode is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Directory(Arc<Names>),
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
            Self::Directory(names) => format!("a directory of {} names", names.names.len()),
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
    /// Of the attributes, and of all content but names.
    hash: u64,
}

impl Body {
    fn new(content: Content, attributes: Arc<Attributes>) -> Self {
        let of_content = match &content {
            Content::Directory(_) => 0,
            Content::File(bytes) => bytes.hash,
            Content::Link(target) => hash_of(target),
            Content::Node(kind) => hash_of(kind),
        };
        Self { hash: hash_of(&(of_content, &attributes)), content, attributes }
    }

    fn set(&mut self, content: Content) {
        *self = Self::new(content, Arc::clone(&self.attributes));
    }
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
        self.bodies.push(Body::new(content, Arc::new(attributes)));
        self.bodies.len() - 1
    }

    pub(super) fn attributes(&self, inode: Inode) -> &Arc<Attributes> {
        &self.bodies[inode].attributes
    }

    pub(super) fn content(&self, inode: Inode) -> &Content {
        &self.bodies[inode].content
    }

    pub(super) fn directory(&self, inode: Inode) -> Option<&BTreeMap<Name, Inode>> {
        match &self.bodies.get(inode)?.content {
            Content::Directory(names) => Some(&names.names),
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
        self.bodies[inode].set(directory(names));
    }

    pub(super) fn set_file(&mut self, inode: Inode, bytes: Arc<Bytes>) {
        self.bodies[inode].set(Content::File(bytes));
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
                    names.hash = OnceLock::new();
                    match inode {
                        Some(inode) => names.names.insert(Arc::clone(name), *inode),
                        None => names.names.remove(name),
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
                let body = &mut self.bodies[*inode];
                *body = Body::new(body.content.clone(), Arc::clone(attributes));
            }
        }
    }

    fn edit(&mut self, file: Inode, edit: impl FnOnce(&mut Vec<u8>)) {
        if let Content::File(bytes) = &self.bodies[file].content {
            let mut content = bytes.bytes.clone();
            edit(&mut content);
            self.set_file(file, Bytes::new(content));
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
            let Body { content, attributes, .. } = &self.bodies[*inode];
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
        let mut sum = (0, 1);
        self.hash_below(ROOT, 0, &mut BTreeMap::new(), &mut sum);
        (u128::from(sum.0) << 64) | u128::from(sum.1)
    }

    fn hash_below(&self, at: Inode, depth: u32, seen: &mut BTreeMap<Inode, u64>, sum: &mut (u64, u64)) {
        let Content::Directory(names) = &self.bodies[at].content else { return };
        mix(sum, names.hash());
        for inode in names.names.values() {
            let body = &self.bodies[*inode];
            mix(sum, body.hash);
            match &body.content {
                Content::Directory(_) if depth < 64 => self.hash_below(*inode, depth + 1, seen, sum),
                Content::File(_) => {
                    // Two names of one file are something else than two files.
                    let next = seen.len() as u64;
                    mix(sum, *seen.entry(*inode).or_insert(next));
                }
                Content::Directory(_) | Content::Link(_) | Content::Node(_) => {}
            }
        }
    }
}

/// The content of a directory with these names.
pub(super) fn directory(names: BTreeMap<Name, Inode>) -> Content {
    Content::Directory(Arc::new(Names { names, hash: OnceLock::new() }))
}

/// Two sums, so that it takes two accidents to take two states for one.
fn mix(sum: &mut (u64, u64), word: u64) {
    sum.0 = (sum.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    sum.1 = (sum.1 ^ word.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
}
