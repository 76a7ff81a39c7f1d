//! Pulls against a registry in the process: what arrives, what is asked for, and what trouble leaves behind.
#![expect(clippy::disallowed_methods, reason = "the tests look at the store, and damage it, from outside")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dockerloader::config::RegistrySettings;
use dockerloader::digest::Digest;
use dockerloader::launch::Launch;
use dockerloader::layout::{Layout, Slot};
use dockerloader::progress::{Event, Progress};
use dockerloader::pull::{self, Error, Outcome, Request};
use dockerloader::remedy::Remedy;
use dockerloader::volume::Wanted;
use fixtures::ground::Ground;
use fixtures::image::{BuiltImage, Compression, Flavour, Image, Index, Layer, Publish, noise};
use fixtures::registry::{Auth, Fault, Kind, Registry, Rule};

const SCRIPT: &[u8] = b"#!/bin/sh\nexit 0\n";

/// A registry and a data directory.
struct Scene {
    registry: Registry,
    ground: Ground,
    layout: Layout,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Scene {
    fn new() -> Self {
        Self::on(Ground::new())
    }

    fn on(ground: Ground) -> Self {
        let layout = Layout::new(ground.data());
        Self { registry: Registry::start(), ground, layout, events: Arc::default() }
    }

    /// A registry that has `image` as `app:v1`.
    fn with(image: &impl Publish) -> Self {
        let scene = Self::new();
        scene.registry.put("app", "v1", image);
        scene
    }

    fn request(&self) -> Request {
        Request {
            reference: self.registry.reference("app", "v1").parse().unwrap(),
            stage: true,
            current: None,
            rejected: BTreeMap::new(),
            again: false,
            method: Wanted::Auto,
            wait: Duration::ZERO,
        }
    }

    fn pull_as(&self, request: &Request) -> Result<Outcome, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let events = Arc::clone(&self.events);
        let progress: Arc<dyn Progress> = Arc::new(move |event| events.lock().unwrap().push(event));
        runtime.block_on(pull::pull(request, &RegistrySettings::default(), &self.layout, progress))
    }

    fn pull(&self) -> Result<Outcome, Error> {
        self.pull_as(&self.request())
    }

    fn slot(&self, slot: Slot) -> Option<String> {
        self.ground.read_slot(slot.name())
    }

    /// Files in the store, by their folders: launch files, seals, trees, manifests, blobs.
    fn counts(&self) -> [usize; 5] {
        ["launch", "seals", "extracted", "images", "blobs"].map(|folder| self.ground.list(folder).len())
    }

    /// `Range` headers of the blob requests for a digest.
    fn ranges(&self, digest: &str) -> Vec<Option<String>> {
        let requests = self.registry.requests().into_iter();
        requests.filter(|request| request.path.ends_with(digest)).map(|request| request.range).collect()
    }
}

fn digest(text: &str) -> Digest {
    text.parse().unwrap()
}

fn staged(image: &BuiltImage) -> Outcome {
    Outcome::Staged { digest: digest(&image.digest) }
}

/// A small layer with the program and a larger one of noise, so that downloads take a while.
fn large() -> BuiltImage {
    Image::with_entrypoint(SCRIPT).layer(Layer::new().file("data", 0o644, &noise(1, 3_000_000))).build()
}

