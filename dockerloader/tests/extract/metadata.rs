//! Modes, owners, times, extended attributes, devices, sparse files and long names.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use dockerloader::tree::WarningKind;

use crate::sandbox::{Sandbox, is_root};
use fixtures::archive::{Archive as Layer, Header, record, seal};
use fixtures::image::{gzip, zstd};

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 4096];
    let length = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}

#[test]
fn setuid_and_capabilities_survive_the_change_of_owner() {
    if !is_root() {
        return;
    }
    let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let owned = |header: &mut Header| (header.mode, header.uid, header.gid) = (0o6755, 1234, 4321);
    let mut file = Header::new(b'0', "su");
    owned(&mut file);
    let layer = Layer::new()
        .pax(&[("SCHILY.xattr.security.capability", capability), ("SCHILY.xattr.user.note", b"a\0b=c\n")])
        .entry(file, "contents")
        .with(b'5', "dir", owned)
        .with(b'6', "pipe", owned)
        .with(b'3', "null", |header| {
            owned(header);
            header.device = (1, 3);
        })
        .with(b'2', "link", |header| {
            owned(header);
            header.link = b"nowhere".to_vec();
        });
    let sandbox = Sandbox::new();
    let extracted = sandbox.extract(&[layer.end()]).unwrap();
    assert_eq!(extracted.warnings, []);
    for path in ["su", "dir", "pipe", "null", "link"] {
        let stat = sandbox.stat(path);
        let mode = if path == "link" { 0o777 } else { 0o6755 };
        assert_eq!((stat.mode() & 0o7777, stat.uid(), stat.gid()), (mode, 1234, 4321), "{path}");
        assert_eq!(stat.mtime(), 1_000_000_000, "{path}");
    }
    assert_eq!(sandbox.stat("null").rdev(), rustix::fs::makedev(1, 3));
    assert_eq!(xattr(&sandbox.root.join("su"), "security.capability").unwrap(), capability);
    assert_eq!(xattr(&sandbox.root.join("su"), "user.note").unwrap(), b"a\0b=c\n");
}

/// Runs `body` in a thread whose umask is its own.
fn with_umask(mask: u32, body: impl FnOnce() + Send) {
    let run = move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS).unwrap();
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask));
        body();
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap());
}

#[test]
fn what_new_files_get_by_themselves_makes_no_difference() {
    let me = rustix::process::geteuid().as_raw();
    let group = rustix::process::getegid().as_raw();
    let modes = [0o600, 0o644, 0o755, 0o777, 0o4755, 0o2711, 0o1666, 0o400, 0o640];
    let mut layer = Layer::new().dir("below");
    for folder in ["", "below/", "implied/"] {
        for mode in modes {
            layer = layer.with(b'0', format!("{folder}{mode:o}"), |header| {
                (header.mode, header.uid, header.gid) = (mode, me, group);
            });
        }
    }
    let layer = layer.end();
    let check = |prepare: &dyn Fn(&Path), what: &str| {
        let sandbox = Sandbox::new();
        prepare(&sandbox.root);
        let warnings = sandbox.extract(std::slice::from_ref(&layer)).unwrap().warnings;
        // The folders are root's.
        assert!(warnings.is_empty() || me != 0, "{what}: {warnings:?}");
        for folder in ["", "below/", "implied/"] {
            for mode in modes {
                let stat = sandbox.stat(&format!("{folder}{mode:o}"));
                let found = (stat.mode() & 0o7777, stat.uid(), stat.gid(), stat.mtime());
                assert_eq!(found, (mode, me, group, 1_000_000_000), "{what}: {folder}{mode:o}");
            }
        }
    };
    for mask in [0o000, 0o022, 0o027, 0o077] {
        with_umask(mask, || check(&|_| (), &format!("umask {mask:o}")));
    }
    if is_root() {
        // Everything made in such a folder is of its group, and folders hand that down.
        let setgid = |root: &Path| {
            std::os::unix::fs::chown(root, Some(0), Some(4321)).unwrap();
            rustix::fs::chmod(root, rustix::fs::Mode::from_raw_mode(0o2755)).unwrap();
        };
        check(&setgid, "setgid");
    }
}

