//! Damage that a loss of power or a bad disk does: found before it is executed, put aside, repaired, and told.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Instant, SystemTime};

use fixtures::image::{BuiltImage, Image, Layer, noise};
use fixtures::registry::{Kind, Registry};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::mounts::Mounts;
use crate::scene::{GOOD, Place, Scene, good, program};

/// What happens to a version's tree.
type Damage = fn(&Path);

/// A version with a library, data and links beside its program.
fn version(name: &str) -> BuiltImage {
    Image::with_entrypoint(program(name, GOOD).as_bytes())
        .layer(
            Layer::new()
                .file("lib/one.so", 0o644, &[b"\x7fELF".as_slice(), &noise(1, 20_000)].concat())
                .symlink("lib/link.so", "one.so")
                .file("data/one", 0o644, b"the first")
                .file("data/two", 0o600, b"the second")
                .file("bin/tool", 0o755, b"#!/bin/sh\n")
                .hardlink("bin/also", "bin/tool"),
        )
        .annotation("v", name)
        .build()
}

/// v1 is the previous version, v2 the current one, which ran; then the machine went away, and the registry with it.
fn after_a_loss_of_power() -> (Scene, String, String) {
    let scene = Scene::new().set("DOCKERLOADER_TREE_METHOD", "copy");
    let (v1, v2) = (version("v1"), version("v2"));
    scene.install(&v1);
    let root = scene.place.root();
    fs::rename(root.join("entrypoint"), root.join("entrypoint-previous")).unwrap();
    scene.install(&v2);
    let mut supervisor = scene.start();
    supervisor.line("ready v2");
    drop(supervisor);
    scene.registry.go_away();
    lose_power(&scene);
    (scene, v1.digest, v2.digest)
}

/// What the next supervisor finds: the last one ran under another kernel, and said no farewell.
fn lose_power(scene: &Scene) {
    let path = scene.place.root().join("supervisor.json");
    let mut session: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    session["boot"] = "another".into();
    fs::write(&path, session.to_string()).unwrap();
    assert!(!scene.place.root().join("stopped").exists());
}

/// Changes a file as a disk does: no program gave it another time.
fn corrupt(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let time = fs::metadata(path).unwrap().modified().unwrap();
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
    set_time(path, time);
}

fn set_time(path: &Path, time: SystemTime) {
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Each damage, and the path that is told.
const DAMAGES: [(&str, &str, Damage); 15] = [
    ("a program of no bytes", "entrypoint", |tree| fs::write(tree.join("entrypoint"), b"").unwrap()),
    ("a program of zeros", "entrypoint", |tree| {
        corrupt(&tree.join("entrypoint"), |bytes| bytes.fill(0));
    }),
    ("a program cut off", "entrypoint", |tree| {
        corrupt(&tree.join("entrypoint"), |bytes| bytes.truncate(20));
    }),
    ("a flipped bit in a program, with a new time", "bin/tool", |tree| {
        fs::write(tree.join("bin/tool"), b"#!/bin/sx\n").unwrap();
    }),
    ("a flipped bit in a library", "lib/one.so", |tree| {
        corrupt(&tree.join("lib/one.so"), |bytes| bytes[10_000] ^= 4);
    }),
    ("a library of zeros, with a new time", "lib/one.so", |tree| {
        fs::write(tree.join("lib/one.so"), [0; 20_004]).unwrap();
    }),
    ("data of no bytes", "data/one", |tree| fs::write(tree.join("data/one"), b"").unwrap()),
    ("a flipped bit in data", "data/one", |tree| {
        corrupt(&tree.join("data/one"), |bytes| bytes[3] ^= 1);
    }),
    ("a file that is gone", "data/one", |tree| fs::remove_file(tree.join("data/one")).unwrap()),
    ("a directory that is gone", "lib", |tree| fs::remove_dir_all(tree.join("lib")).unwrap()),
    ("a directory in the place of a file", "data/two", |tree| {
        fs::remove_file(tree.join("data/two")).unwrap();
        fs::create_dir(tree.join("data/two")).unwrap();
        fs::write(tree.join("data/two/x"), b"x").unwrap();
    }),
    ("a link in the place of a file", "data/two", |tree| {
        fs::remove_file(tree.join("data/two")).unwrap();
        symlink("/etc/passwd", tree.join("data/two")).unwrap();
    }),
    ("a broken link", "lib/link.so", |tree| {
        fs::remove_file(tree.join("lib/link.so")).unwrap();
        symlink("nothing", tree.join("lib/link.so")).unwrap();
    }),
    ("a program that is none any more", "bin/tool", |tree| chmod(&tree.join("bin/tool"), 0o644)),
    ("a program of somebody else", "entrypoint", |tree| {
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(tree.join("entrypoint"), Some(1234), Some(1234)).unwrap();
        } else {
            chmod(&tree.join("entrypoint"), 0o777);
        }
    }),
];

