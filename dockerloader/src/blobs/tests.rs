//! The store against real files.
#![expect(
    clippy::disallowed_methods,
    reason = "the tests damage the files of the store, and mount file systems"
)]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

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

const MIB: u64 = 1 << 20;

impl Scene {
    /// A store in `directory`, of a blob of 40 MiB.
    fn large(directory: tempfile::TempDir) -> Self {
        let blobs = Blobs::new(&Layout::new(directory.path()));
        fs::create_dir_all(&blobs.directory).unwrap();
        let content: Vec<u8> = (0..10 * MIB as u32).flat_map(|n| (n | 1 << 31).to_le_bytes()).collect();
        let digest = digest_of_bytes(&content);
        Self { directory, blobs, content, digest }
    }

    fn put_at(&self, partial: &mut Partial, range: std::ops::Range<u64>) {
        let bytes = &self.content[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
        partial.write_at(range.start, bytes).unwrap();
    }
}

fn spans(ranges: &[(u64, u64)]) -> spans::Spans {
    ranges.iter().map(|&(from, to)| from..to).collect()
}

/// Downloads in parts, given up and gone on with, on the file system of `scene`.
fn what_is_there_is_known(scene: &Scene, name: &str) {
    let size = scene.size();
    // A beginning in a row, to the middle of a block.
    let mut partial = scene.partial();
    scene.put_at(&mut partial, 0..1_000_003);
    drop(partial);
    let mut partial = scene.partial();
    assert_eq!(partial.present(), &spans(&[(0, 1_000_003)]), "{name}");
    assert!(partial.allow_gaps().unwrap(), "{name}");
    // The rest of the block would read as zeros: it is left out, also if nothing is written any more.
    assert_eq!(partial.present(), &spans(&[(0, 999_424)]), "{name}");
    drop(partial);
    let mut partial = scene.partial();
    assert_eq!(partial.present(), &spans(&[(0, 999_424)]), "{name}");
    assert!(partial.has_gaps() && partial.allow_gaps().unwrap(), "{name}");
    let written = [(0, 999_424), (8 * MIB, 8 * MIB + 4096), (16 * MIB, 25 * MIB), (39 * MIB, size)];
    for &(from, to) in written.iter().skip(1).rev() {
        scene.put_at(&mut partial, from..to);
    }
    assert_eq!(partial.offset(), 999_424, "{name}");
    drop(partial);
    for is_synced in [false, true] {
        if is_synced {
            rustix::fs::syncfs(fs::File::open(&scene.blobs.directory).unwrap()).unwrap();
        }
        assert_eq!(scene.partial().present(), &spans(&written), "{name}, synced: {is_synced}");
        let bytes = scene.blobs.partial_bytes(&scene.digest);
        assert!(bytes.abs_diff(spans(&written).total()) < 100_000, "{name}: {bytes}");
    }
    let mut partial = scene.partial();
    for gap in spans(&written).gaps(0..size).iter() {
        scene.put_at(&mut partial, gap.clone());
    }
    drop(partial);
    assert!(scene.partial().is_complete(), "{name}");
    scene.partial().finish().unwrap();
    assert!(scene.blobs.open_verified(&scene.digest, size).is_ok(), "{name}");
}

#[test]
fn after_a_stop_the_file_says_what_is_there() {
    what_is_there_is_known(&Scene::large(tempfile::tempdir().unwrap()), "here");
    for kind in ["ext4", "xfs", "btrfs"] {
        let script = format!("truncate -s 512M image && mkfs.{kind} -q image && mount -o loop image mnt");
        let Some(mounted) = Mounted::new(kind, &script) else { continue };
        let inside = tempfile::tempdir_in(mounted.0.path().join("mnt")).unwrap();
        what_is_there_is_known(&Scene::large(inside), kind);
    }
}

#[test]
fn where_holes_are_not_kept_nothing_is_written_out_of_order() {
    let Some(mounted) = Mounted::new("ramfs", "mount -t ramfs none mnt") else { return };
    let path = mounted.0.path().join("mnt/partial");
    let final_path = path.with_file_name("blob");
    let open = || Partial::open(path.clone(), final_path.clone(), digest_of_bytes(b""), 40 * MIB).unwrap();
    let mut partial = open();
    partial.write(b"beginning").unwrap();
    drop(partial);
    let mut partial = open();
    assert!(!partial.allow_gaps().unwrap());
    assert!(!partial.has_gaps() && partial.block() == 1);
    partial.write(b"!").unwrap();
    drop(partial);
    assert_eq!(fs::read(&path).unwrap(), b"beginning!");
}

#[test]
fn parts_may_come_in_any_order_and_are_hashed_in_theirs() {
    let scene = Scene::large(tempfile::tempdir().unwrap());
    for wrong in [false, true] {
        let mut partial = scene.partial();
        assert!(partial.allow_gaps().unwrap());
        for start in [8, 0, 32, 16, 24] {
            scene.put_at(&mut partial, start * MIB..(start + 8) * MIB);
            partial.catch_up(MIB).unwrap();
        }
        if wrong {
            partial.write_at(33 * MIB, b"wrong").unwrap();
            assert!(matches!(partial.verify(), Err(Error::Corrupt { .. })));
            assert_eq!(scene.names(), [""; 0]);
            continue;
        }
        let verified = partial.verify().unwrap();
        assert!(!scene.blobs.has(&scene.digest, scene.size()), "it has no name yet");
        scene.blobs.name(&[verified], scene.directory.path()).unwrap();
        assert!(scene.blobs.open_verified(&scene.digest, scene.size()).is_ok());
        fs::remove_file(scene.blobs.path(&scene.digest)).unwrap();
    }
}

#[test]
fn a_reader_follows_the_download() {
    let scene = Scene::new();
    let mut partial = scene.partial();
    let (sender, progress) = std::sync::mpsc::channel();
    let mut follow = partial.arrival().follow();
    let reader = std::thread::spawn(move || {
        let (mut all, mut buffer) = (Vec::new(), vec![0; 50_000]);
        loop {
            let read = follow.read(&mut buffer).unwrap();
            all.extend_from_slice(&buffer[..read]);
            sender.send(all.len()).unwrap();
            if read == 0 {
                return all;
            }
        }
    });
    for piece in scene.content.chunks(300_000) {
        partial.write(piece).unwrap();
        let there = usize::try_from(partial.offset()).unwrap();
        // All that is there is read before more is.
        assert!(progress.iter().any(|read| read == there));
    }
    assert_eq!(reader.join().unwrap(), scene.content);
    let arrival = partial.arrival();
    partial.finish().unwrap();
    assert!(arrival.was_read() && !arrival.is_abandoned());
    let mut late = Vec::new();
    arrival.follow().read_to_end(&mut late).unwrap();
    assert_eq!(late, scene.content, "under whatever name");
}

#[test]
fn a_reader_is_told_when_no_more_comes() {
    let scene = Scene::new();
    for wrong in [false, true] {
        let mut partial = scene.partial();
        partial.restart().unwrap();
        let arrival = partial.arrival();
        partial.write(&scene.content[..1000]).unwrap();
        let mut follow = arrival.follow();
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            follow.read_to_end(&mut all).unwrap_err()
        });
        if wrong {
            partial.write(&vec![0; scene.content.len() - 1000]).unwrap();
            partial.verify().unwrap_err();
            // It has read everything, or is told.
            drop(reader.join());
        } else {
            drop(partial);
            let error = reader.join().unwrap();
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Abandoned>());
            assert_eq!(inner, Some(&Abandoned { digest: scene.digest }));
        }
        assert!(arrival.is_abandoned());
        assert!(arrival.follow().read(&mut [0]).is_err());
    }
}

/// A file system, at `mnt` in a folder of its own; unmounted when dropped.
struct Mounted(tempfile::TempDir);

impl Mounted {
    /// By a shell script; `None` where that is not possible here.
    fn new(kind: &str, script: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("mnt")).unwrap();
        let made = std::process::Command::new("sh")
            .args(["-c", script])
            .current_dir(directory.path())
            .output()
            .unwrap();
        if made.status.success() {
            return Some(Self(directory));
        }
        eprintln!("skipped: no {kind} here: {}", String::from_utf8_lossy(&made.stderr));
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        nix::mount::umount2(&self.0.path().join("mnt"), nix::mount::MntFlags::MNT_DETACH).unwrap();
    }
}