#[test]
fn attributes_of_libarchive_and_of_folders_are_set() {
    let layer = Layer::new()
        .pax(&[
            ("LIBARCHIVE.xattr.user.a%20b", b"aGVsbG8"),
            ("SCHILY.xattr.user.both", b"raw"),
            ("LIBARCHIVE.xattr.user.both", b"cmF3"),
        ])
        .file("f", "")
        .pax(&[("SCHILY.xattr.user.lower", b"1")])
        .dir("d");
    let upper = Layer::new().pax(&[("SCHILY.xattr.user.upper", b"2")]).dir("d");
    let sandbox = Sandbox::new();
    sandbox.extract(&[layer.end(), upper.end()]).unwrap();
    assert_eq!(xattr(&sandbox.root.join("f"), "user.a b").unwrap(), b"hello");
    assert_eq!(xattr(&sandbox.root.join("f"), "user.both").unwrap(), b"raw");
    // An entry replaces all attributes of a folder.
    assert_eq!(xattr(&sandbox.root.join("d"), "user.upper").unwrap(), b"2");
    assert_eq!(xattr(&sandbox.root.join("d"), "user.lower"), None);
}

#[test]
fn overlay_markers_never_become_live() {
    let layer = Layer::new()
        .pax(&[("SCHILY.xattr.trusted.overlay.opaque", b"y"), ("SCHILY.xattr.user.overlay.whiteout", b"")])
        .dir("d")
        .file("gone", "lower")
        .device(b'3', "gone", 0, 0);
    let sandbox = Sandbox::new();
    let extracted = sandbox.extract(&[layer.end()]).unwrap();
    assert_eq!(sandbox.paths(), ["d"]);
    assert_eq!(xattr(&sandbox.root.join("d"), "trusted.overlay.opaque"), None);
    let warning = &extracted.warnings[0];
    assert_eq!((warning.kind, warning.count), (WarningKind::OverlayMarker, 3));
}

#[test]
fn attributes_that_cannot_be_set_are_told_once() {
    let layer = Layer::new()
        .pax(&[("SCHILY.xattr.user.note", b"x")])
        .symlink("l", "x")
        .pax(&[("SCHILY.xattr.unknown.space", b"x")])
        .file("f", "")
        // Longer than any file system takes (XATTR_SIZE_MAX).
        .pax(&[("SCHILY.xattr.user.long", &[b'x'; 100 << 10])])
        .file("g", "");
    let sandbox = Sandbox::new();
    let extracted = sandbox.extract(&[layer.end()]).unwrap();
    let warning = &extracted.warnings[0];
    assert_eq!((warning.kind, warning.count, warning.first.as_str()), (WarningKind::XattrRefused, 3, "l"));
}

#[test]
fn folders_that_forbid_writing_still_get_their_contents_and_times() {
    let layer = Layer::new()
        .with(b'5', "locked", |header| header.mode = 0o555)
        .with(b'5', "locked/sub", |header| header.mode = 0)
        .file("locked/sub/f", "f")
        .with(b'5', ".", |header| (header.mode, header.mtime) = (0o711, 77));
    let sandbox = Sandbox::new();
    sandbox.extract(&[layer.end(), Layer::new().file("locked/late", "").end()]).unwrap();
    assert_eq!(sandbox.stat("locked").mode(), 0o40555);
    assert_eq!(sandbox.stat("locked/sub").mode(), 0o40000);
    assert_eq!(sandbox.stat("locked").mtime(), 1_000_000_000);
    assert_eq!((sandbox.stat("").mode(), sandbox.stat("").mtime()), (0o40711, 77));
}

