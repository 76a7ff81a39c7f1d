//! Whiteouts hide what lower layers have, in whatever order a layer lists its entries.

use crate::sandbox::{Sandbox, each_compression, refused};
use dockerloader::tree::Rule;
use fixtures::archive::Archive as Layer;

fn lower() -> Vec<u8> {
    Layer::new().dir("a").file("a/old", "1").dir("a/sub").file("a/sub/old", "2").file("b", "3").end()
}

/// Every order of the entries gives the same tree.
fn every_order(entries: &[fn(Layer) -> Layer], expected: &[&str]) {
    fn permute(rest: &[usize], done: &mut Vec<usize>, visit: &mut impl FnMut(&[usize])) {
        if rest.is_empty() {
            return visit(done);
        }
        for (at, &next) in rest.iter().enumerate() {
            done.push(next);
            permute(&[&rest[..at], &rest[at + 1..]].concat(), done, visit);
            done.pop();
        }
    }
    let all: Vec<usize> = (0..entries.len()).collect();
    permute(&all, &mut Vec::new(), &mut |order| {
        let upper = order.iter().fold(Layer::new(), |layer, &at| entries[at](layer)).end();
        let sandbox = Sandbox::new();
        sandbox.extract(&[lower(), upper]).unwrap();
        assert_eq!(sandbox.paths(), expected, "order {order:?}");
    });
}

#[test]
fn a_whiteout_hides_the_lower_layer_alone() {
    every_order(&[|layer| layer.file(".wh.b", "")], &["a", "a/old", "a/sub", "a/sub/old"]);
    every_order(
        &[|layer| layer.file("./a/.wh.sub", ""), |layer| layer.file(".wh.absent", "")],
        &["a", "a/old", "b"],
    );
    every_order(
        &[
            |layer| layer.file(".wh.a", ""),
            |layer| layer.dir("a"),
            |layer| layer.file("a/new", "n"),
            |layer| layer.file(".wh.b", ""),
            |layer| layer.file("b", "n"),
        ],
        &["a", "a/new", "b"],
    );
    // The folder has no entry of its own in this layer.
    every_order(
        &[|layer| layer.file(".wh.a", ""), |layer| layer.file("a/sub/new", "n")],
        &["a", "a/sub", "a/sub/new", "b"],
    );
}

#[test]
fn an_opaque_folder_hides_all_lower_children() {
    every_order(
        &[
            |layer| layer.file("a/.wh..wh..opq", ""),
            |layer| layer.file("a/new", "n"),
            |layer| layer.dir("a/sub"),
            |layer| layer.dir("a"),
        ],
        &["a", "a/new", "a/sub", "b"],
    );
    every_order(&[|layer| layer.file(".wh..wh..opq", ""), |layer| layer.file("new", "n")], &["new"]);
    every_order(&[|layer| layer.file("absent/.wh..wh..opq", "")], &["a", "a/old", "a/sub", "a/sub/old", "b"]);
}

#[test]
fn a_renewed_folder_has_no_attributes_of_the_hidden_one() {
    use std::os::unix::fs::MetadataExt as _;
    let lower = Layer::new().with(b'5', "a", |header| header.mode = 0o700).file("a/old", "").end();
    let first = Layer::new().file(".wh.a", "").file("a/new", "");
    let last = Layer::new().file("a/new", "").file(".wh.a", "");
    for upper in [first, last] {
        let sandbox = Sandbox::new();
        sandbox.extract(&[lower.clone(), upper.end()]).unwrap();
        assert_eq!(
            (sandbox.paths(), sandbox.stat("a").mode()),
            (vec!["a".to_owned(), "a/new".to_owned()], 0o40755)
        );
    }
}

#[test]
fn a_whiteout_leaves_the_parents_time() {
    use std::os::unix::fs::MetadataExt as _;
    let sandbox = Sandbox::new();
    sandbox.extract(&[lower(), Layer::new().file("a/.wh.old", "").end()]).unwrap();
    assert_eq!(sandbox.stat("a").mtime(), 1_000_000_000);
}

#[test]
fn a_whiteout_goes_through_links_inside_the_root_and_removes_a_link_itself() {
    let lower = Layer::new().dir("usr").dir("usr/lib").file("usr/lib/x", "").file("usr/lib/y", "");
    let lower = lower.symlink("lib", "/usr/lib").symlink("to-y", "usr/lib/y").end();
    let upper = Layer::new().file("lib/.wh.x", "").file(".wh.to-y", "").end();
    each_compression(&[lower, upper], |sandbox, result| {
        result.unwrap();
        assert_eq!(sandbox.paths(), ["lib", "usr", "usr/lib", "usr/lib/y"]);
    });
}

#[test]
fn whiteouts_of_nothing_are_refused() {
    for name in [".wh.", ".wh..", ".wh...", "a/.wh.", "a/.wh..", "a/.wh...", "a/./.wh../"] {
        assert_eq!(refused(&[lower(), Layer::new().file(name, "").end()]), Rule::Whiteout, "{name}");
    }
}

#[test]
fn a_folder_with_a_whiteouts_name_is_a_folder() {
    let upper = Layer::new().dir(".wh.b").file(".wh.b/x", "").file(".wh.a/y", "").end();
    let sandbox = Sandbox::new();
    sandbox.extract(&[lower(), upper]).unwrap();
    assert_eq!(
        sandbox.paths(),
        [".wh.a", ".wh.a/y", ".wh.b", ".wh.b/x", "a", "a/old", "a/sub", "a/sub/old", "b"]
    );
}

#[test]
fn housekeeping_of_aufs_is_left_out_but_its_links_resolve() {
    let layer = Layer::new()
        .file(".wh..wh.aufs", "")
        .dir(".wh..wh.plnk")
        .file(".wh..wh.plnk/7.1", "shared")
        .hardlink("one", ".wh..wh.plnk/7.1")
        .hardlink("two", "/.wh..wh.plnk/7.1")
        .dir(".wh..wh.orph")
        .file("sub/.wh..wh.other", "")
        .dir("sub/.wh..wh.folder");
    let sandbox = Sandbox::new();
    sandbox.extract(&[layer.end()]).unwrap();
    assert_eq!(sandbox.paths(), ["one", "two"]);
    assert_eq!(sandbox.read("two"), "shared");
}
