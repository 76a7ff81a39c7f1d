//! Disks that are too small.

use super::*;

/// A file system of a few megabytes; unmounted when dropped.
struct Small(tempfile::TempDir);

impl Small {
    /// `None` where mounting isn't permitted.
    fn mount(options: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let flags = nix::mount::MsFlags::empty();
        match nix::mount::mount(Some("none"), directory.path(), Some("tmpfs"), flags, Some(options)) {
            Ok(()) => Some(Self(directory)),
            Err(error) => {
                eprintln!("skipped: cannot mount a small file system: {error}");
                None
            }
        }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        nix::mount::umount2(self.0.path(), nix::mount::MntFlags::MNT_DETACH).unwrap();
    }
}

/// Bytes in use on the file system of `path`, rounded to blocks as it counts them.
fn used(path: &Path) -> u64 {
    let found = rustix::fs::statvfs(path).unwrap();
    (found.f_blocks - found.f_bfree) * found.f_frsize
}

#[test]
fn a_disk_that_is_too_small_is_said_before_the_first_byte() {
    for (options, words) in [("size=4m", "bytes are needed"), ("size=64m,nr_inodes=12", "files are needed")] {
        let Some(small) = Small::mount(options) else { return };
        let scene = Scene::on(Ground::within(small.0.path()));
        let image = large();
        scene.registry.put("app", "v1", &image);
        let error = scene.pull().unwrap_err();
        assert!(matches!(error, Error::Full(_)), "{error}");
        assert_eq!(error.remedy(), Remedy::Later);
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(scene.registry.count("GET", Kind::Blob), 0);
    }
}

#[test]
fn a_disk_that_fills_up_meanwhile_gives_its_room_back() {
    let Some(small) = Small::mount("size=4m") else { return };
    let scene = Scene::on(Ground::within(small.0.path()));
    // Nothing in the compressed size says that this is 20 MB.
    let image = Image::with_entrypoint(SCRIPT)
        .layer(Layer::new().file("zeros", 0o644, &vec![7; 20_000_000]))
        .layer(Layer::new().file("data", 0o644, &noise(3, 1_000_000)))
        .build();
    scene.registry.put("app", "v1", &image);
    let error = scene.pull().unwrap_err();
    assert!(matches!(error, Error::Full(_)), "{error}");
    assert!(error.to_string().contains("dockerloader gc"), "{error}");
    assert!(used(small.0.path()) < 200_000, "{} bytes are still in use", used(small.0.path()));
    assert_eq!(scene.counts(), [0, 0, 0, 1, 0]);
    assert_eq!(scene.slot(Slot::Attempt), None);

    scene.registry.clear_requests();
    let error = scene.pull().unwrap_err();
    assert!(matches!(error, Error::Full(_)), "{error}");
    assert_eq!(scene.registry.count("GET", Kind::Blob), 0, "not downloaded again for the same end");
}