/// A thread without root's rights over files, as in a container with another user.
#[test]
fn without_rights_files_stay_with_the_extracting_user() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    std::os::unix::fs::chown(&sandbox.root, Some(65534), Some(65534)).unwrap();
    let parent = sandbox.root.parent().unwrap();
    std::fs::set_permissions(parent, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let owned = |header: &mut Header| (header.mode, header.uid, header.gid) = (0o6755, 1234, 65534);
    let layer = Layer::new()
        .with(b'5', "locked", |header| {
            owned(header);
            header.mode = 0o555;
        })
        .with(b'0', "locked/su", owned)
        .with(b'0', "own", |header| (header.mode, header.uid, header.gid) = (0o4755, 65534, 65534))
        .device(b'3', "null", 1, 3)
        // As distributions have their shadow files: nobody but root reads them, and the seal is right all the same.
        .with(b'0', "closed", |header| header.mode = 0)
        .with(b'5', "private", |header| header.mode = 0o311)
        .file("private/f", "f")
        .symlink("l", "own");
    let extracted = std::thread::scope(|scope| {
        let extraction = scope.spawn(|| {
            // Of this thread alone; the capabilities over files go with it.
            nix::unistd::setfsgid(nix::unistd::Gid::from_raw(65534));
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65534));
            sandbox.extract(&[layer.end()]).unwrap()
        });
        extraction.join().unwrap()
    });
    let stat = sandbox.stat("locked/su");
    assert_eq!(
        (stat.mode(), stat.uid(), stat.gid()),
        (0o102755, 65534, 65534),
        "setuid goes, setgid may stay"
    );
    assert_eq!(sandbox.stat("own").mode(), 0o104755);
    assert_eq!(sandbox.stat("locked").mode() & 0o777, 0o555);
    let kinds: Vec<_> = extracted.warnings.iter().map(|warning| warning.kind).collect();
    assert_eq!(kinds, [WarningKind::OwnerKept, WarningKind::DeviceSkipped]);
    assert!(!sandbox.root.join("null").exists());
}