#[test]
fn every_form_of_image_arrives_and_is_staged() {
    for flavour in [Flavour::Oci, Flavour::Docker] {
        for compression in
            [Compression::Plain, Compression::Gzip, Compression::GzipMembers(5), Compression::Zstd]
        {
            let image = Image::new()
                .flavour(flavour)
                .layer(Layer::new().file("entrypoint", 0o755, SCRIPT).file("etc/old", 0o644, b"old"))
                .layer(Layer::new().file("data", 0o644, &noise(2, 300_000)).compression(compression))
                .layer(Layer::new().whiteout("etc/old").compression(compression))
                .environment(&["A=1"])
                .working_directory("/etc")
                .set("StopSignal", "SIGINT".into())
                .build();
            let scene = Scene::with(&image);
            assert_eq!(scene.pull().unwrap(), staged(&image), "{flavour:?} {compression:?}");

            let version = digest(&image.digest);
            let tree = scene.layout.tree(&version);
            assert_eq!(fs::read_link(scene.layout.slot(Slot::Attempt)).unwrap(), tree.join("entrypoint"));
            assert_eq!(fs::read(tree.join("entrypoint")).unwrap(), SCRIPT);
            assert_eq!(fs::metadata(tree.join("entrypoint")).unwrap().permissions().mode() & 0o777, 0o755);
            assert_eq!(fs::read(tree.join("data")).unwrap(), noise(2, 300_000));
            assert!(!tree.join("etc/old").exists());
            assert_eq!(fs::read(scene.layout.image(&version)).unwrap(), image.manifest);
            let launch = Launch::parse(&fs::read(scene.layout.launch(&version)).unwrap()).unwrap();
            assert_eq!(launch.environment, [("A".to_owned(), "1".to_owned())]);
            assert_eq!(launch.working_directory.as_deref(), Some("etc"));
            assert_eq!(launch.stop_signal.as_deref(), Some("SIGINT"));
            assert_eq!(scene.counts(), [1, 1, 1, 1, 4]);
        }
    }
}

#[test]
fn the_image_of_this_platform_is_chosen() {
    let other = Image::with_entrypoint(b"#!/bin/sh\nexit 1\n").platform("linux", "s390x", "").build();
    let mine = Image::with_entrypoint(SCRIPT).build();
    let index = Index::new().image(&other).attestation(&other).image(&mine).build();
    let nested = Index::new().nested(&index).build();
    let list = Index::new().flavour(Flavour::Docker).image(&other).image(&mine).build();
    for content in [&index, &nested, &list] {
        let scene = Scene::with(content);
        assert_eq!(scene.pull().unwrap(), staged(&mine));
        assert_eq!(scene.counts(), [1, 1, 1, 1, 2]);
    }
    let scene = Scene::with(&other);
    let error = scene.pull().unwrap_err();
    assert_eq!(error.remedy(), Remedy::Refuse);
    assert!(error.to_string().contains("s390x"), "{error}");
    assert_eq!(scene.slot(Slot::Attempt), None);
}

#[test]
fn a_poll_that_finds_nothing_new_is_one_head() {
    let image = Image::with_entrypoint(SCRIPT).build();
    let index = Index::new().image(&image).build();
    for as_index in [false, true] {
        let scene = Scene::new();
        if as_index {
            scene.registry.put("app", "v1", &index);
        } else {
            scene.registry.put("app", "v1", &image);
        }
        scene.pull().unwrap();
        let version = digest(&image.digest);
        let current = Request { current: Some(version), ..scene.request() };
        let rejected = Request { rejected: [(version, "it hung".to_owned())].into(), ..scene.request() };
        for (request, outcome) in [
            (scene.request(), Outcome::Staged { digest: version }),
            (current, Outcome::UpToDate { digest: version }),
            (rejected, Outcome::Skipped { digest: version, reason: "it hung".to_owned() }),
        ] {
            scene.registry.clear_requests();
            assert_eq!(scene.pull_as(&request).unwrap(), outcome);
            let requests = scene.registry.requests();
            assert_eq!(requests.len(), 1, "{requests:?}");
            assert_eq!((requests[0].method.as_str(), requests[0].kind), ("HEAD", Kind::Manifest));
        }
    }
}

#[test]
fn what_is_not_wanted_is_not_downloaded() {
    let image = large();
    let scene = Scene::with(&Index::new().image(&image).build());
    let version = digest(&image.digest);
    let rejected = Request { rejected: [(version, "it crashed".to_owned())].into(), ..scene.request() };
    for requests in [3, 1] {
        scene.registry.clear_requests();
        let outcome = scene.pull_as(&rejected).unwrap();
        assert_eq!(outcome, Outcome::Skipped { digest: version, reason: "it crashed".to_owned() });
        assert_eq!(scene.registry.requests().len(), requests, "HEAD, index and manifest; then HEAD alone");
    }
    assert_eq!(scene.counts(), [0; 5]);
}

