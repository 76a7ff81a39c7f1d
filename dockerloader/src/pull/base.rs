//! What a new version's tree is made from: [`choose`] decides by what is there, purely.

use crate::digest::Digest;
use crate::volume::Method;

/// A tree that is on disk with what is needed to change it into another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    /// The version that it is, or was.
    pub(super) digest: Digest,
    /// Bytes of all its files.
    pub(super) bytes: u64,
}

/// A layer of the version that is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LayerFacts {
    /// Bytes of its blob.
    pub(super) size: u64,
    /// Bytes of its index, if that and the blob are there: what it does to a tree is known without reading it.
    pub(super) index: Option<u64>,
}

/// All that the choice depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// How trees are made on this volume; `None` to extract them all.
    pub(super) method: Option<Method>,
    /// The spare tree.
    pub(super) spare: Option<Known>,
    /// The version that runs, or would run.
    pub(super) current: Option<Digest>,
    /// Its tree, if that can be built upon as it is: a subvolume for a snapshot, frozen directories for an overlay.
    pub(super) current_base: Option<Known>,
    /// The layers, lowest first.
    pub(super) layers: Vec<LayerFacts>,
}

/// How a tree is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// From its layers alone.
    Extract,
    /// From what is there and the layers that changed.
    Update {
        /// What the tree begins as.
        base: Base,
        /// A version whose files may be read for what the base lacks.
        contents: Option<Digest>,
        /// Whether all layers are read, also those that are known: no tree has the contents of some file.
        read_all: bool,
    },
}

/// What a tree begins as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    /// An empty directory.
    Empty,
    /// The spare tree, which is used up.
    Spare(Digest),
    /// A snapshot of the current version's tree, or an overlay over it.
    Current(Digest),
}

impl Plan {
    /// The next best when nobody has the contents of some file: they are in a layer. Where the tree would begin empty, that is
    /// the same as to extract.
    pub(super) const fn reading_all(self) -> Self {
        match self {
            Self::Update { base: Base::Empty, .. } | Self::Update { read_all: true, .. } | Self::Extract => {
                Self::Extract
            }
            Self::Update { base, contents, read_all: false } => {
                Self::Update { base, contents, read_all: true }
            }
        }
    }
}

/// One part in this many of the layers has to be unchanged for a tree that begins empty: else nearly everything is read anyway.
const WORTHWHILE: u64 = 10;

/// An image whose blobs are this many times as large as all files of a base is another program: nothing is found in the base
/// that would be worth looking through it.
const UNLIKE: u64 = 4;

/// A blob this many times as large as its index, in which an entry has about 120 bytes, is one of large files: they are copied in
/// less time than they are inflated. Of small ones the cost is that they are made, which extracting does while it inflates.
const LARGE_FILES: u64 = 100;