/// What a tree of these versions is.
fn assert_whole(tree: &Path, name: &str) {
    let text = program(name, GOOD);
    assert_eq!(fs::read(tree.join("entrypoint")).unwrap(), text.as_bytes());
    let owner = fs::metadata(tree.join("bin")).unwrap().uid();
    for (path, mode) in [("entrypoint", 0o755), ("bin/tool", 0o755), ("data/one", 0o644), ("data/two", 0o600)]
    {
        let found = fs::metadata(tree.join(path)).unwrap();
        assert_eq!((found.mode() & 0o7777, found.uid()), (mode, owner), "{path}");
    }
    assert_eq!(fs::read(tree.join("data/one")).unwrap(), b"the first");
    assert_eq!(fs::read(tree.join("data/two")).unwrap(), b"the second");
    assert_eq!(fs::read(tree.join("lib/link.so")).unwrap()[4..], noise(1, 20_000));
    let (tool, also) = (fs::metadata(tree.join("bin/tool")), fs::metadata(tree.join("bin/also")));
    assert_eq!(tool.unwrap().ino(), also.unwrap().ino());
}

#[test]
fn each_damage_is_repaired_before_the_program_starts_and_what_the_workload_wrote_stays() {
    for (row, path, damage) in DAMAGES {
        let (scene, v1, v2) = after_a_loss_of_power();
        let tree = scene.place.tree(&v2);
        fs::write(tree.join("data/mine"), "mine").unwrap();
        if !path.starts_with("data/two") {
            fs::write(tree.join("data/two"), "what the workload made of it").unwrap();
        }
        damage(&tree);
        let mut supervisor = scene.start();
        let unclean = supervisor.event("unclean_stop");
        assert_eq!(unclean["power"], true, "{row}");
        let damaged = supervisor.event("damaged");
        assert!(damaged["message"].as_str().unwrap().contains(path), "{row}: {damaged}");
        supervisor.event("repaired");
        assert_eq!(supervisor.starts(""), 0, "{row}: nothing was executed before");
        supervisor.line("ready v2");
        assert_eq!(fs::read_to_string(tree.join("data/mine")).unwrap(), "mine", "{row}");
        if !path.starts_with("data/two") {
            let written = fs::read_to_string(tree.join("data/two")).unwrap();
            assert_eq!(written, "what the workload made of it", "{row}");
            fs::write(tree.join("data/two"), b"the second").unwrap();
        }
        assert_whole(&tree, "v2");
        let status = scene.run(&["status", "--json"]).result();
        assert_eq!(status["health"][0]["condition"], "repaired", "{row}: {status}");
        assert_eq!(status["health"][0]["digest"], v2, "{row}");
        assert_eq!(scene.place.slots(), [Some(v2), Some(v1), None, None], "{row}");
        // One that runs may be writing.
        supervisor.stop();
        scene.place.assert_no_leftovers();
    }
}

#[test]
fn what_was_damaged_is_kept_aside_until_the_next_clean_up() {
    let (scene, _, v2) = after_a_loss_of_power();
    fs::write(scene.place.tree(&v2).join("lib/one.so"), b"\x7fELF and nothing more").unwrap();
    let mut supervisor = scene.start();
    supervisor.line("ready v2");
    let kept = scene.place.list("quarantine");
    assert_eq!(kept, [format!("{}-1-one.so", &v2["sha256:".len()..][..12])]);
    let bytes = fs::read(scene.place.storage("quarantine").join(&kept[0])).unwrap();
    assert_eq!(bytes, b"\x7fELF and nothing more");
    assert_eq!(scene.run(&["gc"]).code, Some(0));
    assert_eq!(scene.place.list("quarantine"), Vec::<String>::new());
    assert_eq!(scene.run(&["verify", "--full"]).code, Some(0));
}

#[test]
fn a_stop_in_order_is_trusted_and_a_kill_of_the_supervisor_holds_nothing_up() {
    let (scene, _, _) = after_a_loss_of_power();
    let mut supervisor = scene.start();
    supervisor.event("unclean_stop");
    supervisor.event("verify");
    supervisor.line("ready v2");
    supervisor.stop();
    assert!(scene.place.root().join("stopped").exists());
    let mut supervisor = scene.start();
    supervisor.line("ready v2");
    assert_eq!((supervisor.events("unclean_stop"), supervisor.events("verify")), (0, 0));
    supervisor.signal(Signal::SIGKILL);
    supervisor.wait();
    let mut supervisor = scene.start();
    assert_eq!(supervisor.event("unclean_stop")["power"], false);
    supervisor.line("ready v2");
    assert_eq!(supervisor.events("verify"), 0);
}