#[test]
fn a_broken_connection_is_gone_on_with_where_it_broke() {
    let image = large();
    let layer = &image.layers[1].digest;
    for fault in [Fault::Truncate { after: 1_000_000 }, Fault::EndEarly { after: 1_000_000 }] {
        let scene = Scene::with(&image);
        scene.registry.fault(Rule::on(Kind::Blob).path(layer).times(1), fault);
        assert_eq!(scene.pull().unwrap(), staged(&image));
        assert_eq!(scene.ranges(layer), [None, Some("bytes=1000000-".to_owned())]);
        let events = scene.events.lock().unwrap();
        assert!(events.iter().any(|event| matches!(event, Event::Retrying { .. })));
    }
    // A reset may take bytes with it that were sent: where it goes on is up to the kernel.
    let scene = Scene::with(&image);
    scene.registry.fault(Rule::on(Kind::Blob).path(layer).times(1), Fault::Reset { after: 1_000_000 });
    assert_eq!(scene.pull().unwrap(), staged(&image));
}

/// Puts a partial download of the image's second layer in place.
fn leave_partial(scene: &Scene, image: &BuiltImage, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let mut bytes = image.layers[1].bytes[..500_000].to_vec();
    change(&mut bytes);
    fs::create_dir_all(scene.layout.blobs()).unwrap();
    let path = scene.layout.blobs().join(format!("partial-{}", image.layers[1].digest));
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn an_earlier_download_is_gone_on_with_and_not_trusted() {
    let image = large();
    let layer = &image.layers[1].digest;
    let resumed = Some("bytes=500000-".to_owned());

    let scene = Scene::with(&image);
    leave_partial(&scene, &image, |_| {});
    assert_eq!(scene.pull().unwrap(), staged(&image));
    assert_eq!(scene.ranges(layer), std::slice::from_ref(&resumed));

    let scene = Scene::with(&image);
    leave_partial(&scene, &image, |bytes| bytes[7] ^= 1);
    assert_eq!(scene.pull().unwrap(), staged(&image));
    assert_eq!(scene.ranges(layer), [resumed.clone(), None], "a wrong prefix: once more from the start");

    let scene = Scene::with(&image);
    scene.registry.fault(Rule::on(Kind::Blob), Fault::IgnoreRange);
    leave_partial(&scene, &image, |_| {});
    assert_eq!(scene.pull().unwrap(), staged(&image));
    assert_eq!(scene.ranges(layer), [resumed], "all of it comes in one answer");
    assert_eq!(scene.counts(), [1, 1, 1, 1, 3]);
}

#[test]
fn wrong_bytes_are_fetched_once_more_and_then_refused() {
    let image = large();
    for fault in [
        Fault::WrongByte { at: 2_000_000 },
        Fault::Oversize { extra: 10 },
        Fault::OversizeChunked { extra: 10 },
        Fault::Replace("something else".into()),
    ] {
        let rule = Rule::on(Kind::Blob).path(&image.layers[1].digest);
        let scene = Scene::with(&image);
        scene.registry.fault(rule.clone().times(1), fault.clone());
        match scene.pull() {
            Ok(outcome) => assert_eq!(outcome, staged(&image)),
            Err(error) => panic!("{fault:?}, once: {error}"),
        }

        if matches!(fault, Fault::Replace(_)) {
            // Too short looks like a broken connection, which is tried again and again, with pauses.
            continue;
        }
        let scene = Scene::with(&image);
        scene.registry.fault(rule, fault.clone());
        let error = scene.pull().unwrap_err();
        assert_eq!(error.remedy(), Remedy::Corrupt, "{fault:?}: {error}");
        assert!(error.to_string().contains(&image.layers[1].digest), "{error}");
        assert_eq!(scene.ranges(&image.layers[1].digest).len(), 2, "asked for twice, not more");
        assert_eq!(scene.slot(Slot::Attempt), None);
        assert_eq!(scene.ground.list("extracted"), [""; 0]);
        let blobs = scene.ground.list("blobs");
        assert!(!blobs.iter().any(|name| name.contains(&image.layers[1].digest)), "{blobs:?}");
        scene.registry.clear_faults();
        assert_eq!(scene.pull().unwrap(), staged(&image), "and then it works");
    }
}

#[test]
fn an_image_that_cannot_be_started_is_not_staged() {
    for (image, words) in [
        (Image::new().layer(Layer::new().file("etc/x", 0o644, b"")), &["/entrypoint"][..]),
        (
            Image::new().layer(Layer::new().file("entrypoint", 0o644, SCRIPT)),
            &["/entrypoint", "not executable"],
        ),
        (Image::new().layer(Layer::new().dir("entrypoint", 0o755)), &["/entrypoint", "a directory"]),
        (Image::with_entrypoint(b"#!/no/such/python\n"), &["/no/such/python"]),
        (Image::new().layer(Layer::new().dir("bin", 0o755)).entrypoint(&["/bin/app"]), &["/bin/app"]),
        (Image::new(), &["Entrypoint"]),
    ] {
        let scene = Scene::with(&image.build());
        let error = scene.pull().unwrap_err();
        assert_eq!(error.remedy(), Remedy::Refuse, "{error}");
        assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
        assert_eq!(scene.slot(Slot::Attempt), None);
        assert_eq!(scene.ground.list("extracted"), [""; 0]);
    }
}

#[test]
fn what_was_refused_is_not_downloaded_and_extracted_again_at_every_poll() {
    let image = Image::new().layer(Layer::new().file("entrypoint", 0o644, SCRIPT)).build();
    let scene = Scene::with(&image);
    let first = scene.pull().unwrap_err().to_string();
    for _ in 0..2 {
        scene.events.lock().unwrap().clear();
        scene.registry.clear_requests();
        let error = scene.pull().unwrap_err();
        assert_eq!(error.remedy(), Remedy::Refuse);
        assert!(error.to_string().contains(&first), "{error}");
        assert_eq!(scene.registry.requests().len(), 1);
        let extracts = |event: &Event| matches!(event, Event::Extracting { .. });
        assert!(!scene.events.lock().unwrap().iter().any(extracts));
    }
    let again = Request { again: true, ..scene.request() };
    assert_eq!(scene.pull_as(&again).unwrap_err().to_string(), first, "looked at again");

    // An interpreter may be there when the container is another one.
    let scene = Scene::with(&Image::with_entrypoint(b"#!/no/such/python\n").build());
    let first = scene.pull().unwrap_err().to_string();
    assert_eq!(scene.pull().unwrap_err().to_string(), first, "looked at again");
}

#[test]
fn a_layer_that_is_refused_leaves_nothing_behind() {
    let hostile = Layer::new().file("entrypoint", 0o755, SCRIPT).literal(
        b"../../../escape",
        fixtures::image::EntryType::Regular,
        b"",
        b"x",
    );
    let scene = Scene::with(&Image::new().layer(hostile).build());
    let error = scene.pull().unwrap_err();
    assert_eq!(error.remedy(), Remedy::Refuse, "{error}");
    assert_eq!(scene.ground.list("extracted"), [""; 0]);
    let wrong = Layer::new().file("entrypoint", 0o755, SCRIPT).diff_id(&fixtures::sha256(b"another"));
    let scene = Scene::with(&Image::new().layer(wrong).build());
    let error = scene.pull().unwrap_err();
    assert!(error.to_string().contains(&fixtures::sha256(b"another")), "{error}");
    assert_eq!(scene.ground.list("extracted"), [""; 0]);
}

#[test]
fn a_tag_that_moves_meanwhile_changes_nothing_and_is_found_next_time() {
    let (first, second) = (large(), Image::with_entrypoint(b"#!/bin/sh\nexit 2\n").build());
    let scene = Scene::with(&first);
    let gate = scene.registry.gate(Rule::on(Kind::Blob).path(&first.layers[1].digest), 1000);
    std::thread::scope(|scope| {
        let pulling = scope.spawn(|| scene.pull());
        gate.wait_reached();
        scene.registry.put("app", "v1", &second);
        gate.release();
        assert_eq!(pulling.join().unwrap().unwrap(), staged(&first));
    });
    assert_eq!(scene.pull().unwrap(), staged(&second));
    assert_eq!(scene.slot(Slot::Attempt), Some(second.digest));
}

#[test]
fn a_blob_that_is_gone_may_come_back() {
    let image = large();
    let scene = Scene::with(&image);
    scene.registry.remove("app", &image.layers[1].digest);
    let error = scene.pull().unwrap_err();
    assert_eq!(error.remedy(), Remedy::Later, "{error}");
    scene.registry.put("app", "v1", &image);
    assert_eq!(scene.pull().unwrap(), staged(&image));
}

#[test]
fn half_a_tree_is_made_anew() {
    let image = large();
    let scene = Scene::with(&image);
    for name in [format!("tmp-{}", image.digest), "tmp-other".to_owned(), "removing-x".to_owned()] {
        fs::create_dir_all(scene.layout.extracted().join(name).join("a/b")).unwrap();
    }
    assert_eq!(scene.pull().unwrap(), staged(&image));
    assert_eq!(scene.ground.list("extracted"), std::slice::from_ref(&image.digest));

    // A tree of this name that isn't what the image says: by whoever put it there, or by a damaged disk.
    let tree = scene.layout.tree(&digest(&image.digest));
    fs::remove_file(tree.join("data")).unwrap();
    scene.registry.clear_requests();
    assert_eq!(scene.pull().unwrap(), staged(&image));
    assert_eq!(scene.registry.count("GET", Kind::Blob), 0, "its blobs are here");
    assert!(tree.join("data").exists());
    assert_eq!(scene.ground.list("extracted"), std::slice::from_ref(&image.digest));

    // What it wrote into its own tree doesn't matter.
    fs::write(tree.join("cache"), "x").unwrap();
    assert_eq!(scene.pull().unwrap(), staged(&image));
    assert!(tree.join("cache").exists());
}

#[test]
fn a_damaged_blob_is_noticed_and_fetched_again() {
    let image = large();
    let scene = Scene::with(&image);
    scene.pull().unwrap();
    fs::remove_dir_all(scene.layout.tree(&digest(&image.digest))).unwrap();
    let blob = scene.layout.blob(&digest(&image.layers[1].digest));
    let mut bytes = fs::read(&blob).unwrap();
    bytes[1_500_000] ^= 1;
    fs::write(&blob, bytes).unwrap();
    scene.registry.clear_requests();
    assert_eq!(scene.pull().unwrap(), staged(&image));
    assert_eq!(scene.registry.count("GET", Kind::Blob), 1);
    assert_eq!(fixtures::sha256(&fs::read(&blob).unwrap()), image.layers[1].digest);
}

#[test]
fn a_tree_is_restored_without_a_registry() {
    let image = large();
    let scene = Scene::with(&image);
    scene.pull().unwrap();
    scene.registry.go_away();
    let version = digest(&image.digest);
    let program = scene.layout.tree(&version).join("entrypoint");
    let silent: Arc<dyn Progress> = Arc::new(dockerloader::progress::Silent);
    let restore =
        || pull::restore(&version, &RegistrySettings::default(), &scene.layout, Duration::ZERO, &silent);
    fs::write(&program, "damaged").unwrap();
    restore().unwrap();
    assert_eq!(fs::read(&program).unwrap(), SCRIPT);
    fs::remove_dir_all(scene.layout.tree(&version)).unwrap();
    fs::remove_file(scene.layout.seal(&version)).unwrap();
    restore().unwrap();
    assert_eq!(fs::read(&program).unwrap(), SCRIPT);
    assert_eq!(scene.counts(), [1, 1, 1, 1, 3]);

    let blob = scene.layout.blob(&digest(&image.layers[0].digest));
    fs::write(&blob, vec![0; image.layers[0].bytes.len()]).unwrap();
    let error = restore().unwrap_err();
    assert_eq!(error.remedy(), Remedy::Corrupt, "{error}");
    assert_eq!(fs::read(&program).unwrap(), SCRIPT, "the tree is as it was");
    fs::remove_file(&blob).unwrap();
    assert_eq!(restore().unwrap_err().remedy(), Remedy::Corrupt);
}

#[test]
fn a_version_that_is_fetched_for_a_repair_does_not_make_the_target_forgotten() {
    let (target, other) = (large(), Image::with_entrypoint(SCRIPT).build());
    let scene = Scene::with(&target);
    scene.registry.put("app", "old", &other);
    scene.pull().unwrap();
    let pinned = format!("{}/app@{}", scene.registry.host(), other.digest).parse().unwrap();
    let repair = Request { reference: pinned, stage: false, ..scene.request() };
    let outcome = scene.pull_as(&repair).unwrap();
    assert_eq!(outcome, Outcome::Installed { digest: digest(&other.digest) });
    assert_eq!(scene.slot(Slot::Attempt), Some(target.digest.clone()));
    scene.registry.clear_requests();
    assert_eq!(scene.pull().unwrap(), staged(&target));
    assert_eq!(scene.registry.requests().len(), 1);
}

#[test]
fn what_was_staged_is_withdrawn_when_the_tag_goes_back() {
    let (good, bad) = (Image::with_entrypoint(SCRIPT).build(), large());
    let scene = Scene::with(&good);
    let running = Request { current: Some(digest(&good.digest)), ..scene.request() };
    scene.registry.put("app", "v1", &bad);
    assert_eq!(scene.pull_as(&running).unwrap(), staged(&bad));
    scene.registry.put("app", "v1", &good);
    let outcome = Outcome::UpToDate { digest: digest(&good.digest) };
    assert_eq!(scene.pull_as(&running).unwrap(), outcome);
    assert_eq!(scene.slot(Slot::Attempt), None);
}

#[test]
fn two_pulls_at_once_are_one_after_the_other() {
    let image = large();
    let scene = &Scene::with(&image);
    let gate = scene.registry.gate(Rule::on(Kind::Blob).path(&image.layers[1].digest), 1000);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| scene.pull());
        gate.wait_reached();
        let error = scene.pull().unwrap_err();
        assert_eq!(error.remedy(), Remedy::Later);
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");

        let patient = Request { wait: Duration::from_secs(60), ..scene.request() };
        let second = scope.spawn(move || scene.pull_as(&patient));
        let waits = |event: &Event| matches!(event, Event::Waiting { .. });
        while !scene.events.lock().unwrap().iter().any(waits) {
            std::thread::yield_now();
        }
        gate.release();
        assert_eq!(first.join().unwrap().unwrap(), staged(&image));
        assert_eq!(second.join().unwrap().unwrap(), staged(&image));
    });
    assert_eq!(scene.registry.count("GET", Kind::Blob), 3, "each blob once");
}

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

