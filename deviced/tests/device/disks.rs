//! The engine's disk is full: what runs goes on running, nothing is pulled for nothing, and what is new comes when there is room.

use std::fs;
use std::path::Path;

use fixtures::dockerd::Dockerd;
use fixtures::image::Layer;
use fixtures::registry::Kind;
use fixtures::scratch::Scratch;
use nix::mount::{MsFlags, mount};

use crate::scene::{SERVE, Scene};
use crate::updates::{UPDATE, settled};

/// Of the disk of the tests' engine, in MiB: little more than a pull of any image needs.
const SIZE: u64 = 200;
const MIB: u64 = 1 << 20;

/// A device whose engine has a small disk of its own, with one version that runs.
struct Device {
    // In this order: the engine goes before its disk.
    scene: Scene,
    _dockerd: Dockerd,
    disk: Scratch,
    first: String,
}

impl Device {
    fn new() -> Self {
        let disk = Scratch::new("disk-");
        size(disk.path(), MsFlags::empty(), SIZE);
        let dockerd = Dockerd::start(disk.path()).unwrap();
        let mut scene = Scene::new().on(&dockerd.socket());
        let first = settled(&mut scene, "stable", "", UPDATE);
        scene.registry.clear_requests();
        Self { scene, _dockerd: dockerd, disk, first }
    }

    /// Pushes a second version, with this many bytes of zeros in it.
    fn push(&self, zeros: u64) -> String {
        let image = self.scene.image_builder("stable", &format!("echo two; {SERVE}"));
        let layer = Layer::new().file("zeros", 0o644, &vec![0; usize::try_from(zeros).unwrap()]);
        self.scene.registry.put("acme/web", "stable", &image.layer(layer).build());
        self.scene.registry.tag("acme/web", "stable").unwrap()
    }

    /// The first version runs, in the container of before.
    fn assert_untouched(&self, before: &[String]) {
        assert_eq!(self.scene.ids("web"), before);
        assert_eq!(self.scene.inspect("web")["State"]["Running"], true);
        assert_eq!(self.scene.container("web")["current"]["digest"], self.first.as_str());
    }

    fn comes(&self, digest: &str) {
        self.scene.until("the second version runs", |scene| scene.is_current("web", digest));
        self.scene.settles("web", "stable");
    }

    /// What `update` says, which can't be done.
    fn refused(&self) -> String {
        let output = self.scene.cli(&["update", "$Pweb"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

/// Gives a file system in memory this many MiB.
fn size(path: &Path, flags: MsFlags, mebibytes: u64) {
    let options = format!("size={mebibytes}m");
    mount(Some("none"), path, Some("tmpfs"), flags, Some(options.as_str())).unwrap();
}

#[test]
fn nothing_is_pulled_without_room_for_it_and_it_comes_when_there_is() {
    let device = Device::new();
    let before = device.scene.ids("web");
    let filler = device.disk.path().join("filler");
    fs::write(&filler, vec![1; usize::try_from((SIZE - 40) * MIB).unwrap()]).unwrap();
    let second = device.push(1000);
    device.scene.until("why says that there is no room", |scene| {
        scene.done(&["why", "$Pweb"]).contains("no room on the engine's disk")
    });
    let told = device.refused();
    assert!(told.contains("no room") && told.contains("are free"), "{told}");
    assert_eq!(device.scene.registry.count("GET", Kind::Blob), 0, "not a byte of a layer is fetched");
    device.assert_untouched(&before);
    fs::remove_file(filler).unwrap();
    device.comes(&second);
}

#[test]
fn what_ran_out_of_room_is_not_pulled_again_before_there_is_more() {
    let device = Device::new();
    let before = device.scene.ids("web");
    // A few kilobytes, says its manifest.
    let second = device.push(2 * SIZE * MIB);
    device.scene.until("the disk was full", |scene| {
        scene.done(&["why", "$Pweb"]).contains("no space left on device")
    });
    let pulled = device.scene.registry.count("GET", Kind::Blob);
    assert!(pulled > 0, "the engine has tried");
    let told = device.refused();
    assert!(told.contains("were too little"), "{told}");
    assert_eq!(device.scene.registry.count("GET", Kind::Blob), pulled, "not a byte is fetched again");
    device.assert_untouched(&before);
    size(device.disk.path(), MsFlags::MS_REMOUNT, 4 * SIZE);
    device.comes(&second);
}
