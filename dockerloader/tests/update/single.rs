//! One thing at a time that random trees do not have, or that is to be counted.
#![expect(clippy::disallowed_methods, reason = "the test changes trees")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use dockerloader::limits::Limits;
use dockerloader::tree::{
    Base, Contents, Depth, Error, Extracted, LayerIndex, NoContents, Problem, Scope, Update, verify,
    verify_stamps,
};

use crate::trees::{Ground, Tree, extract};
use fixtures::archive::Archive as Layer;

fn base(extracted: &Extracted) -> Base {
    Base {
        seal: extracted.seal.clone(),
        stamps: Some(extracted.stamps.clone()),
        frozen: false,
        scope: Scope::All,
    }
}

/// Reads all layers.
fn update(root: &Path, base: Base, layers: &[Vec<u8>]) -> Result<Extracted, Error> {
    let mut update = Update::new(root, base, Limits::default(), |_| ())?;
    for layer in layers {
        update.apply(layer.as_slice(), None)?;
    }
    update.finish(&NoContents)
}

/// Replays all layers.
fn replay(
    root: &Path,
    base: Base,
    layers: &[LayerIndex],
    contents: &dyn Contents,
) -> Result<Extracted, Error> {
    let mut update = Update::new(root, base, Limits::default(), |_| ())?;
    for layer in layers {
        update.replay(layer)?;
    }
    update.finish(contents)
}

/// The updated tree is the one that is extracted elsewhere.
fn check(ground: &Ground, root: &Path, updated: &Extracted, layers: &[Vec<u8>]) {
    let (expected, _) = extract(&ground.root("expected"), layers).unwrap();
    assert!(updated.seal == expected.seal, "another tree than the extracted one");
    assert_eq!(verify(root, &updated.seal, Depth::Full), []);
    assert_eq!(verify_stamps(root, &updated.seal, &updated.stamps), []);
    ground.check_outside();
}

/// Whether files can have blocks in common here; run with `TMPDIR` on XFS or btrfs they can.
fn shares_blocks(ground: &Ground) -> bool {
    let place = ground.root("shares");
    fs::write(place.join("from"), "x").unwrap();
    let (from, to) =
        (fs::File::open(place.join("from")).unwrap(), fs::File::create(place.join("to")).unwrap());
    rustix::fs::ioctl_ficlone(to, from).is_ok()
}

#[test]
fn nothing_is_touched_where_nothing_differs() {
    let ground = Ground::new();
    let root = ground.root("root");
    let layers = [Layer::new().dir("d").file("d/f", "1").hardlink("g", "d/f").symlink("l", "g").end()];
    let (from, _) = extract(&root, &layers).unwrap();
    let before = fs::metadata(root.join("d/f")).unwrap();
    let updated = update(&root, base(&from), &layers).unwrap();
    check(&ground, &root, &updated, &layers);
    let after = fs::metadata(root.join("d/f")).unwrap();
    assert_eq!((before.ino(), before.ctime_nsec()), (after.ino(), after.ctime_nsec()));
    assert_eq!((updated.work.kept, updated.work.staged, updated.bytes), (5, 0, 0), "{:?}", updated.work);
}

#[test]
fn a_large_file_is_written_once_when_a_byte_of_it_differs() {
    let ground = Ground::new();
    let root = ground.root("root");
    let mut contents = vec![7; 5 << 20];
    let (from, _) = extract(&root, &[Layer::new().file("large", &contents).end()]).unwrap();
    let old = fs::metadata(root.join("large")).unwrap().ino();
    contents[3 << 20] = 8;
    let layers = [Layer::new().file("large", &contents).end()];
    let updated = update(&root, base(&from), &layers).unwrap();
    let most = if shares_blocks(&ground) { 1 << 20 } else { contents.len() as u64 };
    assert!(updated.bytes <= most, "{} bytes written", updated.bytes);
    assert_eq!((updated.work.staged, updated.work.copied), (1, 0), "{:?}", updated.work);
    assert_ne!(fs::metadata(root.join("large")).unwrap().ino(), old, "the file was written to in place");
    check(&ground, &root, &updated, &layers);
}

#[test]
fn a_file_with_the_old_size_and_time_is_found_by_its_stamp_alone() {
    let ground = Ground::new();
    let root = ground.root("root");
    let layers = [Layer::new().dir("d").file("d/f", "contents").end()];
    let (from, _) = extract(&root, &layers).unwrap();
    let path = root.join("d/f");
    fs::write(&path, "CONTENTS").unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
    assert_eq!(verify(&root, &from.seal, Depth::Quick), []);
    let found = verify_stamps(&root, &from.seal, &from.stamps);
    let found: Vec<_> = found.into_iter().map(|finding| (finding.path, finding.problem)).collect();
    assert_eq!(found, [(b"d/f".to_vec(), Problem::Written)]);
    let updated = update(&root, base(&from), &layers).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"contents");
    check(&ground, &root, &updated, &layers);
}