/// Decides how the tree is made.
pub(super) fn choose(facts: &Facts) -> Plan {
    let Some(method) = facts.method else { return Plan::Extract };
    let total: u64 = facts.layers.iter().map(|layer| layer.size).sum();
    let known = || facts.layers.iter().filter_map(|layer| Some((layer.size, layer.index?)));
    let (unchanged, indexes) = known().fold((0_u64, 0_u64), |(sizes, indexes), (size, index)| {
        (sizes.saturating_add(size), indexes.saturating_add(index))
    });
    let alike = |known: &Known| unchanged > 0 || total <= known.bytes.saturating_mul(UNLIKE);
    let from = |base, contents| Plan::Update { base, contents, read_all: false };
    // All that the current version has is in the base already.
    let upon = |current: Known| from(Base::Current(current.digest), None);
    let instead = |spare: Known| from(Base::Spare(spare.digest), facts.current);
    let worthwhile = facts.current.is_some()
        && unchanged > 0
        && unchanged.saturating_mul(WORTHWHILE) >= total
        && unchanged >= indexes.saturating_mul(LARGE_FILES);
    let empty = if worthwhile { from(Base::Empty, facts.current) } else { Plan::Extract };
    match method {
        // No subvolume, no stack, or one that is deep enough: the files are those of the current version all the same.
        Method::Overlay => facts.current_base.filter(alike).map_or(empty, upon),
        // To look through a new snapshot, the kernel has to read every inode of it.
        Method::Snapshot => match (facts.spare, facts.current_base) {
            (Some(spare), _) if alike(&spare) => instead(spare),
            (_, current) => current.filter(alike).map_or(empty, upon),
        },
        Method::Reflink | Method::Copy => facts.spare.filter(alike).map_or(empty, instead),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPARE: Digest = Digest::from_bytes([1; 32]);
    const CURRENT: Digest = Digest::from_bytes([2; 32]);

    /// `c s600 300+ 200* 30`: there are a current version and a spare tree with files of 600 bytes; unchanged layers of 300 bytes in
    /// large files and of 200 in small ones, a changed one of 30.
    fn facts(method: Option<Method>, text: &str) -> Facts {
        let mut facts = Facts { method, spare: None, current: None, current_base: None, layers: Vec::new() };
        for word in text.split_whitespace() {
            let number = word.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0);
            match word.as_bytes()[0] {
                b's' => facts.spare = Some(Known { digest: SPARE, bytes: number }),
                b'c' => facts.current = Some(CURRENT),
                b'b' => {
                    facts.current = Some(CURRENT);
                    facts.current_base = Some(Known { digest: CURRENT, bytes: number });
                }
                _ => {
                    let index = match word.as_bytes().last() {
                        Some(b'+') => Some(number / LARGE_FILES),
                        Some(b'*') => Some(number / LARGE_FILES + 1),
                        _ => None,
                    };
                    facts.layers.push(LayerFacts { size: number, index });
                }
            }
        }
        facts
    }

    #[test]
    fn what_no_tree_has_is_read_from_the_layers() {
        let update = |base, read_all| Plan::Update { base, contents: None, read_all };
        for (plan, next) in [
            (update(Base::Spare(SPARE), false), update(Base::Spare(SPARE), true)),
            (update(Base::Current(CURRENT), false), update(Base::Current(CURRENT), true)),
            (update(Base::Empty, false), Plan::Extract),
            (update(Base::Spare(SPARE), true), Plan::Extract),
            (Plan::Extract, Plan::Extract),
        ] {
            assert_eq!(plan.reading_all(), next);
        }
    }

    #[test]
    fn a_tree_is_made_from_what_is_there_where_that_is_cheaper() {
        let update = |base, contents: Option<Digest>| Plan::Update { base, contents, read_all: false };
        let (from_spare, from_current) = (Base::Spare(SPARE), Base::Current(CURRENT));
        for (method, there, plan) in [
            // The first version.
            (Some(Method::Copy), "300 30", Plan::Extract),
            (Some(Method::Snapshot), "300 30", Plan::Extract),
            // A changed top layer, without and with a spare tree.
            (Some(Method::Copy), "c 300+ 30", update(Base::Empty, Some(CURRENT))),
            (Some(Method::Reflink), "c 300+ 30", update(Base::Empty, Some(CURRENT))),
            (Some(Method::Copy), "c s590 300+ 30", update(from_spare, Some(CURRENT))),
            (Some(Method::Copy), "s590 300+ 30", update(from_spare, None)),
            // One layer, built anew: no layer is the same, but most files of the spare tree are.
            (Some(Method::Copy), "c s590 300", update(from_spare, Some(CURRENT))),
            (Some(Method::Copy), "c 300", Plan::Extract),
            // Hardly anything is shared.
            (Some(Method::Copy), "c 30+ 270", update(Base::Empty, Some(CURRENT))),
            (Some(Method::Copy), "c 30+ 271", Plan::Extract),
            // Small files are extracted, unless more bytes are in large ones.
            (Some(Method::Copy), "c 300* 30", Plan::Extract),
            (Some(Method::Reflink), "c 300* 30", Plan::Extract),
            (Some(Method::Overlay), "c 300* 30", Plan::Extract),
            (Some(Method::Copy), "c 300* 450+ 30", Plan::Extract),
            (Some(Method::Copy), "c 310* 490+ 30", update(Base::Empty, Some(CURRENT))),
            // A base has them already.
            (Some(Method::Copy), "c s590 300* 30", update(from_spare, Some(CURRENT))),
            (Some(Method::Snapshot), "b600 300* 30", update(from_current, None)),
            // Unchanged, but nobody has the files.
            (Some(Method::Copy), "300+ 30", Plan::Extract),
            // Another program altogether.
            (Some(Method::Copy), "c s10 41", Plan::Extract),
            (Some(Method::Copy), "c s10 41 1+", update(from_spare, Some(CURRENT))),
            (Some(Method::Snapshot), "b10 41", Plan::Extract),
            // The current version's tree as the base, if it can be one.
            (Some(Method::Snapshot), "b600 300", update(from_current, None)),
            (Some(Method::Overlay), "b600 300+ 30", update(from_current, None)),
            (Some(Method::Snapshot), "b600 s590 300+ 30", update(from_spare, Some(CURRENT))),
            (Some(Method::Snapshot), "b600 s10 50", update(from_current, None)),
            (Some(Method::Snapshot), "c 300+ 30", update(Base::Empty, Some(CURRENT))),
            (Some(Method::Overlay), "c s600 300+ 30", update(Base::Empty, Some(CURRENT))),
            (Some(Method::Overlay), "b10 41", Plan::Extract),
            // Told to.
            (None, "c s600 300+ 30", Plan::Extract),
        ] {
            assert_eq!(choose(&facts(method, there)), plan, "{method:?}: {there}");
        }
    }
}
