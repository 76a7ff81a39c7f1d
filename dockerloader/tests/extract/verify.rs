//! What happened to a tree after it was sealed.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use dockerloader::tree::{Depth, Problem, Seal, verify};

use crate::sandbox::Sandbox;
use fixtures::archive::Archive as Layer;

fn sample() -> (Sandbox, Seal) {
    let layer = Layer::new()
        .dir("d")
        .dir("d/e")
        .file("d/e/f", "contents")
        .file("d.x", "beside")
        .file("one", "1")
        .hardlink("two", "one")
        .symlink("l", "one")
        .fifo("p");
    let sandbox = Sandbox::new();
    let seal = sandbox.extract(&[layer.end()]).unwrap().seal;
    (sandbox, seal)
}

type Found = Vec<(String, Problem)>;

/// What is found after `change`: quickly, and in full.
fn findings(change: impl Fn(&Path)) -> (Found, Found) {
    let (sandbox, seal) = sample();
    change(&sandbox.root);
    let find = |depth| {
        let findings = verify(&sandbox.root, &seal, depth);
        findings
            .into_iter()
            .map(|finding| (String::from_utf8(finding.path).unwrap(), finding.problem))
            .collect()
    };
    (find(Depth::Quick), find(Depth::Full))
}

fn found(list: &[(&str, Problem)]) -> Found {
    list.iter().map(|(path, problem)| ((*path).to_owned(), *problem)).collect()
}

/// Both depths find the same.
fn both(expected: &[(&str, Problem)], change: impl Fn(&Path)) {
    let (quick, full) = findings(change);
    assert_eq!((quick, full), (found(expected), found(expected)));
}

#[test]
fn an_untouched_tree_is_what_it_was() {
    both(&[], |_| ());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test damages the tree")]
fn names_kinds_and_attributes_are_seen_without_reading() {
    use std::fs;
    use std::os::unix::fs::symlink;
    both(&[("d", Problem::Missing)], |root| fs::remove_dir_all(root.join("d")).unwrap());
    both(&[("", Problem::Missing)], |root| fs::remove_dir_all(root).unwrap());
    both(&[("d/e/new", Problem::Extra), ("new", Problem::Extra)], |root| {
        fs::write(root.join("d/e/new"), "").unwrap();
        fs::create_dir_all(root.join("new/deep")).unwrap();
    });
    both(&[("d", Problem::Kind), ("one", Problem::Kind)], |root| {
        fs::rename(root.join("d"), root.join("d.y")).unwrap();
        symlink("d.y", root.join("d")).unwrap();
        fs::remove_file(root.join("one")).unwrap();
        fs::create_dir(root.join("one")).unwrap();
        fs::remove_dir_all(root.join("d.y")).unwrap();
    });
    both(&[("d/e", Problem::Mode)], |root| {
        fs::set_permissions(root.join("d/e"), fs::Permissions::from_mode(0o700)).unwrap();
    });
    both(&[("d.x", Problem::Time)], |root| {
        let file = fs::File::options().write(true).open(root.join("d.x")).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    });
    both(&[("l", Problem::Target)], |root| {
        fs::remove_file(root.join("l")).unwrap();
        symlink("two", root.join("l")).unwrap();
    });
    both(&[("two", Problem::Time), ("two", Problem::Links)], |root| {
        fs::remove_file(root.join("two")).unwrap();
        fs::write(root.join("two"), "1").unwrap();
    });
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test damages the tree")]
fn contents_are_compared_in_full_alone() {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;
    let (quick, full) = findings(|root| {
        let path = root.join("d/e/f");
        let stat = fs::metadata(&path).unwrap();
        fs::write(&path, "CONTENTS").unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(stat.mtime().try_into().unwrap());
        fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        let one = root.join("one");
        rustix::fs::setxattr(&one, "user.new", b"x", rustix::fs::XattrFlags::empty()).unwrap();
    });
    assert_eq!(quick, []);
    assert_eq!(
        full,
        found(&[("d/e/f", Problem::Contents), ("one", Problem::Xattrs), ("two", Problem::Xattrs)])
    );
}