/// Removes a layer of a version that no other one has.
fn lose_layers(scene: &Scene, version: &str, but: &str) {
    let layers = |digest: &str| {
        let bytes = fs::read(scene.place.storage("images").join(digest)).unwrap();
        let manifest: Value = serde_json::from_slice(&bytes).unwrap();
        let layers = manifest["layers"].as_array().unwrap().clone();
        layers.iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let kept = layers(but);
    for layer in layers(version).iter().filter(|layer| !kept.contains(layer)) {
        fs::remove_file(scene.place.storage("blobs").join(layer)).unwrap();
    }
}

#[test]
fn without_a_registry_a_damaged_version_gives_way_and_comes_back_when_there_is_one() {
    let (scene, v1, v2) = after_a_loss_of_power();
    fs::write(scene.place.tree(&v2).join("entrypoint"), b"").unwrap();
    lose_layers(&scene, &v2, &v1);
    // The one before is damaged as well, and can be repaired.
    fs::write(scene.place.tree(&v1).join("entrypoint"), b"").unwrap();
    let mut supervisor = scene.start();
    supervisor.event("repair_failed");
    supervisor.event("restore_failed");
    supervisor.event("repaired");
    supervisor.line("ready v1");
    assert_eq!(supervisor.starts("v2"), 0);
    assert_eq!(scene.place.slot("entrypoint"), Some(v1.clone()));
    let status = scene.run(&["status", "--json"]).result();
    let conditions: Vec<_> =
        status["health"].as_array().unwrap().iter().map(|health| health["condition"].clone()).collect();
    assert_eq!(conditions, ["repaired", "damaged"], "{status}");
    assert_eq!(status["rejected"][0]["kind"], "environment", "{status}");
    // There is a registry again, and the pause is over: here by a word of its operator.
    scene.registry.come_back();
    assert_eq!(scene.run(&["forget", &v2]).code, Some(0));
    let staged = scene.run(&["check"]);
    assert_eq!(staged.code, Some(42), "{}", staged.all());
    supervisor.stop();
    let mut supervisor = scene.start();
    supervisor.event("commit");
    supervisor.line("ready v2");
    assert_eq!(scene.place.slots(), [Some(v2.clone()), Some(v1), None, None]);
    assert_whole(&scene.place.tree(&v2), "v2");
    let status = scene.run(&["status", "--json"]).result();
    assert!(!status["health"].to_string().contains("damaged"), "{status}");
}

#[test]
fn everything_is_read_in_the_background_and_what_only_the_registry_has_is_fetched() {
    let (scene, v1, v2) = after_a_loss_of_power();
    scene.registry.come_back();
    scene.registry.clear_requests();
    // A layer, the previous version's manifest and a file of it that is not looked at before a start.
    let layer = scene
        .place
        .list("blobs")
        .into_iter()
        .max_by_key(|name| fs::metadata(scene.place.storage("blobs").join(name)).unwrap().len());
    let layer = scene.place.storage("blobs").join(layer.unwrap());
    corrupt(&layer, |bytes| bytes[100] ^= 1);
    corrupt(&scene.place.storage("images").join(&v1), |bytes| bytes[20] ^= 1);
    corrupt(&scene.place.tree(&v1).join("lib/one.so"), |bytes| bytes.fill(0));
    let mut supervisor = scene.start();
    supervisor.line("ready v2");
    assert_eq!(supervisor.event("repaired")["digest"], v1);
    assert!(scene.registry.count("GET", Kind::Blob) >= 1);
    assert_eq!(scene.run(&["verify", "--full"]).code, Some(0));
    assert_whole(&scene.place.tree(&v1), "v1");
    assert_eq!(supervisor.starts(""), 1, "what runs goes on");
    assert_eq!(scene.place.slot("entrypoint"), Some(v2));
    assert!(scene.place.list("quarantine").len() >= 3, "{:?}", scene.place.list("quarantine"));
}

#[test]
fn a_program_that_lost_a_page_is_looked_at_before_it_starts_again() {
    let scene = Scene::new().set("DOCKERLOADER_TREE_METHOD", "copy").set("DOCKERLOADER_POLL", "never");
    let text = "if [ -s \"$DOCKERLOADER_IMAGE_ROOT/data/one\" ]; then \"$DOCKERLOADER_BINARY\" ready; \
                echo whole; exec sleep 1000; fi\nkill -BUS $$";
    let image = Image::with_entrypoint(program("v1", text).as_bytes())
        .layer(Layer::new().file("data/one", 0o644, b"the first"))
        .build();
    scene.install(&image);
    fs::write(scene.place.tree(&image.digest).join("data/one"), b"").unwrap();
    let ended = scene.supervise();
    assert_eq!(ended.code, Some(128 + 7), "{}", ended.all());
    let mut supervisor = scene.start();
    supervisor.event("suspect");
    supervisor.event("repaired");
    supervisor.line("whole");
    supervisor.stop();
    let mut supervisor = scene.start();
    supervisor.line("whole");
    assert_eq!(supervisor.events("suspect") + supervisor.events("verify"), 0);
}

#[test]
fn a_staged_version_that_is_damaged_is_repaired_and_not_blamed() {
    let scene = Scene::new().set("DOCKERLOADER_TREE_METHOD", "copy");
    let v1 = good("v1");
    scene.install(&v1);
    let v2 = version("v2");
    scene.push(&v2);
    scene.pull();
    scene.registry.go_away();
    corrupt(&scene.place.tree(&v2.digest).join("entrypoint"), |bytes| bytes.fill(0));
    let mut supervisor = scene.start();
    supervisor.event("exec_failed");
    supervisor.event("repaired");
    supervisor.line("ready v2");
    assert_eq!(scene.place.slots(), [Some(v2.digest), Some(v1.digest), None, None]);
    assert_eq!(scene.place.state()["verdicts"], serde_json::json!([]));
}

#[test]
fn a_person_has_everything_repaired() {
    let (scene, v1, v2) = after_a_loss_of_power();
    let tree = scene.place.tree(&v2);
    fs::write(tree.join("data/one"), "what a program wrote").unwrap();
    fs::write(tree.join("data/mine"), "mine").unwrap();
    chmod(&tree.join("data/two"), 0o666);
    fs::write(scene.place.storage("seals").join(&v1), b"\0garbage").unwrap();
    fs::write(scene.place.storage("launch").join(&v2), b"{\"program\":\"bin/tool\"}").unwrap();
    let repaired = scene.run(&["verify", "--repair", "--offline"]);
    assert_eq!(repaired.code, Some(0), "{}", repaired.all());
    repaired.says(&[
        "repaired from what is on disk",
        "data/one",
        "data/two",
        "quarantine",
        &v1[7..19],
        &v2[7..19],
    ]);
    assert_whole(&tree, "v2");
    assert_eq!(fs::read_to_string(tree.join("data/mine")).unwrap(), "mine", "what was added stays");
    assert_eq!(scene.run(&["verify", "--full"]).code, Some(0));
    let again = scene.run(&["verify", "--repair", "--json"]);
    assert_eq!(again.result()["outcome"], "intact", "{}", again.all());
}

#[test]
fn what_can_not_be_repaired_is_said_with_what_would_help() {
    let (scene, v1, v2) = after_a_loss_of_power();
    fs::write(scene.place.tree(&v2).join("bin/tool"), b"").unwrap();
    lose_layers(&scene, &v2, &v1);
    let failed = scene.run(&["verify", "--repair", "--offline", "--json"]);
    assert_eq!(failed.code, Some(65), "{}", failed.all());
    assert_eq!(failed.result()["outcome"], "damaged");
    failed.says(&["bin/tool", "is not in the store"]);
    let found = scene.run(&["verify", "--full"]);
    assert_eq!(found.code, Some(1), "{}", found.all());
    found.says(&["verify --repair", "is not in the store"]);
    scene.registry.come_back();
    let repaired = scene.run(&["verify", "--repair"]);
    assert_eq!(repaired.code, Some(0), "{}", repaired.all());
    repaired.says(&["repaired, with what the registry has"]);
    assert_whole(&scene.place.tree(&v2), "v2");
}

/// A scene on an ext4 file system in a file, whose blocks and inodes can be changed behind the kernel's back; `None`, with the reason, where
/// that can't be made.
fn on_ext4(scratch: &Path) -> Option<(Scene, Mounts)> {
    let skip = |why: &str| {
        eprintln!("skipped: {why}");
        None
    };
    if !nix::unistd::geteuid().is_root() {
        return skip("a loop mount needs root");
    }
    let image = scratch.join("disk");
    fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
    let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image).status();
    if !made.is_ok_and(|status| status.success()) || Command::new("debugfs").arg("-V").output().is_err() {
        return skip("mkfs.ext4 and debugfs (e2fsprogs) are missing");
    }
    let data = scratch.join("data");
    fs::create_dir(&data).unwrap();
    let mounts = Mounts::new(&format!("mount -o loop {} {}", image.display(), data.display()));
    let place = Place::mounted(&data, &mounts.view(&data));
    let scene = Scene::with(Registry::start(), place);
    let words = mounts.wrapper();
    let scene = scene.wrapped(&words.iter().map(String::as_str).collect::<Vec<_>>());
    Some((scene.set("DOCKERLOADER_TREE_METHOD", "copy"), mounts))
}

