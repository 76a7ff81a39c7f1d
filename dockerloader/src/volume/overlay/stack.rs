//! `stacks/sha256:<version>`: the frozen directories of a version. Parsing and the decision on what comes next are pure.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::digest::Digest;
use crate::disk::{self, Disk as _, RealDisk};
use crate::layout::Layout;

/// Version of the format.
const FORMAT: u32 = 1;
/// Largest file that is read, in bytes.
const BYTES: u64 = 64 << 10;
/// Most frozen directories of a version: each costs every first look at a name, and eight paths fit into the one page that
/// `mount(2)` takes.
pub(super) const DEPTH: usize = 8;
/// Longest name of a frozen directory.
const NAME_BYTES: usize = 64;

/// The frozen directories that a version is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stack {
    format: u32,
    /// Bytes of all files of the version's tree.
    tree_bytes: u64,
    /// Lowest first.
    frozen: Vec<Frozen>,
}

/// One frozen directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// Its name in `frozen`.
    pub name: String,
    /// Bytes of all files in it.
    pub bytes: u64,
}

/// Why a stack file can't be used: the version counts as one without a tree, and is restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StackError {
    /// No JSON of this form.
    #[error("it is torn or no stack: {0}")]
    Malformed(String),
    /// Another format.
    #[error("it has format {0}, not {FORMAT}")]
    Format(u32),
    /// No frozen directory, or more than there can be.
    #[error("it names {0} frozen directories, not 1 to {DEPTH}")]
    Depth(usize),
    /// A name that is none of a frozen directory, or stands twice.
    #[error("it names {0:?}, which is no frozen directory")]
    Name(String),
}

/// How the next version's tree is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// On top of this stack.
    OnTop,
    /// Whole: the stack is as deep as it may be, or too much of it is no longer seen.
    Whole,
}

impl Stack {
    /// A stack of these directories, whose tree has files of `tree_bytes` bytes.
    pub const fn new(tree_bytes: u64, frozen: Vec<Frozen>) -> Self {
        Self { format: FORMAT, tree_bytes, frozen }
    }

    /// A stack from a file's bytes.
    ///
    /// # Errors
    /// Whatever is wrong with them; names that would lead out of the folder are refused.
    pub fn parse(bytes: &[u8]) -> Result<Self, StackError> {
        let stack: Self =
            serde_json::from_slice(bytes).map_err(|error| StackError::Malformed(error.to_string()))?;
        if stack.format != FORMAT {
            return Err(StackError::Format(stack.format));
        }
        if !(1..=DEPTH).contains(&stack.frozen.len()) {
            return Err(StackError::Depth(stack.frozen.len()));
        }
        let mut seen = BTreeSet::new();
        for frozen in &stack.frozen {
            if !is_name(&frozen.name) || !seen.insert(&frozen.name) {
                return Err(StackError::Name(frozen.name.clone()));
            }
        }
        Ok(stack)
    }

    /// The frozen directories, lowest first.
    pub fn frozen(&self) -> &[Frozen] {
        &self.frozen
    }

    /// Their paths, lowest first.
    pub(super) fn paths(&self, layout: &Layout) -> Vec<PathBuf> {
        self.frozen.iter().map(|frozen| layout.frozen().join(&frozen.name)).collect()
    }

    /// How the version after this one is made: at most [`DEPTH`] directories, and at most half as many bytes that nobody sees any
    /// more as the tree has.
    pub fn growth(&self) -> Growth {
        let all = self.frozen.iter().fold(0_u64, |sum, frozen| sum.saturating_add(frozen.bytes));
        let superseded = all.saturating_sub(self.tree_bytes);
        if self.frozen.len() < DEPTH && superseded <= self.tree_bytes / 2 {
            Growth::OnTop
        } else {
            Growth::Whole
        }
    }

    /// This stack with one more directory on top.
    pub(super) fn with(&self, top: Frozen, tree_bytes: u64) -> Self {
        let frozen = self.frozen.iter().cloned().chain([top]).collect();
        Self::new(tree_bytes, frozen)
    }

    /// Puts the stack in its file, durably.
    pub(super) fn write(&self, layout: &Layout, version: &Digest) -> Result<(), Error> {
        let path = layout.stack(version);
        let write = || {
            RealDisk.create_directories(&layout.stacks())?;
            let text = serde_json::to_vec(self).map_err(std::io::Error::other)?;
            disk::replace_file(&RealDisk, &path, &text)
        };
        write().map_err(Error::io("write", &path))
    }
}

/// The stack of a version; `Ok(None)` for one that is a plain tree.
///
/// # Errors
/// There is a stack file, but it can't be used.
pub fn stack(
    disk: &(impl crate::disk::Disk + ?Sized),
    layout: &Layout,
    version: &Digest,
) -> Result<Option<Stack>, Error> {
    let path = layout.stack(version);
    match disk.read(&path, BYTES) {
        Ok(bytes) => Stack::parse(&bytes).map(Some).map_err(|problem| Error::Stack { path, problem }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", &path)(error)),
    }
}

/// Whether this is a name that [`super::draft`] gives: nothing that leads out of the folder, or means something to `mount(2)`.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase() || byte == b'-';
    !name.is_empty() && name.len() <= NAME_BYTES && !name.starts_with("tmp-") && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frozen(sizes: &[u64]) -> Vec<Frozen> {
        let name = |(index, bytes): (usize, &u64)| Frozen { name: format!("a-{index}"), bytes: *bytes };
        sizes.iter().enumerate().map(name).collect()
    }

    #[test]
    fn what_was_written_is_read_and_anything_else_is_no_stack() {
        let stack = Stack::new(7, frozen(&[5, 2]));
        assert_eq!(Stack::parse(&serde_json::to_vec(&stack).unwrap()), Ok(stack.clone()));
        let good = serde_json::to_string(&stack).unwrap();
        for length in 0..good.len() {
            assert!(Stack::parse(&good.as_bytes()[..length]).is_err(), "torn after {length} bytes");
        }
        for (from, to, expected) in [
            ("\"format\":1", "\"format\":2", "format 2"),
            ("a-1", "a-0", "\"a-0\""),
            ("a-1", "../a", "\"../a\""),
            ("a-1", "", "\"\""),
            ("a-1", "a,lowerdir=/", "no frozen directory"),
            ("a-1", "a:b", "no frozen directory"),
            ("a-1", "tmp-a", "no frozen directory"),
        ] {
            let error = Stack::parse(good.replace(from, to).as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{to}: {error}");
        }
        for count in [0, DEPTH + 1] {
            let text = serde_json::to_vec(&Stack::new(1, frozen(&vec![1; count]))).unwrap();
            assert_eq!(Stack::parse(&text), Err(StackError::Depth(count)));
        }
    }

    #[test]
    fn a_stack_grows_until_it_is_deep_or_half_of_it_is_hidden() {
        use Growth::{OnTop, Whole};
        for (tree, sizes, expected) in [
            (100, &[100][..], OnTop),
            (100, &[100, 50], OnTop),
            (100, &[100, 51], Whole),
            (100, &[100, 10, 10, 10, 10, 10], OnTop),
            (100, &[100, 1, 1, 1, 1, 1, 1], OnTop),
            (100, &[100, 1, 1, 1, 1, 1, 1, 1], Whole),
            // Nearly everything was deleted.
            (10, &[100, 0], Whole),
            (0, &[0], OnTop),
            (0, &[1], Whole),
            (u64::MAX, &[u64::MAX, u64::MAX], OnTop),
        ] {
            assert_eq!(Stack::new(tree, frozen(sizes)).growth(), expected, "{tree} {sizes:?}");
        }
    }
}
