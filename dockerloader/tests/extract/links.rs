//! Hard links, symbolic links on the way, and entries that replace each other.

use std::os::unix::fs::MetadataExt as _;

use dockerloader::tree::Rule;

use crate::sandbox::{Sandbox, refused};
use fixtures::archive::Archive as Layer;

#[test]
fn hard_links_reach_lower_layers_absolute_targets_and_links_themselves() {
    let lower = Layer::new().dir("usr").dir("usr/lib").file("usr/lib/f", "f").symlink("lib", "usr/lib");
    let upper = Layer::new()
        .hardlink("lower", "usr/lib/f")
        .hardlink("absolute", "/usr/lib/f")
        .hardlink("dotted", "./usr//lib/./f")
        .hardlink("through", "lib/f")
        .hardlink("link", "lib");
    let sandbox = Sandbox::new();
    sandbox.extract(&[lower.end(), upper.end()]).unwrap();
    let inode = sandbox.stat("usr/lib/f").ino();
    for path in ["lower", "absolute", "dotted", "through"] {
        assert_eq!(sandbox.stat(path).ino(), inode, "{path}");
    }
    assert_eq!(sandbox.stat("usr/lib/f").nlink(), 5);
    assert!(sandbox.stat("link").is_symlink());
    assert_eq!(sandbox.stat("link").ino(), sandbox.stat("lib").ino());
}

#[test]
fn the_links_own_attributes_change_nothing() {
    let layer = Layer::new().file("f", "f").with(b'1', "g", |header| {
        header.link = b"f".to_vec();
        header.mode = 0o4777;
        header.uid = 7;
        header.mtime = 5;
        header.size = 99;
    });
    let sandbox = Sandbox::new();
    sandbox.extract(&[layer.file("h", "h").end()]).unwrap();
    let stat = sandbox.stat("f");
    assert_eq!((stat.mode(), stat.uid(), stat.mtime(), stat.nlink()), (0o100644, 0, 1_000_000_000, 2));
}

#[test]
fn a_hard_link_to_nothing_a_folder_or_itself_is_refused() {
    let base = || Layer::new().dir("d").file("d/f", "f").file("x", "x");
    for (name, target) in [("l", "absent"), ("l", "absent/f"), ("x", "x"), ("d", "d/f"), ("l", "later")] {
        let layer = base().hardlink(name, target).file("later", "").end();
        assert!(matches!(refused(&[layer]), Rule::HardlinkTarget(_)), "{name} -> {target}");
    }
    for target in ["d", ".", "/"] {
        assert!(matches!(refused(&[base().hardlink("l", target).end()]), Rule::HardlinkToDirectory(_)));
    }
    assert_eq!(refused(&[base().hardlink("l", "x/f").end()]), Rule::NotADirectory);
    assert_eq!(refused(&[base().hardlink("l", "").end()]), Rule::NoTarget);
}

#[test]
fn a_new_file_does_not_write_through_an_old_hard_link() {
    let layer = Layer::new().file("a", "first").hardlink("b", "a").file("b", "second");
    let sandbox = Sandbox::new();
    sandbox.extract(&[layer.end()]).unwrap();
    assert_eq!((sandbox.read("a").as_str(), sandbox.read("b").as_str()), ("first", "second"));
    assert_eq!(sandbox.stat("a").nlink(), 1);
}

#[test]
fn links_to_folders_are_followed_on_the_way_and_missing_folders_made() {
    let layer = Layer::new()
        .symlink("bin", "usr/bin")
        .file("bin/sh", "sh")
        .symlink("etc", "/var/../config")
        .file("etc/deep/f", "f")
        .symlink("up", "../../../../x")
        .file("up/f", "f");
    let sandbox = Sandbox::new();
    sandbox.extract(&[layer.end()]).unwrap();
    assert_eq!(sandbox.read("usr/bin/sh"), "sh");
    assert_eq!(sandbox.read("config/deep/f"), "f");
    assert_eq!(sandbox.read("x/f"), "f");
    assert_eq!(sandbox.stat("usr/bin").mode(), 0o40755);
    assert!(sandbox.stat("bin").is_symlink());
}

#[test]
fn loops_and_files_on_the_way_are_refused() {
    let twisted = Layer::new().symlink("a", "b").symlink("b", "a").file("a/x", "");
    assert_eq!(refused(&[twisted.end()]), Rule::Links);
    let chain = (0..50)
        .fold(Layer::new().dir("l50"), |layer, at| layer.symlink(format!("l{at}"), format!("l{}", at + 1)));
    assert_eq!(refused(&[chain.clone().file("l0/x", "").end()]), Rule::Links);
    Sandbox::new().extract(&[chain.file("l10/x", "").end()]).unwrap();
    assert_eq!(refused(&[Layer::new().file("f", "").end(), Layer::new().file("f/x", "").end()]), {
        Rule::NotADirectory
    });
    assert_eq!(refused(&[Layer::new().fifo("f").dir("f/x").end()]), Rule::NotADirectory);
}

#[test]
fn every_kind_replaces_every_other() {
    type Make = fn(Layer) -> Layer;
    let kinds: [(&str, Make); 5] = [
        ("folder", |layer| layer.dir("x")),
        ("contents", |layer| layer.file("x", "contents")),
        ("-> target", |layer| layer.symlink("x", "target")),
        ("fifo", |layer| layer.fifo("x")),
        ("other", |layer| layer.hardlink("x", "other")),
    ];
    for (_, old) in &kinds {
        for (text, new) in &kinds {
            for same_layer in [true, false] {
                let base = Layer::new().file("other", "other").dir("target").file("target/kept", "kept");
                let below = old(base);
                let sandbox = Sandbox::new();
                if same_layer {
                    sandbox.extract(&[new(below).end()]).unwrap();
                } else {
                    sandbox.extract(&[below.end(), new(Layer::new()).end()]).unwrap();
                }
                let tree = sandbox.tree();
                assert_eq!(tree["x"], *text);
                // Neither a link nor a hard link that was in the way is written through.
                assert_eq!((tree["other"].as_str(), tree["target/kept"].as_str()), ("other", "kept"));
            }
        }
    }
}

#[test]
fn a_file_replaces_a_full_folder_and_a_folder_keeps_what_is_in_it() {
    let lower = Layer::new().dir("d").dir("d/e").file("d/e/f", "").end();
    let sandbox = Sandbox::new();
    sandbox.extract(&[lower.clone(), Layer::new().file("d", "now a file").end()]).unwrap();
    assert_eq!(sandbox.paths(), ["d"]);
    let sandbox = Sandbox::new();
    let upper = Layer::new().with(b'5', "d", |header| header.mode = 0o2710).end();
    sandbox.extract(&[lower, upper]).unwrap();
    assert_eq!((sandbox.paths().len(), sandbox.stat("d").mode()), (3, 0o42710));
}