#[test]
fn what_the_disk_itself_loses_is_found_although_every_time_is_as_it_was() {
    // (what debugfs does to the file, whether it is seen before the start)
    for (row, request, before) in [
        // As after a loss of power: the inode was written, its data and its size were not.
        ("a file of 0 bytes", "set_inode_field FILE size 0", true),
        ("a wrong mode", "set_inode_field FILE mode 0100600", true),
        ("a wrong owner", "set_inode_field FILE uid 4321", true),
        ("zeros in the place of a block", "zap_block -f FILE 2", false),
        ("flipped bits", "zap_block -f FILE -o 100 -l 1 -p 85 1", false),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let Some((scene, mounts)) = on_ext4(scratch.path()) else { return };
        let (v1, v2) = (version("v1"), version("v2"));
        scene.install(&v1);
        let root = scene.place.root();
        fs::rename(root.join("entrypoint"), root.join("entrypoint-previous")).unwrap();
        scene.install(&v2);
        let mut supervisor = scene.start();
        supervisor.line("ready v2");
        supervisor.signal(Signal::SIGKILL);
        supervisor.wait();
        lose_power(&scene);
        scene.registry.go_away();
        let (data, image) = (scratch.path().join("data"), scratch.path().join("disk"));
        mounts.run(&format!("umount {}", data.display()));
        let file = format!("/dockerloader/storage/v1/extracted/{}/lib/one.so", v2.digest);
        let done = Command::new("debugfs")
            .args(["-w", "-R", &request.replace("FILE", &file)])
            .arg(&image)
            .output()
            .unwrap();
        assert!(done.status.success(), "{row}: {done:?}");
        mounts.run(&format!("mount -o loop {} {}", image.display(), data.display()));
        let mut supervisor = scene.start();
        supervisor.event("unclean_stop");
        if before {
            supervisor.event("repaired");
            assert_eq!(supervisor.starts(""), 0, "{row}");
        } else {
            // It is stopped as soon as the damage is seen, which may be before it says that it is ready.
            for event in ["run", "mend", "repaired", "run"] {
                supervisor.event(event);
            }
        }
        supervisor.line("ready v2");
        assert_whole(&scene.place.tree(&v2.digest), "v2");
        assert_eq!(scene.place.slots(), [Some(v2.digest), Some(v1.digest), None, None], "{row}");
        supervisor.stop();
        mounts.run(&format!("umount {}", data.display()));
    }
}