/// What a test tells the process that it starts of itself.
const CHILD: &str = "PULL_TEST_CHILD";

/// Runs as a process of its own for the test below; else does nothing.
#[test]
fn child() {
    let Ok(order) = std::env::var(CHILD) else { return };
    let (reference, data) = order.split_once(' ').unwrap();
    let layout = Layout::new(Path::new(data));
    let request = Request {
        reference: reference.parse().unwrap(),
        stage: true,
        current: None,
        rejected: BTreeMap::new(),
        again: false,
        method: Wanted::Auto,
        wait: Duration::ZERO,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let silent = Arc::new(dockerloader::progress::Silent);
    runtime.block_on(pull::pull(&request, &RegistrySettings::default(), &layout, silent)).unwrap();
}

#[test]
fn a_puller_that_is_killed_is_gone_on_from() {
    let image = large();
    let layer = &image.layers[1].digest;
    for bytes in [0, 1_000_000, 2_999_000] {
        let scene = Scene::with(&image);
        let gate = scene.registry.gate(Rule::on(Kind::Blob).path(layer), bytes);
        let order = format!("{} {}", scene.registry.reference("app", "v1"), scene.ground.data().display());
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child"])
            .env(CHILD, order)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        gate.wait_reached();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(scene.slot(Slot::Attempt), None);
        let partial = scene.layout.blobs().join(format!("partial-{layer}"));
        let left = fs::metadata(partial).map_or(0, |found| found.len());

        assert_eq!(scene.pull().unwrap(), staged(&image), "the lock went with the process");
        let resumed = (left > 0).then(|| format!("bytes={left}-"));
        assert_eq!(scene.ranges(layer)[1..], [resumed]);
        assert_eq!(scene.counts(), [1, 1, 1, 1, 3]);
    }
}

#[test]
fn tokens_may_expire_in_the_middle() {
    let credentials = ("robot".to_owned(), "secret".to_owned());
    let auth = Auth::Bearer { credentials: Some(credentials), lifetime: Duration::from_secs(300) };
    let registry = Registry::builder().auth(auth).tls().start();
    let image = large();
    registry.put("app", "v1", &image);
    let config = tempfile::tempdir().unwrap();
    // robot:secret
    let auths = format!(r#"{{"auths":{{"{}":{{"auth":"cm9ib3Q6c2VjcmV0"}}}}}}"#, registry.host());
    fs::write(config.path().join("config.json"), auths).unwrap();
    let ca_file = config.path().join("ca.pem");
    fs::write(&ca_file, registry.ca_pem().unwrap()).unwrap();
    let settings = RegistrySettings {
        docker_config: Some(config.path().to_owned()),
        ca_file: Some(ca_file),
        ..RegistrySettings::default()
    };
    let scene = Scene { registry, ..Scene::new() };
    let layer = Rule::on(Kind::Blob).path(&image.layers[1].digest);
    let gate = scene.registry.gate(layer.clone(), 1_000_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let silent = Arc::new(dockerloader::progress::Silent);
    let request = scene.request();
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            gate.wait_reached();
            // The rest of this answer is cut off, and the token is no longer good for the next request.
            scene.registry.revoke_tokens();
            scene.registry.go_away();
            scene.registry.come_back();
        });
        runtime.block_on(pull::pull(&request, &settings, &scene.layout, silent))
    });
    assert_eq!(outcome.unwrap(), staged(&image));
    assert_eq!(scene.registry.count("GET", Kind::Token), 2);
}

