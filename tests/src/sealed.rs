//! Versions that were planted, sealed as a pull would have done it: what they do is then their own doing, and not the disk's.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use dockerloader::limits::Limits;
use dockerloader::tree::Extraction;
use fixtures::ground::Ground;
use fixtures::image::Layer;

/// Extracts a planted version's `entrypoint` anew, as it is on disk, and writes the seal of that.
///
/// # Panics
/// When it can't be read or made.
#[expect(clippy::disallowed_methods, reason = "a test makes the files that are to be read")]
pub fn seal(ground: &Ground, digest: &str) {
    let tree = ground.tree(digest);
    let path = tree.join("entrypoint");
    let found = fs::symlink_metadata(&path).expect("the entrypoint");
    let layer = if found.is_symlink() {
        let target = fs::read_link(&path).expect("the link's target");
        Layer::new().symlink("entrypoint", target.to_str().expect("a target in UTF-8"))
    } else {
        let content = fs::read(&path).expect("the entrypoint's content");
        Layer::new().file("entrypoint", found.permissions().mode() & 0o7777, &content)
    };
    fs::remove_dir_all(&tree).expect("the planted tree");
    fs::create_dir(&tree).expect("its place");
    let mut extraction = Extraction::new(&tree, Limits::default(), |_| ()).expect("an extraction");
    extraction.apply(layer.into_tar().as_slice(), None).expect("a layer");
    let extracted = extraction.finish().expect("a tree");
    let seal = ground.root().join("storage/v1/seals").join(digest);
    fs::write(seal, extracted.seal.as_bytes()).expect("the seal");
}
