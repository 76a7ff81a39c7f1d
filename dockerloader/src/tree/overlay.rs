//! Whiteouts: what a layer hides of the layers below it (OCI image spec, layer.md, "Whiteouts").
//!
//! They hide what *lower* layers have, wherever in its own layer the whiteout stands: what the same layer puts there
//! stays, be its entry before or after.

use super::index::{Child, Index, InodeId};

/// What to remove from the tree for a whiteout.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hidden {
    /// Names that go, with all below them.
    pub(super) removed: Vec<(InodeId, Box<[u8]>)>,
    /// Folders of lower layers that go, but that this layer's entries need: they start anew, as if implied.
    pub(super) renewed: Vec<(InodeId, Box<[u8]>)>,
}

/// What `.wh.NAME` of `layer` hides.
pub(super) fn whiteout(index: &Index, directory: InodeId, name: &[u8], layer: u32) -> Hidden {
    let mut hidden = Hidden::default();
    if let Some(child) = index.child(directory, name) {
        hide(index, directory, name, child, layer, &mut hidden);
    }
    hidden
}

/// What `.wh..wh..opq` of `layer` in `directory` hides.
pub(super) fn opaque(index: &Index, directory: InodeId, layer: u32) -> Hidden {
    let mut hidden = Hidden::default();
    hide_children(index, directory, layer, &mut hidden);
    hidden
}

fn hide_children(index: &Index, directory: InodeId, layer: u32, hidden: &mut Hidden) -> bool {
    let children = index.directory(directory).into_iter().flat_map(|directory| &directory.children);
    children.fold(false, |stays, (name, &child)| hide(index, directory, name, child, layer, hidden) || stays)
}

/// Whether something of this layer stays at or below the name. The depth of the tree, and so of this, is capped.
fn hide(
    index: &Index,
    directory: InodeId,
    name: &[u8],
    child: Child,
    layer: u32,
    hidden: &mut Hidden,
) -> bool {
    let (removed, renewed) = (hidden.removed.len(), hidden.renewed.len());
    let below = hide_children(index, child.inode, layer, hidden);
    if child.layer == layer {
        return true;
    }
    if below {
        hidden.renewed.push((directory, name.into()));
    } else {
        // The whole of it goes at once.
        hidden.removed.truncate(removed);
        hidden.renewed.truncate(renewed);
        hidden.removed.push((directory, name.into()));
    }
    below
}

#[cfg(test)]
mod tests {
    use crate::limits::Limits;
    use crate::tree::entry::Attributes;
    use crate::tree::index::{Content, Step, Walk};

    use super::*;

    /// A tree of `path layer` lines; a path that ends with a slash is a folder.
    fn tree(lines: &[(&str, u32)]) -> Index {
        let mut index = Index::new(&Limits::default());
        for (path, layer) in lines {
            let (path, folder) = path.strip_suffix('/').map_or((*path, false), |path| (path, true));
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            let Ok(Step::Arrived(parent)) = index.walk(&mut Walk::new(parent.as_bytes())) else { panic!() };
            let content = if folder { Index::new_directory() } else { Content::Fifo };
            index.insert(parent, name.as_bytes(), *layer, Attributes::default(), content);
        }
        index
    }

    fn names(index: &Index, list: &[(InodeId, Box<[u8]>)]) -> Vec<String> {
        list.iter().map(|(id, name)| String::from_utf8(index.path(*id, name)).unwrap()).collect()
    }

    #[test]
    fn only_lower_layers_are_hidden() {
        let index = tree(&[
            ("a/", 0),
            ("a/old", 0),
            ("a/new", 1),
            ("a/kept/", 0),
            ("a/kept/old", 0),
            ("a/kept/new", 1),
            ("a/gone/", 0),
            ("a/gone/deep/", 0),
            ("a/gone/deep/x", 0),
            ("a/mine/", 1),
            ("a/mine/lower", 0),
        ]);
        let Some(a) = index.child(Index::ROOT, b"a") else { panic!() };
        let hidden = opaque(&index, a.inode, 1);
        assert_eq!(names(&index, &hidden.removed), ["a/gone", "a/kept/old", "a/mine/lower", "a/old"]);
        assert_eq!(names(&index, &hidden.renewed), ["a/kept"]);

        let hidden = whiteout(&index, Index::ROOT, b"a", 1);
        assert_eq!(names(&index, &hidden.renewed), ["a/kept", "a"]);
        let hidden = whiteout(&index, Index::ROOT, b"a", 2);
        assert_eq!((names(&index, &hidden.removed), hidden.renewed), (vec!["a".to_owned()], vec![]));
        assert_eq!(whiteout(&index, Index::ROOT, b"absent", 1), Hidden::default());
        assert_eq!(whiteout(&index, a.inode, b"new", 1), Hidden::default());
    }
}