#[test]
fn what_skopeo_pushes_is_pulled() {
    let image = large();
    let from = Registry::start();
    from.put("x", "v1", &image);
    for arguments in [&["--format=v2s2"][..], &["--format=oci"], &["--dest-compress-format=zstd"]] {
        let scene = Scene::new();
        let copied = std::process::Command::new("skopeo")
            .args(["copy", "--src-tls-verify=false", "--dest-tls-verify=false"])
            .args(arguments)
            .arg(format!("docker://{}", from.reference("x", "v1")))
            .arg(format!("docker://{}", scene.registry.reference("app", "v1")))
            .output();
        let copied = match copied {
            Ok(copied) => copied,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                eprintln!("skipped: skopeo is not installed");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        let version = digest(&scene.registry.tag("app", "v1").unwrap());
        assert_eq!(scene.pull().unwrap(), Outcome::Staged { digest: version });
        assert_eq!(fs::read(scene.layout.tree(&version).join("data")).unwrap(), noise(1, 3_000_000));
    }
}

#[test]
fn a_layer_may_come_twice() {
    let layer = Layer::new().file("data", 0o644, b"1").build();
    let image = Image::with_entrypoint(SCRIPT).built_layer(layer.clone());
    let image = image.layer(Layer::new().whiteout("data")).built_layer(layer).build();
    let scene = Scene::with(&image);
    assert_eq!(scene.pull().unwrap(), staged(&image));
    assert_eq!(scene.counts(), [1, 1, 1, 1, 4]);
    assert!(scene.layout.tree(&digest(&image.digest)).join("data").exists());
}

#[test]
fn progress_ends_where_the_blobs_end() {
    let image = large();
    let scene = Scene::with(&image);
    scene.pull().unwrap();
    let events = scene.events.lock().unwrap();
    let mut done = BTreeMap::new();
    for event in events.iter() {
        if let Event::Blob { digest, done: now, total } = event {
            assert!(done.insert(*digest, *now).is_none_or(|before| before <= *now), "{event:?}");
            assert!(now <= total);
        }
    }
    for layer in &image.layers {
        assert_eq!(done[&digest(&layer.digest)], layer.bytes.len() as u64);
    }
    assert_eq!(events.last(), Some(&Event::Installed { digest: digest(&image.digest) }));
}