#[test]
fn stamps_see_what_a_quick_look_sees() {
    let ground = Ground::new();
    let root = ground.root("root");
    let layers = [Layer::new().dir("d").dir("d/e").file("d/e/f", "1").file("g", "2").symlink("l", "g").end()];
    let (from, _) = extract(&root, &layers).unwrap();
    fs::remove_dir_all(root.join("d/e")).unwrap();
    fs::write(root.join("d/new"), "").unwrap();
    fs::set_permissions(root.join("d"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::remove_file(root.join("l")).unwrap();
    symlink("d", root.join("l")).unwrap();
    let mut found: Vec<_> = verify_stamps(&root, &from.seal, &from.stamps)
        .into_iter()
        .map(|finding| (String::from_utf8(finding.path).unwrap(), finding.problem))
        .collect();
    found.sort();
    let expected =
        [("d", Problem::Mode), ("d/e", Problem::Missing), ("d/new", Problem::Extra), ("l", Problem::Target)];
    assert_eq!(found, expected.map(|(path, problem)| (path.to_owned(), problem)));
}

#[test]
fn a_frozen_base_is_not_looked_at() {
    let ground = Ground::new();
    let root = ground.root("root");
    let layers = [Layer::new().file("f", "contents").end()];
    let (from, indexes) = extract(&root, &layers).unwrap();
    fs::write(root.join("f"), "CONTENTS").unwrap();
    let frozen = Base { frozen: true, stamps: None, ..base(&from) };
    let updated = replay(&root, frozen, &indexes, &NoContents).unwrap();
    assert_eq!(fs::read(root.join("f")).unwrap(), b"CONTENTS");
    // Without stamps it is to be looked at the next time.
    let next = Base { frozen: false, ..base(&updated) };
    assert!(matches!(replay(&root, next, &indexes, &NoContents), Err(Error::ContentsMissing { .. })));
}

#[test]
fn contents_are_believed_by_their_hash_alone() {
    struct Liar(std::path::PathBuf);
    impl Contents for Liar {
        fn open(&self, _: &[u8], _: u64, _: &[u8; 32]) -> Option<fs::File> {
            fs::File::open(&self.0).ok()
        }
    }
    let ground = Ground::new();
    let layers = [Layer::new().file("f", "contents").end()];
    let (_, indexes) = extract(&ground.root("from"), &layers).unwrap();
    let lie = ground.root("lie").join("f");
    for text in ["CONTENTS", "another size", ""] {
        fs::write(&lie, text).unwrap();
        let root = ground.root(&format!("root of {text}"));
        let result = replay(&root, Base::empty(), &indexes, &Liar(lie.clone()));
        assert!(matches!(result, Err(Error::ContentsMissing { ref path }) if path == "f"), "{result:?}");
    }
}

#[test]
fn a_moved_file_comes_from_where_it_was() {
    let ground = Ground::new();
    let root = ground.root("root");
    let (from, _) = extract(&root, &[Layer::new().file("old", "contents").end()]).unwrap();
    let layers = [Layer::new().file("d/new", "contents").end()];
    let (_, indexes) = extract(&ground.root("cold"), &layers).unwrap();
    let updated = replay(&root, base(&from), &indexes, &NoContents).unwrap();
    check(&ground, &root, &updated, &layers);
}

#[test]
fn an_image_may_have_the_name_that_is_worked_under() {
    let ground = Ground::new();
    let root = ground.root("root");
    let name = ".dockerloader-new";
    let (from, _) = extract(&root, &[Layer::new().file("f", "1").end()]).unwrap();
    let first = [Layer::new().file(name, "mine").end()];
    let updated = update(&root, base(&from), &first).unwrap();
    assert_eq!(fs::read(root.join(name)).unwrap(), b"mine");
    check(&ground, &root, &updated, &first);
    let ground = Ground::new();
    let second = [Layer::new().dir(name).file(format!("{name}/f"), "1").end()];
    let updated = update(&root, base(&updated), &second).unwrap();
    check(&ground, &root, &updated, &second);
}

/// As many names as before, one of them not in the tree any more.
#[test]
fn a_file_with_a_name_outside_is_never_given_other_attributes() {
    let ground = Ground::new();
    let root = ground.root("root");
    let (from, _) = extract(&root, &[Layer::new().file("a", "1").hardlink("b", "a").end()]).unwrap();
    let outside = ground.root("elsewhere").join("link");
    fs::hard_link(root.join("a"), &outside).unwrap();
    fs::remove_file(root.join("b")).unwrap();
    let before = fs::metadata(&outside).unwrap();
    let layers = [Layer::new()
        .with(b'0', "a", |header| (header.mode, header.size) = (0o600, 1))
        .body("1")
        .hardlink("b", "a")
        .end()];
    let updated = update(&root, base(&from), &layers).unwrap();
    let after = fs::metadata(&outside).unwrap();
    assert_eq!((after.mode(), after.ino()), (before.mode(), before.ino()));
    assert_ne!(fs::metadata(root.join("a")).unwrap().ino(), after.ino());
    check(&ground, &root, &updated, &layers);
}

#[test]
fn what_is_deeper_than_any_image_is_removed() {
    let ground = Ground::new();
    let root = ground.root("root");
    let layers = [Layer::new().dir("d").file("f", "1").end()];
    let (from, _) = extract(&root, &layers).unwrap();
    let mut at = fs::File::open(root.join("d")).unwrap();
    for _ in 0..300 {
        rustix::fs::mkdirat(&at, "deeper", rustix::fs::Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::RDONLY;
        at = rustix::fs::openat(&at, "deeper", flags, rustix::fs::Mode::empty()).unwrap().into();
        rustix::fs::symlinkat(ground.outside(), &at, "out").unwrap();
    }
    let updated = update(&root, base(&from), &layers).unwrap();
    check(&ground, &root, &updated, &layers);
}

/// A default access list gives new files in a folder rights that their layer does not.
#[test]
fn new_files_inherit_nothing_from_where_they_are_put() {
    // The form of acl(5) in an attribute: version, then tag, permissions and id of each entry.
    let mut list = 2u32.to_le_bytes().to_vec();
    for (tag, rights, id) in
        [(1u16, 7u16, u32::MAX), (2, 7, 1000), (4, 5, u32::MAX), (0x10, 7, u32::MAX), (0x20, 5, u32::MAX)]
    {
        list.extend(tag.to_le_bytes());
        list.extend(rights.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    let record = ("SCHILY.xattr.system.posix_acl_default", list.as_slice());
    let lower = Layer::new()
        .pax(&[record])
        .dir("d")
        .with(b'5', "s", |header| (header.mode, header.gid) = (0o2775, 7))
        .end();
    let ground = Ground::new();
    let root = ground.root("root");
    let (from, _) = extract(&root, std::slice::from_ref(&lower)).unwrap();
    if rustix::fs::getxattr(root.join("d"), "system.posix_acl_default", &mut [0u8; 100][..]).is_err() {
        eprintln!("not run: no access lists here");
        return;
    }
    let upper = Layer::new();
    let upper = ["d", "s"].iter().fold(upper, |layer, folder| {
        layer
            .file(format!("{folder}/f"), "1")
            .dir(format!("{folder}/e"))
            .symlink(format!("{folder}/l"), "f")
            .fifo(format!("{folder}/p"))
            .file(format!("{folder}/implied/f"), "2")
    });
    let layers = [lower, upper.end()];
    let updated = update(&root, base(&from), &layers).unwrap();
    check(&ground, &root, &updated, &layers);
}

#[test]
fn holes_stay_holes_on_the_way_from_another_tree() {
    let ground = Ground::new();
    let (cold, root) = (ground.root("cold"), ground.root("root"));
    let records: [(&str, &[u8]); 4] = [
        ("GNU.sparse.size", b"8388608"),
        ("GNU.sparse.numblocks", b"1"),
        ("GNU.sparse.offset", b"4194304"),
        ("GNU.sparse.numbytes", b"4"),
    ];
    let layers = [Layer::new().pax(&records).file("sparse", "data").end()];
    let (expected, indexes) = extract(&cold, &layers).unwrap();
    let updated = replay(&root, Base::empty(), &indexes, &Tree(cold.clone())).unwrap();
    assert!(updated.seal == expected.seal);
    let stat = fs::metadata(root.join("sparse")).unwrap();
    assert_eq!(stat.len(), 8 << 20);
    assert!(stat.blocks() * 512 < 1 << 20, "{} blocks", stat.blocks());
}

#[test]
fn a_layer_that_breaks_a_rule_is_refused_as_by_an_extraction() {
    let ground = Ground::new();
    let root = ground.root("root");
    let (from, _) = extract(&root, &[Layer::new().file("f", "1").end()]).unwrap();
    let bad = Layer::new().file("f", "2").hardlink("g", "nowhere").end();
    let expected = extract(&ground.root("cold"), std::slice::from_ref(&bad)).unwrap_err().to_string();
    assert_eq!(update(&root, base(&from), &[bad]).unwrap_err().to_string(), expected);
    assert_eq!(fs::read(root.join("f")).unwrap(), b"1");
}