#[test]
fn times_may_be_negative_fine_or_far() {
    let layer = [("-1.5", "before"), ("1350244992.023960108", "fine"), ("-62135596800", "far")]
        .into_iter()
        .fold(Layer::new(), |layer, (mtime, name)| layer.pax(&[("mtime", mtime.as_bytes())]).file(name, ""));
    let mut block = Header::new(b'0', "base256").bytes();
    block[136..148].copy_from_slice(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x9c");
    seal(&mut block);
    let sandbox = Sandbox::new();
    sandbox.extract(&[layer.raw(block).end()]).unwrap();
    let mtime = |path: &str| (sandbox.stat(path).mtime(), sandbox.stat(path).mtime_nsec());
    assert_eq!(mtime("before"), (-2, 500_000_000));
    assert_eq!(mtime("fine"), (1_350_244_992, 23_960_108));
    assert_eq!(mtime("base256"), (-100, 0));
}

#[test]
fn long_and_strange_names_are_kept_to_the_byte() {
    let long = "long/".repeat(50) + "name";
    let component = "c".repeat(255);
    let layer = Layer::new()
        .extension(b'L', format!("{long}\0"))
        .file("short", "gnu")
        .pax(&[("path", component.as_bytes())])
        .file("short", "pax")
        .with(b'0', "tail", |header| header.prefix = b"ustar/prefix".to_vec())
        .extension(b'K', format!("{long}\0"))
        .with(b'1', "hard", |_| ())
        .pax(&[("linkpath", long.as_bytes())])
        .with(b'2', "soft", |_| ())
        .file(b"bytes\xff\xfe\n\x1b", "raw")
        .file("Case", "1")
        .file("case", "2");
    let sandbox = Sandbox::new();
    sandbox.extract(&[layer.end()]).unwrap();
    assert_eq!(sandbox.read(&long), "gnu");
    assert_eq!(sandbox.read(&component), "pax");
    assert_eq!(sandbox.read("ustar/prefix/tail"), "");
    assert_eq!(sandbox.stat("hard").ino(), sandbox.stat(&long).ino());
    assert_eq!(sandbox.tree()["soft"], format!("-> {long}"));
    let raw = sandbox.root.join(std::ffi::OsStr::from_bytes(b"bytes\xff\xfe\n\x1b"));
    assert_eq!(std::fs::read(raw).unwrap(), b"raw");
    assert_eq!(sandbox.read("Case") + &sandbox.read("case"), "12");
}

const MIB: u64 = 1 << 20;

/// 1 MiB hole, "head", a hole to 4 MiB, "tail".
fn check_sparse(sandbox: &Sandbox, path: &str) {
    let contents = std::fs::read(sandbox.root.join(path)).unwrap();
    assert_eq!(contents.len() as u64, 4 * MIB, "{path}");
    assert_eq!(&contents[MIB as usize..MIB as usize + 4], b"head");
    assert_eq!(&contents[4 * MIB as usize - 4..], b"tail");
    assert_eq!(contents.iter().filter(|&&byte| byte != 0).count(), 8);
    assert!(sandbox.stat(path).blocks() < 200, "{path} has no holes: {} blocks", sandbox.stat(path).blocks());
}

#[test]
fn sparse_files_of_every_format_are_written_with_holes() {
    let head = MIB.to_string();
    let tail = (4 * MIB - 4).to_string();
    let size = (4 * MIB).to_string();

    let mut old = Header::new(b'S', "old").bytes();
    old[124..136].copy_from_slice(b"00000000010\0");
    let mut put =
        |at: usize, number: u64| old[at..at + 12].copy_from_slice(format!("{number:011o}\0").as_bytes());
    put(386, MIB);
    put(398, 4);
    put(483, 4 * MIB);
    old[482] = 1;
    old[257..265].copy_from_slice(b"ustar  \0");
    seal(&mut old);
    let mut continuation = [0; 512];
    continuation[..12].copy_from_slice(format!("{:011o}\0", 4 * MIB - 4).as_bytes());
    continuation[12..24].copy_from_slice(b"00000000004\0");

    let layer = Layer::new()
        .raw(old)
        .raw(continuation)
        .body("headtail")
        .pax(&[
            ("GNU.sparse.size", size.as_bytes()),
            ("GNU.sparse.numblocks", b"2"),
            ("GNU.sparse.offset", head.as_bytes()),
            ("GNU.sparse.numbytes", b"4"),
            ("GNU.sparse.offset", tail.as_bytes()),
            ("GNU.sparse.numbytes", b"4"),
        ])
        .file("pax00", "headtail")
        .pax(&[
            ("GNU.sparse.size", size.as_bytes()),
            ("GNU.sparse.map", format!("{head},4,{tail},4").as_bytes()),
            ("GNU.sparse.name", b"pax01"),
        ])
        .file("GNUSparseFile.0/pax01", "headtail");
    let mut body = format!("2\n{head}\n4\n{tail}\n4\n").into_bytes();
    body.resize(512, 0);
    body.extend_from_slice(b"headtail");
    let layer = layer
        .pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"pax10"),
            ("GNU.sparse.realsize", size.as_bytes()),
        ])
        .file("GNUSparseFile.0/pax10", body)
        .file("after", "after");
    let sandbox = Sandbox::new();
    sandbox.extract(&[layer.end()]).unwrap();
    for path in ["old", "pax00", "pax01", "pax10"] {
        check_sparse(&sandbox, path);
    }
    assert_eq!(sandbox.read("after"), "after");
}

/// What the most used writer of tar in Rust makes: long names, links, and files larger than the pipeline's buffers.
#[test]
fn archives_of_the_tar_crate_are_read() {
    let big: Vec<u8> = (0..3_000_000u32).flat_map(u32::to_le_bytes).collect();
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o640);
    header.set_mtime(42);
    header.set_size(big.len() as u64);
    let name = "n/".repeat(80) + "big";
    builder.append_data(&mut header, &name, big.as_slice()).unwrap();
    builder.append_pax_extensions([("mtime", b"1.25".as_slice())]).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(0);
    header.set_entry_type(tar::EntryType::Link);
    builder.append_link(&mut header, "hard", &name).unwrap();
    let archive = builder.into_inner().unwrap();
    for layer in [archive.clone(), gzip(&archive), zstd(&archive)] {
        let sandbox = Sandbox::new();
        sandbox.extract(&[layer]).unwrap();
        assert_eq!(std::fs::read(sandbox.root.join(&name)).unwrap(), big);
        let stat = sandbox.stat("hard");
        assert_eq!((stat.mode(), stat.mtime(), stat.nlink()), (0o100640, 42, 2));
    }
    assert_eq!(record("path", b"a"), b"9 path=a\n");
}