/// Prints how long a start is held up. Not a test of anything: `--run-ignored only`, on a quiet machine.
#[test]
#[ignore = "a measurement"]
fn how_long_a_look_holds_up_a_start() {
    let mut layer = Layer::new();
    for number in 0..60_000_u32 {
        let path = format!("lib/{:03}/{number}.txt", number % 600);
        layer = layer.file(&path, 0o644, &noise(u64::from(number), 2_000));
    }
    let image = Image::with_entrypoint(program("v1", GOOD).as_bytes()).layer(layer).build();
    let scene = Scene::new().set("DOCKERLOADER_TREE_METHOD", "copy");
    scene.install(&image);
    let tree = scene.place.tree(&image.digest);
    let mut supervisor = scene.start();
    supervisor.line("ready v1");
    drop(supervisor);
    scene.registry.go_away();
    let start = |row: &str| {
        let begin = Instant::now();
        let mut supervisor = scene.start();
        supervisor.line("start v1");
        println!("{row}: {} ms", begin.elapsed().as_millis());
        supervisor
    };
    start("after a kill").stop();
    start("after an orderly end").signal(Signal::SIGKILL);
    lose_power(&scene);
    start("after a loss of power, intact").signal(Signal::SIGKILL);
    lose_power(&scene);
    fs::write(tree.join("lib/007/7.txt"), b"").unwrap();
    start("after a loss of power, one file of 0 bytes").signal(Signal::SIGKILL);
    lose_power(&scene);
    let path = scene.place.root().join("supervisor.json");
    let mut session: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    session["settled"] = serde_json::json!([]);
    fs::write(&path, session.to_string()).unwrap();
    start("after a loss of power in the session that it came in: all is read").stop();
}
