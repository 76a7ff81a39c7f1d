//! Attempts to write outside the root. The sandbox checks the canary after each.

use dockerloader::tree::Rule;

use crate::sandbox::{Sandbox, each_compression, refused};
use fixtures::archive::Archive as Layer;

#[test]
fn paths_that_lead_upwards_are_refused() {
    for name in ["..", "../x", "a/../../x", "./../x", "/../x", "a/..", "../canary/file"] {
        assert_eq!(refused(&[Layer::new().file(name, "").end()]), Rule::ParentComponent, "{name}");
        assert_eq!(refused(&[Layer::new().dir(name).end()]), Rule::ParentComponent, "{name}");
        assert_eq!(refused(&[Layer::new().file("f", "").hardlink("l", name).end()]), Rule::ParentComponent);
    }
    assert_eq!(refused(&[Layer::new().file("../.wh.canary", "").end()]), Rule::ParentComponent);
}

#[test]
fn absolute_paths_are_below_the_root() {
    let sandbox = Sandbox::new();
    let name = format!("{}/file", sandbox.canary());
    sandbox.extract(&[Layer::new().file(&name, "mine").end()]).unwrap();
    assert_eq!(sandbox.read(name.trim_start_matches('/')), "mine");
}

#[test]
fn the_root_is_a_folder_and_stays_one() {
    for name in [".", "/", "./", "//."] {
        for layer in [
            Layer::new().file(name, "x"),
            Layer::new().symlink(name, "/etc"),
            Layer::new().file("f", "").hardlink(name, "f"),
            Layer::new().fifo(name),
            Layer::new().device(b'3', name, 1, 3),
        ] {
            assert_eq!(refused(&[layer.end()]), Rule::Root, "{name}");
        }
    }
    assert_eq!(refused(&[Layer::new().file("", "x").end()]), Rule::Empty);
}

/// What is below a link that points outside is made inside instead, where the link leads when the root is `/`.
#[test]
fn links_that_point_outside_lead_inside() {
    let sandbox = Sandbox::new();
    let canary = sandbox.canary().to_owned();
    let layer = Layer::new()
        .symlink("absolute", &canary)
        .file("absolute/file", "mine")
        .symlink("relative", "../canary")
        .file("relative/file", "mine")
        .with(b'5', "relative/folder", |header| header.mode = 0o777)
        .symlink("a", "..")
        .symlink("b", "a/../canary")
        .file("b/folder/file", "mine")
        .hardlink("stolen", "relative/file")
        .file("relative/.wh.link", "")
        .file("absolute/.wh..wh..opq", "");
    sandbox.extract(&[layer.end()]).unwrap();
    assert_eq!(sandbox.read("canary/file"), "mine");
    assert_eq!(sandbox.read("canary/folder/file"), "mine");
    assert_eq!(sandbox.read(&format!("{}/file", canary.trim_start_matches('/'))), "mine");
    assert_eq!(sandbox.read("stolen"), "mine");
}

/// CVE-2026-33056, CVE-2021-32760, CVE-2021-29136: an entry of a link's own name replaces the link.
#[test]
fn no_attribute_of_a_links_target_changes() {
    let sandbox = Sandbox::new();
    let file = format!("{}/file", sandbox.canary());
    let folder = format!("{}/folder", sandbox.canary());
    let layer = Layer::new()
        .symlink("d", &folder)
        .with(b'5', "d", |header| (header.mode, header.uid) = (0o777, 7))
        .symlink("f", &file)
        .with(b'0', "f", |header| (header.mode, header.uid) = (0o4777, 7))
        .symlink("l", &file)
        .with(b'1', "h", |header| (header.link, header.mode, header.uid) = (b"l".to_vec(), 0o4777, 7))
        .with(b'2', "s", |header| (header.link, header.mode, header.uid) = (file.clone().into_bytes(), 0, 7));
    sandbox.extract(&[layer.end()]).unwrap();
    let tree = sandbox.tree();
    assert_eq!((tree["d"].as_str(), tree["f"].as_str()), ("folder", ""));
    assert_eq!(tree["h"], format!("-> {file}"));
}

#[test]
fn a_hard_link_to_a_file_outside_finds_nothing() {
    let sandbox = Sandbox::new();
    let target = format!("{}/file", sandbox.canary());
    assert!(sandbox.extract(&[Layer::new().hardlink("l", &target).end()]).is_err());
    let through = Layer::new().symlink("c", sandbox.canary()).hardlink("l", "c/file");
    assert!(Sandbox::new().extract(&[through.end()]).is_err());
}

#[test]
fn a_folder_that_becomes_a_link_in_a_later_layer_is_no_way_out() {
    let sandbox = Sandbox::new();
    let lower = Layer::new().dir("d").file("d/file", "lower");
    let upper = Layer::new().symlink("d", sandbox.canary()).file("d/file", "upper");
    let last = Layer::new().file("d/file", "last").file("d/.wh.folder", "");
    sandbox.extract(&[lower.end(), upper.end(), last.end()]).unwrap();
    assert_eq!(sandbox.read(&format!("{}/file", sandbox.canary().trim_start_matches('/'))), "last");
}

#[test]
fn magic_links_of_proc_are_plain_names() {
    for path in ["proc/self/root/f", "proc/self/fd/3/f", "proc/self/cwd/../f2"] {
        let layer = Layer::new().symlink("p", format!("/{path}")).file("p/x", "mine");
        each_compression(&[layer.end()], |sandbox, result| {
            result.unwrap();
            assert!(sandbox.paths().iter().any(|path| path.starts_with("proc/self/")));
        });
    }
}

#[test]
fn a_fifo_is_made_and_never_opened() {
    // Opening it for writing would wait for a reader for ever.
    let layer = Layer::new().fifo("p").file("p", "now a file").fifo("q").fifo("q").hardlink("r", "q");
    let sandbox = Sandbox::new();
    sandbox.extract(&[layer.end()]).unwrap();
    assert_eq!((sandbox.read("p").as_str(), sandbox.tree()["r"].as_str()), ("now a file", "fifo"));
}

/// Somebody replaces a folder of the tree by a link while layers are applied.
#[test]
#[expect(clippy::disallowed_methods, reason = "the other process is played by the test")]
fn a_link_planted_from_outside_is_not_followed() {
    use dockerloader::limits::Limits;
    use dockerloader::tree::{Error, Extraction};
    let sandbox = Sandbox::new();
    let mut extraction = Extraction::new(&sandbox.root, Limits::default(), |_| ()).unwrap();
    // More folders than are kept open, so that the first one has to be opened again.
    let many = (0..100).fold(Layer::new().dir("victim"), |layer, at| layer.file(format!("d{at}/f"), ""));
    extraction.apply(many.end().as_slice(), None).unwrap();
    std::fs::remove_dir(sandbox.root.join("victim")).unwrap();
    std::os::unix::fs::symlink(sandbox.canary(), sandbox.root.join("victim")).unwrap();
    let write = Layer::new().file("victim/planted", "x").end();
    assert!(matches!(extraction.apply(write.as_slice(), None), Err(Error::Disk { .. })));
    assert!(matches!(extraction.finish(), Err(Error::Disk { .. })));
    assert!(!std::path::Path::new(sandbox.canary()).join("planted").exists());
    std::fs::remove_file(sandbox.root.join("victim")).unwrap();
}
