//! The store against real files.
#![expect(clippy::disallowed_methods, reason = "the tests damage the files of the store")]

use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::remedy::Remedy;

struct Scene {
    directory: tempfile::TempDir,
    blobs: Blobs,
    content: Vec<u8>,
    digest: Digest,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(&Layout::new(directory.path()));
        fs::create_dir_all(&blobs.directory).unwrap();
        let content: Vec<u8> = (0..600_000u32).flat_map(|n| n.to_le_bytes()).collect();
        let digest = digest_of_bytes(&content);
        Self { directory, blobs, content, digest }
    }

    fn size(&self) -> u64 {
        self.content.len() as u64
    }

    fn partial(&self) -> Partial {
        self.blobs.partial(&self.digest, self.size()).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.blobs.directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

#[test]
fn a_blob_comes_in_piece_by_piece() {
    let scene = Scene::new();
    let mut partial = scene.partial();
    for piece in scene.content.chunks(7777) {
        partial.write(piece).unwrap();
    }
    assert!(!scene.blobs.has(&scene.digest, scene.size()), "not before it is finished");
    partial.finish().unwrap();
    assert!(scene.blobs.has(&scene.digest, scene.size()));
    assert!(!scene.blobs.has(&scene.digest, scene.size() - 1), "not with another size");
    assert_eq!(scene.names(), [scene.digest.to_string()]);
    assert_eq!(scene.blobs.read(&scene.digest, scene.size()).unwrap(), scene.content);
}

#[test]
fn a_download_goes_on_where_it_was_left() {
    let scene = Scene::new();
    let mut partial = scene.partial();
    partial.write(&scene.content[..300_001]).unwrap();
    drop(partial);
    assert_eq!(scene.blobs.partial_bytes(&scene.digest), 300_001);
    let mut partial = scene.partial();
    assert_eq!(partial.offset(), 300_001);
    partial.write(&scene.content[300_001..]).unwrap();
    partial.finish().unwrap();
    assert_eq!(scene.blobs.read(&scene.digest, scene.size()).unwrap(), scene.content);
}

#[test]
fn a_wrong_prefix_comes_to_light_and_is_thrown_away() {
    let scene = Scene::new();
    let mut partial = scene.partial();
    partial.write(&scene.content[..1000]).unwrap();
    drop(partial);
    let path = scene.blobs.partial_path(&scene.digest);
    let mut bytes = fs::read(&path).unwrap();
    bytes[500] ^= 1;
    fs::write(&path, bytes).unwrap();

    let mut partial = scene.partial();
    assert_eq!(partial.offset(), 1000);
    partial.write(&scene.content[1000..]).unwrap();
    let error = partial.finish().unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    assert_eq!(error.remedy(), Remedy::Corrupt);
    assert_eq!(scene.names(), [""; 0], "nothing of it is left");
    assert_eq!(scene.partial().offset(), 0, "the next one begins again");
}

#[test]
fn more_bytes_than_the_blob_has_are_refused_at_once() {
    let scene = Scene::new();
    let mut partial = scene.partial();
    partial.write(&scene.content).unwrap();
    let error = partial.write(b"x").unwrap_err();
    assert!(error.to_string().contains("more than its 2400000 bytes"), "{error}");
    assert_eq!(scene.names(), [""; 0]);
}

#[test]
fn a_truncated_blob_is_not_a_blob() {
    let scene = Scene::new();
    let mut partial = scene.partial();
    partial.write(&scene.content[1..]).unwrap();
    let error = partial.finish().unwrap_err();
    assert!(error.to_string().contains("2400000 bytes and has 2399999"), "{error}");
    assert_eq!(scene.names(), [""; 0]);
}

#[test]
fn what_stands_in_the_place_of_a_partial_is_not_followed() {
    let scene = Scene::new();
    let outside = scene.directory.path().join("outside");
    fs::write(&outside, "mine").unwrap();
    let path = scene.blobs.partial_path(&scene.digest);
    symlink(&outside, &path).unwrap();
    assert_eq!(scene.partial().offset(), 0);
    assert_eq!(fs::read(&outside).unwrap(), b"mine");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("x"), "x").unwrap();
    assert_eq!(scene.partial().offset(), 0);
    // Longer than the blob can be: of something else.
    fs::write(&path, vec![0; scene.content.len() + 1]).unwrap();
    assert_eq!(scene.partial().offset(), 0);
}

#[test]
fn a_name_is_not_trusted() {
    let scene = Scene::new();
    let path = scene.blobs.path(&scene.digest);
    let size = scene.size();
    let open = || scene.blobs.open_verified(&scene.digest, size);
    assert!(matches!(open(), Err(Error::Absent { .. })));
    fs::write(&path, &scene.content[1..]).unwrap();
    assert!(!scene.blobs.has(&scene.digest, size));
    assert!(matches!(open(), Err(Error::Corrupt { .. })), "another size");
    let mut bytes = scene.content.clone();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(scene.blobs.open(&scene.digest, size).is_ok(), "the size alone is right");
    assert!(matches!(open(), Err(Error::Corrupt { .. })), "other bytes");
    fs::remove_file(&path).unwrap();
    symlink("/dev/zero", &path).unwrap();
    assert!(!scene.blobs.has(&scene.digest, size));
    assert!(matches!(open(), Err(Error::Io { .. })), "a link is not followed");
    scene.blobs.remove(&scene.digest).unwrap();

    scene.blobs.put(&scene.digest, &scene.content).unwrap();
    scene.blobs.put(&scene.digest, &scene.content).unwrap();
    assert!(open().is_ok());
    assert!(matches!(scene.blobs.put(&digest_of_bytes(b"a"), b"b"), Err(Error::Corrupt { .. })));
}

#[test]
fn an_empty_blob_is_a_blob() {
    let scene = Scene::new();
    let empty = digest_of_bytes(b"");
    scene.blobs.partial(&empty, 0).unwrap().finish().unwrap();
    assert_eq!(scene.blobs.read(&empty, 0).unwrap(), b"");
}

#[test]
fn a_full_disk_is_said_and_its_room_given_back() {
    // A device that is always full, on every machine.
    let scene = Scene::new();
    let mut partial = scene.partial();
    let full = OpenOptions::new().read(true).write(true).open("/dev/full").unwrap();
    partial.file = std::sync::Arc::new(full);
    let error = partial.write(&scene.content).unwrap_err();
    assert!(matches!(error, Error::Full(_)), "{error}");
    assert!(error.to_string().contains("2400000 more bytes are needed"), "{error}");
    assert_eq!(error.remedy(), Remedy::Later);
    assert_eq!(scene.names(), [""; 0]);
}
